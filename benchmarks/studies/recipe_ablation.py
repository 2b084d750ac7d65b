r"""What each part of the default recipe brings and costs, on development photos only.

    python -m benchmarks.studies.recipe_ablation --grocery GROCERY --demo DEMO --out DIR \
        --seeds 0 --table benchmarks/studies/recipe_ablation.md

`GROCERY` holds `studio/` and `photos/` as in `domain_shift`, whose development half alone is used;
`DEMO` is a generated register with extra and field views. Each variant of the recipe is trained on
three sets of photos and asked about others of the same objects. Called again, it keeps what is
finished.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from benchmarks.results.cluster_bootstrap import (
    Estimate,
    Tally,
    drawn_shares,
    interval,
    share_of,
    tally,
)
from benchmarks.studies.console import Terminal
from benchmarks.studies.domain_shift import in_half, read_source
from benchmarks.studies.eth80 import photo_count
from benchmarks.studies.recipe_runs import whole_numbers
from benchmarks.studies.study import MeasuredStudy
from benchmarks.studies.study_statistics import Counts, Names, count_by_object
from mobile_assets.errors import DamagedError
from mobile_assets.photos import load
from mobile_assets.preprocessing import Preprocessing
from mobile_assets.schema import Document, Record
from train.recipes import FIELD, Recipe, Setting
from train.training_plan import DEFAULT_BACKBONE, preprocessing_of


def _with(**changes: float) -> Recipe:
    assert FIELD.augmentation is not None
    return replace(FIELD, augmentation=replace(FIELD.augmentation, **changes))


VARIANTS: Mapping[str, Recipe] = {
    "field": FIELD,
    "without other grounds": _with(other_ground=0.0),
    "rotation of 30 degrees at most": _with(any_rotation=0.0),
    "with perspective and blur": _with(perspective=0.15, blurred=0.2),
    "linear head": replace(FIELD, head="linear"),
    "paper's head": replace(FIELD, head="paper"),
    "embedding of 128": replace(FIELD, head="embedding-128"),
    "all layers trained": replace(FIELD, frozen_share=0.0),
    "without label smoothing": replace(FIELD, label_smoothing=0.0),
    "head alone": replace(FIELD, epochs=0),
}
"""The default recipe, and what differs from it in one point."""

SHIPPED = "field"
"""The variant that the others are compared with."""

TURNED = "turned by 90°"
"""How the name of photos ends that are shown turned."""


class ViewAnswers(Record):
    """Answers about one set of photos."""

    photos: str
    objects: Names
    tested: Counts
    right: Counts


class AblationResult(Document):
    """One variant, trained on one set of photos with one seed.

    Attributes:
        variant: What differs from the default recipe.
        seed: Of the draw of photos and of the training.
        input_size: Height of its input in pixels.
        train_photos: Photos trained on; none validated.
        head_weights: Parameters of the head.
        cpu_seconds: Processor time of training.
    """

    variant: str
    task: str
    seed: int
    settings: dict[str, Setting]
    backbone: str
    input_size: int
    train_photos: int
    head_weights: int
    cpu_seconds: float
    asked: tuple[ViewAnswers, ...]


class RecipeAblationStudy(MeasuredStudy):
    """Variants of the default recipe."""

    NAME: ClassVar[str] = "recipe_ablation"

    backbone: str
    results: tuple[AblationResult, ...]

    def rows(self, task: str, variant: str | None = None) -> list[AblationResult]:
        """Results on one set of photos, of one variant or all."""
        return [r for r in self.results if r.task == task and variant in (None, r.variant)]

    def tally(self, task: str, variant: str, view: str) -> Tally:
        """Right answers of all seeds about one kind of photos."""
        answers = [own for row in self.rows(task, variant) for own in row.asked]
        return tally((own.objects, own.tested, own.right) for own in answers if own.photos == view)

    def share_words(self, task: str, variant: str, view: str) -> str:
        """Accuracy of a variant, with its difference to the shipped recipe in points."""
        ours, shipped = (self.tally(task, name, view) for name in (variant, SHIPPED))
        if variant == SHIPPED or not np.array_equal(ours.tested, shipped.tested):
            return share_of(ours).text(".1%")
        drawn = 100 * (drawn_shares(ours) - drawn_shares(shipped))
        difference = Estimate(100 * (ours.share - shipped.share), interval(drawn))
        return f"{ours.share:.1%} [{difference.text('+.1f')}]"

    def time_ratio(self, task: str, variant: str) -> Estimate:
        """Processor time of training, of the shipped recipe's; undefined with other seeds."""
        ours, shipped = (self.rows(task, name) for name in (variant, SHIPPED))
        if len(ours) != len(shipped):
            return Estimate(None)
        return Estimate(sum(r.cpu_seconds for r in ours) / sum(r.cpu_seconds for r in shipped))

    def values(self) -> Mapping[str, object]:
        """Tasks, and the variants measured of each."""
        tasks = dict.fromkeys(result.task for result in self.results)
        return {
            "seeds": sorted({result.seed for result in self.results}),
            "tasks": {
                task: list(dict.fromkeys(result.variant for result in self.rows(task)))
                for task in tasks
            },
        }

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        """Adds the photos and what to train."""
        parser.add_argument("--grocery", type=Path, required=True, help="with studio/ and photos/")
        parser.add_argument(
            "--demo", type=Path, required=True, help="with register/, extra/, field/"
        )
        parser.add_argument("--out", type=Path, required=True, help="folder to work in")
        parser.add_argument("--seeds", type=whole_numbers, default=(0,), help="default: 0")
        parser.add_argument("--backbone", default=DEFAULT_BACKBONE, help=argparse.SUPPRESS)
        for name, kind in (("--weights", Path), ("--input-size", int), ("--epochs", int)):
            parser.add_argument(name, type=kind, help=argparse.SUPPRESS)

    @classmethod
    def measure(cls, arguments: argparse.Namespace) -> Self:
        """Measures what is missing."""
        (arguments.out / "results").mkdir(parents=True, exist_ok=True)
        results: list[AblationResult] = []
        terminal = Terminal()
        for seed in arguments.seeds:
            for task_name, task in tasks_of(arguments, seed).items():
                for variant in VARIANTS:
                    stem = f"{task_name}-{seed}-{variant}".replace(" ", "-").replace("'", "")
                    file = arguments.out / "results" / f"{stem}.json"
                    result = known_result(file, variant, arguments)
                    if result is None:
                        result = measure_variant(variant, task_name, task, seed, arguments)
                        result.write(file)
                        terminal.say(f"{task_name}, seed {seed}, {variant}: measured")
                    results.append(result)
        return cls.measured_now(backbone=arguments.backbone, results=results)


