"""How fast training runs, beside plain float32 eager training of the same network, in one run.

python -m benchmarks.studies.training_throughput
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

import torch

from train.batches import Photos
from train.device import Compute, choose_compute, keep_freed_memory
from train.engine import Trainer
from train.model import build_model
from train.recipes import PAPER
from train.training_plan import DEFAULT_BACKBONE, preprocessing_of

WAYS = ("plain", "ours")


def measure(way: str, backbone: str, batches: int) -> float:
    """Photos per second of one way in this process, after one epoch of warm-up.

    Args:
        way: `plain`: float32, channels first, nothing else, what a first script would do; `ours`.
        backbone: timm's name.
        batches: Batches of an epoch.
    """
    plain = Compute(torch.device("cpu"), bfloat16=False, memory_format=torch.contiguous_format)
    if way == "ours":
        keep_freed_memory()
    chosen = trainer(backbone, plain if way == "plain" else choose_compute("cpu"), batches)
    stage = chosen.all_weights()
    chosen.train_epoch(stage, 1)
    started = time.perf_counter()
    chosen.train_epoch(stage, 2)
    return batches * PAPER.batch / (time.perf_counter() - started)


def trainer(backbone: str, compute: Compute, batches: int) -> Trainer:
    """A trainer over random pixels, which cost what photos cost."""
    contract = preprocessing_of(backbone, None)
    torch.manual_seed(0)
    model = build_model(backbone, "paper", objects=40, preprocessing=contract)
    photos = batches * PAPER.batch
    shape = (photos, contract.height, contract.width, 3)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8).numpy()
    side = Photos(pixels, torch.arange(photos) % 40)
    return Trainer(model, PAPER, side, side, compute, seed=0)


def in_own_process(way: str, options: argparse.Namespace) -> float:
    """Measures one way in a process of its own, so that neither leaves the other anything."""
    words = ["--only", way, "--backbone", options.backbone, "--batches", str(options.batches)]
    command = [sys.executable, "-m", "benchmarks.studies.training_throughput", *words]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout.split()[-1])


def main() -> int:
    """Prints the comparison."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.studies.training_throughput", description=__doc__
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--backbone", default=DEFAULT_BACKBONE)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=4, help="batches of 32 photos a round")
    parser.add_argument("--only", choices=WAYS, help="measure one way in this process")
    options = parser.parse_args()
    if options.only:
        print(measure(options.only, options.backbone, options.batches))
        return 0
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(options.rounds):  # the ways take turns, so that a busy machine hurts both
        for way in WAYS:
            rates[way].append(in_own_process(way, options))
    ratios = sorted(o / p for o, p in zip(rates["ours"], rates["plain"], strict=True))
    print(
        f"{options.backbone}: plain float32 {statistics.median(rates['plain']):.1f} photos/s, "
        f"ours {statistics.median(rates['ours']):.1f} photos/s, ratio "
        f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}, "
        f"{options.rounds} rounds, {torch.get_num_threads()} threads)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
