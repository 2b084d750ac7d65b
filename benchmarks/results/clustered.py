"""Accuracy, precision, recall and F1 of answers, with intervals over objects. Pure numpy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.results.classification import NO_ANSWER, Indices, Interval

TOPS = (1, 3, 5, 10)
"""Lengths of the shortlist that accuracy is stated for."""

Weights = NDArray[np.float64]


@dataclass(frozen=True)
class GradedAnswers:
    """What one model answered to photos whose objects are known.

    Attributes:
        rank: `[photos]` int64, place of the right object, 0 is first.
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
    """All scores of Table 3, by name, each 0–1.

    Over photos of objects seen in training: `top1`, `top3`, `top5`, `top10`; `precision`, `recall`
    and `f1` averaged over the objects shown, each object alike (macro); `weighted_precision`,
    `weighted_recall` and `weighted_f1` averaged with the objects' photos as weights.

    Over all photos, those of unseen objects filed under one null class that no answer can hit, as
    the paper's code does: `top1_with_unseen` and the paper's three. Its "precision" divides the
    right answers of an object by its photos (rows of the confusion matrix), weighted by photos; its
    "recall" divides them by the answers that name the object (columns), weighted by photos over the
    objects named at least once; its F1 is the usual one, weighted by photos.

    Args:
        graded: At least one photo.
        weights: `[photos]` how often each photo counts; the same for all photos of an object.
            None to count each once.
    """
    weight = np.ones(len(graded.truth)) if weights is None else weights
    seen = graded.seen
    scores = {name: float("nan") for name in SEEN_SCORES}
    if weight[seen].sum() > 0:
        scores |= _seen_scores(graded.select(seen), weight[seen])
    return scores | _paper_scores(graded, weight)


SEEN_SCORES = (
    "top1",
    "top3",
    "top5",
    "top10",
    "precision",
    "recall",
    "f1",
    "weighted_precision",
    "weighted_recall",
    "weighted_f1",
)
PAPER_SCORES = ("top1_with_unseen", "paper_precision", "paper_recall", "paper_f1")


def _seen_scores(graded: GradedAnswers, weight: Weights) -> dict[str, float]:
    total = weight.sum()
    scores = {f"top{k}": float(weight[graded.rank < k].sum() / total) for k in TOPS}
    photos, hits, answered = _counts(graded.top, graded.truth, weight)
    # An object drawn twice is two objects that look alike, so it counts twice in a mean of objects.
    times = photos / np.maximum(np.bincount(graded.truth, minlength=len(photos)), 1)
    precision = hits / np.maximum(answered, 1e-12)
    recall = hits / np.maximum(photos, 1e-12)
    f1 = 2 * hits / np.maximum(photos + answered, 1e-12)
    for prefix, share in (("", times / times.sum()), ("weighted_", photos / total)):
        scores[f"{prefix}precision"] = float(share @ precision)
        scores[f"{prefix}recall"] = float(share @ recall)
        scores[f"{prefix}f1"] = float(share @ f1)
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
    given = top != NO_ANSWER

    def count(classes: Indices, of: Weights) -> Weights:
        return np.bincount(classes, weights=of, minlength=size).astype(np.float64)

    photos = count(truth, weight)
    hits = count(truth[right], weight[right])
    answered = count(top[given], weight[given])
    return photos, hits, answered


def resample_objects(
    truth: Indices, *, resamples: int, seed: int
) -> Callable[[], NDArray[np.float64]]:
    """A function whose every call draws the objects anew, with replacement.

    Photos of one object are alike, so they are drawn together (cluster bootstrap).

    Args:
        truth: `[photos]` the objects in the photos.
        resamples: How often it will be called; part of the seed.
        seed: Seed of the draws.

    Returns:
        A function that gives `[photos]` float64: how often each photo counts in this draw.
    """
    objects, member = np.unique(truth, return_inverse=True)
    generator = np.random.default_rng([seed, resamples])
    even = np.full(len(objects), 1 / len(objects))

    def draw() -> NDArray[np.float64]:
        return generator.multinomial(len(objects), even).astype(np.float64)[member]

    return draw


def object_intervals(
    graded: GradedAnswers, *, resamples: int, seed: int
) -> Mapping[str, Interval | None]:
    """95 % percentile intervals of every score of `measure`, objects drawn with replacement.

    Returns:
        By score; None without resamples or where the score is undefined.
    """
    draw = resample_objects(graded.truth, resamples=resamples, seed=seed)
    rows = [measure(graded, draw()) for _ in range(resamples)]
    return {name: _interval([row[name] for row in rows]) for name in (*SEEN_SCORES, *PAPER_SCORES)}


def object_difference(
    ours: GradedAnswers, theirs: GradedAnswers, *, resamples: int, seed: int
) -> Interval | None:
    """95 % interval of our top-1 minus theirs in points, the same objects drawn for both.

    Args:
        ours: Answers of one model.
        theirs: Answers of another to the same photos.
        resamples: Number of draws.
        seed: Seed of the draws.
    """
    difference = 100.0 * ((ours.rank == 0).astype(np.float64) - (theirs.rank == 0))
    draw = resample_objects(ours.truth, resamples=resamples, seed=seed)
    weights = [draw() for _ in range(resamples)]
    return _interval([float(w @ difference / w.sum()) for w in weights])


def _interval(values: list[float]) -> Interval | None:
    finite = np.array([value for value in values if np.isfinite(value)])
    if not len(finite):
        return None
    low, high = np.quantile(finite, [0.025, 0.975])
    return float(low), float(high)
