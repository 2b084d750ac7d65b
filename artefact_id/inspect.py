"""The command `inspect`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from artefact_id.options import add_photos, command, register_heif

if TYPE_CHECKING:
    from rich.table import Table

    from train.registers.inspection import Inspection, Row

LISTED_PROBLEMS = 200
"""More problems than this are counted, not listed; --json has them all."""


def add_inspect(commands: Any) -> None:
    """Adds the command `inspect`."""
    parser = command(
        commands,
        "inspect",
        _inspect,
        "show what a register holds and what is wrong with it",
        "Decodes every photo once. Unreadable photos are listed with the reason.",
    )
    add_photos(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _inspect(options: argparse.Namespace) -> None:
    from artefact_id.terminal import Terminal, print_json
    from train.registers.inspection import inspect

    register_heif()
    with Terminal() as terminal:
        inspection = inspect(
            options.photos,
            layout=options.layout,
            progress=terminal.callbacks.steps("decoding photos"),
        )
    if options.json:
        print_json(inspection.as_json())
    else:
        _print(inspection)


def _print(inspection: Inspection) -> None:
    """Prints the register's tables in the form of the paper's Table 2."""
    from artefact_id.terminal import output
    from mobile_assets.visible_text import visible

    console = output()
    console.print(
        visible(f"{inspection.source}: {inspection.objects} objects, {inspection.photos} photos"),
        markup=False,
    )
    console.print(_counts("Photos per object", "photos per object", inspection.per_object))
    console.print(_counts("Collections", "collection", inspection.per_collection))
    console.print(_counts("Threshold data sets", "photos", inspection.thresholds))
    kinds = ", ".join(f"{kind}: {count:,}" for kind, count in inspection.kinds.items())
    console.print(f"Files. {kinds}", markup=False)
    if inspection.problems:
        console.print(_problems(inspection))
    more = len(inspection.problems) - LISTED_PROBLEMS
    if more > 0:
        console.print(f"and {more} more, which --json lists")


def _counts(title: str, first: str, rows: Sequence[Row]) -> Table:
    from rich.table import Table

    from artefact_id.terminal import cell

    table = Table(title=title, title_justify="left")
    table.add_column(first)
    table.add_column("objects", justify="right")
    table.add_column("photos", justify="right")
    for row in rows:
        table.add_row(cell(row.name), f"{row.objects:,}", f"{row.photos:,}")
    return table


def _problems(inspection: Inspection) -> Table:
    from rich.table import Table

    from artefact_id.terminal import cell

    table = Table("what", "file", "why", title=f"{len(inspection.problems)} to look at")
    for problem in inspection.problems[:LISTED_PROBLEMS]:
        table.add_row(problem.kind, cell(problem.path), cell(problem.reason))
    return table
