"""The page of exported forms against their network, from its raw rows alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from benchmarks.results.classification import Interval, wilson_interval
from benchmarks.results.cluster_bootstrap import DRAWS, Estimate, format_number
from benchmarks.results.schema import REFERENCE_VARIANT
from benchmarks.studies.study_statistics import Asked
from mobile_assets.schema import Document, Record

CLOSE = {"drop": 0.2, "agreement": 99.5}
NEAR = {"drop": 0.5, "agreement": 98.5}
ASKED = {
    "tflite-int8": NEAR,
    "coreml-w8a8": NEAR,
    "coreml-palette6": NEAR,
    "tflite-int8-weights": CLOSE,
    "tflite-float16": CLOSE,
    "coreml-int8-weights": CLOSE,
    "coreml-float16": CLOSE,
}
"""Largest drop in points and least agreement in per cent that were asked for, by variant."""

Kind = Literal["export", "benchmark"]

SMALLEST_BACKBONE = "tf_efficientnet_lite0"
LARGEST: dict[Kind, tuple[float, float]] = {"export": (240.0, 4.0), "benchmark": (1500.0, 4.0)}
"""Seconds and GiB that a command may take for `SMALLEST_BACKBONE`."""

TEXT = """\
# Exported forms against their network

ETH-80, the default recipe: {seeds}.
Every view that the register does not use is a test photo, and the same pixels go to the network in
full precision and to every exported form. Core ML packages are executed by the reference runtime,
which is not Core ML itself. A photo counts once for each seed whose model it was asked of.
Thresholds, seeds, forms and times that are not in a table were not measured. Lost and won: photos
that only the network, or only the exported form, has right. In brackets 95 %: of
agreement Wilson's interval, of the drop a paired bootstrap over photos; of time 10 % to 90 % of the
rounds. Regenerate with

    python -m benchmarks.studies.export_parity --runs {folders} --seeds {numbers} --table benchmarks/studies/export_parity.md

## What was asked for

Over all thresholds, the largest drop in points and the least agreement in per cent, each with the
threshold it was measured at and its 95 % interval.

{summary}
{asked}
{tables}
## What it took

Wall time of each command and resident memory of its largest process. What else ran on the machine
meanwhile is not taken out.

| command | backbone | of | finished | seconds | GiB |
| :--- | :--- | :--- | :--- | ---: | ---: |
{commands}
Put together {created} on {host}. Versions: {versions}.
"""


class Counts(Record):
    """One variant on one runtime, for one seed and threshold.

    Attributes:
        right: Photos answered right.
        same: Photos with the network's first answer.
        lost: Photos that only the network has right.
        won: Photos that only this has right.
        mean_drift: Mean over photos of the largest difference of a probability, 0–1.
        bytes: Size of the file or package.
        latency_ratio: Median, 10 % and 90 % quantile of the time by float32's, where measured.
    """

    backbone: str
    min_photos: int
    seed: int
    variant: str
    runtime: str
    photos: int
    right: int
    same: int
    lost: int
    won: int
    mean_drift: float | None
    bytes: int
    latency_ratio: tuple[float, float, float] | None = None


class Command(Record):
    """What a command took.

    Attributes:
        what: Seed and threshold that it worked on.
        finished: When, in ISO 8601.
    """

    kind: Kind
    backbone: str
    what: str
    finished: str
    seconds: float
    peak_mib: float


class Published(Document):
    """The raw rows behind the page."""

    created: str
    host: dict[str, str]
    versions: dict[str, str]
    commands: tuple[Command, ...]
    rows: tuple[Counts, ...]


@dataclass(frozen=True)
class Pooled:
    """One variant on one runtime at one threshold, over all seeds.

    Attributes:
        rows: One per seed.
        size: Its bytes by the float32 TFLite file's, largest of the seeds.
    """

    rows: tuple[Counts, ...]
    size: float | None

    @property
    def photos(self) -> int:
        """Photos asked, over all seeds."""
        return sum(row.photos for row in self.rows)

    def share(self, name: str) -> float:
        """Share of photos, in per cent, of one of the counts."""
        return 100 * float(sum(getattr(row, name) for row in self.rows)) / self.photos

    @property
    def agreement(self) -> Estimate:
        """Photos with the network's answer, in per cent."""
        bounds = wilson_interval(sum(row.same for row in self.rows), self.photos)
        low, high = bounds or (0.0, 1.0)
        return Estimate(self.share("same"), (100 * low, 100 * high))

    @property
    def drop(self) -> Estimate:
        """Points of top-1 lost."""
        lost, won = (sum(getattr(row, name) for row in self.rows) for name in ("lost", "won"))
        return Estimate(100 * (lost - won) / self.photos, drop_bounds(lost, won, self.photos))

    @property
    def flips(self) -> tuple[int, int]:
        """Photos lost and won."""
        return sum(row.lost for row in self.rows), sum(row.won for row in self.rows)

    @property
    def ratio(self) -> Estimate:
        """Time by the float32 TFLite file's, with the spread of the rounds."""
        found = next((row.latency_ratio for row in self.rows if row.latency_ratio), None)
        return Estimate(found[0], found[1:]) if found else Estimate(None)


