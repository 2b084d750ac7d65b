"""The report's tables by collection, by way of making the input, of gates, and of the paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.report.formatting import interval_cell, interval_words, percent, signless
from benchmarks.report.html.latency_memory import CHART
from benchmarks.report.html.row_charts import Dot, Scale, draw_dots, draw_scale
from benchmarks.report.html.styles import filled_style
from benchmarks.report.html.table import Cell, Column, Table, TableRow, definitions, plain_table
from benchmarks.report.html.verdict import target_name
from benchmarks.report.runtime_names import short_name
from benchmarks.results.paper_baselines import OBJECTS, PAPER_MODELS, Table3Row, table3
from benchmarks.results.schema import (
    REFERENCE_VARIANT,
    GateOutcome,
    PreprocessingCost,
    Results,
    Row,
)
from benchmarks.results.target import BenchmarkTarget
from train.recipes import PAPER

MOST_COLLECTIONS = 12
"""Of more collections the largest and the smallest are shown, half of it each."""

FAMILIES = {
    "resampling": ("How phones make the input", "way of a phone"),
    "mistake": ("Mistakes in an app", "mistake in an app"),
}
"""Title and, for prose, name of what costs."""


@dataclass(frozen=True)
class Collections:
    """Accuracy by collection, the largest first; `left_out` of them are between those shown."""

    table: Table
    left_out: int


def collections_of(rows: Sequence[Row], main: BenchmarkTarget) -> Collections | None:
    """Of the reference and the main variant; None where there are not two collections."""
    main_row = next((row for row in rows if BenchmarkTarget.of(row) == main), None)
    if main_row is None or len(main_row.by_collection) < 2:
        return None
    references = (row for row in rows if row.variant == REFERENCE_VARIANT)
    reference = next(references, main_row.model_copy(update={"by_collection": ()}))
    before = {bin_.collection: bin_ for bin_ in reference.by_collection}
    largest = sorted(main_row.by_collection, key=lambda bin_: (-bin_.photos, bin_.collection))
    half = MOST_COLLECTIONS // 2
    shown = largest if len(largest) <= MOST_COLLECTIONS else largest[:half] + largest[-half:]
    every = [*shown, *(before[bin_.collection] for bin_ in shown if bin_.collection in before)]
    scale = Scale.over([100 * end for bin_ in every for end in bin_.top1_ci95])
    style, rows_ = filled_style(main_row), []
    for bin_ in shown:
        low, high = (100 * bound for bound in bin_.top1_ci95)
        dots = [Dot(style, 100 * bin_.top1, low, high)]
        if bin_.collection in before:
            # The ring carries no line: two lines at one height could not be told apart.
            share = 100 * before[bin_.collection].top1
            dots.append(Dot("reference", share, share, share, ring=True))
        chart = Cell(chart=draw_dots(scale, dots))
        top1 = Cell(percent(bin_.top1), (f"{low:.1f}–{high:.1f}",))
        name, photos = bin_.collection or "no collection", f"{bin_.photos:,} photos"
        rows_.append(TableRow(name, (chart, top1), notes=(photos,)))
    table = Table(
        f"Top-1 of {short_name(main_row.variant)} by collection, with 95 % intervals",
        (Column("Collection"), CHART, Column("Top-1")),
        tuple(rows_),
        draw_scale(scale, " %"),
    )
    return Collections(table, len(largest) - len(shown))


@dataclass(frozen=True)
class PreprocessingCosts:
    """What ways of making the input cost one variant: (title, table) of each family, and details.

    `worst` is a sentence on the costliest way of each family.
    """

    target: str
    worst: str
    charts: tuple[tuple[str, Table], ...]
    details: Table


def costs_of(results: Results) -> list[PreprocessingCosts]:
    """One entry per threshold and variant, sorted by cost, the phones' ways first."""
    groups: dict[tuple[int, int, str, str], list[PreprocessingCost]] = {}
    for cost in results.preprocessing:
        key = (cost.min_photos, cost.seed, cost.variant, cost.runtime)
        groups.setdefault(key, []).append(cost)
    return [_costs(costs) for _, costs in sorted(groups.items())]


