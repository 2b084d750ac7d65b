"""The ETH-80 benchmark: real objects, few photos each, and over a thousand test photos.

    python -m benchmarks.eth80 --photos PHOTOS --out DIR

`PHOTOS` is a folder `<collection>/<object>/<view>.jpg` with many views per object. Each object is
given as many photos as an object of the paper's Table 2a has; the views left over are the test set.
At each threshold the default recipe is trained, exported and measured; a linear probe, and at
threshold 3 the paper's recipe trained to its end, stand beside it.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.benchmark import BenchmarkOptions
from benchmarks.results import REFERENCE_VARIANT, Results, Row
from benchmarks.sweep import SweepOptions, run_sweep
from benchmarks.tables import markdown_table
from benchmarks.terminal import Terminal
from mobile_assets.errors import ArtefactError, InputError
from mobile_assets.files import new_folder, write_text
from mobile_assets.schema import Document
from train.inspection import THRESHOLDS
from train.readers import read_register
from train.recipes import PAPER, PROBE
from train.register import Photo
from train.trainer import TrainOptions

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

TEXT = """\
# ETH-80: few photos per object, real pictures

{objects} real objects with {photos} photos, drawn per object as in the paper's Table 2a (seed
{seed}); the {left} views left over are the test set. Regenerate with

    python -m benchmarks.eth80 --photos PHOTOS --out DIR --seed {seed} --table benchmarks/eth80.md

{table}
Recipes at threshold {minimum} ({tested:,} test photos, same backbone, input size and split):

| recipe | top-1 (95 % interval) | top-1 error, of the paper's | training time, s | of the paper's |
|---|---|---|---|---|
{recipes}
Measured on {host}.
"""


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


class Published(Document):
    """The raw rows behind the published page, kept beside it.

    Attributes:
        seed: Seed of the draw and the training.
        photos: Photos of the register.
        left: Views left over.
        results: What the benchmark wrote.
    """

    seed: int
    photos: int
    left: int
    results: Results


def publish(out: Path, seed: int, table: Path) -> None:
    """Writes the page and its raw rows from a finished benchmark.

    Args:
        out: Folder of the benchmark.
        seed: Its seed.
        table: The Markdown page; the rows go beside it, with the ending `.json`.
    """
    registers = [read_register(out / name) for name in ("register", "left-over")]
    published = Published(
        seed=seed,
        photos=len(registers[0].photos),
        left=len(registers[1].photos),
        results=Results.read(out / "sweep" / "report" / "results.json"),
    )
    published.write(table.with_suffix(".json"))
    write_text(table, page(published))


def page(published: Published) -> str:
    """The Markdown page with the table of variants and that of recipes."""
    results = published.results
    minimum = min(row.min_photos for row in results.rows)
    rows = [row for row in results.rows if row.min_photos == minimum]
    ours = next(row for row in rows if row.variant == REFERENCE_VARIANT)
    others = [row for row in rows if row.status == "given"]
    paper = next((row for row in others if row.recipe == PAPER.name), None)
    return TEXT.format(
        objects=ours.objects,
        photos=published.photos,
        left=published.left,
        seed=published.seed,
        table=markdown_table(results),
        minimum=minimum,
        tested=ours.photos,
        recipes="".join(_recipe_line(row, paper) for row in (*others, ours)),
        host=", ".join(f"{key} {value}" for key, value in results.host.items()),
    )


def _recipe_line(row: Row, paper: Row | None) -> str:
    assert row.top1 is not None
    assert row.top1_ci95 is not None
    error = time = "–"
    if paper is not None and paper.top1 is not None and paper.train_seconds:
        error = f"{(1 - row.top1) / (1 - paper.top1):.2f}"
        time = f"{(row.train_seconds or 0) / paper.train_seconds:.3f}"
    low, high = row.top1_ci95
    return (
        f"| {row.recipe} | {row.top1:.1%} ({low:.1%} to {high:.1%}) | {error} "
        f"| {row.train_seconds or 0:.0f} | {time} |\n"
    )


def run(arguments: argparse.Namespace) -> None:
    """Prepares the folders, sweeps the thresholds and writes the page."""
    if not (arguments.out / "left-over").is_dir():
        prepare_folders(arguments.photos, arguments.out, arguments.seed)
    references = [(minimum, PROBE.name) for minimum in THRESHOLDS]
    references += [(int(word), PAPER.name) for word in arguments.paper.split(",") if word]
    with Terminal() as terminal:
        results = run_sweep(
            arguments.out / "register",
            arguments.out / "sweep",
            SweepOptions(
                train=TrainOptions(seed=arguments.seed, hold_out_test=False),
                benchmark=BenchmarkOptions(latency_runs=arguments.latency_runs),
                test_photos=arguments.out / "left-over",
                references=tuple(references),
                force=arguments.force,
            ),
            terminal,
        )
        terminal.results(results, arguments.out / "sweep" / "report")
    publish(arguments.out, arguments.seed, arguments.table or arguments.out / "eth80.md")


def main() -> int:
    """Runs the benchmark from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.eth80", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--photos", type=Path, required=True, help="<collection>/<object>/<view>")
    parser.add_argument("--out", type=Path, required=True, help="folder to work in")
    parser.add_argument("--seed", type=int, default=0, help="of the draw and the training")
    parser.add_argument(
        "--paper",
        default="3",
        help="thresholds at which the paper's recipe is trained (default: 3)",
    )
    parser.add_argument("--latency-runs", type=int, default=200, help="default: 200")
    parser.add_argument("--table", type=Path, help="write the page here (default: DIR/eth80.md)")
    parser.add_argument("--force", action="store_true", help="do a finished benchmark again")
    try:
        run(parser.parse_args())
    except ArtefactError as error:
        print(f"eth80: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
