"""What `artefact-id verify` and `explain --golden` print and write: tables, JSON, JUnit XML."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from junitparser import Failure, Skipped
from junitparser.xunit2 import TestCase
from rich.table import Table

from benchmarks.gates.junit import clean, junit_bytes, make_case, make_failure, make_suite
from benchmarks.results.console import cell, output, print_json
from benchmarks.verify.checks import Check, Verification
from mobile_assets.app_diagnosis import AppDiagnosis
from mobile_assets.files import write_bytes
from mobile_assets.visible_text import visible
from train.versions import created_now, versions

_STYLES = {"ok": "green", "failed": "bold red", "not possible here": "yellow"}

SHOWN_CAUSES = 3
"""So many mistakes that may explain a difference are printed; `--json` has all."""


def print_verification(verification: Verification, *, json: bool) -> None:
    """Prints the checks as a table, or as JSON."""
    if json:
        print_json(verification.as_json())
        return
    console = output()
    table = Table("check", "variant", "on", "result", "what was found")
    for check in verification.checks:
        result = f"[{_STYLES[check.state]}]{check.state}[/]"
        cells = (check.name, check.subject, check.runtime)
        table.add_row(*map(cell, cells), result, cell(check.said))
    console.print(table)
    line = f"{verification.folder}: {verification.summary}"
    console.print(visible(line), markup=False, soft_wrap=True)


def print_app_diagnosis(diagnosis: AppDiagnosis, *, json: bool) -> None:
    """Prints where an app first differs from the golden vectors and what that looks like."""
    if json:
        print_json(diagnosis.as_json())
        return
    console = output()
    differences = dict(diagnosis.differences)
    if diagnosis.label_map is not None:
        differences["(list of labels)"] = diagnosis.label_map
    if differences:
        table = Table("photo", "stage", "what differs", "what it alone looks like")
        for name, difference in differences.items():
            cells = (name, difference.stage, difference.found, difference.likely)
            table.add_row(*map(cell, cells))
        console.print(table)
    for name, reason in diagnosis.left_out.items():
        console.print(visible(f"Left out: {name} ({reason})"), markup=False, soft_wrap=True)
    for line in _conclusion(diagnosis):
        console.print(visible(line), markup=False, soft_wrap=True)


def _conclusion(diagnosis: AppDiagnosis) -> Iterator[str]:
    count = len(diagnosis.agreeing)
    if diagnosis.stage is None:
        yield f"The app agrees with {diagnosis.variant} on all {count} golden photos it shows."
        return
    yield (
        f"The app first differs from {diagnosis.variant} at the stage {diagnosis.stage}, with "
        f"{len(diagnosis.photos)} of {count + len(diagnosis.differences)} golden photos."
    )
    if not diagnosis.causes:
        yield "No known mistake gives these values: compare this stage by hand."
    for number, (cause, photos) in enumerate(diagnosis.causes[:SHOWN_CAUSES]):
        start = "or" if number else "It looks like this"
        yield f"{start} ({photos} photo{'s'[: photos != 1]}): {cause}"


def verification_junit(verification: Verification) -> bytes:
    """One suite per variant, and one of what is about the whole bundle; one case per check."""
    # Sorting is stable: within a variant the checks stay in order.
    ordered = sorted(verification.checks, key=lambda check: check.subject)
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


def write_verification_junit(path: Path, verification: Verification) -> None:
    """Writes `verification_junit` by an atomic rename."""
    write_bytes(path, verification_junit(verification))


def _case(check: Check) -> TestCase:
    result: Failure | Skipped | None = None
    if check.state == "failed":
        result = make_failure(check.said, "check", check.said)
    elif check.state == "not possible here":
        result = Skipped(clean(check.said))
    target = ".".join(name for name in (check.subject or "bundle", check.runtime) if name)
    return make_case(target, check.name, result)
