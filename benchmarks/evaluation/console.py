"""An evaluation in the terminal: results on standard output, remarks on standard error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.evaluation import tables
from benchmarks.evaluation.schema import Evaluation
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
        _tables(evaluation, output())
    tested = evaluation.tested
    if tested.left_out:
        first = tested.left_out[0]
        remarks.print(
            visible(
                f"{len(tested.left_out)} photos were left out, such as {first.path}: "
                f"{first.reason}."
            ),
            markup=False,
            soft_wrap=True,
        )
    if out is not None:
        remarks.print(visible(f"The page: {out / 'index.html'}"), markup=False, soft_wrap=True)


def _tables(evaluation: Evaluation, console: Console) -> None:
    main = evaluation.rows[-1]
    console.print(
        f"{main.photos} test photos of {main.objects_shown} of the {evaluation.objects} objects",
        markup=False,
    )
    if main.unseen_photos:
        console.print(
            f"{main.unseen_photos} more show objects without a training photo; counted as wrong, "
            f"top-1 is {tables.with_interval(main.top1_with_unseen)}",
            markup=False,
        )
    # The first table has a row per run, the second one per collection.
    _print(
        console,
        "Accuracy (in brackets 95 %; P, R, F1 means over objects)",
        ("run", *tables.SCORE_COLUMNS[2:]),
        [(r[0], *r[2:]) for r in map(tables.score_cells, evaluation.rows)],
    )
    _print(
        console,
        "The paper's quantities",
        ("run", "paper_precision", "paper_recall", "paper_f1"),
        [(row.model, *tables.paper_cells(row)) for row in evaluation.rows],
    )
    _print(
        console,
        "By collection",
        ("collection", "objects", *tables.SCORE_COLUMNS[2:]),
        [
            (tables.score_cells(row)[1], str(row.objects), *tables.score_cells(row)[2:])
            for row in evaluation.collections
        ],
    )
    _print(
        console,
        "By photos per object",
        ("counted in", "photos", "objects", "test photos", "top-1"),
        [
            (g.basis, g.label, str(g.objects), str(g.top1.photos), tables.with_interval(g.top1))
            for g in evaluation.by_photos
        ],
    )
    if evaluation.comparisons:
        console.print(visible(tables.comparison_words(evaluation)), markup=False)
    _print(
        console,
        f"To photograph again: {LISTED} of {evaluation.objects}, estimates",
        tables.OUTLOOK_COLUMNS,
        [tables.outlook_cells(score) for score in evaluation.photograph_again[:LISTED]],
    )


def _print(
    console: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    for row in rows:
        table.add_row(*(cell(text) for text in row))
    console.print(table)
