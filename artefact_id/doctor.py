"""The command `doctor`."""

from __future__ import annotations

import argparse
from typing import Any

from artefact_id.options import command


def add_doctor(commands: Any) -> None:
    """Adds the command `doctor`."""
    parser = command(
        commands, "doctor", _doctor, "show what is installed and what each part can do here", ""
    )
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def _doctor(options: argparse.Namespace) -> None:
    from rich.table import Table

    from artefact_id.terminal import cell, output, print_json
    from benchmarks.pipeline.doctor import diagnose

    parts = diagnose()
    if options.json:
        print_json([part.as_json() for part in parts])
        return
    table = Table("part", "state", "what it can do here", "versions", "to get the rest")
    for part in parts:
        versions = "\n".join(f"{name} {version}" for name, version in part.versions.items())
        table.add_row(part.name, part.state, part.can, versions, cell(part.remedy))
    output().print(table)
