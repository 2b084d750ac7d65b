"""The command `evaluate`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from artefact_id.options import PHOTOS_HELP, add_layout, command, register_heif
from mobile_assets.errors import InputError


def add_evaluate(commands: Any) -> None:
    """Adds the command `evaluate`."""
    parser = command(
        commands,
        "evaluate",
        _evaluate,
        "show the accuracy of a run, or of several that vote, in tables and figures",
        "  artefact-id evaluate run --photos photos --out evaluation\n"
        "  artefact-id evaluate run1 run2 run3 --photos photos --out evaluation\n"
        "  artefact-id evaluate run --photos photos --json\n\n"
        "Several runs must be of the same register; they vote by the mean of their probabilities.\n"
        "Photos that any of them trained on or validated with are left out.",
    )
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folders of `train`")
    parser.add_argument("--photos", type=Path, required=True, help="the register: " + PHOTOS_HELP)
    parser.add_argument(
        "--test-photos", type=Path, help="further photos of the same objects, tested as well"
    )
    add_layout(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for tables and the page")
    parser.add_argument("--force", action="store_true", help="replace a folder that is there")
    parser.add_argument("--json", action="store_true", help="print evaluation.json")
    parser.add_argument(
        "--figures",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="draw figures into --out (default: yes)",
    )
    parser.add_argument(
        "--resamples", type=int, default=1000, help="draws for the intervals (default: 1000)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the draws and figures (default: 0)")
    parser.add_argument("--latency-runs", type=int, default=15, help="timed runs (default: 15)")


def _evaluate(options: argparse.Namespace) -> None:
    from artefact_id.terminal import Terminal
    from benchmarks.evaluation.console import print_evaluation
    from benchmarks.evaluation.evaluate import EvaluateOptions, evaluate_runs

    register_heif()
    for name, least in (("resamples", 0), ("latency_runs", 0), ("seed", 0)):
        value = getattr(options, name)
        if value < least:
            raise InputError(f"--{name.replace('_', '-')} {value}: give {least} or more.")
    with Terminal() as terminal:
        evaluation = evaluate_runs(
            options.runs,
            options.photos,
            further=options.test_photos,
            out=options.out,
            options=EvaluateOptions(
                resamples=options.resamples,
                seed=options.seed,
                latency_runs=options.latency_runs,
                figures=options.figures,
                layout=options.layout,
                force=options.force,
            ),
            progress=terminal.progress,
        )
    print_evaluation(evaluation, options.out, json=options.json)
