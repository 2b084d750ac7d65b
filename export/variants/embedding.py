"""The embedding of a network in files of its own, beside the classifier's variants."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from export.coreml.convert import ArrayOutput, convert_arrays, save_package
from export.network.fold import ChannelsLast, FoldedNetwork
from export.tflite.convert import (
    activation_ranges,
    convert_float32,
    run_tflite,
    to_float16,
    to_int8,
)
from export.variants import auxiliary
from export.variants.auxiliary import Format, Precision
from export.variants.build_context import BuildContext
from export.variants.parity_check import Tolerance, check_probabilities
from mobile_assets.bundle import AuxiliaryModel
from mobile_assets.errors import CheckFailedError, InputError
from mobile_assets.files import write_bytes
from train.heads import UnitLength, embedding_size
from train.run import Run

EMBEDDING_NAME = "embedding"

LENGTH_TOLERANCE = 1e-4
"""How far a length may be from 1: float32 sums of some hundred squares are within 1e-6."""

TFLITE_PRECISIONS: dict[str, Precision] = {
    "tflite-float32": "float32",
    "tflite-float16": "float16",
    "tflite-int8": "int8",
}
"""The precision of the embedding's file that stands beside a variant of the classifier."""

# As of the variants with the same weights.
_TOLERANCES: dict[Precision, Tolerance] = {
    "float32": Tolerance(largest=1e-4),
    "float16": Tolerance(typical=2e-2),
    "int8": Tolerance(confident_agreement=0.9),
}

_WHAT = "The classifier without its last layer: rows of length 1, whose products are cosines."
_TFLITE_NOTES: dict[Precision, str] = {
    "float32": f"{_WHAT} Float32 weights and arithmetic.",
    "float16": f"{_WHAT} Weights are stored as float16; input, output and arithmetic on a CPU are "
    "float32.",
    "int8": f"{_WHAT} Full integer as the classifier in 8 bits, with uint8 input: int8 weights "
    "and activations up to the embedding's layer, whose sums and their length are float32.",
}
_COREML_NOTES = (
    f"{_WHAT} ML Program for iOS 16 or later with float16 weights and arithmetic; the length "
    "is taken in float32, since squares may leave float16's range.",
    "Converted and checked in structure; not run, since Core ML runs on Apple systems only.",
)
EXACT = {"rsqrt": ("float32",), "reduce_sum": ("float32",)}
"""Operations of a package that must be there, with the types of what they give."""


def check_head(run: Run) -> None:
    """Refuses a run whose head has no embedding.

    Raises:
        InputError: It has none.
    """
    if embedding_size(run.info.head) is None:
        raise InputError(
            f"--embedding was given, and the head {run.info.head!r} of this run has no embedding. "
            "Leave it out, or train a run with --head embedding."
        )


@dataclass(frozen=True)
class SplitNetwork:
    """A network taken apart before its last layer.

    Attributes:
        embedding: Raw RGB photo → rows of length 1, `[N, D]`.
        directions: What rows are multiplied by to make logits, `[objects, D]`.
    """

    embedding: FoldedNetwork
    directions: Tensor


def split_network(network: FoldedNetwork) -> SplitNetwork:
    """Copies a folded network with an embedding without its classifier.

    Raises:
        ValueError: Its head has no embedding.
    """
    embedding = copy.deepcopy(network)
    layers: Any = getattr(embedding.body, "layers", embedding.body)
    head = layers[-1] if isinstance(layers, nn.Sequential) else None
    if not (isinstance(head, nn.Sequential) and isinstance(head[-2], UnitLength)):
        raise ValueError("the network's head has no embedding")
    classifier = head[-1]
    assert isinstance(classifier, nn.Linear)
    layers[-1] = head[:-1]
    return SplitNetwork(embedding.eval(), classifier.weight.detach())


# The converter names tensors after this class: another name makes other bytes.
class _Embedded(ChannelsLast):
    """Reads `[N, H, W, 3]` as the classifier does and answers with rows of length 1."""

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """`embedding` `[N, D]` of `[N, H, W, 3]` float RGB 0–255."""
        padded = functional.pad(image - self.centre, (0, 0, *self.padding))
        return {EMBEDDING_NAME: self.body(padded.permute(0, 3, 1, 2))}


