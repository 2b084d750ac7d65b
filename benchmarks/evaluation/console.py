"""An evaluation in the terminal: results on standard output, remarks on standard error."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.evaluation import tables
from benchmarks.evaluation.schema import Evaluation
from benchmarks.report.html import table as report_table
from benchmarks.results.console import cell, messages, output, print_json
from mobile_assets.visible_text import visible

LISTED = 8
"""Objects to photograph again that are printed; the files have all."""


def print_evaluation(evaluation: Evaluation, out: Path | None, *, json: bool) -> None:
    """Prints the tables, or `evaluation.json`."""
    remarks = messages()
    if json:
        print_json(evaluation.model_dump(mode="json", by_alias=True))
    else:
        _print_tables(evaluation, output())
    skipped = evaluation.tested.left_out
    sentences: list[str] = []
    if skipped:
        first = skipped[0]
        sentences.append(
            f"{len(skipped)} photos were left out, such as {first.path}: {first.reason}."
        )
    if out is not None:
        sentences.append(f"The page: {out / 'index.html'}")
    for sentence in sentences:
        remarks.print(visible(sentence), markup=False, soft_wrap=True)


def _print_tables(evaluation: Evaluation, console: Console) -> None:
    main = evaluation.rows[-1]
    console.print(
        f"{main.photos} test photos of {main.objects_shown} of the {evaluation.objects} objects",
        markup=False,
    )
    if main.unseen_photos:
        top1 = tables.interval_cell(main.top1_with_unseen).inline
        console.print(
            f"{main.unseen_photos} more show objects without a training photo; counted as wrong, "
            f"top-1 is {top1}",
            markup=False,
        )
    runs = "Accuracy (in brackets 95 %; P, R, F1 means over objects)"
    _print(console, runs, tables.run_table(evaluation))
    _print(console, "The paper's quantities", tables.paper_table(evaluation))
    _print(console, "By collection", tables.collection_table(evaluation))
    _print(console, "By photos per object", tables.group_table(evaluation))
    if evaluation.comparisons:
        console.print(visible(tables.words(evaluation)["comparison"]), markup=False)
    again = f"To photograph again: {LISTED} of {evaluation.objects}, estimates"
    _print(console, again, tables.outlook_table(evaluation.photograph_again[:LISTED]))


def _print(console: Console, title: str, table: report_table.Table) -> None:
    printed = Table(title=title, title_justify="left")
    titles, rows = report_table.text_cells(table)
    for number, column in enumerate(titles):
        printed.add_column(column, justify="left" if number == 0 else "right")
    for row in rows:
        printed.add_row(*(cell(value.inline) for value in row))
    console.print(printed)