def drop_bounds(lost: int, won: int, photos: int) -> Interval:
    """95 % interval of the points of top-1 that are lost, by a paired bootstrap over photos."""
    shares = np.array([lost, won, photos - lost - won]) / photos
    draws = np.random.default_rng(0).multinomial(photos, shares, size=DRAWS)
    low, high = np.quantile(100 * (draws[:, 0] - draws[:, 1]) / photos, [0.025, 0.975])
    return float(low), float(high)


def pooled(rows: Sequence[Counts]) -> dict[tuple[str, int, str, str], Pooled]:
    """Rows of all seeds put together, by backbone, threshold, variant and runtime, in order."""
    whole = {
        (row.backbone, row.min_photos, row.seed): row.bytes
        for row in rows
        if row.variant == "tflite-float32"
    }
    found: dict[tuple[str, int, str, str], list[Counts]] = {}
    for row in sorted(rows, key=lambda row: (row.backbone, row.min_photos)):
        found.setdefault((row.backbone, row.min_photos, row.variant, row.runtime), []).append(row)
    return {key: Pooled(tuple(parts), _size(parts, whole)) for key, parts in found.items()}


def _size(parts: Sequence[Counts], whole: dict[tuple[str, int, int], int]) -> float | None:
    sizes = [
        part.bytes / whole[key]
        for part in parts
        if (key := (part.backbone, part.min_photos, part.seed)) in whole
    ]
    return max(sizes, default=None)


def page(published: Published) -> str:
    """The Markdown page."""
    found = pooled(published.rows)
    seeds = sorted({row.seed for row in published.rows})
    backbones = sorted({row.backbone for row in published.rows})
    return TEXT.format(
        seeds="; ".join(_seeds_of(backbone, published.rows) for backbone in backbones),
        numbers=",".join(map(str, seeds)),
        tables="".join(_tables(found)),
        folders=" ".join(f"DIR{place}" for place, _ in enumerate(backbones, start=1)),
        summary="".join(_summary(found)),
        asked=_asked(published),
        commands="".join(map(_command, published.commands)),
        created=published.created,
        host=", ".join(f"{key} {value}" for key, value in published.host.items()),
        versions=", ".join(f"{key} {value}" for key, value in published.versions.items()),
    )


_HEADER = """\
| variant | runtime | photos | right | agreement | drop | lost / won | drift | size | time |
| :--- | :--- | ---: | ---: | :--- | :--- | ---: | ---: | ---: | :--- |
"""


def _tables(found: dict[tuple[str, int, str, str], Pooled]) -> Iterator[str]:
    before: tuple[str, int] | None = None
    for (backbone, minimum, variant, runtime), one in found.items():
        if (backbone, minimum) != before:
            yield f"{'' if before is None else chr(10)}## {backbone}, at least {minimum} photos\n\n"
            yield _HEADER
            before = backbone, minimum
        lost, won = one.flips
        drifts = [row.mean_drift for row in one.rows if row.mean_drift is not None]
        cells = (
            variant,
            runtime,
            f"{one.photos:,}",
            f"{one.share('right'):.2f} %",
            "" if variant == REFERENCE_VARIANT else f"{one.agreement.text('.2f')} %",
            "" if variant == REFERENCE_VARIANT else one.drop.text(".2f"),
            "" if variant == REFERENCE_VARIANT else f"{lost} / {won}",
            format_number(float(np.mean(drifts)), ".4f") if drifts else "",
            "" if one.size is None else f"{one.size:.3f}",
            "" if one.ratio.value is None else one.ratio.text(".2f"),
        )
        yield "| " + " | ".join(cells) + " |\n"
    yield "\nSize and time by the float32 TFLite file's; drop in points, drift the mean.\n"


