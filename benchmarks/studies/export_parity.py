r"""Whether every exported form answers as its network does: ETH-80, several seeds, every variant.

    python -m benchmarks.studies.export_parity --runs DIR… --seeds 0,1 \
        --table benchmarks/studies/export_parity.md

Each `DIR`, one per backbone, is what `python -m benchmarks.studies.eth80 --only field --backbone
NAME --out DIR` wrote: for each seed the register, the views left over for the test, and a run of
the default recipe per threshold. Each run is exported with all variants, and each seed's four
bundles are benchmarked together: every command in a process of its own, whose time and memory are
taken. Speed and the cost of ways of making the input are measured for the first seed only. What is
already there is kept.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np

from benchmarks.measure.evaluation_set import exclude_training_photos, from_register, held_out
from benchmarks.results.cluster_bootstrap import Estimate
from benchmarks.results.correctness_mask import unpack
from benchmarks.results.schema import REFERENCE_VARIANT, Results, Row
from benchmarks.studies.exported_forms import (
    AnswerCounts,
    ObjectFlips,
    flips_by_object,
    percentage,
    points_lost,
)
from benchmarks.studies.recipe_runs import whole_numbers
from benchmarks.studies.study import MeasuredStudy
from benchmarks.studies.study_statistics import Target
from benchmarks.studies.timed_command import TimedCommand, run_timed
from mobile_assets.errors import InputError
from mobile_assets.schema import Record
from train.recipes import DISCRIMINANT
from train.registers.inspection import THRESHOLDS
from train.registers.readers import read_register
from train.run import Run, read_run

CLOSE = {"drop": 0.2, "agreement": 99.5}
NEAR = {"drop": 0.5, "agreement": 98.5}
TARGETS = {
    "tflite-int8": NEAR,
    "coreml-w8a8": NEAR,
    "coreml-palette6": NEAR,
    "tflite-int8-weights": CLOSE,
    "tflite-float16": CLOSE,
    "coreml-int8-weights": CLOSE,
    "coreml-float16": CLOSE,
}
"""Largest drop in points and least agreement in per cent, by variant."""

Kind = Literal["export", "benchmark"]

SMALLEST_BACKBONE = "tf_efficientnet_lite0"
LARGEST: dict[Kind, tuple[float, float]] = {"export": (240.0, 4.0), "benchmark": (1500.0, 4.0)}
"""Seconds and GiB that a command may take for `SMALLEST_BACKBONE`."""

LARGEST_INT8_SIZE, LARGEST_INT8_TIME = 0.27, 0.6
"""What `tflite-int8` may take, by the float32 file's."""


class VariantCounts(AnswerCounts):
    """One variant on one runtime, for one seed and threshold.

    Attributes:
        mean_drift: Mean over photos of the largest difference of a probability, 0–1.
        latency_ratio: Median, 10 % and 90 % quantile of the time by float32's, where measured.
    """

    backbone: str
    min_photos: int
    seed: int
    variant: str
    runtime: str
    photos: int
    mean_drift: float | None
    latency_ratio: tuple[float, float, float] | None = None


class CommandCost(Record):
    """What a command took."""

    kind: Kind
    backbone: str
    what: str
    finished: str
    seconds: float
    peak_mib: float


@dataclass(frozen=True)
class PooledVariant:
    """One variant on one runtime at one threshold, over all seeds.

    Attributes:
        size: Its bytes by the float32 TFLite file's, largest of the seeds.
    """

    backbone: str
    threshold: int
    variant: str
    runtime: str
    rows: tuple[VariantCounts, ...]
    size: float | None

    @property
    def is_reference(self) -> bool:
        """Whether this is the network itself."""
        return self.variant == REFERENCE_VARIANT

    def sum(self, count: str) -> int:
        """One of the counts over all seeds."""
        return sum(getattr(row, count) for row in self.rows)

    @property
    def agreement(self) -> Estimate:
        """Photos with the network's answer, in per cent."""
        return percentage(self.sum("same"), self.sum("photos"))

    @property
    def drop(self) -> Estimate:
        """Points of top-1 lost."""
        flips = [row.by_object for row in self.rows]
        return points_lost(self.sum("lost"), self.sum("won"), self.sum("photos"), flips)

    @property
    def drift(self) -> float | None:
        """Mean drift of the seeds."""
        drifts = [row.mean_drift for row in self.rows if row.mean_drift is not None]
        return float(np.mean(drifts)) if drifts else None

    @property
    def ratio(self) -> Estimate:
        """Time by the float32 TFLite file's, with the spread of the rounds."""
        ratio = next((row.latency_ratio for row in self.rows if row.latency_ratio), None)
        return Estimate(ratio[0], ratio[1:]) if ratio else Estimate(None)

    def targets(self) -> Iterator[Target]:
        """Those of this variant at this threshold."""
        where = f"{self.backbone}, min {self.threshold}, {self.variant} on {self.runtime}"
        if self.variant in TARGETS:
            limits = TARGETS[self.variant]
            yield Target(f"{where}: drop in points", limits["drop"], self.drop)
            least = limits["agreement"]
            yield Target(f"{where}: agreement in per cent", least, self.agreement, at_least=True)
        if (self.variant, self.runtime) == ("tflite-int8", "litert"):
            size = Estimate(self.size)
            yield Target(f"{where}: size by float32's", LARGEST_INT8_SIZE, size)
            what = f"{where}: time by float32's, one thread"
            yield Target(what, LARGEST_INT8_TIME, self.ratio)


