"""Checks of the models beside the variants: what they declare, and what they answer here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.runtimes import Pixels, Probabilities
from benchmarks.runtimes.auxiliary_models import Arrays, Executor, executors, run_auxiliary
from benchmarks.verify.checks import Check, CheckedBundle, check_from_problems, skipped_check
from benchmarks.verify.model_files import end_problems, pixel_problems
from benchmarks.verify.synthetic_photos import synthetic_photos
from mobile_assets.bundle import (
    OUTPUT_NAME,
    AuxiliaryModel,
    Bundle,
    BundleInfo,
    TensorInfo,
    Variant,
)
from mobile_assets.errors import ArtefactError, DamagedError, InputError, first_line
from mobile_assets.golden import GoldenVectors
from mobile_assets.log_suppression import quiet
from mobile_assets.preprocessing import resize
from mobile_assets.shortlist import INDICES_NAME, MOST, Shortlist

_SAME = 1e-4
"""Share of the highest probability that answers may be apart where the same operations work on the
same weights: kernels add in different orders."""

_SIMILAR = 1e-1
"""The same where weights or arithmetic are float16 on one side only, or a phone's chip chooses."""

_LIKENESS = 0.99
"""Least cosine of one photo's embeddings in two files: float16 moves it by about 1e-5."""

_INTEGER_LIKENESS = 0.5
"""The same where one of the two computes in integers: photos of other objects have about 0."""

_REFERENCES = ("float16", "float32")


def check_auxiliary_models(checked: CheckedBundle) -> Iterator[Check]:
    """What every auxiliary model declares, and what it answers on the quick runtimes here."""
    if not checked.bundle.info.companions:
        return
    photos = _photos(checked.bundle)
    embeddings: dict[str, Arrays] = {}
    for model in checked.bundle.info.companions:
        if model.name in checked.changed:
            why = "its file is not the one described"
            yield skipped_check("structure", why, subject=model.name)
            continue
        structure = _structure(checked.bundle, model)
        yield structure
        if structure.state == "failed":
            yield skipped_check("answers", "its structure is wrong", subject=model.name)
            continue
        for executor in executors(model):
            yield _answered(checked, model, photos, executor, embeddings)


def _photos(bundle: Bundle) -> Pixels:
    """The golden tensors, or drawn pictures where there are none, `[N, H, W, 3]` uint8."""
    try:
        return GoldenVectors.read(bundle).tensors
    except (ArtefactError, OSError):
        return np.stack(
            [resize(picture, bundle.info.preprocessing) for picture in synthetic_photos()]
        )


def _structure(bundle: Bundle, model: AuxiliaryModel) -> Check:
    path = bundle.path(model)
    try:
        with quiet():
            problems = list(_structure_problems(bundle, model, path))
    # A damaged file can break its parser in any way; each of them is an answer.
    except Exception as error:
        problems = [f"it cannot be read ({first_line(error)})"]
    return check_from_problems("structure", problems, "as described", subject=model.name)


def _structure_problems(bundle: Bundle, model: AuxiliaryModel, path: Path) -> Iterator[str]:
    from export.variants import auxiliary, embedding, topk

    info = bundle.info
    yield from end_problems(auxiliary.declared_ends(path), model)
    yield from pixel_problems(model, info.preprocessing)
    if not _fits(model, info):
        yield f"its outputs are not those of {model.kind} models"
    if model.kind == "shortlist" and auxiliary.labels_fact(path) != info.labels_sha256:
        yield "its indices are of another label map than labels.json"
    if model.format == "coreml":
        exact = topk.EXACT if model.kind == "shortlist" else embedding.EXACT
        yield from auxiliary.package_problems(path, info.preprocessing, exact)


def _fits(model: AuxiliaryModel, info: BundleInfo) -> bool:
    """Whether the outputs are what an app expects of the kind."""
    size = model.outputs[0].shape[-1] if model.outputs else 0
    if model.kind == "embedding":
        return model.outputs == (_row("embedding", "float32", size),)
    expected = (_row(INDICES_NAME, "int32", size), _row(OUTPUT_NAME, "float32", size))
    return model.outputs == expected and 1 <= size <= min(MOST, info.objects)


