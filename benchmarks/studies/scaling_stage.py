"""One stage of the scale benchmark, run in a process of its own by `benchmarks.studies.scaling`."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from train.inspection import inspect
from train.prepare import prepare
from train.readers import read_register
from train.trainer import train_run
from train.training_plan import DEFAULT_BACKBONE, TrainOptions, preprocessing_of


def main(stage: str, photos: Path, out: Path, seed: int) -> float:
    """Runs `inspect`, `prepare` or `train` from its beginning, whatever was broken off before."""
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
        started = time.perf_counter()
        options = TrainOptions(epochs=1, seed=seed, cache=cache, force=True)
        train_run(photos, run, options)
    return time.perf_counter() - started


if __name__ == "__main__":
    print(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])))
