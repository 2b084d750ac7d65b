"""The command `scan`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artefact_id.options import add_trust, command, trusted_key
from mobile_assets.errors import InputError

if TYPE_CHECKING:
    from benchmarks.scan.scan import ScanSummary


def add_scan(commands: Any) -> None:
    """Adds the command `scan`."""
    parser = command(
        commands,
        "scan",
        _scan,
        "go through many photos, as of an auction, for objects of the register",
        "  artefact-id scan auction/ --bundle bundle --out found\n"
        "  artefact-id scan lots.csv --bundle bundle --out found --processes 8\n"
        "  artefact-id scan /shared/lots.csv --bundle /shared/bundle --out found --ray auto\n\n"
        "A table needs a column `path`; its other columns come back beside the answers.\n"
        "Given again, it goes on where it ended. With a changed register the photos are searched\n"
        "again without being decoded.",
    )
    parser.add_argument("photos", type=Path, metavar="PHOTOS", help="a folder, or a CSV of paths")
    parser.add_argument("--bundle", type=Path, required=True, help="folder that `export` wrote")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of results")
    parser.add_argument(
        "--processes", type=int, metavar="N", help="on this machine (default: one for each core)"
    )
    parser.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="use the machines of a Ray cluster that see photos and bundle under the same paths; "
        "`auto` for the one that runs here",
    )
    parser.add_argument("--variant", help="default: the one that the bundle recommends")
    parser.add_argument(
        "--rate",
        type=float,
        metavar="SHARE",
        help="false matches that are borne, one that the bundle has (default: its first, 0.01)",
    )
    parser.add_argument(
        "--page-photos", type=int, default=200, metavar="N", help="on the page (default: 200)"
    )
    add_trust(parser)
    parser.add_argument("--json", action="store_true", help="print a summary as JSON")


def _scan(options: argparse.Namespace) -> None:
    from artefact_id.terminal import Terminal, print_json
    from benchmarks.scan.scan import ScanOptions, scan

    if options.processes is not None and options.processes < 1:
        raise InputError(f"--processes {options.processes}: give 1 or more.")
    if options.page_photos < 0:
        raise InputError(f"--page-photos {options.page_photos}: give 0 or more.")
    with Terminal() as terminal:
        summary = scan(
            options.photos,
            options.bundle,
            options.out,
            ScanOptions(
                processes=options.processes,
                ray=options.ray,
                variant=options.variant,
                false_match_rate=options.rate,
                page_photos=options.page_photos,
                trusted=trusted_key(options),
            ),
            terminal.callbacks,
        )
    if options.json:
        print_json(summary.as_json())
    else:
        _print(summary)


def _print(summary: ScanSummary) -> None:
    """Prints how many photos had which answer, and where they are listed."""
    from rich.table import Table

    from artefact_id.terminal import output
    from mobile_assets.visible_text import visible

    console = output()
    table = Table("answer", "photos")
    for answer, count in summary.counts.items():
        table.add_row(answer, f"{count:,}")
    console.print(table)
    for path in (summary.table, summary.page):
        console.print(visible(str(path)), markup=False, soft_wrap=True)