PhotoFile = tuple[Path, str]
"""A photo with its object."""


@dataclass(frozen=True)
class Task:
    """Photos to train on and, by name, photos to test on."""

    train: list[PhotoFile]
    test: dict[str, list[PhotoFile]]


def demo_task(root: Path) -> Task:
    """A generated register, asked about further studio views and about messy scenes."""

    def files(folder: str) -> list[PhotoFile]:
        return [(path, path.parent.name) for path in sorted((root / folder).glob("*/*/*.jpg"))]

    studio = files("extra")
    test = {"studio views": studio, f"these {TURNED}": studio, "messy scenes": files("field")}
    return Task(files("register"), test)


def grocery_task(root: Path, seed: int, *, alone: bool) -> Task:
    """Groceries of the development half: the studio picture, and phone photos as in Table 2a.

    Args:
        root: With `studio/` and `photos/`.
        seed: Decides how many phone photos, and which.
        alone: Train on the studio picture alone.
    """
    source = read_source(root)
    generator = np.random.default_rng(seed)
    train: list[PhotoFile] = []
    test: list[PhotoFile] = []
    for object_id, photos in in_half(source, "dev").items():
        order = generator.permutation(len(photos))
        wanted = photo_count(generator) - 1
        extra = 0 if alone else min(wanted, len(photos) - 2)
        train += [(source.studio[object_id], object_id)]
        train += [(photos[i], object_id) for i in order[:extra]]
        test += [(photos[i], object_id) for i in order[extra:]]
    return Task(train, {"phone photos": test})


