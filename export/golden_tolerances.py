"""How far another runtime may be from a variant's golden answers, and why."""

from __future__ import annotations

from mobile_assets.bundle import Variant
from mobile_assets.golden import AnswerTolerance

_FLOAT = AnswerTolerance(
    share=1e-4,
    why="Float32 arithmetic: kernels add in different orders. XNNPACK on x86 and on Arm were seen "
    "3e-6 apart.",
)
_INTEGER = AnswerTolerance(
    share=5e-2,
    why="Integer arithmetic: where a value lies between two steps, kernels round it to the one or "
    "the other, and the steps that follow carry it on. XNNPACK on x86 and on Arm were seen 1.1e-2 "
    "apart.",
)
_HALF = AnswerTolerance(
    share=1e-1,
    why="Float16 arithmetic: which values are kept in more bits while adding is the runtime's "
    "choice. Rounding every operation to float16 was seen to move drawn photos by up to 5.5e-2; "
    "twice that is allowed, since Core ML itself was not at hand where this was set.",
)
_HALF_GPU = AnswerTolerance(
    share=1e-1,
    why="GPUs compute in float16 unless told otherwise. Rounding every operation to float16 was "
    "seen to move drawn photos by up to 5.5e-2; twice that is allowed.",
)
_INTEGER_ACCELERATOR = AnswerTolerance(
    share=2.5e-1,
    why="Accelerators choose their own rounding, and may compute in float16 what the file says in "
    "integers; quantisation as a whole was seen to move drawn photos by more than this, so it is "
    "an allowance and not a measurement.",
)


def tolerances(variant: Variant) -> tuple[AnswerTolerance, AnswerTolerance]:
    """What is allowed from the golden tensor: on a CPU, and on an accelerator.

    Args:
        variant: Its format, its precision and the type of its input decide.
    """
    if _integer(variant):
        return (_INTEGER if variant.format == "tflite" else _INTEGER_ACCELERATOR), (
            _INTEGER_ACCELERATOR
        )
    if variant.format == "tflite":
        return _FLOAT, _HALF_GPU
    return (_FLOAT if variant.precision == "float32" else _HALF), _HALF


def _integer(variant: Variant) -> bool:
    """Whether activations are integers: TFLite's input says so, Core ML's name does."""
    return any(tensor.dtype == "uint8" for tensor in variant.inputs) or variant.precision == "w8a8"
