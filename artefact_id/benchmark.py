"""What is measured, and the command `benchmark`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artefact_id.acceptance import acceptance_criteria, add_acceptance, answer
from artefact_id.options import PHOTOS_HELP, add_layout, add_out, command, register_heif
from mobile_assets.errors import InputError
from mobile_assets.visible_text import visible

if TYPE_CHECKING:
    from benchmarks.pipeline.acceptance import AcceptanceCriteria
    from benchmarks.pipeline.benchmark import BenchmarkOptions
    from benchmarks.results.schema import Results

ANDROID_OPTIONS = (
    (
        "--android-benchmark-model",
        "ARTEFACT_ID_BENCHMARK_MODEL",
        "LiteRT's benchmark_model for Android, for the runtime android",
    ),
    (
        "--android-runner",
        "ARTEFACT_ID_ANDROID_RUNNER",
        "program that answers photos on the phone, for accuracy there",
    ),
    ("--android-serial", "ANDROID_SERIAL", "which phone, where adb knows several"),
)
"""Options of the runtime android, and the environment variables that they set."""


def add_benchmark(commands: Any) -> None:
    """Adds the command `benchmark`."""
    parser = command(
        commands,
        "benchmark",
        _benchmark,
        "compare every variant with the full-precision model, write a report",
        "  artefact-id benchmark bundle --photos photos --out report\n"
        "  artefact-id benchmark bundle --photos photos --test-photos more --out report\n"
        "  artefact-id benchmark bundle --photos photos --out report --gate --junit gates.xml\n"
        "  artefact-id benchmark bundle --photos photos --out report --against earlier",
    )
    parser.add_argument("bundles", type=Path, nargs="+", metavar="BUNDLE", help="bundle folders")
    parser.add_argument("--photos", type=Path, required=True, help="the register: " + PHOTOS_HELP)
    parser.add_argument(
        "--test-photos", type=Path, help="further photos of the same objects, tested as well"
    )
    parser.add_argument("--run", type=Path, dest="run_folder", help="run of the (one) bundle")
    add_layout(parser)
    add_out(parser, "REPORT")
    add_measuring(parser)
    parser.add_argument("--json", action="store_true", help="print results.json")


def add_measuring(parser: argparse.ArgumentParser) -> None:
    """What is measured, on which runtimes, and how thoroughly."""
    group = parser.add_argument_group("measuring")
    group.add_argument("--latency-runs", type=int, default=50, help="timed runs (default: 50)")
    group.add_argument("--threads", default="1,2,4", help="comma-separated (default: 1,2,4)")
    group.add_argument(
        "--runtimes",
        metavar="NAMES",
        help="comma-separated: torch, litert, tensorflow, litert-arm64, coreml, coreml-reference, "
        "android (default: those that are quick and here; `doctor` lists them); torch is the "
        "reference and always measured",
    )
    for option, variable, what in ANDROID_OPTIONS:
        group.add_argument(option, metavar="WHICH", help=f"{what} (or ${variable})")
    group.add_argument("--limit", type=int, help="test at most so many photos")
    group.add_argument(
        "--preprocessing",
        type=int,
        default=200,
        metavar="PHOTOS",
        help="photos on which the cost of each phone's own resampling and of usual mistakes is "
        "measured, at the lowest threshold; 0 for none (default: 200)",
    )
    group.add_argument(
        "--no-speed", dest="measure_speed", action="store_false", help="accuracy only"
    )
    add_acceptance(parser)


def benchmark_options(
    options: argparse.Namespace, criteria: AcceptanceCriteria
) -> BenchmarkOptions:
    """The options of measuring that were given.

    Raises:
        InputError: One of them cannot be used.
    """
    from benchmarks.pipeline.benchmark import BenchmarkOptions

    for option, variable, _ in ANDROID_OPTIONS:
        given = getattr(options, option.strip("-").replace("-", "_"))
        if given:  # the runtime reads the variable, so that it is the same with and without us
            os.environ[variable] = given
    try:
        threads = tuple(int(word) for word in options.threads.split(","))
    except ValueError:
        raise InputError(f"--threads {options.threads}: give numbers such as 1,2,4.") from None
    return BenchmarkOptions(
        runtimes=tuple(options.runtimes.split(",")) if options.runtimes else None,
        preprocessing=options.preprocessing,
        latency_runs=options.latency_runs,
        threads=threads,
        limit=options.limit,
        measure_speed=options.measure_speed,
        gates=criteria.gates,
        force=options.force,
    )


def _benchmark(options: argparse.Namespace) -> None:
    from artefact_id.terminal import Terminal
    from benchmarks.pipeline.benchmark import benchmark_bundles

    register_heif()
    criteria = acceptance_criteria(options)
    with Terminal() as terminal:
        results = benchmark_bundles(
            options.bundles,
            options.photos,
            options.out,
            test_photos=options.test_photos,
            run=options.run_folder,
            layout=options.layout,
            options=benchmark_options(options, criteria),
            progress=terminal.progress,
        )
    print_results(results, options.out, json=options.json)
    answer(criteria, results, report=options.out, json=options.json)


def print_results(results: Results, report: Path, *, json: bool = False) -> None:
    """Prints the table of results and where the report lies."""
    from artefact_id.terminal import messages, output, print_json
    from benchmarks.report.parity_table import results_table
    from benchmarks.report.slowdowns import pace_sentence

    if json:
        print_json(results.model_dump(mode="json", by_alias=True))
    else:
        output().print(results_table(results))
    for line in (pace_sentence(results.rows), f"The report: {report / 'report.html'}"):
        if line:
            messages().print(visible(line), markup=False, soft_wrap=True)