def tasks_of(arguments: argparse.Namespace, seed: int) -> dict[str, Task]:
    """The sets of photos, by name."""
    return {
        "groceries": grocery_task(arguments.grocery, seed, alone=False),
        "one studio picture": grocery_task(arguments.grocery, seed, alone=True),
        "rendered": demo_task(arguments.demo),
    }


def pixels_of(files: list[PhotoFile], contract: Preprocessing) -> NDArray[np.uint8]:
    """`[photos, height, width, 3]` uint8."""
    return np.stack([load(path, contract) for path, _ in files])


def measure_variant(
    variant: str, task_name: str, task: Task, seed: int, arguments: argparse.Namespace
) -> AblationResult:
    """Trains one variant on one set of photos and asks it about the others."""
    import torch

    from train.batches import Photos, predict_batches, seed_for
    from train.device import choose_compute, keep_freed_memory
    from train.engine import Trainer
    from train.model import build_model
    from train.weights import load_imagenet

    recipe = _recipe(variant, len(task.train), arguments)
    contract = preprocessing_of(arguments.backbone, arguments.input_size)
    objects = sorted({object_id for _, object_id in task.train})

    def truth(files: list[PhotoFile]) -> torch.Tensor:
        return torch.tensor([objects.index(object_id) for _, object_id in files])

    keep_freed_memory()
    torch.manual_seed(seed_for(seed, "head"))
    model = build_model(
        arguments.backbone,
        recipe.head,
        objects=len(objects),
        preprocessing=contract,
        depths=recipe.depths,
    )
    load_imagenet(model.backbone, arguments.backbone, weights=arguments.weights)
    compute = choose_compute("cpu")
    photos = Photos(pixels_of(task.train, contract), truth(task.train))
    no_photos = Photos(photos.pixels[:0], photos.truth[:0])
    trainer = Trainer(model, recipe, photos, no_photos, compute, seed=seed)
    model.load_state_dict(trainer.fit().weights)
    answers: list[ViewAnswers] = []
    for view, files in task.test.items():
        pixels = pixels_of(files, contract)
        if view.endswith(TURNED):
            pixels = np.rot90(pixels, axes=(1, 2))
        right = (predict_batches(model, pixels, compute).argmax(1) == truth(files)).tolist()
        shown = [object_id for _, object_id in files]
        answers.append(
            ViewAnswers(
                photos=view,
                objects=tuple(objects),
                tested=count_by_object(objects, shown, [True] * len(shown)),
                right=count_by_object(objects, shown, right),
            )
        )
    return AblationResult(
        variant=variant,
        task=task_name,
        seed=seed,
        settings=recipe.settings(),
        backbone=arguments.backbone,
        input_size=contract.height,
        train_photos=len(task.train),
        head_weights=sum(p.numel() for p in model.head.parameters()),
        cpu_seconds=round(trainer.cpu_seconds, 2),
        asked=tuple(answers),
    )


def _recipe(variant: str, photos: int, arguments: argparse.Namespace) -> Recipe:
    recipe = VARIANTS[variant].for_photos(photos)
    if arguments.epochs is None:
        return recipe
    few: int = arguments.epochs
    return replace(recipe, epochs=min(recipe.epochs, few), head_epochs=min(recipe.head_epochs, few))


def known_result(file: Path, variant: str, arguments: argparse.Namespace) -> AblationResult | None:
    """The result in a file, if it is of this recipe, backbone and input size."""
    try:
        result = AblationResult.read(file)
    except DamagedError:
        return None
    recipe = _recipe(variant, result.train_photos, arguments)
    size = preprocessing_of(arguments.backbone, arguments.input_size).height
    measured = (result.settings, result.backbone, result.input_size)
    return result if measured == (recipe.settings(), arguments.backbone, size) else None


if __name__ == "__main__":
    sys.exit(RecipeAblationStudy.main())
