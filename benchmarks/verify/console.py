"""What `artefact-id verify` prints and writes: a table, JSON, JUnit XML."""

from __future__ import annotations

import platform
import sys
from itertools import groupby
from pathlib import Path

from junitparser import Failure, Skipped
from junitparser.xunit2 import TestCase
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.gates.junit import clean, junit_bytes, make_case, make_failure, make_suite
from benchmarks.verify.checks import Check, Verification
from mobile_assets.files import json_text, write_bytes
from train.versions import created_now, versions

_STYLES = {"ok": "green", "failed": "bold red", "not possible here": "yellow"}


def print_verification(found: Verification, *, json: bool) -> None:
    """Prints the checks as a table, or as JSON."""
    if json:
        sys.stdout.write(json_text(found.as_json()))
        return
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    table = Table("check", "variant", "on", "result", "what was found")
    for check in found.checks:
        result = f"[{_STYLES[check.state]}]{check.state}[/]"
        words = (check.name, check.subject, check.runtime)
        table.add_row(*map(escape, words), result, escape(check.said))
    console.print(table)
    console.print(f"{found.folder}: {found.summary}", markup=False, soft_wrap=True)


def verification_junit(found: Verification) -> bytes:
    """One suite per variant, and one of what is about the whole bundle; one case per check."""
    ordered = sorted(found.checks, key=lambda check: check.subject)  # stable: in order otherwise
    host = {"system": platform.system(), "machine": platform.machine()}
    return junit_bytes(
        make_suite(
            subject or "bundle",
            [_case(check) for check in checks],
            created=created_now(),
            properties=host | versions(),
        )
        for subject, checks in groupby(ordered, key=lambda check: check.subject)
    )


def write_verification_junit(path: Path, found: Verification) -> None:
    """Writes `verification_junit` by an atomic rename."""
    write_bytes(path, verification_junit(found))


def _case(check: Check) -> TestCase:
    result: Failure | Skipped | None = None
    if check.state == "failed":
        result = make_failure(check.said, "check", check.said)
    elif check.state == "not possible here":
        result = Skipped(clean(check.said))
    target = ".".join(name for name in (check.subject or "bundle", check.runtime) if name)
    return make_case(target, check.name, result)
