"""What each head costs at the paper's size: bytes and latency of the files that a phone gets.

    python -m benchmarks.studies.head_size --table benchmarks/studies/head_size.md

The heads' weights are random: neither bytes nor time depend on them. Latencies of all heads are
taken in turn, round by round, so that a busy moment of the machine falls on all alike.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np

from benchmarks.results.cluster_bootstrap import Estimate
from benchmarks.studies.console import Terminal
from benchmarks.studies.study import MeasuredStudy
from benchmarks.studies.study_statistics import Target, spread
from mobile_assets.schema import Record
from train.training_plan import DEFAULT_BACKBONE, preprocessing_of

HEADS = ("linear", "embedding-128", "embedding-256", "embedding-512", "paper")
COMPACT = "embedding-256"
"""The default recipe's."""

BASE = "linear"
"""Whose latency the others' is compared with."""

LARGEST_MB = 6.0
"""Target for the int8 file with the default recipe's head."""


class HeadCost(Record):
    """One head.

    Attributes:
        float32_bytes: Size of the float32 TFLite file.
    """

    head: str
    weights: int
    float32_bytes: int
    int8_bytes: int
    float32_ms: tuple[float, ...]
    int8_ms: tuple[float, ...]


class HeadSizeStudy(MeasuredStudy):
    """Size and latency of every head."""

    NAME: ClassVar[str] = "head_size"

    backbone: str
    objects: int
    heads: tuple[HeadCost, ...]

    def cost(self, head: str) -> HeadCost:
        """The row of a head."""
        return next(cost for cost in self.heads if cost.head == head)

    def values(self) -> Mapping[str, object]:
        """Times beside the base head's."""
        return {"base": self.cost(BASE), "latency": latency_words}

    def targets(self) -> list[Target]:
        """The size of the default recipe's file."""
        what = f"int8 file of {COMPACT} with {self.objects:,} objects, MB"
        return [Target(what, LARGEST_MB, Estimate(self.cost(COMPACT).int8_bytes / 1e6))]

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        """Adds the number of objects and of rounds."""
        parser.add_argument("--objects", type=int, default=4332, help="default: 4332")
        parser.add_argument("--rounds", type=int, default=100, help="default: 100")
        parser.add_argument("--backbone", default=DEFAULT_BACKBONE, help=argparse.SUPPRESS)

    @classmethod
    def measure(cls, arguments: argparse.Namespace) -> Self:
        """Converts every head and measures the files."""
        files: list[bytes] = []
        weights: list[int] = []
        terminal = Terminal()
        for number, head in enumerate(HEADS, start=1):
            parameters, *content = head_files(head, arguments.objects, arguments.backbone)
            weights.append(parameters)
            files += content
            terminal.step("converted", number, len(HEADS))
        times = latencies(files, arguments.rounds)
        heads = [
            {
                "head": head,
                "weights": weights[index],
                "float32_bytes": len(files[2 * index]),
                "int8_bytes": len(files[2 * index + 1]),
                "float32_ms": times[2 * index],
                "int8_ms": times[2 * index + 1],
            }
            for index, head in enumerate(HEADS)
        ]
        return cls.measured_now(backbone=arguments.backbone, objects=arguments.objects, heads=heads)


def latency_words(ours: tuple[float, ...], base: tuple[float, ...]) -> str:
    """Median in milliseconds, and the ratio to the base with the middle half of the rounds."""
    ratio = spread(np.array(ours) / np.array(base), low=0.25).text(".2f")
    return f"{np.median(ours):.2f} [{ratio.replace(' (', ', ').replace(')', '')}]"


def head_files(head: str, objects: int, backbone: str) -> tuple[int, bytes, bytes]:
    """Number of the head's weights, and the float32 and full-integer TFLite files with labels."""
    import torch

    from export.network.description import ModelDescription
    from export.network.fold import fold_network
    from export.tflite.convert import activation_ranges, convert_float32, to_int8
    from export.tflite.metadata import embed
    from mobile_assets.labels import LabelMap
    from train.model import build_model

    torch.manual_seed(0)
    contract = preprocessing_of(backbone, None)
    model = build_model(backbone, head, objects=objects, preprocessing=contract).eval()
    float32 = convert_float32(fold_network(model, contract), contract, description=head)
    shape = (4, contract.height, contract.width, 3)
    photos = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    weights = sum(parameter.numel() for parameter in model.head.parameters())
    int8 = to_int8(float32, activation_ranges(float32, photos))
    # Identifiers and titles of a length that museums' have.
    labels = LabelMap.of(
        [(f"EA{n:05}", "Egypt", f"Figure of a deity, {n}", 5) for n in range(objects)]
    )
    words = ModelDescription(head, "Size and speed only: random weights.", "1", "", "")
    return weights, embed(float32, labels, words), embed(int8, labels, words)


def latencies(files: list[bytes], rounds: int) -> list[list[float]]:
    """Milliseconds of each TFLite file in each round on one thread, the files taking turns."""
    from export.tflite.convert import interpreter

    runners = []
    for content in files:
        runner = interpreter(content, threads=1)
        entry = runner.get_input_details()[0]
        runner.set_tensor(entry["index"], np.zeros(entry["shape"], entry["dtype"]))
        for _ in range(5):
            runner.invoke()
        runners.append(runner)
    times: list[list[float]] = [[] for _ in files]
    for _ in range(rounds):
        for runner, own in zip(runners, times, strict=True):
            started = time.perf_counter()
            runner.invoke()
            own.append(round((time.perf_counter() - started) * 1e3, 3))
    return times


if __name__ == "__main__":
    sys.exit(HeadSizeStudy.main())
