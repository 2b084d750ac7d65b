"""From studio to phone: trained on one clean picture per object, asked about phone photos.

    python -m benchmarks.studies.domain_shift --photos GROCERY --out DIR --seeds 0,1,2

`GROCERY` holds `studio/<collection>/<object>.jpg` and `photos/<collection>/<object>/<photo>`. The
phone photos of each object are divided for good into a development half, on which a recipe may be
developed, and a test half, on which it is measured. Further phone photos for training come from the
half that is not asked about. Called again, it keeps what is finished.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks.measure.host import describe_host
from benchmarks.studies.console import Terminal
from benchmarks.results.cluster_bootstrap import Estimate, accuracy_ratio, share_of
from benchmarks.studies.recipe_runs import (
    CONTESTANTS,
    Job,
    Scored,
    add_training_options,
    pooled,
    recipe_names,
    score,
    train_jobs,
    training_options,
    whole_numbers,
)
from benchmarks.studies.study_statistics import Asked
from mobile_assets.errors import ArtefactError, InputError
from mobile_assets.files import new_folder, write_text
from mobile_assets.photos import PHOTO_SUFFIXES
from mobile_assets.schema import Document
from train.readers import read_register
from train.recipes import FIELD, PAPER
from train.register import Photo
from train.versions import created_now, versions

Half = Literal["dev", "test"]

EXTRA: Mapping[str, int] = {"studio": 0, "studio+2": 2, "studio+4": 4}
"""Phone photos for training beside the studio picture, by setting."""

ASKED = 2.0
"""With the studio pictures alone, the default's top-1 is asked to be so many times the paper
recipe's."""

TEXT = """\
# From studio to phone

{objects} objects, trained on one studio picture each, alone or with 2 or 4 phone photos, and asked
about the {half} half of their phone photos, {tested} photos that no training had. Phone photos for
training come from the other half, drawn by seed. All recipes: {backbone}, the same photos. With one
picture per object there is no validation photo: the last epoch is taken, whatever it is worth.
Regenerate with

    python -m benchmarks.studies.domain_shift --photos GROCERY --out DIR --seeds {seeds} \\
        --phone-seeds {phone_seeds} --table benchmarks/studies/domain_shift.md

95 % intervals come from drawing whole objects, with all their photos of all seeds (2,000 draws).

| trained on | recipe | top-1 | top-3 | top-5 | top-1 by seed | top-1, of the paper recipe's |
| :--- | :--- | ---: | ---: | ---: | ---: | ---: |
{lines}
{asked}
Measured {created} on {host}. Versions: {versions}.
"""


class Published(Document):
    """The raw rows behind the published page, kept beside it; `setting` is one of `EXTRA`."""

    created: str
    host: dict[str, str]
    versions: dict[str, str]
    backbone: str
    half: Half
    runs: tuple[Scored, ...]


@dataclass(frozen=True)
class Source:
    """The collection of photos: by object its studio picture and its phone photos."""

    studio: Mapping[str, tuple[Path, Photo]]
    phone: Mapping[str, tuple[tuple[Path, Photo], ...]]


def read_source(root: Path) -> Source:
    """Reads studio pictures and phone photos.

    Raises:
        InputError: There are none, or they do not show the same objects.
    """
    studio: dict[str, tuple[Path, Photo]] = {}
    for file in sorted((root / "studio").glob("*/*")):
        if file.suffix.lower() in PHOTO_SUFFIXES:
            photo = Photo(file.stem, file.relative_to(root).as_posix(), file.parent.name)
            if file.stem in studio:
                raise InputError(f"{root}/studio has two pictures of {file.stem}. Keep one.")
            studio[file.stem] = (file, photo)
    register = read_register(root / "photos", layout="collection")
    phone: dict[str, list[tuple[Path, Photo]]] = defaultdict(list)
    for photo in register.photos:
        phone[photo.object_id].append((register.path(photo), photo))
    if not studio or set(studio) != set(phone):
        odd = ", ".join(sorted(set(studio) ^ set(phone))[:5]) or "no picture in studio/"
        raise InputError(
            f"{root}: studio pictures and phone photos do not show the same objects ({odd}). "
            "Name studio/<collection>/<object>.jpg as photos/<collection>/<object>/."
        )
    return Source(studio, {name: tuple(phone[name]) for name in sorted(phone)})


