"""How far each recipe's accuracy falls on photos that are not taken as in the studio.

    python -m benchmarks.studies.robustness RUN... --photos PHOTOS --masks MASKS --grounds PICTURES

`RUN` is a run's folder, or `RUN=PHOTOS` where runs of several seeds have test photos of their own;
runs of one recipe are pooled. Every recipe needs a run for every folder of test photos, and is
shown the very same pictures. `MASKS` holds `<collection>/<object>/<view>.png` beside the photos'
`<collection>/<object>/<view>.jpg`; without it no ground is swapped.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.measure.evaluation_set import exclude_training_photos, from_register, list_hash
from benchmarks.measure.host import describe_host
from benchmarks.studies.console import Terminal
from benchmarks.results.measurement import TestPhoto
from benchmarks.runtimes.interface import Pixels, Session
from benchmarks.runtimes.torch_runtime import open_reference
from benchmarks.studies.corruptions import PERTURBATIONS, Perturbation, Picture, Scene, generator_of
from benchmarks.studies.recipe_runs import count_by_object
from benchmarks.studies.robustness_page import CLEAN, Answered, Group, Published, page
from mobile_assets.errors import ArtefactError, InputError
from mobile_assets.files import write_text
from mobile_assets.photos import PHOTO_SUFFIXES, decode
from mobile_assets.preprocessing import Preprocessing, resize
from train.readers import read_register
from train.run import Run, read_run
from train.versions import created_now, versions

CHUNK = 16
"""Photos in memory at a time, each with all its perturbations: about 90 MB of pixels."""


@dataclass(frozen=True)
class Contest:
    """The runs that are shown one folder of test photos.

    Attributes:
        photos: The folder.
        runs: By recipe.
        chosen: The test photos.
    """

    photos: Path
    runs: Mapping[str, Run]
    chosen: tuple[TestPhoto, ...]

    @property
    def contract(self) -> Preprocessing:
        """What the pictures are squashed to; the same size for all runs."""
        return next(iter(self.runs.values())).info.preprocessing

    @property
    def objects(self) -> tuple[str, ...]:
        """Ids of the objects that the photos show."""
        return tuple(sorted({photo.object_id for photo in self.chosen}))


@dataclass(frozen=True)
class Props:
    """Where masks lie, and the pictures of other places."""

    masks: Path | None
    grounds: tuple[Picture, ...]

    def allow(self, perturbation: Perturbation) -> bool:
        """Whether all that the perturbation needs was given."""
        given = {"mask": self.masks is not None, "grounds": bool(self.grounds)}
        return all(given[need] for need in perturbation.needs)


def contests(pairs: Sequence[tuple[Path, Path]], limit: int | None) -> list[Contest]:
    """Groups runs by their test photos.

    Args:
        pairs: Of each run its folder and that of its test photos.
        limit: How many photos to take of each folder; None for all.

    Raises:
        InputError: A run or photos cannot be used, or recipes cannot be compared.
    """
    groups: dict[Path, dict[str, Run]] = defaultdict(dict)
    for folder, photos in pairs:
        run = read_run(folder)
        if run.info.recipe in groups[photos]:
            raise InputError(
                f"{folder} and {groups[photos][run.info.recipe].folder} are both of the recipe "
                f"{run.info.recipe} and on {photos}. Give one run per recipe and photos."
            )
        groups[photos][run.info.recipe] = run
    first = set(next(iter(groups.values())))
    for photos, runs in groups.items():
        if set(runs) != first:
            raise InputError(
                f"{photos} is given with the recipes {', '.join(sorted(runs))}, another folder "
                f"with {', '.join(sorted(first))}. Give a run of every recipe for every folder."
            )
    return [_contest(photos, runs, limit) for photos, runs in groups.items()]


def _contest(photos: Path, runs: Mapping[str, Run], limit: int | None) -> Contest:
    anyone = next(iter(runs.values()))
    size = (anyone.info.preprocessing.height, anyone.info.preprocessing.width)
    for run in runs.values():
        if run.labels.object_ids != anyone.labels.object_ids:
            raise InputError(f"{run.folder} and {anyone.folder} do not know the same objects.")
        if (run.info.preprocessing.height, run.info.preprocessing.width) != size:
            raise InputError(f"{run.folder} and {anyone.folder} have inputs of different sizes.")
    chosen, _ = from_register(read_register(photos), anyone)
    for run in runs.values():
        chosen, _ = exclude_training_photos(chosen, run)
    return Contest(photos, runs, chosen if limit is None else spread(chosen, limit))


def spread(photos: Sequence[TestPhoto], limit: int) -> tuple[TestPhoto, ...]:
    """Some of the photos, from each object about the same number, by the hashes of their content.

    Args:
        photos: With hashes.
        limit: How many at most.
    """
    by_object: dict[str, list[TestPhoto]] = defaultdict(list)
    for photo in sorted(photos, key=lambda photo: photo.sha256):
        by_object[photo.object_id].append(photo)
    turns = [(place, p.sha256, p) for own in by_object.values() for place, p in enumerate(own)]
    taken = {photo.path for _, _, photo in sorted(turns, key=lambda turn: turn[:2])[:limit]}
    return tuple(photo for photo in photos if photo.path in taken)


def measure(contest: Contest, props: Props, seed: int, terminal: Terminal) -> Iterator[Answered]:
    """Shows every run each photo as it is and under every perturbation.

    Yields:
        One row per recipe and perturbation, unchanged photos included.
    """
    from train.device import keep_freed_memory

    keep_freed_memory()  # asking takes half the time
    used = tuple(p for p in PERTURBATIONS if props.allow(p))
    names = (CLEAN, *(p.name for p in used))
    right: dict[tuple[str, str], list[bool]] = defaultdict(list)
    with contextlib.ExitStack() as stack, ThreadPoolExecutor() as pool:
        sessions: dict[str, Session] = {
            recipe: stack.enter_context(open_reference(run)) for recipe, run in contest.runs.items()
        }
        for start in range(0, len(contest.chosen), CHUNK):
            chunk = contest.chosen[start : start + CHUNK]
            pictures = np.stack(
                list(pool.map(lambda photo: versions_of(photo, contest, props, used), chunk)),
                axis=1,
            )
            truth = np.array([photo.object_index for photo in chunk])
            for (name, batch), recipe in _every(names, pictures, tuple(sessions)):
                answers = sessions[recipe].predict(batch)
                right[recipe, name] += (answers.argmax(axis=1) == truth).tolist()
            terminal.step(f"seed {seed}: photos", start + len(chunk), len(contest.chosen))
    for (recipe, name), hits in right.items():
        counts = count_by_object(contest.chosen, contest.objects, hits)
        yield Answered(seed=seed, recipe=recipe, perturbation=name, right=counts)


def _every(
    names: Sequence[str], pictures: Pixels, recipes: Sequence[str]
) -> Iterator[tuple[tuple[str, Pixels], str]]:
    for found in zip(names, pictures, strict=True):
        for recipe in recipes:
            yield found, recipe


def versions_of(
    photo: TestPhoto, contest: Contest, props: Props, used: Sequence[Perturbation]
) -> Pixels:
    """One photo as it is and under each perturbation.

    Returns:
        `[1 + perturbations, height, width, 3]` uint8 RGB.

    Raises:
        PhotoError: The photo or its mask cannot be decoded.
        InputError: There is no mask.
    """
    contract = contest.contract
    picture = decode(photo.path)
    mask = None if props.masks is None else _mask(photo, contest.photos, props.masks)
    made = [resize(picture, contract)]
    for perturbation in used:
        chance = generator_of(photo.sha256, perturbation.name)
        scene = Scene(chance, (contract.width, contract.height), mask, props.grounds)
        made.append(resize(perturbation(picture, scene), contract))
    return np.stack(made)


def _mask(photo: TestPhoto, photos: Path, masks: Path) -> Picture:
    path = masks / photo.path.relative_to(photos).with_suffix(".png")
    if not path.is_file():
        raise InputError(f"{photo.path} has no mask {path}. Give the masks of these photos.")
    return decode(path).convert("L")


def read_grounds(folder: Path | None) -> tuple[Picture, ...]:
    """Pictures to lay objects on, at most 100, spread evenly over the folder's sorted files.

    Raises:
        InputError: The folder holds no pictures.
    """
    if folder is None:
        return ()
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in PHOTO_SUFFIXES)
    if not files:
        raise InputError(f"--grounds {folder} holds no pictures.")
    places = np.unique(np.linspace(0, len(files) - 1, min(100, len(files))).round().astype(int))
    return tuple(decode(files[place]) for place in places)


def contact_sheet(contest: Contest, props: Props, *, photos: int = 7, side: int = 128) -> Picture:
    """One row of sample photos for each perturbation, for a person to judge them by.

    Args:
        contest: Where the photos come from: of different objects, spread over all.
        props: Masks and grounds.
        photos: How many in a row.
        side: Of each, in pixels.
    """
    from PIL import ImageDraw, ImageFont

    from train.device import keep_freed_memory

    keep_freed_memory()  # asking takes half the time
    used = tuple(p for p in PERTURBATIONS if props.allow(p))
    places = np.linspace(0, len(contest.objects) - 1, photos).round().astype(int)
    first = {photo.object_id: photo for photo in reversed(contest.chosen)}
    samples = [first[contest.objects[place]] for place in places]
    label = 190
    sheet = Image.new("RGB", (label + photos * side, (1 + len(used)) * side), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    for column, photo in enumerate(samples):
        for row, pixels in enumerate(versions_of(photo, contest, props, used)):
            tile = Image.fromarray(pixels).resize((side - 2, side - 2), Image.Resampling.BICUBIC)
            sheet.paste(tile, (label + column * side, row * side))
    for row, name in enumerate((CLEAN, *(p.name for p in used))):
        pen.text((6, row * side + side // 2 - 8), name, fill="black", font=font)
    return sheet


def run(arguments: argparse.Namespace) -> None:
    """Measures, and writes the page."""
    found = contests([_pair(text, arguments.photos) for text in arguments.runs], arguments.limit)
    props = Props(arguments.masks, read_grounds(arguments.grounds))
    if arguments.samples is not None:
        arguments.samples.parent.mkdir(parents=True, exist_ok=True)
        contact_sheet(found[0], props).save(arguments.samples)
    groups: list[Group] = []
    rows: list[Answered] = []
    with Terminal() as terminal:
        for number, contest in enumerate(found):
            groups.append(_group(contest, number))
            rows += measure(contest, props, number, terminal)
    published = Published(
        created=created_now(),
        host=describe_host(),
        versions=versions(),
        groups=tuple(groups),
        rows=tuple(rows),
    )
    published.write(arguments.table.with_suffix(".json"))
    write_text(arguments.table, page(published))


def _group(contest: Contest, number: int) -> Group:
    photos = contest.chosen
    return Group(
        seed=number,
        photos_sha256=list_hash(photos),
        models_sha256={recipe: run.info.model_sha256 for recipe, run in contest.runs.items()},
        objects=contest.objects,
        tested=count_by_object(photos, contest.objects, [True] * len(photos)),
    )


def _pair(text: str, photos: Path | None) -> tuple[Path, Path]:
    run, mark, own = text.partition("=")
    if mark:
        return Path(run), Path(own)
    if photos is None:
        raise InputError(f"{text}: its test photos are not given. Give --photos, or RUN=PHOTOS.")
    return Path(run), photos


def main(words: Sequence[str] | None = None) -> int:
    """Runs the measurement from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.studies.robustness", description=__doc__
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run's folder, or RUN=PHOTOS")
    parser.add_argument("--photos", type=Path, help="test photos of runs without their own")
    parser.add_argument("--masks", type=Path, help="masks of the objects, to swap the ground")
    parser.add_argument("--grounds", type=Path, help="real pictures to lay objects on")
    parser.add_argument("--limit", type=_limit, default=400, help="photos per folder, or all (400)")
    parser.add_argument("--table", type=Path, default=Path("robustness.md"), help="the page")
    parser.add_argument(
        "--samples", type=Path, metavar="FILE", help="picture of every perturbation"
    )
    try:
        run(parser.parse_args(words))
    except ArtefactError as error:
        print(f"robustness: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _limit(text: str) -> int | None:
    return None if text == "all" else int(text)


if __name__ == "__main__":
    sys.exit(main())
