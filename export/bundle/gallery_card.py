"""What a bundle's card says of the gallery, the thresholds and the objects enrolled later."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mobile_assets.bundle import BundleInfo
from mobile_assets.bundle_info import Enrolment
from mobile_assets.files import size_of
from mobile_assets.identification.decision import (
    DECISION_FILE,
    Decision,
    PhotoRule,
    VariantDecision,
)
from mobile_assets.identification.gallery import GALLERY_FILE, GALLERY_FOLDER, GalleryInfo
from mobile_assets.identification.references import (
    REFERENCES_FILE,
    REFERENCES_FOLDER,
    ReferencesInfo,
)
from mobile_assets.markdown_text import markdown

_LISTED = 10


@dataclass(frozen=True)
class Identification:
    """What a bundle identifies by, as it stands in the folder.

    Attributes:
        decision: The thresholds.
        gallery: The gallery's header.
        gallery_bytes: Of all its files.
        references: The list of reference pictures; None without any.
        references_bytes: Of the pictures and their list.
    """

    decision: Decision
    gallery: GalleryInfo
    gallery_bytes: int
    references: ReferencesInfo | None
    references_bytes: int

    @classmethod
    def of(cls, folder: Path) -> Identification | None:
        """Of a bundle that is being written; None where it has no gallery."""
        if not (folder / GALLERY_FILE).is_file():
            return None
        pictures = folder / REFERENCES_FILE
        return cls(
            decision=Decision.read(folder / DECISION_FILE),
            gallery=GalleryInfo.read(folder / GALLERY_FILE),
            gallery_bytes=size_of(folder / GALLERY_FOLDER),
            references=ReferencesInfo.read(pictures) if pictures.is_file() else None,
            references_bytes=size_of(folder / REFERENCES_FOLDER) if pictures.is_file() else 0,
        )


def identification_section(found: Identification | None) -> str:
    """How a photo's object is told, in Markdown."""
    title = "## Which object is it\n\n"
    if found is None:
        return (
            f"{title}The bundle has no gallery and no thresholds: whatever the model answers is "
            "a **shortlist**, the five best objects to compare by eye. `artefact-id export` makes "
            "both from a run with `--head embedding` and the register (`--photos`)."
        )
    return title + "\n\n".join(
        [_how(found.decision), _thresholds(found.decision), _on_what(found.decision), _sizes(found)]
    )


def _how(decision: Decision) -> str:
    formulas = {variant.formula.name for variant in decision.variants.values()}
    score = (
        "the mean of its cosine with the object's direction, its highest cosine with a photo of "
        "the object in `gallery/`, and its mean cosine with them"
        if "direction-nearest-mean" in formulas
        else "its cosine with the object's direction in `gallery/`"
    )
    return (
        "An embedding model (`models/`) turns a photo into a row of length 1. The score of an "
        f"object is {score}. `decision.json` says which scores are a **match**, a **shortlist** or "
        "**not in the register**; `decision-vectors.json` tests an app's own implementation."
    )


def _thresholds(decision: Decision) -> str:
    rows = "".join(
        f"| {name} | {rule.photos} | {_match(rule, 0)} | {_match(rule, 1)} | {_reject(rule)} |\n"
        for name, variant in decision.variants.items()
        for rule in variant.rules
    )
    rates = [match.false_match_rate for match in _first(decision).rules[0].matches]
    heads = " | ".join(f"match at {100 * rate:g} % false" for rate in rates[:2])
    return (
        f"| Model | photos | {heads} | not in the register below |\n|---|---|---|---|---|\n"
        f"{rows}".rstrip("\n")
    )


def _first(decision: Decision) -> VariantDecision:
    return next(iter(decision.variants.values()))


def _match(rule: PhotoRule, place: int) -> str:
    if place >= len(rule.matches):
        return "–"
    score = rule.matches[place].score
    return "never" if score is None else f"{score:.3f}"


def _reject(rule: PhotoRule) -> str:
    return "never" if rule.reject is None else f"{rule.reject:.3f}"


def _on_what(decision: Decision) -> str:
    variants = list(decision.variants.values())
    evidence = _first(decision).evidence
    if not any(variant.promises_matches for variant in variants):
        return (
            f"**No match is ever promised.** {evidence.method} Every answer is a shortlist or "
            '"not in the register".'
        )
    return (
        f"Set on {evidence.unseen_photos} photos of {evidence.unseen_objects} objects, model by "
        f"model after quantisation. {evidence.method}"
    )


def _sizes(found: Identification) -> str:
    gallery = found.gallery
    held = (
        f"{gallery.rows:,} photos of {gallery.objects:,} objects"
        if gallery.rows
        else f"the directions of {gallery.objects:,} objects and no photos"
    )
    parts = [f"`gallery/` holds {held}: {found.gallery_bytes:,} bytes."]
    if found.references is None:
        parts.append("There are no reference pictures.")
    else:
        parts.append(
            f"`references/` holds {len(found.references.pictures):,} pictures of up to "
            f"{found.references.size} pixels without metadata: {found.references_bytes:,} bytes."
        )
    return " ".join(parts)


def enrolment_section(info: BundleInfo) -> str:
    """What was done to the objects after the training; empty for nothing."""
    enrolment = info.enrolment
    if enrolment is None:
        return ""
    return "\n\n".join(filter(None, ["## Objects enrolled later", *_enrolled(enrolment)]))


def _enrolled(enrolment: Enrolment) -> list[str]:
    lines = []
    if enrolment.enrolled:
        lines.append(
            f"Enrolled without training: {_ids(enrolment.enrolled)}. The TFLite classifiers, the "
            "gallery, the thresholds and the golden vectors were made anew for them."
        )
    if enrolment.withdrawn:
        lines.append(f"Withdrawn: {_ids(enrolment.withdrawn)}.")
    if enrolment.left_out:
        lines.append(
            f"**Not in this bundle: {', '.join(enrolment.left_out)}.** They answer for the objects "
            "of the training alone, and a Core ML classifier cannot be made anew without the "
            "trained network. On an iPhone use the Core ML embedding with the gallery, or train "
            "and export again."
        )
    return lines


def _ids(ids: tuple[str, ...]) -> str:
    more = f" and {len(ids) - _LISTED} more" if len(ids) > _LISTED else ""
    return ", ".join(map(markdown, ids[:_LISTED])) + more
