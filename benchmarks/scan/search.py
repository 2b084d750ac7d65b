"""Answering all embedded photos of a scan by a bundle's gallery and decision."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.scan.photo_store import Answer, PhotoStore
from mobile_assets.identification.decision import ANSWERS, VariantDecision, decide
from mobile_assets.identification.scores import GallerySearch
from mobile_assets.labels import LabelMap
from mobile_assets.shortlist import top_objects

_PHOTOS_AT_ONCE = 256
"""Their scores of 4,332 objects with 5 photos each take 22 MB."""

SHOWN = 3
"""Candidates that are kept of a photo beside those of its answer."""

RANKS = {answer: rank for rank, answer in enumerate(ANSWERS)}
"""The order of the result: matches first."""


def answer_photos(
    store: PhotoStore,
    search: GallerySearch,
    labels: LabelMap,
    decision: VariantDecision,
    *,
    false_match_rate: float | None,
    on_photos: Callable[[int], object],
) -> None:
    """Replaces the answers of a scan; no photo is decoded.

    Args:
        false_match_rate: One of those that the decision has; None for its default.
        on_photos: Called with the number of photos after each batch.
    """

    def batches() -> Iterator[list[Answer]]:
        for photos, embeddings in store.embedded(_PHOTOS_AT_ONCE):
            scores = search.scores(embeddings)
            answers = []
            for photo, row in zip(photos, scores, strict=True):
                fit = 0 if photo.fitness else 1
                verdict = decide(row, fit, decision, false_match_rate=false_match_rate)
                nearest = top_objects(row.astype(np.float64), SHOWN).tolist()
                chosen = dict.fromkeys([*verdict.objects, *nearest])
                answers.append(
                    Answer(
                        photo=photo.id,
                        answer=verdict.answer,
                        rank=RANKS[verdict.answer],
                        score=round(float(row.max()), 6),
                        listed=len(verdict.objects),
                        candidates=tuple(
                            (labels[index].object_id, round(float(row[index]), 6))
                            for index in chosen
                        ),
                    )
                )
            yield answers
            on_photos(len(answers))

    store.answer(batches())
