"""Results that are there already: `gate` and `explain`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artefact_id.acceptance import DEFAULT_GATE, acceptance_criteria, add_acceptance, answer
from artefact_id.options import command
from mobile_assets.errors import InputError

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


_EXPLAIN_HELP = """\
  artefact-id explain report --top1 0.61 --photos 120
  artefact-id explain --golden BUNDLE ANSWERS.json

With --top1: looks up a measured share of right answers among what each way of making the network's
input costs: swapped channels, a wrong range, a missed rotation, a phone's resampling.

With --golden: names the first stage (decoding, resizing, input, network, labels, verdict) at which
an app's answers to the bundle's golden photos differ, and the mistake that it looks like. The
app's test writes ANSWERS.json; each stage that it cannot show is left out:

  {"schema_version": 1,
   "variant": "tflite-int8",
   "accelerator": false,                          true: a GPU or neural engine computed
   "labels": ["A.1", "A.2", ...],                 the app's own list, in class order
   "photos": [                                    every photo of golden/golden.json, once
     {"photo": "orientation-6",
      "pixels":  {"width": 160, "height": 112, "file": "orientation-6.rgb"},    decoded, upright
      "resized": {"width": 224, "height": 224, "base64": "..."},                before arithmetic
      "input":   {"width": 224, "height": 224, "dtype": "float32", "file": "orientation-6.f32"},
      "probabilities": [0.91, 0.04, ...],
      "label": "A.1",                             the best object
      "verdict": "match"}],                       match, shortlist, not in the register
   "left_out": {"cmyk": "the app takes camera photos only"}}

Pixels are raw values, little-endian: rows from the top, pixels from the left, red, green, blue;
uint8 unless dtype says int8 or float32. A file lies beside ANSWERS.json and holds just these
values, or is .npy of [height, width, 3].

Exit codes of --golden: 0 everything shown agrees; 1 a difference is named; 2 ANSWERS.json or the
bundle cannot be used."""


def add_explain(commands: Any) -> None:
    """Adds the command `explain`."""
    parser = command(
        commands,
        "explain",
        _explain,
        "which mistake in an app makes the accuracy, or the answers, that it has",
        _EXPLAIN_HELP,
    )
    parser.add_argument(
        "file",
        type=Path,
        metavar="RESULTS|ANSWERS.json",
        help="results.json or the report's folder; with --golden the app's answers",
    )
    parser.add_argument(
        "--golden", type=Path, metavar="BUNDLE", help="the bundle whose golden photos were answered"
    )
    parser.add_argument("--top1", type=float, help="share of photos that the app is right on, 0–1")
    parser.add_argument("--photos", type=int, help="number of photos that the app was tried on")
    parser.add_argument("--json", action="store_true", help="print what is likely as JSON")


def _explain(options: argparse.Namespace) -> int:
    accuracy = (options.top1, options.photos)
    if options.golden is not None:
        if accuracy != (None, None):
            raise InputError("--golden compares photo by photo: leave --top1 and --photos out.")
        return _explain_answers(options)
    if None in accuracy:
        raise InputError(
            "Give --top1 and --photos, what the app reached on how many photos, "
            "or --golden BUNDLE and the app's answers to its golden photos."
        )
    _explain_accuracy(options)
    return 0


def _explain_answers(options: argparse.Namespace) -> int:
    from benchmarks.verify.app_answers import explain_answers
    from benchmarks.verify.console import print_app_diagnosis

    diagnosis = explain_answers(options.golden, options.file)
    print_app_diagnosis(diagnosis, json=options.json)
    return 0 if diagnosis.agrees else 1


def _explain_accuracy(options: argparse.Namespace) -> None:
    from benchmarks.gates.comparison import read_results
    from benchmarks.gates.diagnosis import matching_pipelines

    costs = read_results(options.file).preprocessing
    if not costs:
        raise InputError(
            f"{options.file} does not hold what ways of making the input cost. "
            "Measure again without --preprocessing 0."
        )
    _print_pipelines(matching_pipelines(costs, options.top1, options.photos), json=options.json)


def _print_pipelines(pipelines: Sequence[PreprocessingCost], *, json: bool) -> None:
    """Prints the ways of making the input that fit an app's accuracy, the nearest first."""
    from rich.table import Table

    from artefact_id.terminal import cell, messages, output, print_json

    if json:
        rows = [pipeline.model_dump(mode="json") for pipeline in pipelines]
        print_json(rows)
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
        table.add_row(cell(pipeline.name), right, f"{low:.1%} to {high:.1%}", cell(pipeline.what))
    output().print(table)
