"""A register of the paper's size: what inspecting, preparing and one epoch of training take.

    python -m benchmarks.studies.scaling --out DIR --table benchmarks/studies/scaling.md

Generates 4,332 objects with 24,502 photos, as many per object and collection as the paper has, and
a register a tenth as large, and runs each stage on both in a process of its own. Stages that are
done are not done again: the same command goes on where it was broken off. The exit code is 1 where
a limit is not kept.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from benchmarks.studies.study import MeasuredStudy
from benchmarks.studies.synthetic_register import generate
from mobile_assets.errors import CheckFailedError, DamagedError
from mobile_assets.schema import Document
from train.prepare import prepare
from train.registers.inspection import inspect
from train.registers.readers import read_register
from train.trainer import train_run
from train.training_plan import DEFAULT_BACKBONE, TrainOptions, preprocessing_of

STAGES = ("inspect", "prepare", "train")
PHOTO_SIZE = (640, 480)
EVERY = 50
"""Every so many photos has 12 megapixels."""

RUN_STAGE = (
    "import sys; from pathlib import Path; from benchmarks.studies.scaling import run_stage;"
    "print(run_stage(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])))"
)
"""A stage in a process of its own: Python code with its arguments."""

LARGEST_GB = 6.0
LARGEST_RATIO = 1.3


class Stage(Document):
    """One stage on one register.

    Attributes:
        register_name: `large` or `small`.
        seconds: Wall time of the work, without the start of the process and its imports, which
            would hide in the small register what the large one costs more.
        peak_bytes: Peak of the summed resident memory of the process and all it started, sampled.
    """

    register_name: str
    stage: str
    photos: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int

    @property
    def ms_per_photo(self) -> float:
        """Wall time per photo."""
        return 1000 * self.seconds / self.photos


class ScalingStudy(MeasuredStudy):
    """Every stage on a small and on a large register."""

    NAME: ClassVar[str] = "scaling"

    created: str = ""
    versions: dict[str, str] = {}  # noqa: RUF012  # pydantic copies it
    objects: int
    seed: int
    photo_size: tuple[int, int]
    every: int
    stages: tuple[Stage, ...]

    def stage(self, register_name: str, stage: str) -> Stage:
        """The row of a stage on a register."""
        key = (register_name, stage)
        return next(row for row in self.stages if (row.register_name, row.stage) == key)

    def ratio(self, stage: str) -> float:
        """Time per photo on the large register, divided by that on the small one."""
        return self.stage("large", stage).ms_per_photo / self.stage("small", stage).ms_per_photo

    def values(self) -> Mapping[str, object]:
        """The limits."""
        return {"names": STAGES, "largest_gb": LARGEST_GB, "largest_ratio": LARGEST_RATIO}

    def check(self) -> None:
        """Checks memory and the growth of time per photo.

        Raises:
            CheckFailedError: Memory, or time per photo on the large register, is above its limit.
        """
        peak = max(stage.peak_bytes for stage in self.stages) / 1e9
        if peak > LARGEST_GB:
            raise CheckFailedError(
                f"peak memory is {peak:.2f} GB; at most {LARGEST_GB:g} is wanted"
            )
        worst = max(STAGES, key=self.ratio)
        if self.ratio(worst) > LARGEST_RATIO:
            raise CheckFailedError(
                f"{worst} costs {self.ratio(worst):.2f} times as much per photo on the large "
                f"register; at most {LARGEST_RATIO} is wanted"
            )

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        """Adds the size of the registers."""
        parser.add_argument("--out", type=Path, required=True, help="folder to work in")
        parser.add_argument("--objects", type=int, default=4332, help="default: 4332")
        parser.add_argument("--seed", type=int, default=0)

    @classmethod
    def measure(cls, arguments: argparse.Namespace) -> Self:
        """Generates both registers and measures every stage that is not yet measured."""
        stages: list[Stage] = []
        # The small register first, so that a mistake shows early.
        for name, objects in (
            ("small", max(8, arguments.objects // 10)),
            ("large", arguments.objects),
        ):
            folder = arguments.out / name
            generate(folder, objects, arguments.seed, size=PHOTO_SIZE, every=EVERY)
            photos = len(read_register(folder).photos)
            for stage in STAGES:
                kept = arguments.out / f"{name}-{stage}.json"
                try:
                    row = Stage.read(kept)
                except DamagedError:
                    words = [stage, str(folder), str(arguments.out), str(arguments.seed)]
                    command = [sys.executable, "-c", RUN_STAGE, *words]
                    row = measure_command(command, name, stage, photos)
                    row.write(kept)
                print(f"{name} {stage}: {row.seconds:.0f} s", file=sys.stderr)
                stages.append(row)
        return cls.measured_now(
            objects=arguments.objects,
            seed=arguments.seed,
            photo_size=PHOTO_SIZE,
            every=EVERY,
            stages=stages,
        )


def run_stage(stage: str, photos: Path, out: Path, seed: int) -> float:
    """Seconds of `inspect`, `prepare` or `train` from its beginning, whatever was broken off."""
    cache = out / f"cache-{photos.name}"
    run = out / f"run-{photos.name}"
    if stage == "inspect":
        started = time.perf_counter()
        inspect(photos)
    elif stage == "prepare":
        shutil.rmtree(cache, ignore_errors=True)
        contract = preprocessing_of(DEFAULT_BACKBONE, None)
        started = time.perf_counter()
        prepare(read_register(photos), contract, cache)
    else:
        import train.engine  # noqa: F401  # torch and timm are loaded before the clock starts

        shutil.rmtree(run.with_name(f"{run.name}.partial"), ignore_errors=True)
        options = TrainOptions(epochs=1, hold_out_objects=0, seed=seed, cache=cache, force=True)
        started = time.perf_counter()
        train_run(photos, run, options)
    return time.perf_counter() - started


def measure_command(command: list[str], register_name: str, stage: str, photos: int) -> Stage:
    """Runs a command, which prints the seconds of its work, and measures it with all it starts.

    Raises:
        CheckFailedError: The command failed.
    """
    import psutil

    before = os.times()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak = 0
    over = threading.Event()

    def watch() -> None:
        nonlocal peak
        root = psutil.Process(process.pid)
        while not over.wait(0.05):
            peak = max(peak, _tree_bytes(root))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        output, _ = process.communicate()
    finally:
        over.set()
        watcher.join()
        if process.poll() is None:
            process.terminate()
    after = os.times()
    if process.returncode:
        raise CheckFailedError(
            f"{stage} on the {register_name} register ended with {process.returncode}"
        )
    cpu = (after.children_user - before.children_user) + (
        after.children_system - before.children_system
    )
    return Stage(
        register_name=register_name,
        stage=stage,
        photos=photos,
        seconds=float(output.split()[-1]),
        cpu_seconds=cpu,
        peak_bytes=peak,
    )


def _tree_bytes(root: Any) -> int:
    """Resident memory of a process and all it started."""
    import psutil

    total = 0
    try:
        for process in [root, *root.children(recursive=True)]:
            try:
                total += process.memory_info().rss
            except psutil.Error:
                continue  # it ended in between
    except psutil.Error:
        return total
    return total


if __name__ == "__main__":
    sys.exit(ScalingStudy.main())
