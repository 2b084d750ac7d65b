"""What the report's sections say: rows of their tables and small charts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.report.formatting import interval_cell, interval_words, percent, signless
from benchmarks.report.html.row_charts import ChartRow, Dot, RowChart, Scale, draw_dots, draw_scale
from benchmarks.report.html.styles import style_of
from benchmarks.report.html.verdict import target_name
from benchmarks.report.paper_comparison import PaperComparison
from benchmarks.report.runtime_names import short_name
from benchmarks.results.row_fields import CollectionBin
from benchmarks.results.schema import (
    REFERENCE_VARIANT,
    GateOutcome,
    PreprocessingCost,
    Results,
    Row,
)
from benchmarks.results.target import BenchmarkTarget

MOST_COLLECTIONS = 12
"""Of more collections the largest and the smallest are shown, half of it each."""

FAMILIES = {
    "resampling": "How phones make the input",
    "mistake": "Mistakes in an app",
}


@dataclass(frozen=True)
class Collections:
    """Accuracy by collection.

    Attributes:
        lanes: The rows.
        left_out: Number of collections between the largest and the smallest that are not shown.
    """

    lanes: RowChart
    left_out: int


def collections_of(rows: Sequence[Row], main: BenchmarkTarget) -> Collections | None:
    """Of the reference and the main variant; None where there are not two collections.

    Args:
        rows: Rows of one threshold.
        main: What the report is about.
    """
    own = next((row for row in rows if BenchmarkTarget.of(row) == main), None)
    if own is None or len(own.by_collection) < 2:
        return None
    reference = next((row for row in rows if row.variant == REFERENCE_VARIANT), None)
    before = {one.collection: one for one in reference.by_collection} if reference else {}
    largest = sorted(own.by_collection, key=lambda one: (-one.photos, one.collection))
    half = MOST_COLLECTIONS // 2
    shown = largest if len(largest) <= MOST_COLLECTIONS else largest[:half] + largest[-half:]
    every = [*shown, *(before[one.collection] for one in shown if one.collection in before)]
    scale = Scale.over([100 * end for one in every for end in one.top1_ci95])
    lanes = tuple(_collection(one, before.get(one.collection), own, scale) for one in shown)
    title = f"Top-1 of {short_name(own.variant)} by collection, with 95 % intervals"
    table = RowChart(title, "Collection", "Top-1", lanes, draw_scale(scale, " %"))
    return Collections(table, len(largest) - len(shown))


def _collection(
    one: CollectionBin, before: CollectionBin | None, row: Row, scale: Scale
) -> ChartRow:
    style = style_of(row).removeprefix("coreml-")
    dots = [_share_dot(one, style)]
    if before is not None:
        dots.append(_share_dot(before, "reference", ring=True))
    low, high = one.top1_ci95
    return ChartRow(
        one.collection or "no collection",
        f"{one.photos:,} photos",
        draw_dots(scale, dots),
        percent(one.top1),
        f"{100 * low:.1f}–{100 * high:.1f}",
    )


def _share_dot(one: CollectionBin, style: str, *, ring: bool = False) -> Dot:
    low, high = one.top1_ci95
    # The ring carries no line: two lines at one height could not be told apart.
    bounds = (one.top1, one.top1) if ring else (low, high)
    return Dot(style, 100 * one.top1, 100 * bounds[0], 100 * bounds[1], ring)


@dataclass(frozen=True)
class PreprocessingCosts:
    """What ways of making the input cost one variant.

    Attributes:
        subject: Which, at which threshold, on how many photos.
        plots: A table of each family.
        details: (name, what it is, top-1, agreement) of each way.
    """

    subject: str
    plots: tuple[RowChart, ...]
    details: tuple[tuple[str, str, str, str], ...]


def costs_of(results: Results) -> list[PreprocessingCosts]:
    """One entry per threshold and subject, sorted by cost, the phones' ways first."""
    groups: dict[tuple[int, int, str, str], list[PreprocessingCost]] = {}
    for one in results.preprocessing:
        key = (one.min_photos, one.seed, one.variant, one.runtime)
        groups.setdefault(key, []).append(one)
    return [_costs(costs) for _, costs in sorted(groups.items())]


def _costs(costs: Sequence[PreprocessingCost]) -> PreprocessingCosts:
    first = costs[0]
    name = target_name(BenchmarkTarget(first.variant, first.runtime))
    ordered = sorted(costs, key=lambda one: -(one.drop_points or 0.0))
    plots = []
    for family, title in FAMILIES.items():
        own = [one for one in ordered if one.family == family and one.drop_points is not None]
        if own:
            plots.append(_cost_plot(own, title))
    details = tuple(
        (one.name, one.what, percent(one.top1), percent(one.agreement)) for one in ordered
    )
    subject = f"{name}, objects with at least {first.min_photos} photos, {first.photos:,} photos"
    return PreprocessingCosts(subject, tuple(plots), details)


def _cost_plot(costs: Sequence[PreprocessingCost], title: str) -> RowChart:
    ends = [end for one in costs for end in one.drop_ci95 or (one.drop_points or 0.0,)]
    scale = Scale.over(ends, zero=True)
    rows = []
    for one in costs:
        lost = one.drop_points or 0.0
        low, high = one.drop_ci95 or (lost, lost)
        clear = low > 0
        dot = Dot("loss" if clear else "other", lost, low, high)
        svg = draw_dots(scale, [dot], line_at=0.0)
        rows.append(ChartRow(one.name, "", svg, signless(lost), interval_words(one.drop_ci95)))
    return RowChart(title, "Way", "Points lost", tuple(rows), draw_scale(scale, ""))


@dataclass(frozen=True)
class Gate:
    """One requirement in words."""

    name: str
    min_photos: int
    requirement: str
    measured: str
    passed: bool


def gates_of(gates: Sequence[GateOutcome]) -> list[Gate]:
    """The requirements, those that do not hold first."""
    shown = [
        Gate(
            target_name(BenchmarkTarget(gate.variant, gate.runtime, gate.unit)),
            gate.min_photos,
            gate.requirement,
            gate.measured,
            gate.passed,
        )
        for gate in gates
    ]
    return sorted(shown, key=lambda gate: gate.passed)


@dataclass(frozen=True)
class PaperRow:
    """One line of the paper beside ours: the paper's number, then ours, then what differs."""

    min_photos: int
    paper: str
    paper_top1: str
    ours: str
    ours_top1: str
    interval: str
    differs: str


def paper_of(beside: Sequence[PaperComparison]) -> list[PaperRow]:
    """The paper's Table 3 beside our full-precision rows, which alone it can be set beside."""
    return [
        PaperRow(
            one.row.min_photos,
            one.paper.model,
            percent(one.paper.top1),
            one.row.backbone.split(".")[0],
            percent(one.row.top1),
            interval_cell(one.row),
            "; ".join(one.differs) or "nothing: the two correspond",
        )
        for one in beside
        if one.row.variant == REFERENCE_VARIANT
    ]
