"""The results as a Markdown document: the report's tables, for reading in a terminal or a diff."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from benchmarks.report.formatting import markdown_rows, percent
from benchmarks.report.html import latency_memory, sections, summary_tables
from benchmarks.report.html.contents import markdown_document
from benchmarks.report.html.table import Cell, Table, plain_table, text_cells
from benchmarks.report.html.verdict import one_per_variant
from benchmarks.report.omissions import omissions
from benchmarks.report.paper_comparison import paper_comparisons
from benchmarks.report.parity_table import sorted_rows
from benchmarks.report.runtime_names import runtime_descriptions, runtime_name
from benchmarks.report.slowdowns import pace_sentence
from benchmarks.results.row_fields import CollectionBin, PhotoBin
from benchmarks.results.schema import FlippedAnswer, Results, Row

MOST_FLIPPED = 50
"""Of more changed answers only so many are listed; `flipped.csv` has all."""


def markdown_report(results: Results) -> str:
    """The content of `results.md`: only tables that have something in them."""
    rows = sorted_rows(results)
    return markdown_document(
        "report/results.md.j2",
        results=results,
        variants=table_markdown(summary_tables.variants_table(rows)),
        pace=pace_sentence(rows),
        runtimes=runtime_descriptions(rows),
        metrics=latency_memory.memory_metrics(rows),
        omissions=omissions(results),
        tables=[
            (title, table_markdown(table))
            for title, table in _tables(results, rows)
            if table is not None and table.rows
        ],
    )


def table_markdown(table: Table) -> str:
    """A table without its charts; what needs attention is bold."""
    titles, lines = text_cells(table)
    return markdown_rows(titles, [[_bold(cell).inline for cell in line] for line in lines])


def _bold(cell: Cell) -> Cell:
    return replace(cell, text=f"**{cell.text}**") if cell.tone == "attention" else cell


def _tables(results: Results, rows: Sequence[Row]) -> Iterator[tuple[str, Table | None]]:
    once = one_per_variant(rows)
    gates = sorted(results.gates, key=lambda gate: gate.passed)
    yield "Gates", sections.gates_table(gates, "Gates")
    yield "How near to full precision", summary_tables.fidelity_table(rows)
    yield "Calibration", summary_tables.calibration_table(rows)
    yield "Latency", latency_memory.threads_table(rows)
    yield "From photo to answer", latency_memory.speed_table(rows)
    yield "Memory", latency_memory.memory_table(rows)
    yield "Placement", latency_memory.placement_table(rows)
    collections = [(row, b.collection, b) for row in once for b in row.by_collection]
    yield "By collection", _breakdown("Collection", collections)
    photos = [(row, str(b.photos_per_object), b) for row in once for b in row.by_photos]
    yield "By photos per object", _breakdown("Photos of the object", photos)
    for costs in sections.costs_of(results):
        for title, table in costs.charts:
            yield f"{title}: {costs.target}", table
        yield f"What the input costs: {costs.target}", costs.details
    yield "The paper beside us", sections.paper_table(paper_comparisons(results))
    count = len(results.flipped)
    of_all = f" ({MOST_FLIPPED} of {count:,}; all in flipped.csv)" if count > MOST_FLIPPED else ""
    yield f"Changed answers{of_all}", _changed_answers(results.flipped[:MOST_FLIPPED])


def _breakdown(title: str, bins: Sequence[tuple[Row, str, CollectionBin | PhotoBin]]) -> Table:
    """Top-1 on some of each row's photos."""
    return plain_table(
        title,
        ("Variant", "Photos", title, "Test photos", "Top-1"),
        [
            (
                row.variant,
                f"≥ {row.min_photos}",
                name,
                str(bin_.photos),
                Cell(percent(bin_.top1), ("–".join(f"{100 * b:.1f}" for b in bin_.top1_ci95),)),
            )
            for row, name, bin_ in bins
        ],
    )


def _changed_answers(flips: Sequence[FlippedAnswer]) -> Table:
    return plain_table(
        "Changed answers",
        ("Variant", "Photos", "Photo", "Object", "Full precision", "Variant's answer"),
        [
            (
                Cell(flip.variant, (runtime_name(flip.runtime, flip.unit),)),
                f"≥ {flip.min_photos}",
                flip.path,
                flip.object_id,
                _answer(flip.reference),
                _answer(flip.answer),
            )
            for flip in flips
        ],
    )


def _answer(answer: tuple[str, float] | None) -> Cell:
    return Cell("no number") if answer is None else Cell(answer[0], (percent(answer[1]),))
