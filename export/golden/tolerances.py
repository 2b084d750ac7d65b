"""How far an app or another runtime may be from the golden vectors, and why."""

from __future__ import annotations

import numpy as np

from mobile_assets.bundle import Variant
from mobile_assets.golden import AnswerTolerance, Pixels, PixelTolerance

HELD_OUT = PixelTolerance(
    mean=3.0,
    largest=96,
    why="A camera's JPEG: decoders round in their own ways, enlarge the halved colours smoothly or "
    "in blocks, and convert profiles with engines of different precision.",
)

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


def resizing_tolerance(tensor: Pixels, others: tuple[Pixels, ...]) -> PixelTolerance:
    """For one photo's tensor, by what other good resamplers make of the photo.

    Args:
        tensor: `[H, W, 3]` uint8, resized as the contract says.
    """
    apart = [np.abs(other.astype(np.int16) - tensor) for other in others]
    return PixelTolerance(
        mean=round(0.5 + 1.25 * max(float(a.mean()) for a in apart), 2),
        largest=float(np.ceil(4 + 1.25 * max(int(a.max()) for a in apart))),
        why="Measured on this photo: what the antialiased filters box, Hamming and bicubic make of "
        "it instead of the contract's triangle, and a quarter more, since each system's resampler "
        "is a little different.",
    )


def answering_tolerance(share: float) -> AnswerTolerance:
    """For an answer from an app's own pixels.

    Args:
        share: How far the answer was seen to move with other good resamplers.
    """
    return AnswerTolerance(
        share=round(0.05 + 1.25 * share, 4),
        why="Measured with this model on this photo: how far its answer moves when the "
        "antialiased filters box, Hamming and bicubic make the tensor; a quarter more, and 5 % for "
        "the decoder's rounding.",
    )