def embedding_precisions(variants: Iterable[str]) -> tuple[Precision, ...]:
    """Of which precisions TFLite files of the embedding stand beside these variants."""
    chosen = set(variants)
    precisions = tuple(p for name, p in TFLITE_PRECISIONS.items() if name in chosen)
    return precisions or ("float16",)


def write_embeddings(
    context: BuildContext, bundle: Path, of: Format, precisions: Iterable[Precision] = ("float16",)
) -> tuple[AuxiliaryModel, ...]:
    """Writes the embedding's files of one format into the bundle and checks them.

    Args:
        context: What the variants are made of; its network's head must have an embedding.
        of: The format.
        precisions: Of the TFLite files; a Core ML package is of float16 always.

    Raises:
        CheckFailedError: Rows are not of length 1, or their cosines do not make the network's
            probabilities.
    """
    if of == "tflite":
        return tuple(_write_tflite(context, bundle, precisions))
    path = bundle / auxiliary.auxiliary_file("embedding", of, "float16")
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_package(split_network(context.network), context, path)
    return (auxiliary.recorded("embedding", of, bundle, _COREML_NOTES, precision="float16"),)


def _write_tflite(
    context: BuildContext, bundle: Path, precisions: Iterable[Precision]
) -> Iterator[AuxiliaryModel]:
    parts = split_network(context.network)
    float32 = b""
    for precision in precisions:
        if precision == "int8":
            whole = _converted(split_network(context.integer.network).embedding, context)
            content = to_int8(whole, activation_ranges(whole, context.calibration_photos))
        else:
            float32 = float32 or _converted(parts.embedding, context)
            content = float32 if precision == "float32" else to_float16(float32)
        rows = run_tflite(content, context.probe)
        check_embedding(rows, parts.directions, context.expected, _TOLERANCES[precision])
        write_bytes(bundle / auxiliary.auxiliary_file("embedding", "tflite", precision), content)
        notes = (_TFLITE_NOTES[precision],)
        yield auxiliary.recorded("embedding", "tflite", bundle, notes, precision=precision)


def _converted(network: FoldedNetwork, context: BuildContext) -> bytes:
    return convert_float32(
        network,
        context.contract,
        description=f"{context.description.name}: embedding",
        wrapper=_Embedded,
        outputs=(EMBEDDING_NAME,),
    )


def _write_package(parts: SplitNetwork, context: BuildContext, path: Path) -> None:
    row = ArrayOutput(
        "float32", "What the photo shows, as a row of length 1; products are cosines."
    )
    model = convert_arrays(
        parts.embedding,
        context.contract,
        {EMBEDDING_NAME: row},
        description=context.description,
        user_defined=context.user_defined,
        exact_rows=True,
    )
    save_package(model, path)
    with torch.inference_mode():
        photos = torch.from_numpy(context.probe).permute(0, 3, 1, 2).float()
        check_embedding(parts.embedding(photos).numpy(), parts.directions, context.expected)
    problems = auxiliary.package_problems(path, context.contract, EXACT)
    auxiliary.refuse("The embedding's package", problems)


def check_embedding(
    rows: NDArray[np.float32],
    directions: Tensor,
    expected: NDArray[np.float32],
    tolerance: Tolerance = _TOLERANCES["float16"],
) -> None:
    """Whether rows have length 1 and their cosines make the expected probabilities."""
    lengths = np.linalg.norm(rows, axis=1)
    if not np.abs(lengths - 1).max() <= LENGTH_TOLERANCE:
        raise CheckFailedError(
            f"The embedding has rows of length {lengths.min():.4f} to {lengths.max():.4f} instead "
            "of 1. Nothing was written. The converter cannot handle this network: export it "
            "without --embedding."
        )
    logits = torch.from_numpy(rows) @ directions.T
    probabilities = torch.softmax(logits, dim=-1).numpy()
    check_probabilities("The embedding", probabilities, expected, tolerance)
