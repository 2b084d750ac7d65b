"""One stage of the scale benchmark, run in a process of its own by `benchmarks.scale`."""

from __future__ import annotations

import sys
from pathlib import Path


def main(stage: str, photos: Path, out: Path, seed: int) -> None:
    """Runs `inspect`, `prepare` or `train`; prepared photos lie in `out/cache`."""
    from train.inspection import inspect

    if stage == "inspect":
        inspect(photos)
        return
    from train.prepare import prepare
    from train.readers import read_register
    from train.trainer import DEFAULT_BACKBONE, TrainOptions, contract_of, train_run

    if stage == "prepare":
        prepare(read_register(photos), contract_of(DEFAULT_BACKBONE, None), out / "cache")
        return
    options = TrainOptions(epochs=1, seed=seed, cache=out / "cache", force=True)
    train_run(photos, out / f"run-{photos.name}", options)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
