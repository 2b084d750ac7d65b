"""What 8 bits do to a network with SiLU and squeeze-and-excite, and what the naive way does to it.

Measured once, on weights that were made for it; `export_parity` measures the exported forms of any
run. The page is made from the rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from benchmarks.results.cluster_bootstrap import Estimate
from benchmarks.studies.exported_forms import AnswerCounts, percentage, points_lost
from benchmarks.studies.study import Study
from benchmarks.studies.study_statistics import Target, spread
from mobile_assets.schema import Record

if TYPE_CHECKING:
    pass

REFERENCE = "torch"
BASE = "tflite-float32"
NAIVE = "naive int8"
LARGEST_DROP = {"tflite-int8": 1.0}
"""Target: drop in points at most."""

LEAST_TOP1 = 85.0
"""Target: top-1 of the network in per cent, without which there is little to lose."""


class FormCounts(AnswerCounts):
    """One form of the network; `ms` of one photo in each round, empty where time means nothing."""

    name: str
    ms: tuple[float, ...] = ()


class GateSpread(Record):
    """How much the squeeze-and-excite gates differ between photos.

    Attributes:
        deviations: Median, 10 % and 90 % quantile over channels of the standard deviation.
    """

    channels: int
    mean: float
    deviations: tuple[float, float, float]


class TrainingStage(Record):
    """One training.

    Attributes:
        side: Of the square input in pixels.
    """

    side: int
    epochs: int
    minutes: float


class SiluQuantisationStudy(Study):
    """Every form of one network."""

    NAME: ClassVar[str] = "silu_quantisation"

    objects: int
    train: int
    val: int
    photos: int
    calibration: int
    val_top1: float
    stages: tuple[TrainingStage, ...]
    gates: GateSpread
    forms: tuple[FormCounts, ...]

    def form(self, name: str) -> FormCounts:
        """The form of that name."""
        return next(form for form in self.forms if form.name == name)

    def drop(self, form: FormCounts) -> Estimate:
        """Points of top-1 lost."""
        return points_lost(form.lost, form.won, self.photos, [form.by_object])

    def share(self, count: int) -> Estimate:
        """A number of photos in per cent, with its interval."""
        return percentage(count, self.photos)

    def values(self) -> Mapping[str, object]:
        """Names, and times beside the float32 file's."""
        base = self.form(BASE)
        return {
            "base": base,
            "naive": NAIVE,
            "reference": REFERENCE,
            "by_object": all(form.by_object for form in self.forms),
            "time": lambda form: spread(np.array(form.ms) / np.array(base.ms)).text(".2f"),
        }

    def targets(self) -> list[Target]:
        """The network's accuracy, and what 8 bits may cost."""
        top1 = self.share(self.form(REFERENCE).right)
        return [
            Target("top-1 of the network in per cent", LEAST_TOP1, top1, at_least=True),
            *(
                Target(f"drop of {name} in points", bound, self.drop(self.form(name)))
                for name, bound in LARGEST_DROP.items()
            ),
        ]
