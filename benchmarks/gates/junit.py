"""A judgement as JUnit XML, which build servers show as tests.

The elements and attributes are those of the schema that Ant's and Jenkins' readers share, in its
strict form: every suite has properties and both outputs, every attribute that is required is there.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path

from junitparser import Failure, JUnitXml, Skipped
from junitparser.xunit2 import TestCase, TestSuite

from benchmarks.gates.rules import GateVerdict
from benchmarks.results.schema import GateOutcome, Results, Row
from mobile_assets.files import write_bytes

# XML 1.0 has no way to write these, escaped or not.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(judgement: GateVerdict, results: Results) -> bytes:
    """One suite per threshold, one case per requirement that was judged or excused.

    Returns:
        The file's content, UTF-8.
    """
    cases = []
    for outcome in judgement.outcomes:
        text = f"Asked: {outcome.requirement}. Found: {outcome.measured}."
        result = None if outcome.passed else make_failure(outcome.measured, "gate", text)
        case = make_case(_target(outcome), outcome.requirement, result)
        cases.append((outcome.min_photos, case))
    for waived in judgement.excused:
        case = make_case(_target(waived.row), waived.requirement, Skipped(clean(waived.why)))
        cases.append((waived.row.min_photos, case))
    cases.sort(key=lambda pair: pair[0])
    return junit_bytes(
        make_suite(
            f"min{minimum}",
            [case for _, case in group],
            created=results.created,
            properties=results.host | results.versions,
        )
        for minimum, group in groupby(cases, key=lambda pair: pair[0])
    )


def write_junit(path: Path, judgement: GateVerdict, results: Results) -> None:
    """Writes `junit_xml` by an atomic rename."""
    write_bytes(path, junit_xml(judgement, results))


def junit_bytes(suites: Iterable[TestSuite]) -> bytes:
    """The content of a file with these suites, numbered from 0, UTF-8."""
    document = JUnitXml()
    for number, suite in enumerate(suites):
        suite.id = str(number)
        document.append(suite)
    stream = io.BytesIO()
    document.write(stream, pretty=True)
    return stream.getvalue()


def make_suite(
    name: str, cases: Iterable[TestCase], *, created: str, properties: Mapping[str, str]
) -> TestSuite:
    """A suite of cases."""
    suite = TestSuite(clean(name))
    suite.package = "artefact-id"
    # The schema knows no time zone; what stands before it is UTC.
    suite.timestamp = created[:19]
    suite.hostname = "localhost"
    for fact, value in properties.items():
        suite.add_property(clean(fact), clean(value))
    suite.add_testcases(cases)
    suite.system_out = suite.system_err = ""
    return suite


def make_case(classname: str, name: str, result: Failure | Skipped | None = None) -> TestCase:
    """A case, passed without a result."""
    case = TestCase(clean(name), clean(classname), 0)
    if result is not None:
        case.result = [result]
    return case


def make_failure(message: str, kind: str, text: str) -> Failure:
    """Why a case failed: in a line, of which kind, and at length."""
    failure = Failure(clean(message), kind)
    failure.text = clean(text)
    return failure


def _target(row: GateOutcome | Row) -> str:
    return ".".join(name for name in (row.variant, row.runtime, row.unit) if name)


def clean(text: str) -> str:
    """The text with what XML cannot hold replaced."""
    return _NOT_XML.sub("\ufffd", text)
