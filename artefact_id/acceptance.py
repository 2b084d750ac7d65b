"""The options `--gate`, `--junit` and `--against`, and how their outcome is printed."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mobile_assets.visible_text import visible

if TYPE_CHECKING:
    from benchmarks.gates.comparison import ResultsComparison
    from benchmarks.gates.rules import GateVerdict
    from benchmarks.pipeline.acceptance import AcceptanceCriteria
    from benchmarks.results.schema import Results

DEFAULT_GATE = "default"
"""What `--gate` means without a file."""


def add_acceptance(parser: argparse.ArgumentParser) -> None:
    """What the results are held against."""
    group = parser.add_argument_group("judging")
    group.add_argument(
        "--gate",
        nargs="?",
        const=DEFAULT_GATE,
        metavar="GATES",
        help="hold the results against a gates file (without a name: the toolkit's own); exit "
        "code 1 and a list if anything does not hold",
    )
    group.add_argument(
        "--junit", type=Path, metavar="FILE", help="write what the gate found as JUnit XML"
    )
    group.add_argument(
        "--against",
        type=Path,
        metavar="OLD",
        help="say what got better or worse than in an earlier results.json, and whether beyond "
        "noise",
    )


def acceptance_criteria(options: argparse.Namespace) -> AcceptanceCriteria:
    """What is asked of the results, its files read before anything is measured."""
    from benchmarks.pipeline.acceptance import AcceptanceCriteria
    from export.bundle.ship_limits import DEFAULT_GATES

    gate = options.gate and (DEFAULT_GATES if options.gate == DEFAULT_GATE else Path(options.gate))
    return AcceptanceCriteria.read(gate, options.junit, options.against)


def answer(
    criteria: AcceptanceCriteria, results: Results, *, report: Path | None, json: bool
) -> None:
    """Judges results, writes what was asked for, and prints it.

    Args:
        criteria: What was asked.
        results: What was measured.
        report: Folder for the page of the comparison; None to print it only.
        json: Print one JSON object instead of tables; with a report, standard output is left to
            the results.

    Raises:
        CheckFailedError: A gate does not hold; everything is written and printed by then.
    """
    from artefact_id.terminal import print_json

    outcome = criteria.judge(results, report=report)
    if json:
        if report is None:
            print_json(outcome.as_json())
    else:
        if outcome.comparison is not None:
            print_comparison(outcome.comparison)
        if outcome.verdict is not None:
            print_verdict(outcome.verdict)
    outcome.check()


def print_comparison(comparison: ResultsComparison) -> None:
    """Prints what moved, then the table, then what must be known to read it."""
    from artefact_id.terminal import output
    from benchmarks.gates.comparison import notable
    from benchmarks.report.comparison_page import against_table, remarks, sentence, summary

    console = output()
    lines = [summary(comparison)]
    for change_kind in ("worse", "better"):
        for row, change in notable(comparison, change_kind):
            lines.append(f"{change_kind}: {sentence(row, change)}")
    for line in lines:
        console.print(visible(line), markup=False, soft_wrap=True)
    if comparison.rows:
        console.print(against_table(comparison))
    for remark in remarks(comparison):
        console.print(visible(remark), markup=False, soft_wrap=True)


def print_verdict(verdict: GateVerdict) -> None:
    """Prints how many requirements hold, and what was not judged; `check` tells the failures."""
    from artefact_id.terminal import messages
    from benchmarks.gates.rules import target_label

    held = len(verdict.outcomes) - len(verdict.failed)
    lines = [f"Gates: {held} of {len(verdict.outcomes)} requirements hold."]
    unjudged = {
        f"{target_label(excused.row)} ({excused.why.rstrip('.')})" for excused in verdict.excused
    }
    if unjudged:
        lines.append(f"Judged by size alone or not at all: {'; '.join(sorted(unjudged))}.")
    if verdict.unmatched:
        lines.append(f"Rules without a row: {'; '.join(verdict.unmatched)}.")
    for line in lines:
        messages().print(visible(line), markup=False, soft_wrap=True)
