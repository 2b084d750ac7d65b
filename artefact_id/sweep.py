"""All thresholds at once: `sweep`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from artefact_id.acceptance import acceptance_criteria, answer
from artefact_id.benchmark import add_measuring, benchmark_options, print_results
from artefact_id.options import (
    add_out,
    add_photos,
    add_training,
    command,
    register_heif,
    train_options,
)
from mobile_assets.errors import InputError


def add_sweep(commands: Any) -> None:
    """Adds the command `sweep`."""
    parser = command(
        commands,
        "sweep",
        _sweep,
        "train, export and benchmark at the four thresholds",
        "  artefact-id sweep photos --out sweep\n\n"
        "Writes DIR/min3 … DIR/min6, each with a run and a bundle, and DIR/report.\n"
        "A sweep that was broken off goes on where it stopped when it is called again.",
    )
    add_photos(parser)
    add_out(parser, "DIR")
    parser.add_argument(
        "--thresholds", default="3,4,5,6", help="comma-separated (default: 3,4,5,6)"
    )
    parser.add_argument("--test-photos", type=Path, help="further photos of the same objects")
    parser.add_argument("--variants", help="comma-separated names (default: all)")
    parser.add_argument(
        "--compare",
        metavar="RECIPES",
        help="comma-separated recipes to compare with, such as probe",
    )
    parser.add_argument(
        "--processes",
        type=int,
        default=1,
        metavar="N",
        help="train and export N thresholds side by side; small networks take about half the time "
        "with 2 on 2 processors, and 2 GB of memory more (default: 1)",
    )
    add_training(parser)
    add_measuring(parser)
    parser.add_argument("--json", action="store_true", help="print results.json")


def _sweep(options: argparse.Namespace) -> None:
    from artefact_id.terminal import Terminal
    from benchmarks.pipeline.sweep import SweepOptions, run_sweep

    register_heif()
    try:
        thresholds = tuple(int(word) for word in options.thresholds.split(","))
    except ValueError:
        raise InputError(f"--thresholds {options.thresholds}: give numbers such as 3,4.") from None
    criteria = acceptance_criteria(options)
    chosen = SweepOptions(
        train=train_options(options, hold_out_test=options.test_photos is None),
        benchmark=benchmark_options(options, criteria),
        thresholds=thresholds,
        test_photos=options.test_photos,
        variants=tuple(options.variants.split(",")) if options.variants else None,
        references=tuple(
            (threshold, recipe)
            for threshold in thresholds
            for recipe in (options.compare or "").split(",")
            if recipe
        ),
        processes=options.processes,
        force=options.force,
    )
    with Terminal() as terminal:
        results = run_sweep(options.photos, options.out, chosen, terminal.callbacks)
    report = options.out / "report"
    print_results(results, report, json=options.json)
    answer(criteria, results, report=report, json=options.json)
