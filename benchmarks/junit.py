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

from benchmarks.gates import Judgement
from benchmarks.results import GateOutcome, Results, Row
from mobile_assets.files import write_bytes

# XML 1.0 has no way to write these, escaped or not.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Case = tuple[int, ET.Element]


def junit_xml(judgement: Judgement, results: Results) -> bytes:
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
        ET.SubElement(case, "skipped", message=_clean(excused.why))
        cases.append((excused.row.min_photos, case))
    root = ET.Element("testsuites")
    cases.sort(key=lambda case: case[0])
    for number, (minimum, group) in enumerate(groupby(cases, key=lambda case: case[0])):
        root.append(_suite(number, minimum, [case for _, case in group], results))
    ET.indent(root)
    # The declaration is written here since ElementTree quotes it in its own way.
    body = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'.encode()


def write_junit(path: Path, judgement: Judgement, results: Results) -> None:
    """Writes `junit_xml` by an atomic rename."""
    write_bytes(path, junit_xml(judgement, results))


def _suite(number: int, minimum: int, cases: list[ET.Element], results: Results) -> ET.Element:
    suite = ET.Element(
        "testsuite",
        id=str(number),
        package="artefact-id",
        name=f"min{minimum}",
        # The schema knows no time zone; what stands before it is UTC.
        timestamp=results.created[:19],
        hostname="localhost",
        tests=str(len(cases)),
        failures=_count(cases, "failure"),
        errors="0",
        skipped=_count(cases, "skipped"),
        time="0",
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in (results.host | results.versions).items():
        ET.SubElement(properties, "property", name=_clean(name), value=_clean(value))
    suite.extend(cases)
    ET.SubElement(suite, "system-out")
    ET.SubElement(suite, "system-err")
    return suite


def _count(cases: Iterable[ET.Element], tag: str) -> str:
    return str(sum(case.find(tag) is not None for case in cases))


def _case(outcome: GateOutcome) -> ET.Element:
    case = _element(outcome, outcome.requirement)
    if not outcome.passed:
        failure = ET.SubElement(case, "failure", type="gate", message=_clean(outcome.measured))
        failure.text = _clean(f"Asked: {outcome.requirement}. Found: {outcome.measured}.")
    return case


def _element(of: GateOutcome | Row, requirement: str) -> ET.Element:
    names = (of.variant, of.runtime, of.unit)
    classname = ".".join(name for name in names if name)
    return ET.Element("testcase", classname=_clean(classname), name=_clean(requirement), time="0")


def _clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
