"""Rows of the tables from answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.evaluation.inference import Predictions
from benchmarks.evaluation.schema import Accuracy, Comparison, Estimate, PhotoGroup, Scores
from benchmarks.results.classification import (
    NO_ANSWER,
    Interval,
    count_flips,
    wilson_interval,
)
from benchmarks.results.cluster_bootstrap import paired_drop_interval
from benchmarks.results.scores import GradedAnswers, measure, object_intervals
from mobile_assets.labels import LabelMap

MANY_PHOTOS = 10
"""Objects with so many photos or more are one group, as in the paper's Fig. 4."""


def graded(answered: Predictions, model: str) -> GradedAnswers:
    """One model's answers with the truth."""
    answers = answered.answers[model]
    return GradedAnswers(answers.rank, answers.top, answered.truth, answered.seen)


def score_row(
    model: str,
    answers: GradedAnswers,
    *,
    objects: int,
    resamples: int,
    seed: int,
    collection: str | None = None,
) -> Scores:
    """A row of Table 3, or of Table 4 with a collection."""
    values = measure(answers)
    intervals: Mapping[str, Interval | None] = object_intervals(
        answers, resamples=resamples, seed=seed
    )
    seen = answers.select(answers.seen)

    def accuracy(name: str, of: GradedAnswers, k: int) -> Accuracy:
        return make_accuracy(of.rank < k, intervals[name])

    def estimate(name: str) -> Estimate:
        value = values[name]
        return Estimate(value=value if np.isfinite(value) else None, ci95_objects=intervals[name])

    return Scores(
        model=model,
        collection=collection,
        objects=objects,
        objects_shown=len(np.unique(seen.truth)),
        photos=len(seen.truth),
        unseen_photos=int((~answers.seen).sum()),
        top1=accuracy("top1", seen, 1),
        top3=accuracy("top3", seen, 3),
        top5=accuracy("top5", seen, 5),
        top10=accuracy("top10", seen, 10),
        top1_with_unseen=make_accuracy(
            (answers.rank == 0) & answers.seen, intervals["top1_with_unseen"]
        ),
        precision=estimate("precision"),
        recall=estimate("recall"),
        f1=estimate("f1"),
        weighted_precision=estimate("weighted_precision"),
        weighted_recall=estimate("weighted_recall"),
        weighted_f1=estimate("weighted_f1"),
        paper_precision=estimate("paper_precision"),
        paper_recall=estimate("paper_recall"),
        paper_f1=estimate("paper_f1"),
        invalid_answers=int((answers.top == NO_ANSWER).sum()),
    )


def make_accuracy(right: NDArray[np.bool_], by_objects: Interval | None = None) -> Accuracy:
    """A share of photos with Wilson's interval; none of no photos, the interval all of 0–1."""
    hits, photos = int(right.sum()), len(right)
    return Accuracy(
        value=hits / photos if photos else None,
        right=hits,
        photos=photos,
        ci95=wilson_interval(hits, photos) or (0.0, 1.0),
        ci95_objects=by_objects if photos else None,
    )


def collection_rows(
    answered: Predictions, model: str, labels: LabelMap, *, resamples: int, seed: int
) -> list[Scores]:
    """Rows of Table 4: one per collection that has test photos, the largest first."""
    sizes: dict[str, int] = {}
    for label in labels.labels:
        sizes[label.collection] = sizes.get(label.collection, 0) + 1
    everything = graded(answered, model)
    of_photo = np.array([photo.collection for photo in answered.photos])
    rows = []
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        mask: NDArray[np.bool_] = np.asarray(of_photo == name)
        if mask.any():
            part = everything.select(mask)
            rows.append(
                score_row(
                    model,
                    part,
                    objects=sizes[name],
                    resamples=resamples,
                    seed=seed,
                    collection=name,
                )
            )
    return rows


def photo_groups(
    answered: Predictions,
    model: str,
    counts: NDArray[np.int64],
    basis: Literal["register", "training"],
    *,
    resamples: int,
    seed: int,
) -> list[PhotoGroup]:
    """Accuracy by photos per object: one group per number, ten and more together."""
    answers = graded(answered, model)
    answers = answers.select(answers.seen)
    group = np.minimum(counts[answers.truth], MANY_PHOTOS)
    groups = []
    for number in np.unique(group):
        part = answers.select(np.asarray(group == number))
        intervals = object_intervals(part, resamples=resamples, seed=seed)
        first = int(number)
        groups.append(
            PhotoGroup(
                model=model,
                basis=basis,
                first=first,
                last=None if first == MANY_PHOTOS else first,
                objects=len(np.unique(part.truth)),
                top1=make_accuracy(part.rank < 1, intervals["top1"]),
                top3=make_accuracy(part.rank < 3, intervals["top3"]),
                top5=make_accuracy(part.rank < 5, intervals["top5"]),
            )
        )
    return groups


def compare(
    answered: Predictions, model: str, others: Sequence[str], *, resamples: int, seed: int
) -> list[Comparison]:
    """Top-1 of `model` against each of the others, on the same photos of seen objects."""
    ours = graded(answered, model)
    ours = ours.select(ours.seen)
    comparisons = []
    for other in others:
        theirs = graded(answered, other)
        theirs = theirs.select(theirs.seen)
        mine, its = ours.rank == 0, theirs.rank == 0
        flips = count_flips(its, mine)
        photos = len(mine)
        comparisons.append(
            Comparison(
                model=model,
                against=other,
                points=100.0 * (flips.won - flips.lost) / photos if photos else 0.0,
                ci95_objects=paired_drop_interval(
                    mine, its, ours.truth, resamples=resamples, seed=seed
                ),
                # As if every photo were of an object of its own.
                ci95=paired_drop_interval(
                    mine, its, np.arange(photos), resamples=resamples, seed=seed
                ),
                won=flips.won,
                lost=flips.lost,
            )
        )
    return comparisons
