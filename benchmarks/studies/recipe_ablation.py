"""What each part of the default recipe brings and costs, on development photos only.

    python -m benchmarks.studies.recipe_ablation --grocery GROCERY --demo DEMO --out DIR --seeds 0

`GROCERY` holds `studio/` and `photos/` as in `benchmarks.studies.domain_shift`, whose development half alone is
used; `DEMO` is a generated register with extra and field views. Each variant of the recipe is
trained on three sets of photos and asked about others of the same objects. Called again, it keeps
what is finished; several processes may share the work.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure.host import describe_host
from benchmarks.studies.console import Terminal
from benchmarks.studies.domain_shift import in_half, read_source
from benchmarks.studies.eth80 import OBJECTS_BY_PHOTOS
from benchmarks.studies.recipe_ablation_page import Asked, Published, Result, page
from benchmarks.studies.recipe_runs import whole_numbers
from mobile_assets.errors import ArtefactError, DamagedError
from mobile_assets.files import write_text
from mobile_assets.photos import load
from mobile_assets.preprocessing import Preprocessing
from train.recipes import FIELD, PAPER, PROBE, Recipe
from train.training_plan import DEFAULT_BACKBONE, preprocessing_of
from train.versions import created_now, versions


def _with(**changes: float) -> Recipe:
    assert FIELD.augmentation is not None
    return dataclasses.replace(
        FIELD, augmentation=dataclasses.replace(FIELD.augmentation, **changes)
    )


VARIANTS: Mapping[str, Recipe] = {
    "field": FIELD,
    "without other grounds": _with(other_ground=0.0),
    "rotation of 30 degrees at most": _with(any_rotation=0.0),
    "without other grounds and any rotation": _with(other_ground=0.0, any_rotation=0.0),
    "with perspective and blur": _with(perspective=0.15, blurred=0.2),
    "without augmentation": dataclasses.replace(FIELD, augmentation=None),
    "linear head": dataclasses.replace(FIELD, head="linear"),
    "paper's head": dataclasses.replace(FIELD, head="paper"),
    "embedding of 128": dataclasses.replace(FIELD, head="embedding-128"),
    "embedding of 512": dataclasses.replace(FIELD, head="embedding-512"),
    "all layers trained": dataclasses.replace(FIELD, frozen_share=0.0),
    "backbone at a third of the rate": dataclasses.replace(FIELD, backbone_rate=1 / 3),
    "without label smoothing": dataclasses.replace(FIELD, label_smoothing=0.0),
    "head alone": dataclasses.replace(FIELD, epochs=0),
    "twice the epochs": dataclasses.replace(FIELD, epochs=2 * FIELD.epochs),
    "probe": PROBE,
    "paper's recipe": dataclasses.replace(PAPER, split="stratified"),
}
"""The recipe, and what differs from it in one point; the last two are other recipes whole."""

TURNED = "turned by 90°"
"""How the name of photos ends that are shown turned."""

File = tuple[Path, str]
"""A photo with its object."""


@dataclass(frozen=True)
class Task:
    """Photos to train on and, by name, photos to ask about."""

    train: list[File]
    asked: dict[str, list[File]]


def demo_task(root: Path) -> Task:
    """A generated register, asked about further studio views and about messy scenes."""

    def files(folder: str) -> list[File]:
        return [(path, path.parent.name) for path in sorted((root / folder).glob("*/*/*.jpg"))]

    studio = files("extra")
    asked = {"studio views": studio, f"these {TURNED}": studio, "messy scenes": files("field")}
    return Task(files("register"), asked)


def grocery_task(root: Path, seed: int, *, alone: bool) -> Task:
    """Groceries of the development half: the studio picture, and phone photos as in Table 2a."""
    source = read_source(root)
    generator = np.random.default_rng(seed)
    counts = np.array(list(OBJECTS_BY_PHOTOS))
    weights = np.array(list(OBJECTS_BY_PHOTOS.values()), dtype=float)
    train: list[File] = []
    asked: list[File] = []
    for object_id, photos in in_half(source, "dev").items():
        order = generator.permutation(len(photos))
        wanted = int(generator.choice(counts, p=weights / weights.sum())) - 1
        taken = 0 if alone else min(wanted, len(photos) - 2)
        train += [(source.studio[object_id][0], object_id)]
        train += [(photos[i][0], object_id) for i in order[:taken]]
        asked += [(photos[i][0], object_id) for i in order[taken:]]
    return Task(train, {"phone photos": asked})


def tasks_of(arguments: argparse.Namespace, seed: int) -> dict[str, Callable[[], Task]]:
    """The sets of photos, by name."""
    return {
        "groceries": lambda: grocery_task(arguments.grocery, seed, alone=False),
        "one studio picture": lambda: grocery_task(arguments.grocery, seed, alone=True),
        "rendered": lambda: demo_task(arguments.demo),
    }


def pixels_of(files: list[File], contract: Preprocessing) -> NDArray[np.uint8]:
    """`[photos, height, width, 3]` uint8."""
    return np.stack([load(path, contract) for path, _ in files])


def measure(
    name: str, task_name: str, task: Task, seed: int, arguments: argparse.Namespace
) -> Result:
    """Trains one variant on one set of photos and asks it about the others."""
    import torch

    from train.batches import Photos, predict_batches, seed_for
    from train.device import choose_compute, keep_freed_memory
    from train.engine import Trainer
    from train.model import build_model
    from train.weights import load_imagenet

    recipe = _recipe(name, len(task.train), arguments)
    contract = preprocessing_of(
        arguments.backbone, arguments.input_size, paper_input=recipe.paper_input
    )
    objects = sorted({object_id for _, object_id in task.train})
    index = {object_id: number for number, object_id in enumerate(objects)}

    def photos(files: list[File]) -> Photos:
        truth = torch.tensor([index[object_id] for _, object_id in files], dtype=torch.int64)
        return Photos(pixels_of(files, contract), truth)

    keep_freed_memory()
    torch.manual_seed(seed_for(seed, "head"))
    model = build_model(
        arguments.backbone, recipe.head, objects=len(objects), preprocessing=contract
    )
    load_imagenet(model.backbone, arguments.backbone, weights=arguments.weights)
    compute = choose_compute("cpu")
    nothing = Photos(
        np.zeros((0, contract.height, contract.width, 3), np.uint8), torch.zeros(0).long()
    )
    trainer = Trainer(model, recipe, photos(task.train), nothing, compute, seed=seed)
    model.load_state_dict(trainer.fit().weights)
    asked = []
    for view, files in task.asked.items():
        truth = torch.tensor([index[object_id] for _, object_id in files])
        pixels = pixels_of(files, contract)
        if view.endswith(TURNED):
            pixels = np.rot90(pixels, axes=(1, 2))
        right = (predict_batches(model, pixels, compute).argmax(1) == truth).tolist()
        asked.append(_counted(view, objects, files, right))
    return Result(
        variant=name,
        task=task_name,
        seed=seed,
        settings=recipe.settings(),
        backbone=arguments.backbone,
        input_size=contract.height,
        train_photos=len(task.train),
        head_weights=sum(p.numel() for p in model.head.parameters()),
        cpu_seconds=round(trainer.cpu_seconds, 2),
        asked=tuple(asked),
    )


def _recipe(name: str, photos: int, arguments: argparse.Namespace) -> Recipe:
    recipe = VARIANTS[name].for_photos(photos)
    if arguments.epochs is None:
        return recipe
    few: int = arguments.epochs
    return dataclasses.replace(
        recipe, epochs=min(recipe.epochs, few), head_epochs=min(recipe.head_epochs, few)
    )


def _counted(view: str, objects: list[str], files: list[File], right: list[bool]) -> Asked:
    tested, hits = dict.fromkeys(objects, 0), dict.fromkeys(objects, 0)
    for (_, object_id), yes in zip(files, right, strict=True):
        tested[object_id] += 1
        hits[object_id] += yes
    return Asked(
        photos=view,
        objects=tuple(objects),
        tested=tuple(tested.values()),
        right=tuple(hits.values()),
    )


def measure_all(arguments: argparse.Namespace, terminal: Terminal, *, wait: bool) -> None:
    """Measures what is missing; what another process has in hand is waited for, or left to it."""
    from filelock import FileLock, Timeout

    (arguments.out / "results").mkdir(parents=True, exist_ok=True)
    for seed in arguments.seeds:
        for task_name, make in tasks_of(arguments, seed).items():
            task: Task | None = None
            for name in arguments.only or VARIANTS:
                file = _file(arguments, task_name, seed, name)
                try:
                    with FileLock(file.with_suffix(".lock"), timeout=-1 if wait else 0):
                        if _known(file, name, arguments) is None:
                            task = task or make()
                            found = measure(name, task_name, task, seed, arguments)
                            found.write(file)
                            terminal.say(f"{task_name}, seed {seed}, {name}: {found.shares}")
                except Timeout:
                    continue


def results_of(arguments: argparse.Namespace) -> list[Result]:
    """Everything that is measured by now, in the order of the variants."""
    found = (
        _known(_file(arguments, task, seed, name), name, arguments)
        for seed in arguments.seeds
        for task in tasks_of(arguments, seed)
        for name in VARIANTS
    )
    return [result for result in found if result is not None]


def _file(arguments: argparse.Namespace, task: str, seed: int, name: str) -> Path:
    stem = f"{task}-{seed}-{name}".replace(" ", "-").replace("'", "")
    folder: Path = arguments.out / "results"
    return folder / f"{stem}.json"


def _known(file: Path, name: str, arguments: argparse.Namespace) -> Result | None:
    """The result in a file, if it is of this recipe, backbone and input size."""
    try:
        found = Result.read(file)
    except DamagedError:
        return None
    recipe = _recipe(name, found.train_photos, arguments)
    size = preprocessing_of(
        arguments.backbone, arguments.input_size, paper_input=recipe.paper_input
    ).height
    measured = (found.settings, found.backbone, found.input_size)
    return found if measured == (recipe.settings(), arguments.backbone, size) else None


def run(arguments: argparse.Namespace) -> None:
    """Measures what is missing and writes the page."""
    with Terminal() as terminal:
        measure_all(arguments, terminal, wait=False)
        measure_all(arguments, terminal, wait=True)
    results = results_of(arguments)
    published = Published(
        created=created_now(),
        host=describe_host(),
        versions=versions(),
        backbone=arguments.backbone,
        results=tuple(results),
    )
    table = arguments.table or arguments.out / "ablation.md"
    published.write(table.with_suffix(".json"))
    write_text(table, page(published))


def _variants(text: str) -> tuple[str, ...]:
    names = tuple(word.strip() for word in text.split(","))
    if not set(names) <= set(VARIANTS):
        raise argparse.ArgumentTypeError(f"choose from: {', '.join(VARIANTS)}")
    return names


def main(words: list[str] | None = None) -> int:
    """Runs the measurement from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.studies.recipe_ablation", description=__doc__
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--grocery", type=Path, required=True, help="with studio/ and photos/")
    parser.add_argument("--demo", type=Path, required=True, help="with register/, extra/, field/")
    parser.add_argument("--out", type=Path, required=True, help="folder to work in")
    parser.add_argument("--seeds", type=whole_numbers, default=(0,), help="default: 0")
    parser.add_argument("--only", type=_variants, help="comma-separated variants (default: all)")
    parser.add_argument("--table", type=Path, help="the page (default: DIR/ablation.md)")
    parser.add_argument("--backbone", default=DEFAULT_BACKBONE, help=argparse.SUPPRESS)
    parser.add_argument("--weights", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--input-size", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--epochs", type=int, help=argparse.SUPPRESS)
    try:
        run(parser.parse_args(words))
    except ArtefactError as error:
        print(f"ablation: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
