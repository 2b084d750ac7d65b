"""What the studies of one bundle's answers share: their options and their common rows."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any, Self

from benchmarks.measure.cases import locate_run
from benchmarks.measure.evaluation_set import from_register
from benchmarks.results.measurement import TestPhoto
from benchmarks.studies.study import MeasuredStudy
from mobile_assets.bundle import Bundle, read_bundle
from train.registers.readers import read_register
from train.run import Run

THREADS = os.cpu_count() or 1
"""Of the runtimes: what the harness takes."""


class BundleStudy(MeasuredStudy):
    """Rows about one bundle.

    Attributes:
        busy_share: Share of the processors that other work took meanwhile, 0–1; null if unknown.
    """

    register_name: str
    backbone: str
    photos: int
    threads: int
    busy_share: float | None

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        """Adds the bundle, its photos and the number of rounds."""
        parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="bundle folder")
        parser.add_argument("--photos", type=Path, required=True, help="a register of its objects")
        parser.add_argument("--run", type=Path, help="the bundle's run, if it was moved")
        parser.add_argument("--count", type=int, help="number of photos")
        parser.add_argument("--rounds", type=int, help="number of rounds")

    @classmethod
    def measured_of(cls, run: Run, **rows: Any) -> Self:
        """The study of rows that were measured just now, of a run, with all processors."""
        about = {"register_name": run.info.register_name, "backbone": run.info.backbone}
        return cls.measured_now(threads=THREADS, **about, **rows)


def open_case(arguments: argparse.Namespace) -> tuple[Bundle, Run, tuple[TestPhoto, ...]]:
    """The bundle, its run, and all photos of the register: time does not ask which were trained on.

    Raises:
        InputError: There is no such bundle, run or photo.
        DamagedError: The bundle is damaged.
    """
    bundle = read_bundle(arguments.bundle)
    run = locate_run(bundle, arguments.run)
    photos, _ = from_register(read_register(arguments.photos), run)
    return bundle, run, photos
