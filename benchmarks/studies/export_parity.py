"""Whether every exported form answers as its network does: ETH-80, several seeds, every variant.

    python -m benchmarks.studies.export_parity --runs DIR… --seeds 0,1,2 --table benchmarks/studies/export_parity.md

Each `DIR`, one per backbone, is what `python -m benchmarks.studies.eth80 --only field --backbone NAME --out
DIR` wrote: for each seed the register, the views left over for the test, and a run of the default
recipe per threshold. Each run is exported with all variants, and each seed's four bundles are
benchmarked together: every command in a process of its own, whose time and memory are taken. Speed
and the cost of ways of making the input are measured for the first seed only. What is already there
is kept; `--again` makes it anew.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from benchmarks.measure.host import describe_host
from benchmarks.results.schema import Results, Row
from benchmarks.studies.export_parity_page import Command, Counts, Kind, Published, page
from benchmarks.studies.recipe_runs import whole_numbers
from mobile_assets.errors import ArtefactError, DamagedError, InputError
from mobile_assets.files import write_text
from mobile_assets.schema import Document
from train.inspection import THRESHOLDS
from train.recipes import FIELD
from train.run import Run, read_run
from train.versions import created_now, versions

MIB_OF_MAXRSS = 1024 if sys.platform != "darwin" else 1024**2
"""How many units of the system's largest resident memory are a mebibyte."""


SCHEMA = {"schema_version"}


class Timed(Document):
    """What a command took; stands beside what it made."""

    finished: str
    seconds: float
    peak_mib: float


def timed(words: Sequence[str], mark: Path) -> Timed:
    """Runs a command of the toolkit and writes down what it took.

    Args:
        words: The words after `artefact-id`.
        mark: Where to write it.

    Raises:
        DamagedError: The command failed; its own message went to standard error.
    """
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-P", "-m", "artefact_id", *words], stdout=2)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise DamagedError(f"artefact-id {' '.join(words)} failed: see the message above.")
    found = Timed(
        finished=created_now(),
        seconds=round(time.perf_counter() - started, 1),
        peak_mib=round(usage.ru_maxrss / MIB_OF_MAXRSS, 1),
    )
    found.write(mark)
    return found


def exported(seed: Path, minimum: int, *, variants: str | None, again: bool) -> Command:
    """Exports the run of one threshold with all variants or some, unless it is there."""
    run, bundle = seed / f"min{minimum}" / FIELD.name, seed / f"min{minimum}" / "parity"
    if not run.is_dir():
        raise InputError(
            f"There is no run {run}. Make it with `python -m benchmarks.studies.eth80 --out {seed.parent}`."
        )
    mark = bundle.with_suffix(".json")
    if again or not (bundle.is_dir() and mark.is_file()):
        words = ["export", str(run), "--photos", str(seed / "register"), "--out", str(bundle)]
        timed([*words, "--force", *(["--variants", variants] if variants else [])], mark)
    return _command(
        "export", read_run(run), f"seed {seed.name.removeprefix('seed')}, min {minimum}", mark
    )


def benchmarked(seed: Path, *, speed: bool, again: bool) -> tuple[Results, Command]:
    """Benchmarks the bundles of all thresholds together, unless that is done."""
    report, mark = seed / "parity", seed / "parity.json"
    if again or not (report.is_dir() and mark.is_file()):
        bundles = [str(seed / f"min{minimum}" / "parity") for minimum in THRESHOLDS]
        photos = ["--photos", str(seed / "register"), "--test-photos", str(seed / "left-over")]
        quick = [] if speed else ["--no-speed", "--preprocessing", "0"]
        words = ["benchmark", *bundles, *photos, "--out", str(report), "--force", *quick]
        timed(words, mark)
    what = f"seed {seed.name.removeprefix('seed')}" + (", with speed" if speed else "")
    run = read_run(seed / f"min{THRESHOLDS[0]}" / FIELD.name)
    return Results.read(report / "results.json"), _command("benchmark", run, what, mark)


def _command(kind: Kind, run: Run, what: str, mark: Path) -> Command:
    return Command(
        kind=kind,
        backbone=run.info.backbone,
        what=what,
        **Timed.read(mark).model_dump(exclude=SCHEMA),
    )


def counts(row: Row) -> Counts | None:
    """What the page needs of a row; None where nothing was executed."""
    if row.agreement is None or row.top1 is None:
        return None
    ratio = row.latency_ratio
    return Counts(
        backbone=row.backbone,
        min_photos=row.min_photos,
        seed=row.seed,
        variant=row.variant,
        runtime=row.runtime,
        photos=row.photos,
        right=round(row.top1 * row.photos),
        same=round(row.agreement * row.photos),
        lost=row.right_to_wrong or 0,
        won=row.wrong_to_right or 0,
        mean_drift=row.drift.mean if row.drift else None,
        bytes=row.bytes or 0,
        latency_ratio=(ratio.median, ratio.p10, ratio.p90) if ratio else None,
    )


def run(arguments: argparse.Namespace) -> None:
    """Exports, measures and writes the page."""
    commands: list[Command] = []
    rows: list[Counts] = []
    for folder, (place, number) in product(arguments.runs, enumerate(arguments.seeds)):
        seed = folder / f"seed{number}"
        commands += [
            exported(seed, minimum, variants=arguments.variants, again=arguments.again)
            for minimum in THRESHOLDS
        ]
        results, command = benchmarked(
            seed, speed=place == 0 and not arguments.no_speed, again=arguments.again
        )
        commands.append(command)
        rows += [found for row in results.rows if (found := counts(row)) is not None]
    published = Published(
        created=created_now(),
        host=describe_host(),
        versions=versions(),
        commands=tuple(commands),
        rows=tuple(rows),
    )
    published.write(arguments.table.with_suffix(".json"))
    write_text(arguments.table, page(published))


def main(words: list[str] | None = None) -> int:
    """Runs the measurement from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.studies.export_parity", description=__doc__
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--runs", type=Path, nargs="+", required=True, help="folders that eth80 wrote"
    )
    parser.add_argument("--seeds", type=whole_numbers, default=(0,), help="default: 0")
    parser.add_argument("--table", type=Path, required=True, help="the page to write")
    parser.add_argument("--variants", help="comma-separated; default: all")
    parser.add_argument("--no-speed", action="store_true", help="accuracy only")
    parser.add_argument("--again", action="store_true", help="export and measure anew")
    try:
        run(parser.parse_args(words))
    except ArtefactError as error:
        print(f"parity: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
