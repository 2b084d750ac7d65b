"""Checks of what objects are told by: gallery, reference pictures, thresholds and their vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchmarks.verify.checks import Check, CheckedBundle, check_from_problems, skipped_check
from mobile_assets.bundle import Bundle
from mobile_assets.errors import DamagedError
from mobile_assets.identification.decision import read_decision
from mobile_assets.identification.gallery import read_gallery
from mobile_assets.identification.references import read_references
from mobile_assets.identification.vectors import read_vectors

_ABSENT = "the bundle has none; `artefact-id export` makes it of a run with an embedding"


def check_identification(checked: CheckedBundle) -> Iterator[Check]:
    """Whether gallery, reference pictures and decision are whole and fit the embedding models."""
    for name, problems in (
        ("gallery", _gallery_problems),
        ("references", _reference_problems),
        ("decision", _decision_problems),
    ):
        yield _check(name, problems, checked.bundle)


def _check(name: str, problems: Callable[[Bundle], list[str] | None], bundle: Bundle) -> Check:
    try:
        wrong = problems(bundle)
    except DamagedError as error:
        wrong = [str(error)]
    if wrong is None:
        return skipped_check(name, _ABSENT)
    return check_from_problems(name, wrong, "as described")


def _gallery_problems(bundle: Bundle) -> list[str] | None:
    gallery = read_gallery(bundle)
    if gallery is None:
        return None
    return [
        f"its rows have {gallery.dimensions} values, and {model.name} gives {size}"
        for model in bundle.info.companions
        if model.kind == "embedding" and (size := model.outputs[0].shape[-1]) != gallery.dimensions
    ]


def _reference_problems(bundle: Bundle) -> list[str] | None:
    references = read_references(bundle)
    if references is None:
        return None
    for picture in references.info.pictures:
        references.pixels(picture)
    return []


def _decision_problems(bundle: Bundle) -> list[str] | None:
    decision, vectors = read_decision(bundle), read_vectors(bundle)
    if decision is None:
        return None
    if vectors is None:
        return ["decision-vectors.json is missing"]
    names = {model.name for model in bundle.info.companions if model.kind == "embedding"}
    missing = sorted(names - decision.variants.keys())
    return [f"it does not judge {name}" for name in missing] + list(vectors.problems(decision))
