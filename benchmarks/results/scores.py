"""Accuracy, precision, recall and F1 of answers, with intervals over objects. Pure numpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.results.classification import NO_ANSWER, Indices, Interval
from benchmarks.results.cluster_bootstrap import draw_objects, interval

TOPS = (1, 3, 5, 10)
"""Lengths of the shortlist that accuracy is stated for."""

Weights = NDArray[np.float64]


@dataclass(frozen=True)
class GradedAnswers:
    """What one model answered to photos whose objects are known.

    Attributes:
        rank: `[photos]` int64, position of the right object, 0 is first.
        top: `[photos]` int64, first answers; `NO_ANSWER` where there is none.
        truth: `[photos]` int64, the objects in the photos.
        seen: `[photos]` bool, whether the object has a training photo.
    """

    rank: Indices
    top: Indices
    truth: Indices
    seen: NDArray[np.bool_]

    def select(self, photos: NDArray[np.bool_] | Indices) -> GradedAnswers:
        """Some of the photos, by mask or by position."""
        return GradedAnswers(
            self.rank[photos], self.top[photos], self.truth[photos], self.seen[photos]
        )


def measure(graded: GradedAnswers, weights: Weights | None = None) -> dict[str, float]:
    """All scores of Table 3, by name, each 0–1, of at least one photo.

    Over photos of objects seen in training: `top1`, `top3`, `top5`, `top10`; `precision`, `recall`
    and `f1` averaged over the objects shown, each object alike (macro); `weighted_precision`,
    `weighted_recall` and `weighted_f1` averaged with the objects' photos as weights.

    Over all photos, those of unseen objects filed under one null class that no answer can hit, as
    the paper's code does: `top1_with_unseen` and the paper's three. Its "precision" divides the
    right answers of an object by its photos (rows of the confusion matrix), weighted by photos; its
    "recall" divides them by the answers that name the object (columns), weighted by photos over the
    objects named at least once; its F1 is the usual one, weighted by photos.

    `weights` is `[photos]` how often each counts, the same for all of an object; None for once.
    """
    weight = np.ones(len(graded.truth)) if weights is None else weights
    seen = graded.seen
    scores = {name: float("nan") for name in SEEN_SCORES}
    if weight[seen].sum() > 0:
        scores |= _seen_scores(graded.select(seen), weight[seen])
    return scores | _paper_scores(graded, weight)


_AVERAGES = ("precision", "recall", "f1")
SEEN_SCORES = (
    *(f"top{k}" for k in TOPS), *_AVERAGES, *(f"weighted_{name}" for name in _AVERAGES)
)  # fmt: skip
PAPER_SCORES = ("top1_with_unseen", "paper_precision", "paper_recall", "paper_f1")


@dataclass(frozen=True)
class AveragedScores:
    """Averages over objects of precision, recall and F1, each 0–1."""

    precision: float
    recall: float
    f1: float


def macro_scores(
    top: Indices, truth: Indices, weight: Weights | None = None, *, by_photos: bool = False
) -> AveragedScores | None:
    """Precision, recall and F1, each averaged over the objects shown; None without photos.

    Of one object: precision is the share of the photos answered with it that show it, and 0 if it
    was never answered; recall is the share of its photos that were answered with it; F1 is their
    harmonic mean, `2·TP / (2·TP + FP + FN)`. Every object weighs the same, however many photos it
    has, unless `by_photos`. Objects without a test photo are not averaged over, though answers with
    them count as misses. `weight` is `[photos]` how often each counts, as in `measure`.
    """
    if not len(truth):
        return None
    photos, hits, answered = _counts(top, truth, np.ones(len(truth)) if weight is None else weight)
    precision = hits / np.maximum(answered, 1e-12)
    recall = hits / np.maximum(photos, 1e-12)
    f1 = 2 * hits / np.maximum(photos + answered, 1e-12)
    # An object drawn twice is two objects that look alike, so it counts twice in a mean of objects.
    times = photos / np.maximum(np.bincount(truth, minlength=len(photos)), 1)
    share = photos / photos.sum() if by_photos else times / times.sum()
    return AveragedScores(float(share @ precision), float(share @ recall), float(share @ f1))


def _seen_scores(graded: GradedAnswers, weight: Weights) -> dict[str, float]:
    scores = {f"top{k}": float(weight[graded.rank < k].sum() / weight.sum()) for k in TOPS}
    for prefix, by_photos in (("", False), ("weighted_", True)):
        averages = macro_scores(graded.top, graded.truth, weight, by_photos=by_photos)
        assert averages is not None, "there is at least one photo"
        scores |= {f"{prefix}{name}": value for name, value in vars(averages).items()}
    return scores


def _paper_scores(graded: GradedAnswers, weight: Weights) -> dict[str, float]:
    null = int(max(graded.truth.max(), graded.top.max())) + 1
    truth = np.where(graded.seen, graded.truth, null)
    photos, hits, answered = _counts(graded.top, truth, weight)
    named = photos * (answered > 0)
    precision = float(hits.sum() / photos.sum())
    by_column = hits / np.maximum(answered, 1e-12)
    f1 = 2 * hits / np.maximum(photos + answered, 1e-12)
    return {
        "top1_with_unseen": precision,
        "paper_precision": precision,
        "paper_recall": float(named @ by_column / named.sum()) if named.any() else 0.0,
        "paper_f1": float(photos @ f1 / photos.sum()),
    }


def _counts(top: Indices, truth: Indices, weight: Weights) -> tuple[Weights, Weights, Weights]:
    """Photos, right answers and answers of each class."""
    size = int(max(truth.max(), top.max())) + 1
    right = top == truth
    answered_photos = top != NO_ANSWER

    def count(classes: Indices, of: Weights) -> Weights:
        return np.bincount(classes, weights=of, minlength=size).astype(np.float64)

    photos = count(truth, weight)
    hits = count(truth[right], weight[right])
    answered = count(top[answered_photos], weight[answered_photos])
    return photos, hits, answered


def object_intervals(
    graded: GradedAnswers, *, resamples: int, seed: int
) -> Mapping[str, Interval | None]:
    """95 % percentile intervals of every score of `measure`, objects drawn with replacement.

    Returns:
        By score; None without resamples or where the score is undefined.
    """
    objects, member = np.unique(graded.truth, return_inverse=True)
    draws = draw_objects(len(objects), resamples=resamples, seed=seed)
    rows = [measure(graded, times[member]) for times in draws]
    return {name: interval([row[name] for row in rows]) for name in (*SEEN_SCORES, *PAPER_SCORES)}
