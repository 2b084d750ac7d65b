"""Writes every published page again from its rows: `python -m benchmarks.studies.regenerate`."""

from __future__ import annotations

from benchmarks.studies.domain_shift import DomainShiftStudy
from benchmarks.studies.eth80 import Eth80Study
from benchmarks.studies.export_parity import ExportParityStudy
from benchmarks.studies.harness_overhead import HarnessOverheadStudy
from benchmarks.studies.head_size import HeadSizeStudy
from benchmarks.studies.photo_fitness import PhotoFitnessStudy
from benchmarks.studies.recipe_ablation import RecipeAblationStudy
from benchmarks.studies.robustness import RobustnessStudy
from benchmarks.studies.scaling import ScalingStudy
from benchmarks.studies.silu_quantisation import SiluQuantisationStudy
from benchmarks.studies.study import Study
from benchmarks.studies.throughput import ThroughputStudy

STUDIES: tuple[type[Study], ...] = (
    DomainShiftStudy,
    Eth80Study,
    ExportParityStudy,
    HarnessOverheadStudy,
    HeadSizeStudy,
    PhotoFitnessStudy,
    RecipeAblationStudy,
    RobustnessStudy,
    ScalingStudy,
    SiluQuantisationStudy,
    ThroughputStudy,
)
"""Every study with a published page."""

if __name__ == "__main__":
    for study in STUDIES:
        study.regenerate(study.published())
