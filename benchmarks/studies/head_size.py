"""What each head costs at the paper's size: bytes and latency of the files that a phone gets.

    python -m benchmarks.studies.head_size --table benchmarks/studies/head_size.md

The heads' weights are random: neither bytes nor time depend on them. Accuracy stands in the
ablation. Latencies of all heads are taken in turn, round by round, so that a busy moment of the
machine falls on all alike.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.measure.host import describe_host
from benchmarks.studies.console import Terminal
from benchmarks.results.cluster_bootstrap import Estimate
from benchmarks.studies.study_statistics import Asked
from mobile_assets.errors import ArtefactError
from mobile_assets.files import write_text
from mobile_assets.schema import Document, Record
from train.training_plan import DEFAULT_BACKBONE, preprocessing_of
from train.versions import created_now, versions

HEADS = ("linear", "embedding-128", "embedding-256", "embedding-512", "paper")
COMPACT = "embedding-256"
"""The default recipe's."""

BASE = "linear"
"""Whose latency the others' is compared with."""

TEXT = """\
# What each head costs

{backbone} with {objects:,} objects. Latency of one photo on one thread of LiteRT, median of
{rounds} rounds in each of which every head had its turn; in brackets the ratio to the {base}
head's, median of the rounds' ratios with the middle half of them. Files hold labels and metadata
as a phone gets them. Accuracy of the heads:
[`ablation.md`](ablation.md). Regenerate with

    python -m benchmarks.studies.head_size --objects {objects} --table benchmarks/studies/head_size.md

| head | weights of the head | float32, MB | int8, MB | float32, ms | int8, ms |
| :--- | ---: | ---: | ---: | ---: | ---: |
{lines}
{asked}
Measured {created} on {host}. Versions: {versions}.
"""


class Cost(Record):
    """One head.

    Attributes:
        head: Its name.
        weights: Its parameters.
        float32_bytes: Size of the float32 TFLite file.
        int8_bytes: Size of the full-integer one.
        float32_ms: Latency in each round.
        int8_ms: Likewise.
    """

    head: str
    weights: int
    float32_bytes: int
    int8_bytes: int
    float32_ms: tuple[float, ...]
    int8_ms: tuple[float, ...]


class Published(Document):
    """The raw rows behind the page."""

    created: str
    host: dict[str, str]
    versions: dict[str, str]
    backbone: str
    objects: int
    heads: tuple[Cost, ...]


def page(published: Published) -> str:
    """The Markdown page, from the raw rows alone."""
    base = next(cost for cost in published.heads if cost.head == BASE)
    return TEXT.format(
        backbone=published.backbone,
        objects=published.objects,
        rounds=len(base.int8_ms),
        base=BASE,
        lines="".join(_line(cost, base) for cost in published.heads),
        asked=Asked(
            f"int8 file of {COMPACT} with {published.objects:,} objects, MB", 6.0, _size(published)
        ).line(),
        created=published.created,
        host=", ".join(f"{key} {value}" for key, value in published.host.items()),
        versions=", ".join(f"{key} {value}" for key, value in published.versions.items()),
    )


def _size(published: Published) -> Estimate:
    cost = next(cost for cost in published.heads if cost.head == COMPACT)
    return Estimate(cost.int8_bytes / 1e6)


def _line(cost: Cost, base: Cost) -> str:
    times = [
        _time(cost.float32_ms, base.float32_ms),
        _time(cost.int8_ms, base.int8_ms),
    ]
    return (
        f"| {cost.head} | {cost.weights:,} | {cost.float32_bytes / 1e6:.1f} "
        f"| {cost.int8_bytes / 1e6:.1f} | {' | '.join(times)} |\n"
    )


def _time(ours: tuple[float, ...], theirs: tuple[float, ...]) -> str:
    low, middle, high = np.quantile(np.array(ours) / np.array(theirs), [0.25, 0.5, 0.75])
    return f"{np.median(ours):.2f} [{middle:.2f}, {low:.2f} to {high:.2f}]"


def files_of(head: str, objects: int, backbone: str) -> tuple[int, bytes, bytes]:
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
    """Milliseconds of each file in each round, the files taking turns."""
    from export.tflite.convert import interpreter

    runners = []
    for content in files:
        runner = interpreter(content, threads=1)
        entry = runner.get_input_details()[0]
        runner.set_tensor(entry["index"], np.zeros(entry["shape"], entry["dtype"]))
        for _ in range(5):
            runner.invoke()
        runners.append(runner)
    taken: list[list[float]] = [[] for _ in files]
    for _ in range(rounds):
        for runner, times in zip(runners, taken, strict=True):
            started = time.perf_counter()
            runner.invoke()
            times.append(round((time.perf_counter() - started) * 1e3, 3))
    return taken


def run(arguments: argparse.Namespace) -> None:
    """Converts every head, measures them and writes the page."""
    made: list[tuple[int, bytes, bytes]] = []
    with Terminal() as terminal:
        for head in HEADS:
            made.append(files_of(head, arguments.objects, arguments.backbone))
            terminal.step("converted", len(made), len(HEADS))
        taken = latencies([file for _, *files in made for file in files], arguments.rounds)
    published = Published(
        created=created_now(),
        host=describe_host(),
        versions=versions(),
        backbone=arguments.backbone,
        objects=arguments.objects,
        heads=tuple(
            Cost(
                head=head,
                weights=weights,
                float32_bytes=len(float32),
                int8_bytes=len(int8),
                float32_ms=tuple(taken[2 * place]),
                int8_ms=tuple(taken[2 * place + 1]),
            )
            for place, (head, (weights, float32, int8)) in enumerate(zip(HEADS, made, strict=True))
        ),
    )
    published.write(arguments.table.with_suffix(".json"))
    write_text(arguments.table, page(published))


def main(words: list[str] | None = None) -> int:
    """Runs the measurement from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.studies.head_size", description=__doc__
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--table", type=Path, required=True, help="the page to write")
    parser.add_argument("--objects", type=int, default=4332, help="default: 4332")
    parser.add_argument("--rounds", type=int, default=100, help="default: 100")
    parser.add_argument("--backbone", default=DEFAULT_BACKBONE, help=argparse.SUPPRESS)
    try:
        run(parser.parse_args(words))
    except ArtefactError as error:
        print(f"heads: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