def _costs(costs: Sequence[PreprocessingCost]) -> PreprocessingCosts:
    first = costs[0]
    name = target_name(BenchmarkTarget(first.variant, first.runtime))
    ordered = sorted(costs, key=lambda cost: -(cost.drop_points or 0.0))
    charts, sentences = [], []
    for family, (title, kind) in FAMILIES.items():
        own = [c for c in ordered if c.family == family and c.drop_points is not None]
        if own:
            charts.append((title, _cost_table(own, title)))
            lost = signless(own[0].drop_points or 0.0)
            sentences.append(f"the costliest {kind} ({own[0].name}) loses {lost} points of top-1")
    sentence = " and ".join(sentences)
    details = plain_table(
        "Each way of making the input, its accuracy and its agreement with the toolkit's own",
        ("Way", "Top-1", "Agreement", Column("What is done", kind="words")),
        [(c.name, percent(c.top1), percent(c.agreement), c.what) for c in ordered],
        terms=definitions("Points lost by the input"),
    )
    return PreprocessingCosts(
        f"{name}, objects with at least {first.min_photos} photos, {first.photos:,} photos",
        sentence[:1].upper() + sentence[1:] + "." if sentence else "",
        tuple(charts),
        details,
    )


def _cost_table(costs: Sequence[PreprocessingCost], title: str) -> Table:
    rows = []
    lost = [cost.drop_points or 0.0 for cost in costs]
    bounds = [cost.drop_ci95 or (points, points) for cost, points in zip(costs, lost, strict=True)]
    scale = Scale.over([end for pair in bounds for end in pair], zero=True)
    for cost, points, (low, high) in zip(costs, lost, bounds, strict=True):
        dot = Dot("loss" if low > 0 else "other", points, low, high)
        chart = Cell(chart=draw_dots(scale, [dot], line_at=0.0))
        words = Cell(signless(points), (interval_words(cost.drop_ci95),))
        rows.append(TableRow(cost.name, (chart, words)))
    columns = (Column("Way"), CHART, Column("Points lost"))
    return Table(f"{title}: points lost", columns, tuple(rows), draw_scale(scale, ""))


def gates_table(gates: Sequence[GateOutcome], caption: str) -> Table:
    """A line per requirement."""
    requirement, measured = Column("Requirement", kind="words"), Column("Measured", kind="words")
    return plain_table(
        caption,
        ("Variant", "Photos", requirement, measured, "Holds"),
        [
            (
                target_name(BenchmarkTarget(gate.variant, gate.runtime, gate.unit)),
                f"≥ {gate.min_photos}",
                gate.requirement,
                gate.measured,
                Cell("yes", (), "good") if gate.passed else Cell("no", (), "attention"),
            )
            for gate in gates
        ],
        terms=definitions("Gate, requirement"),
    )


def paper_table(results: Results) -> Table | None:
    """The paper's Table 3 beside our full-precision rows, the only ones comparable with it.

    A Lite network is set beside the full one of its number, which is its nearest; thresholds
    outside 3 to 6 and other networks are left out.
    """
    lines = [
        (
            f"≥ {row.min_photos}",
            Cell(percent(paper.top1), (paper.model,)),
            Cell(percent(row.top1), (row.backbone.split(".")[0], interval_cell(row))),
            "; ".join(_differences(row, paper)) or "nothing: the two correspond",
        )
        for row in results.rows
        if row.status == "measured" and row.variant == REFERENCE_VARIANT
        for paper in [_nearest(row)]
        if paper
    ]
    columns = ("Photos", "The paper", "Here", Column("What differs", kind="words"))
    title = "The paper’s top-1 beside ours by threshold"
    return plain_table(title, columns, lines) if lines else None


def _nearest(row: Row) -> Table3Row | None:
    backbone = row.backbone.split(".")[0].replace("_lite", "_b")
    names = [model.name for model in PAPER_MODELS if model.backbone == backbone]
    same_threshold = (theirs for theirs in table3() if theirs.min_photos == row.min_photos)
    return next((theirs for theirs in same_threshold if theirs.model in names), None)


def _differences(row: Row, paper: Table3Row) -> list[str]:
    differences: list[str] = []
    if row.objects != OBJECTS[row.min_photos]:
        differences.append(
            f"another register: {row.register_name} with {row.objects:,} objects, "
            f"the paper's has {OBJECTS[row.min_photos]:,}"
        )
    if "lite" in row.backbone:
        differences.append(f"another backbone: {row.backbone}, the paper's is {paper.model}")
    if row.recipe != PAPER.name:
        differences.append(f"another recipe: {row.recipe or 'unknown'}")
    return differences