class ExportParityStudy(MeasuredStudy):
    """Exported forms against their network."""

    NAME: ClassVar[str] = "export_parity"

    commands: tuple[CommandCost, ...]
    rows: tuple[VariantCounts, ...]

    def values(self) -> Mapping[str, object]:
        """The rows of all seeds put together, and the verdicts."""
        variants = pooled(self.rows)
        worst: dict[tuple[str, str], list[PooledVariant]] = {}
        for variant in variants:
            if variant.variant in TARGETS:
                key = (variant.backbone, variant.variant)
                worst.setdefault(key, []).append(variant)
        measured = [target for target in self.all_targets() if target.met is not None]
        return {
            "variants": variants,
            "seeds": {
                backbone: sorted({row.seed for row in self.rows if row.backbone == backbone})
                for backbone in sorted({row.backbone for row in self.rows})
            },
            "worst": [worst_of(parts) for parts in worst.values()],
            "by_object": all(row.by_object for row in self.rows),
            "measured": len(measured),
            "missed": [target for target in measured if not target.met],
        }

    def all_targets(self) -> Iterator[Target]:
        """Every number that was set beforehand, with what was measured."""
        for variant in pooled(self.rows):
            yield from variant.targets()
        for kind, (seconds, gib) in LARGEST.items():
            costs = [c for c in self.commands if (c.kind, c.backbone) == (kind, SMALLEST_BACKBONE)]
            slowest = max((cost.seconds for cost in costs), default=None)
            largest = max((cost.peak_mib / 1024 for cost in costs), default=None)
            of = f"{kind} of {SMALLEST_BACKBONE}"
            yield Target(f"slowest {of}, seconds", seconds, Estimate(slowest))
            yield Target(f"largest {of}, GiB", gib, Estimate(largest))

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        """Adds the runs and what to measure."""
        parser.add_argument(
            "--runs", type=Path, nargs="+", required=True, help="folders that eth80 wrote"
        )
        parser.add_argument("--seeds", type=whole_numbers, default=(0,), help="default: 0")
        parser.add_argument("--variants", help="comma-separated; default: all")
        parser.add_argument("--no-speed", action="store_true", help="accuracy only")

    @classmethod
    def measure(cls, arguments: argparse.Namespace) -> Self:
        """Exports and measures what is missing."""
        commands: list[CommandCost] = []
        rows: list[VariantCounts] = []
        for folder, (index, number) in product(arguments.runs, enumerate(arguments.seeds)):
            seed = folder / f"seed{number}"
            commands += [
                exported(seed, minimum, variants=arguments.variants) for minimum in THRESHOLDS
            ]
            results, command = benchmarked(seed, speed=index == 0 and not arguments.no_speed)
            commands.append(command)
            rows += rows_of(results, seed)
        return cls.measured_now(commands=commands, rows=rows)


def pooled(rows: Sequence[VariantCounts]) -> list[PooledVariant]:
    """Rows of all seeds put together, by backbone, threshold, variant and runtime, in order."""
    float32 = {
        (row.backbone, row.min_photos, row.seed): row.bytes
        for row in rows
        if row.variant == "tflite-float32"
    }
    groups: dict[tuple[str, int, str, str], list[VariantCounts]] = {}
    for row in sorted(rows, key=lambda row: (row.backbone, row.min_photos)):
        key = (row.backbone, row.min_photos, row.variant, row.runtime)
        groups.setdefault(key, []).append(row)
    return [
        PooledVariant(*key, tuple(parts), _size(parts, float32)) for key, parts in groups.items()
    ]


def _size(
    parts: Sequence[VariantCounts], float32: Mapping[tuple[str, int, int], int]
) -> float | None:
    """Largest of the seeds' sizes by the float32 file's; None where that was not measured."""
    bases = [float32.get((part.backbone, part.min_photos, part.seed)) for part in parts]
    sizes = [part.bytes / base for part, base in zip(parts, bases, strict=True) if base]
    return max(sizes, default=None)