def _row(name: str, dtype: str, size: int) -> TensorInfo:
    return TensorInfo.model_validate({"name": name, "dtype": dtype, "shape": (1, size)})


def _answered(
    checked: CheckedBundle,
    model: AuxiliaryModel,
    photos: Pixels,
    executor: Executor,
    embeddings: dict[str, Arrays],
) -> Check:
    on = {"subject": model.name, "runtime": executor.name}
    try:
        outputs = run_auxiliary(checked.bundle, model, photos, executor)
        if model.kind == "embedding":
            embeddings.setdefault(model.name, outputs)
            problems = list(_embedding_problems(model.name, outputs, embeddings))
            if model.format == "tflite" and executor.runtime.name == "litert":
                problems += _golden_problems(checked.bundle, model, outputs)
            good = "rows of length 1"
        else:
            reference = _reference(checked, model)
            if reference is None:
                why = f"no {model.format} variant of float weights has the whole list"
                return skipped_check("answers", why, **on)
            with executor.runtime.open(checked.bundle, reference) as session:
                lists = session.predict(photos)
            share = _share(reference, executor)
            problems = list(_shortlist_problems(outputs, lists, share))
            good = f"the best of {reference.name} for {len(photos)} photos"
    except (InputError, DamagedError) as error:
        return check_from_problems("answers", [str(error)], "", **on)
    return check_from_problems("answers", problems, good, **on)


def _golden_problems(bundle: Bundle, model: AuxiliaryModel, outputs: Arrays) -> list[str]:
    """How its rows of the golden photos differ from those of the bundle, where it has any."""
    from export.variants.embedding import EMBEDDING_NAME

    try:
        golden = GoldenVectors.read(bundle)
    except (ArtefactError, OSError):
        return []
    for expected in golden.info.embeddings:
        if expected.model == model.name:
            rows = golden.embedding(expected)
            if rows.shape != outputs[EMBEDDING_NAME].shape:
                return [f"its golden rows are of shape {list(rows.shape)}"]
            cosine = float((rows * outputs[EMBEDDING_NAME]).sum(axis=1).min())
            if not cosine >= expected.least_cosine:
                return [f"cosine {cosine:.3f} with its golden row of the same photo"]
    return []


def _reference(checked: CheckedBundle, model: AuxiliaryModel) -> Variant | None:
    """The variant whose whole list the short one is taken of, or the next to it."""
    by_precision = {
        variant.precision: variant
        for variant in checked.bundle.info.variants
        if variant.format == model.format and variant.name not in checked.changed
    }
    return next(
        (by_precision[precision] for precision in _REFERENCES if precision in by_precision), None
    )


def _share(reference: Variant, executor: Executor) -> float:
    """How far answers may be apart, as a share of the highest probability."""
    same = reference.precision == "float16" and executor.runtime.name != "coreml"
    return _SAME if same else _SIMILAR


def _shortlist_problems(outputs: Arrays, lists: Probabilities, share: float) -> Iterator[str]:
    rows = zip(outputs[INDICES_NAME], outputs[OUTPUT_NAME], lists, strict=True)
    for number, (indices, probabilities, whole) in enumerate(rows):
        wrong = Shortlist(indices, probabilities).problem(whole, share * float(whole.max()))
        if wrong:
            yield f"photo {number}: {wrong}"


def _embedding_problems(name: str, outputs: Arrays, embeddings: dict[str, Arrays]) -> Iterator[str]:
    from export.variants.embedding import EMBEDDING_NAME, LENGTH_TOLERANCE

    rows = outputs[EMBEDDING_NAME]
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
    if not np.abs(lengths - 1).max() <= LENGTH_TOLERANCE:
        yield f"rows of length {lengths.min():.4f} to {lengths.max():.4f} instead of 1"
    for other, others in embeddings.items():
        likeness = (rows * others[EMBEDDING_NAME]).sum(axis=1).min()
        integer = name.endswith("int8") != other.endswith("int8")
        if not likeness >= (_INTEGER_LIKENESS if integer else _LIKENESS):
            yield f"cosine {likeness:.3f} with the answer of {other} to the same photo"
