"""What is asked of results after they were measured: gates, JUnit, a look at earlier results."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from rich.console import Console

from benchmarks.gates.comparison import (
    AGAINST_FILE,
    ResultsComparison,
    compare,
    notable,
    read_results,
)
from benchmarks.gates.junit import write_junit
from benchmarks.gates.rules import GateVerdict, judge, target_label
from benchmarks.report.comparison_page import (
    against_table,
    remarks,
    sentence,
    summary,
    write_against,
)
from benchmarks.results.schema import Results
from export.bundle.ship_limits import DEFAULT_GATES, Gates, read_gates
from mobile_assets.errors import InputError
from mobile_assets.files import check_output, json_text

_WIDTH = 120
"""Of a pipe, which has no width of its own."""


@dataclass(frozen=True)
class AcceptanceCriteria:
    """What is asked, read and checked before anything is measured.

    Attributes:
        gates: What the results must keep; None to ask nothing.
        junit: Where to write the outcomes for a build server; None for nowhere.
        old: Earlier results to compare with; None for none.
    """

    gates: Gates | None = None
    junit: Path | None = None
    old: Results | None = None

    @classmethod
    def read(cls, gate: Path | None, junit: Path | None, against: Path | None) -> Self:
        """Reads the files that the user named.

        Args:
            gate: Gates file; None to hold no gate.
            junit: File to write; it is replaced.
            against: Earlier `results.json`, or its folder.

        Raises:
            InputError: A file cannot be used, or JUnit is asked for without a gate.
            DamagedError: The earlier results are damaged.
        """
        if junit is not None:
            if gate is None:
                raise InputError(
                    f"--junit {junit} is for the outcomes of gates: add --gate, which alone holds "
                    f"{DEFAULT_GATES.name} of the toolkit."
                )
            if junit.is_dir():
                raise InputError(f"--junit {junit} is a folder. Give the name of a file to write.")
            check_output(junit, force=True, what="JUnit file")
        return cls(
            gates=None if gate is None else read_gates(gate),
            junit=junit,
            old=None if against is None else read_results(against),
        )

    def answer(self, results: Results, *, report: Path | None, json: bool) -> None:
        """Compares, judges, writes and prints; the last is the failure, if there is one.

        Args:
            results: What was measured.
            report: Folder for the page of the comparison; None to print it only.
            json: Print one JSON object, with `gates` and `against` as far as asked, instead of
                tables; with a report, standard output is left to the results.

        Raises:
            CheckFailedError: A gate does not hold; everything is written by then.
        """
        found = None if self.old is None else compare(results, self.old)
        judgement = None if self.gates is None else judge(results, self.gates)
        if found is not None and report is not None:
            write_against(report / AGAINST_FILE, found)
            found.write((report / AGAINST_FILE).with_suffix(".json"))
        if judgement is not None and self.junit is not None:
            write_junit(self.junit, judgement, results)
        if not json:
            self._print(found, judgement)
        elif report is None:
            sys.stdout.write(json_text(_as_json(found, judgement)))
        if judgement is not None:
            judgement.check()

    def _print(self, found: ResultsComparison | None, judgement: GateVerdict | None) -> None:
        if found is not None:
            print_against(found)
        if judgement is not None:
            print_judgement(judgement)


def print_against(found: ResultsComparison) -> None:
    """Prints what moved, then the table, then what must be known to read it."""
    width = None if sys.stdout.isatty() else _WIDTH
    console = Console(highlight=False, width=width)
    console.print(summary(found), markup=False, soft_wrap=True)
    for verdict in ("worse", "better"):
        for row, change in notable(found, verdict):
            console.print(f"{verdict}: {sentence(row, change)}", markup=False, soft_wrap=True)
    if found.rows:
        console.print(against_table(found))
    for remark in remarks(found):
        console.print(remark, markup=False, soft_wrap=True)


def print_judgement(judgement: GateVerdict) -> None:
    """Prints how many requirements hold, and what was not judged; failures are told by `check`."""
    console = Console(stderr=True, highlight=False)
    held = len(judgement.outcomes) - len(judgement.failed)
    lines = [f"Gates: {held} of {len(judgement.outcomes)} requirements hold."]
    unjudged = {
        f"{target_label(excused.row)} ({excused.why.rstrip('.')})" for excused in judgement.excused
    }
    if unjudged:
        lines.append(f"Judged by size alone or not at all: {'; '.join(sorted(unjudged))}.")
    if judgement.unmatched:
        lines.append(f"Rules without a row: {'; '.join(judgement.unmatched)}.")
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


def _as_json(found: ResultsComparison | None, judgement: GateVerdict | None) -> dict[str, Any]:
    value: dict[str, Any] = {}
    if judgement is not None:
        value["gates"] = [outcome.model_dump(mode="json") for outcome in judgement.outcomes]
    if found is not None:
        value["against"] = found.model_dump(mode="json")
    return value
