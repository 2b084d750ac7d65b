"""What each part of the default recipe brought and cost, on development photos only.

Measured when the recipe was chosen. The page is made from the rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from benchmarks.results.cluster_bootstrap import (
    Estimate,
    Tally,
    drawn_shares,
    interval,
    share_of,
    tally,
)
from benchmarks.studies.study import Study
from benchmarks.studies.study_statistics import Counts, Names
from mobile_assets.schema import Document, Record

SHIPPED = "field"
"""The variant that the others are compared with."""


class ViewAnswers(Record):
    """Answers about one set of photos."""

    photos: str
    objects: Names
    tested: Counts
    right: Counts


class AblationResult(Document):
    """One variant, trained on one set of photos with one seed.

    Attributes:
        variant: What differs from the default recipe.
        input_size: Height of its input in pixels.
        train_photos: Photos trained on; none validated.
    """

    variant: str
    task: str
    seed: int
    settings: dict[str, float | int | str | bool | None]
    backbone: str
    input_size: int
    train_photos: int
    head_weights: int
    cpu_seconds: float
    asked: tuple[ViewAnswers, ...]


class RecipeAblationStudy(Study):
    """Variants of the default recipe."""

    NAME: ClassVar[str] = "recipe_ablation"

    backbone: str
    results: tuple[AblationResult, ...]

    def rows(self, task: str, variant: str | None = None) -> list[AblationResult]:
        """Results on one set of photos, of one variant or all."""
        return [r for r in self.results if r.task == task and variant in (None, r.variant)]

    def tally(self, task: str, variant: str, view: str) -> Tally:
        """Right answers of all seeds about one kind of photos."""
        answers = [own for row in self.rows(task, variant) for own in row.asked]
        return tally((own.objects, own.tested, own.right) for own in answers if own.photos == view)

    def share_words(self, task: str, variant: str, view: str) -> str:
        """Accuracy of a variant, with its difference to the shipped recipe in points."""
        ours, shipped = (self.tally(task, name, view) for name in (variant, SHIPPED))
        if variant == SHIPPED or not np.array_equal(ours.tested, shipped.tested):
            return share_of(ours).text(".1%")
        drawn = 100 * (drawn_shares(ours) - drawn_shares(shipped))
        difference = Estimate(100 * (ours.share - shipped.share), interval(drawn))
        return f"{ours.share:.1%} [{difference.text('+.1f')}]"

    def time_ratio(self, task: str, variant: str) -> Estimate:
        """Processor time of training, of the shipped recipe's; undefined with other seeds."""
        ours, shipped = (self.rows(task, name) for name in (variant, SHIPPED))
        if len(ours) != len(shipped):
            return Estimate(None)
        return Estimate(sum(r.cpu_seconds for r in ours) / sum(r.cpu_seconds for r in shipped))

    def values(self) -> Mapping[str, object]:
        """Tasks, and the variants measured of each."""
        tasks = dict.fromkeys(result.task for result in self.results)
        return {
            "seeds": sorted({result.seed for result in self.results}),
            "tasks": {
                task: list(dict.fromkeys(result.variant for result in self.rows(task)))
                for task in tasks
            },
        }