def worst_of(parts: Sequence[PooledVariant]) -> dict[str, object]:
    """The largest drop and the least agreement of one variant over the thresholds."""
    by_drop = max(parts, key=lambda part: part.drop.value or 0.0)
    by_agreement = min(parts, key=lambda part: part.agreement.value or 0.0)
    limits = TARGETS[by_drop.variant]
    targets = [
        Target("", limits["drop"], by_drop.drop),
        Target("", limits["agreement"], by_agreement.agreement, at_least=True),
    ]
    met = all(target.met for target in targets)
    return {"drop": by_drop, "agreement": by_agreement, "limits": limits, "met": met}


def exported(seed: Path, minimum: int, *, variants: str | None) -> CommandCost:
    """Exports the run of one threshold with all variants or some, unless it is there.

    Raises:
        InputError: There is no such run.
    """
    run, bundle = seed / f"min{minimum}" / DISCRIMINANT.name, seed / f"min{minimum}" / "parity"
    if not run.is_dir():
        raise InputError(
            f"There is no run {run}. Make it with "
            f"`python -m benchmarks.studies.eth80 --only {DISCRIMINANT.name} --out {seed.parent}`."
        )
    mark = bundle.with_suffix(".json")
    if not (bundle.is_dir() and mark.is_file()):
        words = ["export", str(run), "--photos", str(seed / "register"), "--out", str(bundle)]
        run_timed([*words, "--force", *(["--variants", variants] if variants else [])], mark)
    what = f"seed {seed.name.removeprefix('seed')}, min {minimum}"
    return _cost("export", read_run(run), what, mark)


def benchmarked(seed: Path, *, speed: bool) -> tuple[Results, CommandCost]:
    """Benchmarks the bundles of all thresholds together, unless that is done."""
    report, mark = seed / "parity", seed / "parity.json"
    if not (report.is_dir() and mark.is_file()):
        bundles = [str(seed / f"min{minimum}" / "parity") for minimum in THRESHOLDS]
        photos = ["--photos", str(seed / "register"), "--test-photos", str(seed / "left-over")]
        quick = [] if speed else ["--no-speed", "--preprocessing", "0"]
        words = ["benchmark", *bundles, *photos, "--out", str(report), "--force", *quick]
        run_timed(words, mark)
    what = f"seed {seed.name.removeprefix('seed')}" + (", with speed" if speed else "")
    run = read_run(seed / f"min{THRESHOLDS[0]}" / DISCRIMINANT.name)
    return Results.read(report / "results.json"), _cost("benchmark", run, what, mark)


def _cost(kind: Kind, run: Run, what: str, mark: Path) -> CommandCost:
    cost = TimedCommand.read(mark).model_dump(exclude={"schema_version"})
    return CommandCost(kind=kind, backbone=run.info.backbone, what=what, **cost)


def rows_of(results: Results, seed: Path) -> list[VariantCounts]:
    """What the page needs of one seed's results; rows where nothing was executed are left out."""
    rows: list[VariantCounts] = []
    for row in results.rows:
        if row.agreement is None or row.top1 is None:
            continue
        ratio = row.latency_ratio
        rows.append(
            VariantCounts(
                backbone=row.backbone,
                min_photos=row.min_photos,
                seed=row.seed,
                variant=row.variant,
                runtime=row.runtime,
                photos=row.photos,
                right=round(row.top1 * row.photos),
                same=round(row.agreement * row.photos),
                lost=row.right_to_wrong or 0,
                won=row.wrong_to_right or 0,
                mean_drift=row.drift.mean if row.drift else None,
                bytes=row.bytes or 0,
                latency_ratio=(ratio.median, ratio.p10, ratio.p90) if ratio else None,
                by_object=_flips(row, results, seed),
            )
        )
    return rows


def _flips(row: Row, results: Results, seed: Path) -> ObjectFlips | None:
    """Lost and won by object; None where the row does not say which photos are right."""
    reference = next(
        other
        for other in results.rows
        if (other.min_photos, other.variant) == (row.min_photos, REFERENCE_VARIANT)
    )
    run = read_run(seed / f"min{row.min_photos}" / DISCRIMINANT.name)
    # The photos of the benchmark, in its order; runs of `eth80` themselves hold none out.
    photos = held_out(run, seed / "register")[0] if run.split.of("test") else ()
    photos += from_register(read_register(seed / "left-over"), run)[0]
    shown = [photo.object_id for photo in exclude_training_photos(photos, run)[0]]
    if len(shown) != row.photos or row.right_bits is None or reference.right_bits is None:
        return None
    right = (unpack(bits, row.photos) for bits in (reference.right_bits, row.right_bits))
    return flips_by_object(shown, *right)


if __name__ == "__main__":
    sys.exit(ExportParityStudy.main())