def half_of(names: Sequence[str], half: Half) -> tuple[str, ...]:
    """The names of one object's phone photos that belong to a half, sorted.

    Every other photo, in the order of their names; never by a seed. So a recipe developed on the
    photos of even number was not developed on those that are asked about in the end.

    Args:
        names: File names of all phone photos of one object.
        half: Which half; of an odd number the development half has one more.
    """
    return tuple(sorted(names)[{"dev": 0, "test": 1}[half] :: 2])


def in_half(source: Source, half: Half) -> dict[str, list[tuple[Path, Photo]]]:
    """The phone photos of a half, by object, in the order of their names."""
    chosen: dict[str, list[tuple[Path, Photo]]] = {}
    for object_id, photos in source.phone.items():
        kept = half_of([path.name for path, _ in photos], half)
        chosen[object_id] = [pair for pair in photos if pair[0].name in kept]
    return chosen


def training_photos(
    source: Source, half: Half, extra: int, seed: int
) -> list[tuple[Path, str, str, str]]:
    """What one setting trains on, as (file, collection, object, file name).

    Args:
        source: All photos.
        half: The half that is asked about; further photos come from the other.
        extra: Phone photos of each object.
        seed: Decides which. Fewer are among more: those of +2 are among those of +4.

    Raises:
        InputError: An object has too few phone photos.
    """
    other: Half = "dev" if half == "test" else "test"
    generator = np.random.default_rng(seed)
    chosen: list[tuple[Path, str, str, str]] = []
    for object_id, photos in in_half(source, other).items():
        if len(photos) < extra:
            raise InputError(
                f"{object_id} has {len(photos)} phone photos to train on, not {extra}."
            )
        file, photo = source.studio[object_id]
        chosen.append((file, photo.collection, object_id, f"studio{file.suffix}"))
        for place in generator.permutation(len(photos))[:extra]:
            path, _ = photos[place]
            chosen.append((path, photo.collection, object_id, f"phone-{path.name}"))
    return chosen


def make_folders(arguments: argparse.Namespace) -> None:
    """Copies the photos of the test and of every setting and seed, once."""
    from filelock import FileLock

    source = read_source(arguments.photos)
    base: Path = arguments.out / arguments.half
    base.mkdir(parents=True, exist_ok=True)
    with FileLock(base / ".folders.lock"):
        asked = [
            (path, source.studio[object_id][1].collection, object_id, path.name)
            for object_id, photos in in_half(source, arguments.half).items()
            for path, _ in photos
        ]
        _copy(asked, base / "asked")
        for seed, setting in trained(arguments):
            photos = training_photos(source, arguments.half, EXTRA[setting], seed)
            _copy(photos, base / f"seed{seed}" / setting / "register")


def _copy(photos: Sequence[tuple[Path, str, str, str]], target: Path) -> None:
    if target.is_dir():
        return
    with new_folder(target, force=False, what="register") as folder:
        for file, collection, object_id, name in photos:
            place = folder / collection / object_id / name
            place.parent.mkdir(parents=True, exist_ok=True)
            # The time of change is kept: the cache of prepared photos goes by it.
            shutil.copy2(file, place)


def jobs_of(arguments: argparse.Namespace, recipes: Sequence[str]) -> list[tuple[str, Job]]:
    """All runs, each with its setting."""
    jobs: list[tuple[str, Job]] = []
    for seed, setting in trained(arguments):
        folder = arguments.out / arguments.half / f"seed{seed}" / setting
        for recipe in recipes:
            if recipe == PAPER.name and EXTRA[setting] and not arguments.paper_with_phone:
                continue
            options = replace(
                training_options(arguments, recipe, seed),
                min_photos=1,
                layout="collection",
                cache=folder / "prepared",
            )
            name = f"seed {seed} {setting} {recipe}"
            jobs.append((setting, Job(name, folder / "register", folder / recipe, options)))
    return jobs


def trained(arguments: argparse.Namespace) -> list[tuple[int, str]]:
    """Seeds and settings that are trained: those with phone photos perhaps with fewer seeds."""
    few = arguments.seeds if arguments.phone_seeds is None else arguments.phone_seeds
    return [
        (seed, setting)
        for seed in arguments.seeds
        for setting, extra in EXTRA.items()
        if not extra or seed in few
    ]