def _seeds_of(backbone: str, rows: Sequence[Counts]) -> str:
    numbers = sorted({row.seed for row in rows if row.backbone == backbone})
    return f"{backbone}, seed{'s' * (len(numbers) > 1)} {' and '.join(map(str, numbers))}"


def _command(one: Command) -> str:
    took = f"{one.seconds:.0f} | {one.peak_mib / 1024:.2f}"
    return f"| {one.kind} | {one.backbone} | {one.what} | {one.finished} | {took} |\n"


def _summary(found: dict[tuple[str, int, str, str], Pooled]) -> Iterator[str]:
    """One row per backbone and variant: the worst of all thresholds."""
    yield "| backbone | variant | drop | asked | agreement | asked | verdict |\n"
    yield "| :--- | :--- | :--- | ---: | :--- | ---: | :--- |\n"
    kinds: dict[tuple[str, str], list[tuple[int, Pooled]]] = {}
    for (backbone, minimum, variant, _), one in found.items():
        if variant in ASKED:
            kinds.setdefault((backbone, variant), []).append((minimum, one))
    for (backbone, variant), ones in kinds.items():
        drop_at, drop = max(((n, one.drop) for n, one in ones), key=lambda pair: _value(pair[1]))
        same_at, same = min(
            ((n, one.agreement) for n, one in ones), key=lambda pair: _value(pair[1])
        )
        limits = ASKED[variant]
        met = _value(drop) <= limits["drop"] and _value(same) >= limits["agreement"]
        yield (
            f"| {backbone} | {variant} | {drop.text('.2f')} at {drop_at} | ≤ {limits['drop']} | "
            f"{same.text('.2f')} at {same_at} | ≥ {limits['agreement']} | "
            f"{'met' if met else '**not met**'} |\n"
        )


def _value(estimate: Estimate) -> float:
    assert estimate.value is not None, "agreement and drop are always measured"
    return estimate.value


def _asked(published: Published) -> str:
    """How many of the numbers asked for are met, and those that are not, in full."""
    measured = [one for one in asked(published) if one.met is not None]
    missed = [one for one in measured if not one.met]
    text = (
        f"Of {len(measured)} numbers (each variant's drop and agreement at each threshold, "
        f"`tflite-int8`'s size and time, and the commands' time and memory) "
        f"{len(measured) - len(missed)} are met"
    )
    return (
        f"{text}.\n"
        if not missed
        else f"{text}; not met:\n\n" + "".join(one.line() for one in missed)
    )


def asked(published: Published) -> Iterator[Asked]:
    """Every number that was asked for beforehand, with what was measured."""
    for (backbone, minimum, variant, runtime), one in pooled(published.rows).items():
        where = f"{backbone}, min {minimum}, {variant} on {runtime}"
        if variant in ASKED:
            yield Asked(f"{where}: drop in points", ASKED[variant]["drop"], one.drop)
            least = ASKED[variant]["agreement"]
            yield Asked(f"{where}: agreement in per cent", least, one.agreement, least=True)
        if (variant, runtime) == ("tflite-int8", "litert"):
            yield Asked(f"{where}: size by float32's", 0.27, Estimate(one.size))
            yield Asked(f"{where}: time by float32's, one thread", 0.6, one.ratio)
    for kind, (seconds, gib) in LARGEST.items():
        found = [
            one
            for one in published.commands
            if (one.kind, one.backbone) == (kind, SMALLEST_BACKBONE)
        ]
        slowest = max((one.seconds for one in found), default=None)
        largest = max((one.peak_mib / 1024 for one in found), default=None)
        yield Asked(f"slowest {kind} of {SMALLEST_BACKBONE}, seconds", seconds, Estimate(slowest))
        yield Asked(f"largest {kind} of {SMALLEST_BACKBONE}, GiB", gib, Estimate(largest))
