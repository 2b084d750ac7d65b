"""What is asked of results after they were measured: gates, JUnit, a look at earlier results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from benchmarks.gates.comparison import AGAINST_FILE, ResultsComparison, compare, read_results
from benchmarks.gates.junit import write_junit
from benchmarks.gates.rules import GateVerdict, judge
from benchmarks.report.comparison_page import write_against
from benchmarks.results.schema import Results
from export.bundle.ship_limits import DEFAULT_GATES, Gates, read_gates
from mobile_assets.errors import InputError
from mobile_assets.files import check_output


@dataclass(frozen=True)
class AcceptanceCriteria:
    """What is asked, read and checked before anything is measured."""

    gates: Gates | None = None
    junit: Path | None = None
    old: Results | None = None

    @classmethod
    def read(cls, gate: Path | None, junit: Path | None, against: Path | None) -> Self:
        """Reads the files that the user named.

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

    def judge(self, results: Results, *, report: Path | None) -> AcceptanceOutcome:
        """Compares and judges, and writes the files that were asked for."""
        comparison = None if self.old is None else compare(results, self.old)
        verdict = None if self.gates is None else judge(results, self.gates)
        if comparison is not None and report is not None:
            write_against(report / AGAINST_FILE, comparison)
            comparison.write((report / AGAINST_FILE).with_suffix(".json"))
        if verdict is not None and self.junit is not None:
            write_junit(self.junit, verdict, results)
        return AcceptanceOutcome(comparison, verdict)


@dataclass(frozen=True)
class AcceptanceOutcome:
    """What came of it."""

    comparison: ResultsComparison | None
    verdict: GateVerdict | None

    def as_json(self) -> dict[str, Any]:
        """For `--json`: `gates` and `against`, as far as they were asked for."""
        value: dict[str, Any] = {}
        if self.verdict is not None:
            value["gates"] = [outcome.model_dump(mode="json") for outcome in self.verdict.outcomes]
        if self.comparison is not None:
            value["against"] = self.comparison.model_dump(mode="json")
        return value

    def check(self) -> None:
        """Does nothing if every gate holds.

        Raises:
            CheckFailedError: One does not.
        """
        if self.verdict is not None:
            self.verdict.check()