def page(published: Published) -> str:
    """The Markdown page, from the raw rows alone."""
    runs = published.runs
    seeds = sorted({row.seed for row in runs})
    with_phone = sorted({row.seed for row in runs if EXTRA[row.setting]})
    settings = [setting for setting in EXTRA if any(row.setting == setting for row in runs)]
    return TEXT.format(
        objects=len(runs[0].objects),
        half=published.half,
        tested=f"{sum(runs[0].tested):,}",
        backbone=published.backbone,
        seeds=",".join(map(str, seeds)),
        phone_seeds=",".join(map(str, with_phone)),
        lines="".join(
            _line(runs, setting, name)
            for setting in settings
            for name in CONTESTANTS
            if any((row.setting, row.recipe) == (setting, name) for row in runs)
        ),
        asked="".join(asked.line() for asked in verdicts(published)),
        created=published.created,
        host=", ".join(f"{key} {value}" for key, value in published.host.items()),
        versions=", ".join(f"{key} {value}" for key, value in published.versions.items()),
    )


def verdicts(published: Published) -> list[Asked]:
    """What was asked for, with what was measured."""
    ratio = _to_paper(published.runs, "studio", FIELD.name)
    what = "top-1 with the studio pictures alone, default to paper"
    return [Asked(what, ASKED, ratio, least=True)]


def _to_paper(runs: Sequence[Scored], setting: str, recipe: str) -> Estimate:
    if not any((row.setting, row.recipe) == (setting, PAPER.name) for row in runs):
        return Estimate(None)
    return accuracy_ratio(pooled(runs, setting, recipe), pooled(runs, setting, PAPER.name))


def _line(runs: Sequence[Scored], setting: str, recipe: str) -> str:
    shares = (share_of(pooled(runs, setting, recipe, k)).text(".1%") for k in (1, 3, 5))
    own = sorted(
        (row for row in runs if (row.setting, row.recipe) == (setting, recipe)),
        key=lambda row: row.seed,
    )
    seeds = ", ".join(f"{sum(row.top1) / sum(row.tested):.1%}" for row in own)
    ratio = _to_paper(runs, setting, recipe).text()
    return f"| {setting} | {recipe} | {' | '.join(shares)} | {seeds} | {ratio} |\n"


def run(arguments: argparse.Namespace) -> None:
    """Trains what is missing, asks every run, and writes the page."""
    make_folders(arguments)
    with Terminal() as terminal:
        jobs = jobs_of(arguments, arguments.only or CONTESTANTS)
        runs = train_jobs([job for _, job in jobs], terminal)
        if arguments.only:
            return
        asked = arguments.out / arguments.half / "asked"
        scored: list[Scored] = []
        for (setting, _), found in zip(jobs, runs, strict=True):
            scored.append(score(found, asked, setting))
            terminal.step("asked", len(scored), len(jobs))
    published = Published(
        created=created_now(),
        host=describe_host(),
        versions=versions(),
        backbone=jobs[0][1].options.backbone,
        half=arguments.half,
        runs=tuple(scored),
    )
    table = arguments.table or arguments.out / f"studio-{arguments.half}.md"
    published.write(table.with_suffix(".json"))
    write_text(table, page(published))


def main(words: Sequence[str] | None = None) -> int:
    """Runs the measurement from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.studies.domain_shift", description=__doc__
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--photos", type=Path, required=True, help="with studio/ and photos/")
    parser.add_argument("--out", type=Path, required=True, help="folder to work in")
    parser.add_argument(
        "--half", choices=("dev", "test"), default="test", help="phone photos to ask about (test)"
    )
    parser.add_argument(
        "--seeds", type=whole_numbers, default=(0, 1, 2), help="of draws and trainings (0,1,2)"
    )
    parser.add_argument(
        "--phone-seeds",
        type=whole_numbers,
        help="those of them that are trained with phone photos too (default: all)",
    )
    parser.add_argument(
        "--paper-with-phone",
        action="store_true",
        help="train the paper's recipe with phone photos too, five times as long as all the rest",
    )
    parser.add_argument(
        "--only", type=recipe_names, metavar="RECIPES", help="train these runs only, and stop"
    )
    parser.add_argument("--table", type=Path, help="the page (default: DIR/studio-HALF.md)")
    add_training_options(parser)
    try:
        run(parser.parse_args(words))
    except ArtefactError as error:
        print(f"studio: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
