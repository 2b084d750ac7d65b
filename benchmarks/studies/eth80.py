"""The ETH-80 benchmark: real objects, few photos each, and over a thousand test photos a seed.

    python -m benchmarks.studies.eth80 --photos PHOTOS --out DIR --seeds 0,1,2

`PHOTOS` is a folder `<collection>/<object>/<view>.jpg` with many views per object. For each seed,
each object is given as many photos as an object of the paper's Table 2a has; the views left over
are the test set. At each threshold the default recipe, a linear probe and the paper's recipe are
trained and asked about them; for one seed the default's runs are exported and all variants measured
too. Called again, it keeps what is finished. `--only RECIPES` trains some runs and stops, so that
several processes can share the work.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.measure.host import describe_host
from benchmarks.pipeline.benchmark import BenchmarkOptions, benchmark_bundles
from benchmarks.pipeline.sweep import export_run
from benchmarks.studies.console import Terminal
from benchmarks.results.schema import REFERENCE_VARIANT, Results
from benchmarks.studies.eth80_page import DrawCounts, Published, page
from benchmarks.studies.recipe_runs import (
    CONTESTANTS,
    Job,
    Scored,
    add_training_options,
    recipe_names,
    score,
    train_jobs,
    training_options,
    whole_numbers,
)
from mobile_assets.errors import ArtefactError, DamagedError, InputError
from mobile_assets.files import new_folder, write_text
from train.inspection import THRESHOLDS
from train.readers import read_register
from train.recipes import FIELD
from train.register import Photo
from train.run import Run, RunMetrics
from train.versions import created_now, versions

OBJECTS_BY_PHOTOS: Mapping[int, int] = {
    3: 1001,
    4: 853,
    5: 387,
    6: 1027,
    7: 507,
    8: 201,
    9: 86,
    12: 270,
}
"""The paper's Table 2a: how many objects have so many photos. Its last row, 10 or more with 15 on
average, stands at 12 here, so that views are left over for the test."""


def draw(photos: Sequence[Photo], seed: int) -> tuple[list[Photo], list[Photo]]:
    """Draws each object's photos as in Table 2a.

    Args:
        photos: All views, sorted.
        seed: Seed of the numbers and of the views.

    Returns:
        The register's photos and the views left over.
    """
    generator = np.random.default_rng(seed)
    counts = np.array(list(OBJECTS_BY_PHOTOS))
    weights = np.array(list(OBJECTS_BY_PHOTOS.values()), dtype=float)
    drawn: list[Photo] = []
    left: list[Photo] = []
    for object_id in sorted({photo.object_id for photo in photos}):
        own = [photo for photo in photos if photo.object_id == object_id]
        wanted = int(generator.choice(counts, p=weights / weights.sum()))
        order = generator.permutation(len(own))
        drawn += [own[i] for i in order[:wanted]]
        left += [own[i] for i in order[wanted:]]
    return drawn, left


def prepare_folders(photos: Path, out: Path, seed: int) -> tuple[Path, Path]:
    """Copies the drawn photos to `out/register` and the others to `out/left-over`.

    Raises:
        InputError: `photos` cannot be read, or has too few views per object.
    """
    register = read_register(photos)
    drawn, left = draw(register.photos, seed)
    if not left:
        raise InputError(f"{photos} has no object with more views than Table 2a asks for.")
    targets = (out / "register", out / "left-over")
    for target, chosen in zip(targets, (drawn, left), strict=True):
        with new_folder(target, force=True, what="register") as folder:
            for photo in chosen:
                place = folder / photo.path
                place.parent.mkdir(parents=True, exist_ok=True)
                # The time of change is kept: the cache of prepared photos goes by it.
                shutil.copy2(register.path(photo), place)
    return targets


def jobs_of(arguments: argparse.Namespace, seed: int, recipes: Sequence[str]) -> list[Job]:
    """The runs of one seed."""
    folder = arguments.out / f"seed{seed}"
    return [
        Job(
            f"seed {seed} min{minimum} {recipe}",
            folder / "register",
            folder / f"min{minimum}" / recipe,
            replace(
                training_options(arguments, recipe, seed),
                min_photos=minimum,
                cache=folder / "prepared",
            ),
        )
        for minimum in arguments.thresholds
        for recipe in recipes
    ]


def make_folders(arguments: argparse.Namespace) -> None:
    """Draws the photos of each seed, once, whichever process comes first."""
    from filelock import FileLock

    for seed in arguments.seeds:
        folder = arguments.out / f"seed{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".folders.lock"):
            # Left over comes last, so its folder says that both are whole.
            if not (folder / "left-over").is_dir():
                prepare_folders(arguments.photos, folder, seed)


def export_and_measure(
    arguments: argparse.Namespace, runs: Mapping[tuple[int, str], Run], terminal: Terminal
) -> Results:
    """Exports the default recipe's runs of one seed and measures every variant.

    Args:
        arguments: The command line's.
        runs: That seed's runs by threshold and recipe.
        terminal: Where progress goes.
    """
    folder = arguments.out / f"seed{arguments.sweep_seed}"
    known = None if arguments.force else _measured_before(folder / "report", runs)
    if known is not None:
        terminal.say("variants: measured before, kept")
        return known
    bundles = [folder / f"min{minimum}" / "bundle" for minimum in arguments.thresholds]
    for minimum, bundle in zip(arguments.thresholds, bundles, strict=True):
        run = runs[minimum, FIELD.name]
        export_run(run, folder / "register", bundle, arguments.variants, terminal.say)
    results = benchmark_bundles(
        bundles,
        folder / "register",
        folder / "report",
        test_photos=folder / "left-over",
        options=BenchmarkOptions(latency_runs=arguments.latency_runs, force=True),
        progress=terminal.step,
        references=[run for (_, recipe), run in runs.items() if recipe != FIELD.name],
    )
    terminal.say(f"The report: {folder / 'report' / 'report.html'}")
    return results


def _measured_before(report: Path, runs: Mapping[tuple[int, str], Run]) -> Results | None:
    """The report, if it is of just these runs."""
    try:
        results = Results.read(report / "results.json")
    except DamagedError:
        return None
    measured = {
        (row.min_photos, row.custody.model_sha256)
        for row in results.rows
        if row.variant == REFERENCE_VARIANT and row.custody is not None
    }
    others = {(row.min_photos, row.train_seconds) for row in results.rows if row.status == "given"}
    wanted = {(n, run.info.model_sha256) for (n, name), run in runs.items() if name == FIELD.name}
    references = {
        (n, RunMetrics.read(run.folder / "metrics.json").seconds)
        for (n, name), run in runs.items()
        if name != FIELD.name
    }
    return results if (measured, others) == (wanted, references) else None


def run(arguments: argparse.Namespace) -> None:
    """Trains what is missing, asks every run, and writes the page."""
    make_folders(arguments)
    with Terminal() as terminal:
        recipes = arguments.only or CONTESTANTS
        jobs = [job for seed in arguments.seeds for job in jobs_of(arguments, seed, recipes)]
        runs = train_jobs(jobs, terminal)
        if arguments.only:
            return
        scored: list[Scored] = []
        for job, found in zip(jobs, runs, strict=True):
            photos = job.photos.with_name("left-over")
            scored.append(score(found, photos, str(job.options.min_photos)))
            terminal.step("asked", len(scored), len(jobs))
        swept = {
            (job.options.min_photos, job.options.recipe): found
            for job, found in zip(jobs, runs, strict=True)
            if job.options.seed == arguments.sweep_seed
        }
        results = export_and_measure(arguments, swept, terminal) if swept else None
    publish(arguments, scored, results)


def publish(
    arguments: argparse.Namespace, scored: Sequence[Scored], results: Results | None
) -> None:
    """Writes the page, and its raw rows beside it with the ending `.json`."""
    draws: list[DrawCounts] = []
    for seed in arguments.seeds:
        folder = arguments.out / f"seed{seed}"
        counts = [len(read_register(folder / name).photos) for name in ("register", "left-over")]
        draws.append(DrawCounts(seed=seed, photos=counts[0], left=counts[1]))
    published = Published(
        created=created_now(),
        host=describe_host(),
        versions=versions(),
        backbone=training_options(arguments, FIELD.name, 0).backbone,
        draws=tuple(draws),
        runs=tuple(scored),
        sweep_seed=arguments.sweep_seed,
        results=results,
    )
    table = arguments.table or arguments.out / "eth80.md"
    published.write(table.with_suffix(".json"))
    write_text(table, page(published))


def main(words: Sequence[str] | None = None) -> int:
    """Runs the benchmark from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies.eth80", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--photos", type=Path, required=True, help="<collection>/<object>/<view>")
    parser.add_argument("--out", type=Path, required=True, help="folder to work in")
    parser.add_argument(
        "--seeds", type=whole_numbers, default=(0, 1, 2), help="of draws and trainings (0,1,2)"
    )
    parser.add_argument(
        "--thresholds", type=whole_numbers, default=THRESHOLDS, help="default: 3,4,5,6"
    )
    parser.add_argument(
        "--only", type=recipe_names, metavar="RECIPES", help="train these runs only, and stop"
    )
    parser.add_argument(
        "--sweep-seed", type=int, default=0, help="seed whose runs are exported (default: 0)"
    )
    parser.add_argument(
        "--variants", type=lambda text: tuple(text.split(",")), help="variants to export"
    )
    parser.add_argument("--latency-runs", type=int, default=200, help="default: 200")
    parser.add_argument("--table", type=Path, help="write the page here (default: DIR/eth80.md)")
    parser.add_argument("--force", action="store_true", help="measure the variants again")
    add_training_options(parser)
    try:
        run(parser.parse_args(words))
    except ArtefactError as error:
        print(f"eth80: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
