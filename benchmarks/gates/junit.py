"""A judgement as JUnit XML, which build servers show as tests.

The elements and attributes are those of the schema that Ant's and Jenkins' readers share, in its
strict form: every suite has properties and both outputs, every attribute that is required is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from xml.etree import ElementTree as ET

from benchmarks.gates.rules import GateVerdict
from benchmarks.results.schema import GateOutcome, Results, Row
from mobile_assets.files import write_bytes

# XML 1.0 has no way to write these, escaped or not.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Case = tuple[int, ET.Element]


def junit_xml(judgement: GateVerdict, results: Results) -> bytes:
    """One suite per threshold, one case per requirement that was judged or excused.

    Args:
        judgement: What came of holding the gates.
        results: What they were held against: its date and machine stand in the file.

    Returns:
        The file's content, UTF-8.
    """
    cases: list[Case] = [(outcome.min_photos, _case(outcome)) for outcome in judgement.outcomes]
    for excused in judgement.excused:
        case = _element(excused.row, excused.requirement)
        ET.SubElement(case, "skipped", message=clean(excused.why))
        cases.append((excused.row.min_photos, case))
    root = ET.Element("testsuites")
    cases.sort(key=lambda case: case[0])
    for number, (minimum, group) in enumerate(groupby(cases, key=lambda case: case[0])):
        root.append(
            suite(
                number,
                f"min{minimum}",
                [case for _, case in group],
                created=results.created,
                properties=results.host | results.versions,
            )
        )
    return junit_bytes(root)


def junit_bytes(root: ET.Element) -> bytes:
    """The content of a file with this root, UTF-8."""
    ET.indent(root)
    # The declaration is written here since ElementTree quotes it in its own way.
    body = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'.encode()


def write_junit(path: Path, judgement: GateVerdict, results: Results) -> None:
    """Writes `junit_xml` by an atomic rename."""
    write_bytes(path, junit_xml(judgement, results))


def suite(
    number: int,
    name: str,
    cases: list[ET.Element],
    *,
    created: str,
    properties: dict[str, str],
) -> ET.Element:
    """A suite of cases.

    Args:
        number: Counted from 0 in the file.
        name: The suite's name.
        cases: Its `testcase` elements.
        created: When, ISO 8601 in UTC.
        properties: Facts that stand beside the cases.
    """
    made = ET.Element(
        "testsuite",
        id=str(number),
        package="artefact-id",
        name=clean(name),
        # The schema knows no time zone; what stands before it is UTC.
        timestamp=created[:19],
        hostname="localhost",
        tests=str(len(cases)),
        failures=_count(cases, "failure"),
        errors="0",
        skipped=_count(cases, "skipped"),
        time="0",
    )
    facts = ET.SubElement(made, "properties")
    for fact, value in properties.items():
        ET.SubElement(facts, "property", name=clean(fact), value=clean(value))
    made.extend(cases)
    ET.SubElement(made, "system-out")
    ET.SubElement(made, "system-err")
    return made


def _count(cases: Iterable[ET.Element], tag: str) -> str:
    return str(sum(case.find(tag) is not None for case in cases))


def _case(outcome: GateOutcome) -> ET.Element:
    case = _element(outcome, outcome.requirement)
    if not outcome.passed:
        failure = ET.SubElement(case, "failure", type="gate", message=clean(outcome.measured))
        failure.text = clean(f"Asked: {outcome.requirement}. Found: {outcome.measured}.")
    return case


def _element(of: GateOutcome | Row, requirement: str) -> ET.Element:
    names = (of.variant, of.runtime, of.unit)
    classname = ".".join(name for name in names if name)
    return ET.Element("testcase", classname=clean(classname), name=clean(requirement), time="0")


def clean(text: str) -> str:
    """The text with what XML cannot hold replaced."""
    return _NOT_XML.sub("\ufffd", text)
