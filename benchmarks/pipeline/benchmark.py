"""The benchmark: bundles in, `results.json`, tables and the report out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.gates.rules import judge
from benchmarks.measure.breakdowns import flipped_answers
from benchmarks.measure.cases import check_objects, locate_run
from benchmarks.measure.evaluation_set import (
    choose_test_photos,
    exclude_training_photos,
    sample_photos,
    validation_photos,
)
from benchmarks.measure.host import command_line, describe_host
from benchmarks.measure.latency import LatencyPlan, measure_latencies
from benchmarks.measure.parity import (
    Candidate,
    Progress,
    measure_answers,
    measure_phones,
    runnable_candidates,
    with_answers,
)
from benchmarks.measure.result_rows import case_rows, make_test_set, reference_row
from benchmarks.measure.structure import StructureCheck, structural_checks
from benchmarks.results.measurement import BenchmarkCase, Measurement
from benchmarks.results.schema import REFERENCE_RUNTIME, PreprocessingCost, Results, Row, Settings
from benchmarks.results.target import BenchmarkTarget
from benchmarks.runtimes import DEFAULT, runtimes
from export.bundle.ship_limits import Gates
from mobile_assets.bundle import Bundle, read_bundle
from mobile_assets.errors import InputError
from mobile_assets.files import check_output, new_folder, write_text
from mobile_assets.plan_checks import check_packages, check_place
from train.registers.readers import Layout, register_root
from train.run import Run
from train.versions import created_now, versions

if TYPE_CHECKING:
    from benchmarks.runtimes.android.measure import PhoneReply

VALIDATION_PHOTOS = 1000
"""At most so many validation photos are asked to fit a temperature."""

REPORT_PACKAGES = ("jinja2", "psutil", "scipy")
"""What the report and its intervals are made with."""


@dataclass(frozen=True)
class BenchmarkOptions:
    """How a benchmark is made.

    Attributes:
        runtimes: Names of the runtimes; None for the default ones that this machine has. `torch`
            is the reference: it is always measured, and may be the only one.
        latency_runs: Timed runs per variant, after the warm-up.
        threads: Threads for the runtimes; the first is the one that tables show.
        starts: Fresh processes whose median is the cold load.
        speed_above: False to measure speed at the lowest threshold only: networks of more
            thresholds differ in their last layer alone.
        bootstrap: Resamples for the interval of the accuracy drop; 0 for none.
        preprocessing: Photos on which ways of making the network's input are compared, at the
            lowest threshold; 0 for none.
        seed: Seed of the resampling and of `limit`.
        limit: Measure on so many test photos, drawn at random; None for all.
        gates: What the results must keep; the outcomes stand in them. None to ask nothing.
        notes: What the reader of the report should know of how it was made, a sentence each.
    """

    runtimes: tuple[str, ...] | None = None
    latency_runs: int = 50
    warmup: int = 10
    threads: tuple[int, ...] = (1, 2, 4)
    starts: int = 3
    measure_speed: bool = True
    speed_above: bool = True
    bootstrap: int = 2000
    preprocessing: int = 200
    seed: int = 0
    limit: int | None = None
    gates: Gates | None = None
    notes: tuple[str, ...] = ()
    force: bool = False

    @property
    def executed(self) -> tuple[str, ...]:
        """Names of the runtimes that execute variants."""
        names = self.runtimes or DEFAULT
        return tuple(name for name in names if name != REFERENCE_RUNTIME)

    def __post_init__(self) -> None:
        """Checks the numbers.

        Raises:
            InputError: One is out of range.
        """
        low = min(self.latency_runs, self.starts, *self.threads)
        if not self.threads or low < 1 or self.warmup < 0 or self.bootstrap < 0:
            raise InputError(
                f"threads {self.threads}, {self.latency_runs} latency runs and {self.starts} "
                f"starts must be 1 or more, warm-up {self.warmup} and bootstrap "
                f"{self.bootstrap} 0 or more."
            )
        if self.preprocessing < 0:
            raise InputError(
                f"{self.preprocessing} photos for preprocessing: give 0 for none, or more."
            )
        if self.limit is not None and self.limit < 1:
            raise InputError(f"A limit of {self.limit} leaves no photo. Give 1 or more, or none.")
        for name in self.executed if self.runtimes else ():
            lacking = [runtime.missing() for runtime in runtimes(name)]
            if all(lacking):
                raise InputError(f"The runtime {name} cannot be used here: {lacking[0]}")


def run_benchmark(
    cases: Sequence[BenchmarkCase],
    out: Path,
    *,
    options: BenchmarkOptions,
    extra_rows: Sequence[Row] = (),
    progress: Progress | None = None,
) -> Results:
    """Measures every variant of every bundle and writes what was found.

    Args:
        cases: What to measure; bundles of several thresholds give one table.
        out: Folder for `results.json`, `results.csv`, `results.md` and `report.html`; it appears
            whole or not at all.
        options: How to measure.
        extra_rows: Reference points from elsewhere, made by `rows.reference_point`.
        progress: Called with a label, the photos done and their number.

    Raises:
        InputError: There is nothing to measure, or `out` exists.
        DamagedError: A bundle does not fit its run, or a variant cannot be opened.
    """
    if not cases:
        raise InputError("There is no bundle to measure. Give at least one.")
    check_output(out, force=options.force, what="benchmark")
    rows: list[Row] = []
    measurements: list[Measurement] = []
    lowest = min(case.run.info.min_photos for case in cases)
    for case in cases:
        above = case.run.info.min_photos > lowest
        timed = options.measure_speed and (options.speed_above or not above)
        checks = structural_checks(case.bundle)
        chosen = _executed(case, options, checks)
        measured = _measure(case, options, with_answers(chosen), progress)
        measurements.append(measured)
        phones = measure_phones(case, chosen) if timed else {}
        rows += _rows(measured, replace(options, measure_speed=timed), checks, phones, progress)
    results = Results(
        created=created_now(),
        host=describe_host(),
        versions=versions(),
        settings=_settings(options),
        test_sets=tuple(make_test_set(measured) for measured in measurements),
        rows=(*rows, *extra_rows),
        preprocessing=_input_costs(measurements, options, progress),
        flipped=tuple(flip for measured in measurements for flip in flipped_answers(measured)),
    )
    if options.gates is not None:
        results = results.model_copy(update={"gates": judge(results, options.gates).outcomes})
    write_results(results, measurements, out, force=options.force)
    return results


def write_results(
    results: Results, measurements: Sequence[Measurement], out: Path, *, force: bool
) -> None:
    """Writes all files into a folder that appears whole or not at all.

    Raises:
        InputError: `out` exists and `force` is false.
    """
    from benchmarks.report.csv_tables import csv_files
    from benchmarks.report.html.page import render_report
    from benchmarks.report.markdown import markdown_report

    with new_folder(out, force=force, what="benchmark") as folder:
        results.write(folder / "results.json")
        for name, text in csv_files(results).items():
            write_text(folder / name, text)
        write_text(folder / "results.md", markdown_report(results))
        write_text(folder / "report.html", render_report(results, measurements))


def _executed(
    case: BenchmarkCase, options: BenchmarkOptions, checks: Mapping[str, StructureCheck]
) -> tuple[Candidate, ...]:
    """What is executed of a bundle: nothing whose structure is wrong."""
    return tuple(
        candidate
        for candidate in runnable_candidates(case.bundle, options.executed)
        if checks[candidate.variant.name].status != "check-failed"
    )


def _measure(
    case: BenchmarkCase,
    options: BenchmarkOptions,
    chosen: Sequence[Candidate],
    progress: Progress | None,
) -> Measurement:
    check_objects(case.bundle, case.run)
    photos, in_training = exclude_training_photos(case.test_photos, case.run)
    photos = sample_photos(photos, options.limit, seed=options.seed)
    measured = measure_answers(
        case,
        photos,
        in_training,
        chosen=chosen,
        validation=validation_photos(case.run, case.photos, limit=VALIDATION_PHOTOS),
        seed=options.seed,
        progress=progress,
    )
    if not measured.photos:
        raise InputError(
            f"No test photo is left for {case.bundle.folder}: of {len(case.test_photos)} given, "
            f"{len(in_training)} are training or validation photos and "
            f"{len(measured.unreadable)} cannot be read. Give others with --test-photos."
        )
    return measured


def _rows(
    measured: Measurement,
    options: BenchmarkOptions,
    checks: Mapping[str, StructureCheck],
    phones: Mapping[BenchmarkTarget, PhoneReply],
    progress: Progress | None,
) -> list[Row]:
    speeds = {}
    if options.measure_speed:
        if progress is not None:
            progress(f"{measured.case.bundle.info.name}: speed", 0, 1)
        plan = LatencyPlan(
            options.latency_runs, options.warmup, options.threads, starts=options.starts
        )
        speeds = measure_latencies(measured, plan)
        if progress is not None:
            progress(f"{measured.case.bundle.info.name}: speed", 1, 1)
    return case_rows(
        measured, speeds, checks, phones=phones, bootstrap=options.bootstrap, seed=options.seed
    )


def _input_costs(
    measurements: Sequence[Measurement], options: BenchmarkOptions, progress: Progress | None
) -> tuple[PreprocessingCost, ...]:
    """Of the lowest threshold, which has the most objects."""
    from benchmarks.measure.preprocessing_sensitivity import input_costs

    first = min(measurements, key=lambda measured: measured.case.run.info.min_photos)
    return input_costs(
        first,
        photos=options.preprocessing,
        seed=options.seed,
        bootstrap=options.bootstrap,
        progress=progress,
    )


def _settings(options: BenchmarkOptions) -> Settings:
    shared = {k: v for k, v in vars(options).items() if k in Settings.model_fields}
    shared["runtimes"] = options.runtimes or DEFAULT
    return Settings(**shared, resampled="objects", command=command_line())


def benchmark_bundles(
    folders: Sequence[Path],
    photos: Path,
    out: Path,
    *,
    options: BenchmarkOptions,
    progress: Progress | None = None,
    test_photos: Path | None = None,
    run: Path | None = None,
    layout: Layout = "auto",
    references: Sequence[Run] = (),
    cache: Path | None = None,
) -> Results:
    """Measures bundles on held-out photos, or on further photos of the same objects.

    Raises:
        InputError: Something given cannot be used.
    """
    from train.device import keep_freed_memory

    keep_freed_memory()  # asking takes half the time
    if run is not None and len(folders) > 1:
        raise InputError("--run names the run of one bundle, and several bundles were given.")
    check_output(out, force=options.force, what="benchmark")
    check_place(out, [*folders, photos, test_photos, run], what="benchmark")
    check_packages(REPORT_PACKAGES)
    cases = [
        replace(_case(read_bundle(folder), run, photos, test_photos, layout), cache=cache)
        for folder in folders
    ]
    by_threshold = {case.run.info.min_photos: case for case in cases}
    extra = [reference_row(other, by_threshold[other.info.min_photos]) for other in references]
    return run_benchmark(cases, out, options=options, extra_rows=extra, progress=progress)


def _case(
    bundle: Bundle, folder: Path | None, photos: Path, test_photos: Path | None, layout: Layout
) -> BenchmarkCase:
    run, root = locate_run(bundle, folder), register_root(photos)
    return BenchmarkCase(bundle, run, root, *choose_test_photos(run, root, test_photos, layout))
