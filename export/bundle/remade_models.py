"""The models of a bundle that is rebuilt for other objects."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.bundle.objects import BundleObject
from export.tflite import flatbuffer
from export.tflite.classes import Row, UnknownLayerError, with_classes
from export.tflite.interpreter import run_tflite
from export.tflite.metadata import embed, read_metadata
from export.variants.auxiliary import LABELS_FACT
from mobile_assets.bundle import AuxiliaryModel, Bundle, Variant
from mobile_assets.errors import ArtefactError, CheckFailedError, InputError
from mobile_assets.files import sha256_bytes, write_bytes
from mobile_assets.golden import GoldenVectors
from mobile_assets.labels import LabelMap

_NOTE = (
    "The last layer was given the directions of the bundle's objects anew: rows of objects of the "
    "training are what they were, and an object that was enrolled has the mean of its photos' "
    "embeddings."
)
_SAME = 5e-3
"""How far the share of a kept object among kept objects may move: kernels for another number of
rows add in another order, and 8-bit features have a range of their own in each run."""


@dataclass(frozen=True)
class RemadeModels:
    """What is in the new bundle.

    Attributes:
        left_out: Names of models that answer for the objects of the training alone and cannot be
            made anew here.
        answers: Probabilities `[photos, objects]` of the golden photos, by variant; empty without
            golden vectors.
    """

    variants: tuple[Variant, ...]
    companions: tuple[AuxiliaryModel, ...]
    left_out: tuple[str, ...]
    answers: dict[str, NDArray[np.float32]] = field(default_factory=dict)


def remake_models(
    base: Bundle,
    ordered: Sequence[BundleObject],
    labels: LabelMap,
    folder: Path,
    say: Callable[[str], None],
) -> RemadeModels:
    """Writes the embedding models as they are, and classifiers for the new objects.

    A TFLite classifier is a network with one row per object in its last layer, which is given other
    rows. A Core ML package would have to be compiled anew from the network, which is not at hand:
    its classifiers are left out.

    Args:
        base: From `read_bundle`.
        ordered: The new objects in class order.
        labels: Their label map.
        folder: The new bundle's.

    Raises:
        InputError: No classifier is left.
        CheckFailedError: One does not answer for its old objects as it did.
    """
    rows: list[Row] = [
        _direction(one) if one.class_index is None else one.class_index for one in ordered
    ]
    variants, answers, left_out = _remade_classifiers(base, rows, labels, folder, say)
    companions: list[AuxiliaryModel] = []
    for model in base.info.companions:
        made = _companion(base, model, rows, labels, folder)
        if made is None:
            left_out.append(model.name)
        else:
            companions.append(made)
    if left_out:
        say(f"Left out, since they know the objects of the training only: {', '.join(left_out)}.")
    return RemadeModels(tuple(variants), tuple(companions), tuple(left_out), answers)


def _remade_classifiers(
    base: Bundle,
    rows: list[Row],
    labels: LabelMap,
    folder: Path,
    say: Callable[[str], None],
) -> tuple[list[Variant], dict[str, NDArray[np.float32]], list[str]]:
    """Writes the classifiers; gives them, their answers to golden photos, and what is left out."""
    tensors = _golden_tensors(base)
    variants: list[Variant] = []
    answers: dict[str, NDArray[np.float32]] = {}
    left_out: list[str] = []
    for variant in base.info.variants:
        if variant.format != "tflite":
            left_out.append(variant.name)
            continue
        old = base.path(variant).read_bytes()
        try:
            content = _classifier(old, rows, labels)
        except UnknownLayerError as error:
            say(f"{variant.name} is left out: {error}.")
            left_out.append(variant.name)
            continue
        new = run_tflite(content, tensors)
        _check(variant.name, run_tflite(old, tensors), new, rows)
        answers[variant.name] = new
        write_bytes(folder / variant.file, content)
        variants.append(_described(variant, content))
    if not variants:
        raise InputError(
            f"{base.folder} has no TFLite classifier that can be given other objects. Export the "
            "run with a TFLite variant first."
        )
    return variants, answers, left_out


def _direction(one: BundleObject) -> NDArray[np.float32]:
    row = one.direction.dequantised()[0].astype(np.float64)
    unit: NDArray[np.float32] = (row / np.linalg.norm(row)).astype(np.float32)
    return unit


def _classifier(old: bytes, rows: Sequence[Row], labels: LabelMap) -> bytes:
    model = read_metadata(old).model
    before, _, after = model.description.partition(" museum objects")
    words = before.split()
    if words and words[-1].isdecimal():
        counted = " ".join([*words[:-1], str(len(labels))])
        model = replace(model, description=f"{counted} museum objects{after}")
    return embed(with_classes(old, rows), labels, model)


def _described(variant: Variant, content: bytes) -> Variant:
    inputs, outputs = flatbuffer.inputs_and_outputs(content)
    notes = variant.notes if _NOTE in variant.notes else (*variant.notes, _NOTE)
    return variant.model_copy(
        update={
            "bytes": len(content),
            "sha256": sha256_bytes(content),
            "inputs": inputs,
            "outputs": outputs,
            "notes": notes,
        }
    )


def _companion(
    base: Bundle, model: AuxiliaryModel, rows: Sequence[Row], labels: LabelMap, folder: Path
) -> AuxiliaryModel | None:
    """Copies an embedding; makes a short list anew; None where that cannot be done."""
    source, target = base.path(model), folder / model.file
    if model.kind == "embedding":
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copyfile(source, target)
        return model
    if model.format != "tflite" or model.outputs[0].shape[-1] > len(rows):
        return None
    try:
        content = with_classes(source.read_bytes(), rows)
    except UnknownLayerError:
        return None
    content = flatbuffer.add_metadata_buffer(
        content, name=LABELS_FACT, data=labels.sha256.encode("ascii")
    )
    write_bytes(target, content)
    return model.model_copy(update={"bytes": len(content), "sha256": sha256_bytes(content)})


def _golden_tensors(base: Bundle) -> NDArray[np.uint8]:
    """The golden photos, or noise where there are none, `[N, H, W, 3]`."""
    try:
        return GoldenVectors.read(base).tensors
    except ArtefactError:
        contract = base.info.preprocessing
        shape = (4, contract.height, contract.width, 3)
        return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def _check(
    name: str, old: NDArray[np.float32], new: NDArray[np.float32], rows: Sequence[Row]
) -> None:
    """Whether a classifier divides the probability of the objects that it keeps as before."""
    kept = [(place, row) for place, row in enumerate(rows) if isinstance(row, int)]
    if not kept:
        return
    places, classes = (list(side) for side in zip(*kept, strict=True))
    shares = []
    for values, columns in ((old, classes), (new, places)):
        chosen = values[:, columns].astype(np.float64)
        shares.append(chosen / np.maximum(chosen.sum(axis=1, keepdims=True), 1e-30))
    apart = float(np.abs(shares[0] - shares[1]).max())
    if not (np.isfinite(new).all() and apart <= _SAME):
        raise CheckFailedError(
            f"{name} made for other objects does not answer as before for those that it keeps: a "
            f"probability is off by {apart:.1e}. Nothing was written."
        )
