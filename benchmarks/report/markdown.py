"""The results as a Markdown document: the report's tables, for reading in a terminal or a diff."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.report.formatting import markdown_rows, percent
from benchmarks.report.html import latency_memory, sections, summary_tables
from benchmarks.report.html.contents import markdown_document
from benchmarks.report.html.table import Cell, Table, plain_table, text_cells
from benchmarks.report.html.verdict import one_per_variant
from benchmarks.report.omissions import omissions
from benchmarks.report.parity_table import sorted_rows
from benchmarks.report.runtime_names import runtime_descriptions
from benchmarks.report.slowdowns import pace_sentence
from benchmarks.results.row_fields import CollectionBin, PhotoBin
from benchmarks.results.schema import Results, Row
from mobile_assets.markdown_text import markdown


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
    rows = [[_cell(cell) for cell in line] for line in lines]
    return markdown_rows([markdown(title) for title in titles], rows)


def _cell(cell: Cell) -> str:
    text, notes = markdown(cell.text), tuple(map(markdown, cell.notes))
    bold = f"**{text}**" if cell.tone == "attention" else text
    return Cell(bold, notes).inline


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
    yield "The paper beside us", sections.paper_table(results)


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
