"""Results that are there already: `gate` and `explain`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artefact_id.acceptance import DEFAULT_GATE, acceptance_criteria, add_acceptance, answer
from artefact_id.options import command
from mobile_assets.errors import InputError
from mobile_assets.files import json_text

if TYPE_CHECKING:
    from benchmarks.results.schema import PreprocessingCost


def add_gate(commands: Any) -> None:
    """Adds the command `gate`."""
    parser = command(
        commands,
        "gate",
        _gate,
        "hold results that are already measured against a gate, or against earlier ones",
        "  artefact-id gate report\n"
        "  artefact-id gate report/results.json --gate gates.json --junit gates.xml\n"
        "  artefact-id gate report --against earlier/report\n\n"
        "Without --gate and --against, the toolkit's own gate is held.",
    )
    parser.add_argument(
        "results", type=Path, metavar="RESULTS", help="results.json, or the report's folder"
    )
    add_acceptance(parser)
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")


def _gate(options: argparse.Namespace) -> None:
    from benchmarks.gates.comparison import read_results

    if options.gate is None and options.against is None:
        options.gate = DEFAULT_GATE
    criteria = acceptance_criteria(options)
    answer(criteria, read_results(options.results), report=None, json=options.json)


def add_explain(commands: Any) -> None:
    """Adds the command `explain`."""
    parser = command(
        commands,
        "explain",
        _explain,
        "which mistake in an app makes the accuracy that it has",
        "  artefact-id explain report --top1 0.61 --photos 120\n\n"
        "Looks up a measured share of right answers among what each way of making the network's\n"
        "input costs: swapped channels, a wrong range, a missed rotation, a phone's resampling.",
    )
    parser.add_argument(
        "results", type=Path, metavar="RESULTS", help="results.json, or the report's folder"
    )
    parser.add_argument(
        "--top1", type=float, required=True, help="share of photos that the app is right on, 0–1"
    )
    parser.add_argument(
        "--photos", type=int, required=True, help="number of photos that the app was tried on"
    )
    parser.add_argument("--json", action="store_true", help="print the ways that fit as JSON")


def _explain(options: argparse.Namespace) -> None:
    from benchmarks.gates.comparison import read_results
    from benchmarks.gates.diagnosis import matching_pipelines

    costs = read_results(options.results).preprocessing
    if not costs:
        raise InputError(
            f"{options.results} does not hold what ways of making the input cost. "
            "Measure again without --preprocessing 0."
        )
    _print_pipelines(matching_pipelines(costs, options.top1, options.photos), json=options.json)


def _print_pipelines(pipelines: Sequence[PreprocessingCost], *, json: bool) -> None:
    """Prints the ways of making the input that fit an app's accuracy, the nearest first."""
    from rich.markup import escape
    from rich.table import Table

    from artefact_id.terminal import messages, output

    if json:
        rows = [pipeline.model_dump(mode="json") for pipeline in pipelines]
        sys.stdout.write(json_text(rows))
        return
    if not pipelines:
        messages().print(
            "No way of making the input gives this share: look for the cause elsewhere."
        )
        return
    table = Table("way", "right", "95 %", "what is done")
    for pipeline in pipelines:
        low, high = pipeline.top1_ci95 or (0.0, 1.0)
        right = f"{pipeline.top1 or 0:.1%}"
        table.add_row(pipeline.name, right, f"{low:.1%} to {high:.1%}", escape(pipeline.what))
    output().print(table)
