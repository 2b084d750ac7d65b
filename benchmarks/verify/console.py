"""What `artefact-id verify` and `explain --golden` print and write: tables, JSON, JUnit XML."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from xml.etree import ElementTree as ET

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.gates.junit import clean, junit_bytes, suite
from benchmarks.verify.checks import Check, Verification
from mobile_assets.app_diagnosis import AppDiagnosis
from mobile_assets.files import json_text, write_bytes
from train.versions import created_now, versions

_STYLES = {"ok": "green", "failed": "bold red", "not possible here": "yellow"}

SHOWN_CAUSES = 3
"""So many mistakes that may explain a difference are printed; `--json` has all."""


def print_verification(verification: Verification, *, json: bool) -> None:
    """Prints the checks as a table, or as JSON."""
    if json:
        sys.stdout.write(json_text(verification.as_json()))
        return
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    table = Table("check", "variant", "on", "result", "what was found")
    for check in verification.checks:
        result = f"[{_STYLES[check.state]}]{check.state}[/]"
        cells = (check.name, check.subject, check.runtime)
        table.add_row(*map(escape, cells), result, escape(check.said))
    console.print(table)
    console.print(f"{verification.folder}: {verification.summary}", markup=False, soft_wrap=True)


def print_app_diagnosis(diagnosis: AppDiagnosis, *, json: bool) -> None:
    """Prints where an app first differs from the golden vectors and what that looks like."""
    if json:
        sys.stdout.write(json_text(diagnosis.as_json()))
        return
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    differences = dict(diagnosis.differences)
    if diagnosis.label_map is not None:
        differences["(list of labels)"] = diagnosis.label_map
    if differences:
        table = Table("photo", "stage", "what differs", "what it alone looks like")
        for name, difference in differences.items():
            cells = (name, difference.stage, difference.found, difference.likely)
            table.add_row(*map(escape, cells))
        console.print(table)
    for name, reason in diagnosis.left_out.items():
        console.print(f"Left out: {name} ({reason})", markup=False, soft_wrap=True)
    for line in _conclusion(diagnosis):
        console.print(line, markup=False, soft_wrap=True)


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
    root = ET.Element("testsuites")
    ordered = sorted(
        verification.checks, key=lambda check: check.subject
    )  # stable: in order otherwise
    host = {"system": platform.system(), "machine": platform.machine()}
    for number, (subject, checks) in enumerate(groupby(ordered, key=lambda c: c.subject)):
        root.append(
            suite(
                number,
                subject or "bundle",
                [_case(check) for check in checks],
                created=created_now(),
                properties=host | versions(),
            )
        )
    return junit_bytes(root)


def write_verification_junit(path: Path, verification: Verification) -> None:
    """Writes `verification_junit` by an atomic rename."""
    write_bytes(path, verification_junit(verification))


def _case(check: Check) -> ET.Element:
    names = [name for name in (check.subject or "bundle", check.runtime) if name]
    name = clean(check.name)
    case = ET.Element("testcase", classname=clean(".".join(names)), name=name, time="0")
    if check.state == "failed":
        failure = ET.SubElement(case, "failure", type="check", message=clean(check.said))
        failure.text = clean(check.said)
    elif check.state == "not possible here":
        ET.SubElement(case, "skipped", message=clean(check.said))
    return case
