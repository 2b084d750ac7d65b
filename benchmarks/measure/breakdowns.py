"""Accuracy by kinds of photos, and the photos whose answer changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np

from benchmarks.measure.evaluation_set import short_path
from benchmarks.results.classification import NO_ANSWER, Answers, Interval, wilson_interval
from benchmarks.results.measurement import Measurement, TestPhoto
from benchmarks.results.row_fields import CollectionBin, PhotoBin
from benchmarks.results.schema import FlippedAnswer


def photo_bins(
    measured: Measurement, photos: Sequence[TestPhoto], answers: Answers
) -> tuple[PhotoBin, ...]:
    """Accuracy by how many photos the register holds of the object."""
    labels = measured.case.run.labels
    counts = [labels[photo.object_index].photos for photo in photos]
    return tuple(
        PhotoBin(photos_per_object=count, photos=total, top1=share, top1_ci95=interval)
        for count, total, share, interval in _grouped(counts, answers)
    )


def collection_bins(photos: Sequence[TestPhoto], answers: Answers) -> tuple[CollectionBin, ...]:
    """Accuracy by collection; empty where the register has none or one."""
    names = [photo.collection for photo in photos]
    if len(set(names)) < 2:
        return ()
    return tuple(
        CollectionBin(collection=name, photos=total, top1=share, top1_ci95=interval)
        for name, total, share, interval in _grouped(names, answers)
    )


Key = TypeVar("Key", int, str)


def _grouped(keys: Sequence[Key], answers: Answers) -> Iterator[tuple[Key, int, float, Interval]]:
    """Each key, sorted, with its photos, the share right and its interval."""
    positions: dict[Key, list[int]] = defaultdict(list)
    for position, key in enumerate(keys):
        positions[key].append(position)
    for key in sorted(positions):
        right = int(answers.right[np.array(positions[key])].sum())
        photos = len(positions[key])
        interval = wilson_interval(right, photos)
        assert interval is not None  # a group holds at least one photo
        yield key, photos, right / photos, interval


def flipped_answers(measured: Measurement) -> Iterator[FlippedAnswer]:
    """Every photo to which a subject gives another first answer than the reference."""
    info, labels = measured.case.run.info, measured.case.run.labels

    def first(answers: Answers, position: int) -> tuple[str, float] | None:
        index = int(answers.top[position])
        probability = float(answers.probability[position, 0])
        return None if index == NO_ANSWER else (labels[index].object_id, probability)

    for subject, answers in measured.answers.items():
        reference = measured.reference_of(subject)
        for position in np.flatnonzero(answers.top != reference.top).tolist():
            photo = measured.photos[measured.positions[subject][position]]
            yield FlippedAnswer.model_validate(
                {
                    "register": info.register_name,
                    "min_photos": info.min_photos,
                    "seed": info.seed,
                    **subject._asdict(),
                    "path": short_path(str(photo.path)),
                    "object_id": photo.object_id,
                    "reference": first(reference, position),
                    "answer": first(answers, position),
                }
            )
