"""Rows of the tables from answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.evaluation.inference import Predictions
from benchmarks.evaluation.schema import Accuracy, Comparison, PhotoGroup, Scores
from benchmarks.results.classification import NO_ANSWER, Interval, count_flips, wilson_interval
from benchmarks.results.cluster_bootstrap import paired_drop_interval
from benchmarks.results.scores import TOPS, GradedAnswers, measure, object_intervals
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
    intervals = object_intervals(answers, resamples=resamples, seed=seed)
    seen = answers.select(answers.seen)
    right = {f"top{k}": seen.rank < k for k in TOPS}
    right["top1_with_unseen"] = (answers.rank == 0) & answers.seen
    estimates = {
        name: {"value": value if np.isfinite(value) else None, "ci95_objects": intervals[name]}
        for name, value in measure(answers).items()
        if name not in right
    }
    return Scores.model_validate(
        {
            "model": model,
            "collection": collection,
            "objects": objects,
            "objects_shown": len(np.unique(seen.truth)),
            "photos": len(seen.truth),
            "unseen_photos": int((~answers.seen).sum()),
            **{name: make_accuracy(mask, intervals[name]) for name, mask in right.items()},
            **estimates,
            "invalid_answers": int((answers.top == NO_ANSWER).sum()),
        }
    )


def make_accuracy(right: NDArray[np.bool_], by_objects: Interval | None) -> Accuracy:
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
    sizes = Counter(label.collection for label in labels.labels)
    answers = graded(answered, model)
    collections = np.array([photo.collection for photo in answered.photos])
    draws = {"resamples": resamples, "seed": seed}
    return [
        score_row(model, answers.select(mask), objects=sizes[name], collection=name, **draws)
        for name in sorted(sizes, key=lambda name: (-sizes[name], name))
        if (mask := np.asarray(collections == name)).any()
    ]


def photo_groups(
    answered: Predictions,
    model: str,
    counts: NDArray[np.int64],
    basis: Literal["register", "training"],
    *,
    resamples: int,
    seed: int,
) -> list[PhotoGroup]:
    """Accuracy by photos per object, `counts` of `[objects]`: ten and more are one group."""
    answers = graded(answered, model)
    answers = answers.select(answers.seen)
    group_of = np.minimum(counts[answers.truth], MANY_PHOTOS)
    groups = []
    for first in np.unique(group_of).tolist():
        part = answers.select(np.asarray(group_of == first))
        intervals = object_intervals(part, resamples=resamples, seed=seed)
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
    seen = answered.select(answered.seen)
    right, photos = seen.answers[model].right, len(seen.photos)
    draws = {"resamples": resamples, "seed": seed}
    comparisons = []
    for other in others:
        others_right = seen.answers[other].right
        flips = count_flips(others_right, right)
        # The second as if every photo were of an object of its own.
        by_objects, by_photos = (
            paired_drop_interval(right, others_right, objects, **draws)
            for objects in (seen.truth, np.arange(photos))
        )
        comparisons.append(
            Comparison(
                model=model,
                against=other,
                points=100.0 * (flips.won - flips.lost) / photos if photos else 0.0,
                ci95_objects=by_objects,
                ci95=by_photos,
                won=flips.won,
                lost=flips.lost,
            )
        )
    return comparisons
