"""The thresholds of a bundle, set on objects that the network never saw."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path

import numpy as np

from export.bundle.leave_one_out import ScoredPhotos, score_photos
from mobile_assets.identification.decision import (
    DECISION_FILE,
    Decision,
    Evidence,
    PhotoRule,
    VariantDecision,
)
from mobile_assets.identification.gallery import Gallery
from mobile_assets.identification.scores import ScoreFormula
from mobile_assets.identification.thresholds import FEWEST_UNSEEN_OBJECTS, KnownScores, photo_rule
from mobile_assets.identification.vectors import VECTORS_FILE, DecisionVectors

PHOTO_COUNTS = (1, 2, 3, 4)
"""Numbers of photos of one object that have thresholds of their own."""

METHOD = (
    "Photos of objects on which neither the network nor its head was trained. Match: scored with "
    "their own objects left out, the tail of the best scores taken as exponential. Reject and "
    "shortlist: scored with their own objects enrolled with all their other photos."
)
NO_OBJECTS = (
    f"Fewer than {FEWEST_UNSEEN_OBJECTS} objects were held out of the training, so no match is "
    "promised: train with --hold-out-objects."
)


def formula_of(gallery: Gallery) -> ScoreFormula:
    """The score that a gallery allows: with its photos if it has any."""
    return ScoreFormula(name="direction-nearest-mean" if len(gallery.embeddings) else "direction")


def fit_variant(scored: ScoredPhotos | None, formula: ScoreFormula, *, why: str) -> VariantDecision:
    """The decision of one embedding model.

    Args:
        scored: Photos of the unseen objects, by this model; None without any.
        formula: How the scores were made.
        why: What the evidence says where there are too few unseen objects.
    """
    if scored is None or not len(scored.objects):
        none = KnownScores(np.zeros((0, 2)), np.zeros(0, dtype=np.int64))
        empty = Evidence(unseen_objects=0, unseen_photos=0, register_photos=0, method=why)
        return VariantDecision(formula=formula, rules=(photo_rule(1, none, none),), evidence=empty)
    objects = len(np.unique(scored.objects))
    rules = [
        photo_rule(count, scored.known(formula, count), scored.unseen(formula, count))
        for count in PHOTO_COUNTS
    ]
    return VariantDecision(
        formula=formula,
        rules=_supported(rules),
        evidence=Evidence(
            unseen_objects=objects,
            unseen_photos=len(scored.objects),
            register_photos=len(scored.known(formula, 1).objects),
            method=METHOD if objects >= FEWEST_UNSEEN_OBJECTS else why,
        ),
    )


def _supported(rules: list[PhotoRule]) -> tuple[PhotoRule, ...]:
    """The rules up to the first that promises less than that of one photo.

    Without a rule of their own, more photos are judged by that of fewer.
    """
    promising = tuple(takewhile(lambda rule: rule.matches[0].score is not None, rules))
    return promising or tuple(rules[:1])


def refit(
    variants: Mapping[str, VariantDecision], before: VariantDecision, after: VariantDecision
) -> dict[str, VariantDecision]:
    """The decisions of all models once the objects of a gallery have changed.

    Photos of objects of before are at hand as the gallery stores them, of the reference model
    alone. A threshold of any model moves by as much as that of the stored photos moves; what could
    not be promised before is taken from the stored photos as it is.

    Args:
        variants: The bundle's own, by model.
        before: Fitted to the stored photos of the gallery as it was.
        after: The same with the gallery as it is now.
    """
    return {name: _moved(own, before, after) for name, own in variants.items()}


def _moved(
    own: VariantDecision, before: VariantDecision, after: VariantDecision
) -> VariantDecision:
    rules = []
    for new in after.rules:
        old, base = own.rule(new.photos), before.rule(new.photos)
        matches = tuple(
            match.model_copy(
                update={"score": _shifted(old.matches[i].score, base.matches[i].score, match.score)}
            )
            for i, match in enumerate(new.matches)
        )
        gaps = tuple(
            gap.model_copy(
                update={"gap": _shifted(old.shortlists[i].gap, base.shortlists[i].gap, gap.gap, 0)}
            )
            for i, gap in enumerate(new.shortlists)
        )
        reject = _shifted(old.reject, base.reject, new.reject)
        rules.append(PhotoRule(photos=new.photos, matches=matches, reject=reject, shortlists=gaps))
    return VariantDecision(
        formula=after.formula,
        rules=tuple(rules),
        longest_shortlist=own.longest_shortlist,
        evidence=after.evidence,
    )


def _shifted(
    own: float | None, before: float | None, after: float | None, least: float = -1.0
) -> float | None:
    if own is None or before is None or after is None:
        return after if own is None and before is None else None
    return max(least, round(own + after - before, 6))


def stored_scores(gallery: Gallery, formula: ScoreFormula) -> ScoredPhotos | None:
    """The unseen objects' photos as the gallery stores them; None without any."""
    rows = np.flatnonzero(np.isin(gallery.row_objects, gallery.unseen_objects))
    if not len(rows):
        return None
    stored = gallery.embeddings.dequantised(rows)
    stored /= np.linalg.norm(stored, axis=1, keepdims=True)
    objects = gallery.row_objects[rows].astype(np.int64)
    return score_photos(gallery, formula, stored, objects, stored)


def write_decision(folder: Path, decision: Decision) -> None:
    """Writes `decision.json` and its test vectors into a bundle."""
    decision.write(folder / DECISION_FILE)
    DecisionVectors.of(decision).write(folder / VECTORS_FILE)
