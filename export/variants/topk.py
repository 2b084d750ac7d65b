"""The classifier with a short list for an answer, in files of its own beside the variants.

A classifier in Core ML hands its probabilities over as a dictionary of all labels, made anew for
every frame: with thousands of objects that costs more than a small network. Here the program itself
chooses the best few and gives their class indices, by which an app looks up `labels.json`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from export.coreml.convert import ArrayOutput, convert_arrays, save_package
from export.network.fold import ChannelsLast, FoldedNetwork
from export.tflite import flatbuffer
from export.tflite.convert import convert_float32, run_tflite, to_float16
from export.variants import auxiliary
from export.variants.auxiliary import LABELS_FACT, Format
from export.variants.build_context import BuildContext
from export.variants.parity_check import Tolerance, check_probabilities
from mobile_assets.bundle import OUTPUT_NAME, AuxiliaryModel
from mobile_assets.files import write_bytes
from mobile_assets.shortlist import INDICES_NAME, Shortlist

OUTPUTS = (INDICES_NAME, OUTPUT_NAME)

EXACT = {"softmax": ("float32",), "topk": ("float32", "int32")}
"""Operations of a package that must be there, with the types of what they give."""

_SHARE = 1e-4
"""Share of the highest probability that a file's may be from those of the whole list, of which it
differs in nothing but the choice: kernels add in different orders."""

# As of the float16 variant: the same weights in 11 significant bits.
_TOLERANCE = Tolerance(typical=2e-2)

_WHAT = (
    "The classifier's best {top} objects instead of all: class indices in the order of "
    "labels.json, and their probabilities, best first."
)
_NOTES: dict[str, tuple[str, ...]] = {
    "tflite": (
        "Weights and arithmetic are those of tflite-float16: no accelerator need copy the whole "
        "list. Of equal probabilities the lower index comes first.",
    ),
    "coreml": (
        "Weights and arithmetic are those of coreml-float16, which needs no photos to be made and "
        "runs from iOS 16 on; the softmax and the choice are float32, indices int32. Which of "
        "equal probabilities comes first Apple does not document.",
        "Converted and checked in structure; not run, since Core ML runs on Apple systems only.",
    ),
}


class _TopK(nn.Module):
    """A network of logits that answers with its best objects."""

    def __init__(self, network: nn.Module, top: int) -> None:
        super().__init__()
        self.network = network
        self.top = top

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        return _chosen(torch.softmax(self.network(image), dim=-1), self.top)


# The converter names tensors after this class: another name makes other bytes.
class _BestChannelsLast(ChannelsLast):
    """Reads `[N, H, W, 3]` as the classifier does and answers with its best objects."""

    def __init__(self, network: FoldedNetwork, top: int) -> None:
        super().__init__(network)
        self.top = top

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return dict(
            zip(OUTPUTS, _chosen(super().forward(image)[OUTPUT_NAME], self.top), strict=True)
        )


def _chosen(probabilities: Tensor, top: int) -> tuple[Tensor, Tensor]:
    values, indices = torch.topk(probabilities, top, dim=-1)
    return indices.int(), values


def write_shortlist(context: BuildContext, bundle: Path, of: Format, top: int) -> AuxiliaryModel:
    """Writes the short list's file into the bundle and checks it.

    Args:
        of: The format.
        top: How many objects it names; all, where there are fewer.

    Raises:
        CheckFailedError: It does not answer with the network's best objects.
    """
    top = min(top, len(context.labels))
    path = bundle / auxiliary.auxiliary_file("shortlist", of)
    path.parent.mkdir(parents=True, exist_ok=True)
    if of == "tflite":
        _write_file(context, path, top)
    else:
        _write_package(context, path, top)
    return auxiliary.recorded("shortlist", of, bundle, (_WHAT.format(top=top), *_NOTES[of]))


def _write_file(context: BuildContext, path: Path, top: int) -> None:
    content = convert_float32(
        context.network,
        context.contract,
        description=f"{context.description.name}: the best {top}",
        wrapper=lambda network: _BestChannelsLast(network, top),
        outputs=OUTPUTS,
    )
    labels_hash = context.user_defined[LABELS_FACT].encode()
    content = flatbuffer.add_metadata_buffer(
        to_float16(content), name=LABELS_FACT, data=labels_hash
    )
    whole = run_tflite(to_float16(context.float32), context.probe)
    check_probabilities("The short list's network", whole, context.expected, _TOLERANCE)
    answers = auxiliary.run_arrays(content, context.probe)
    auxiliary.refuse("The short list's file", _problems(answers, whole, top))
    write_bytes(path, content)


def _write_package(context: BuildContext, path: Path, top: int) -> None:
    outputs = {
        INDICES_NAME: ArrayOutput("int32", "Class indices of the best objects, best first."),
        OUTPUT_NAME: ArrayOutput("float32", "Their probabilities; those of all objects sum to 1."),
    }
    model = convert_arrays(
        _TopK(context.network, top),
        context.contract,
        outputs,
        description=context.description,
        user_defined=context.user_defined,
    )
    save_package(model, path)
    problems = auxiliary.package_problems(path, context.contract, EXACT)
    auxiliary.refuse("The short list's package", problems)


def _problems(answers: dict[str, NDArray[Any]], whole: NDArray[np.float32], top: int) -> list[str]:
    """What differs from the short lists of whole ones, by photo; the first three."""
    problems = []
    lists = map(Shortlist, answers[INDICES_NAME], answers[OUTPUT_NAME])
    for number, (shortlist, row) in enumerate(zip(lists, whole, strict=True)):
        problem = shortlist.problem(row, _SHARE * float(row.max()))
        if len(shortlist.indices) != top:
            problem = f"{len(shortlist.indices)} objects instead of {top}"
        problems += [f"photo {number}: {problem}"] if problem else []
    return problems[:3]
