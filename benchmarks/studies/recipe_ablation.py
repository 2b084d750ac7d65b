r"""What each part of the recipe brings and costs, on development photos only.

    python -m benchmarks.studies.recipe_ablation --eth80 ETH80 --grocery GROCERY --out DIR \
        --seeds 10,11,12 --table benchmarks/studies/recipe_ablation.md

`ETH80` is a register of that data set, of which seeds 10 to 19 are for development; `GROCERY` holds
`studio/` and `photos/` as in `domain_shift`, whose development half alone is used; `--demo` adds a
generated register with extra and field views. Each variant of the recipe is trained on these sets
of photos and asked about others of the same objects, and about objects that it never saw. Called
again, it keeps what is finished.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

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
from benchmarks.studies.recipe_runs import whole_numbers
from benchmarks.studies.recipe_tasks import PhotoFile, Pixels, Task, pixels_of, shown_as, tasks_of
from benchmarks.studies.study import MeasuredStudy
from benchmarks.studies.study_statistics import Counts, Names, count_by_object
from benchmarks.studies.trained_network import train_network
from mobile_assets.errors import DamagedError
from mobile_assets.preprocessing import Preprocessing
from mobile_assets.schema import Document, Record
from train.recipes import DISCRIMINANT, FIELD, Recipe, Setting
from train.training_plan import DEFAULT_BACKBONE, preprocessing_of

if TYPE_CHECKING:
    from train.batches import Photos
    from train.device import Compute
    from train.model import ArtefactModel

Values = NDArray[Any]


VARIANTS: Mapping[str, Recipe] = {"discriminant": DISCRIMINANT, "field": FIELD}
"""The recipe and the one before it; what differs in one point is added here with `replace`."""

SHIPPED = "discriminant"
"""The variant that the others are compared with."""

RIGHT_AT = 0.05
"""Share of false matches at which right ones are counted. With some 230 photos of unknown objects
a share of 1 % would hang on two of them."""


class ViewAnswers(Record):
    """Answers about one set of photos."""

    photos: str
    objects: Names
    tested: Counts
    right: Counts


class Refusal(Record):
    """How well scores tell photos of objects that were trained on from those of others.

    Attributes:
        known: Photos of objects that were trained on.
        unknown: Photos of others.
        auroc: Share of the pairs in which the known one scores higher.
        right: Share of the known photos that are matched, and rightly, where the threshold lets
            `RIGHT_AT` of the unknown ones through.
    """

    known: int
    unknown: int
    auroc: float
    right: float


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
    refusal: Refusal | None = None


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

    def refusal_words(self, task: str, variant: str) -> tuple[str, str]:
        """AUROC and right matches: the mean of the seeds and their range."""
        refusals = [row.refusal for row in self.rows(task, variant) if row.refusal is not None]
        columns = ([r.auroc for r in refusals], [r.right for r in refusals])
        auroc, right = (
            f"{sum(c) / len(c):.1%} ({min(c):.1%} to {max(c):.1%})" if c else "–" for c in columns
        )
        return auroc, right

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
            "shipped": SHIPPED,
            "seeds": sorted({result.seed for result in self.results}),
            "tasks": {
                task: list(dict.fromkeys(result.variant for result in self.rows(task)))
                for task in tasks
            },
        }

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        """Adds the photos and what to train."""
        parser.add_argument("--eth80", type=Path, help="the data set as a register")
        parser.add_argument("--grocery", type=Path, help="with studio/ and photos/")
        parser.add_argument("--demo", type=Path, help="with register/, extra/, field/")
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
            for task_name, task in tasks_of(vars(arguments), seed).items():
                for variant in VARIANTS:
                    stem = re.sub("[^A-Za-z0-9]+", "-", f"{task_name}-{seed}-{variant}")
                    file = arguments.out / "results" / f"{stem}.json"
                    result = known_result(file, variant, arguments)
                    if result is None:
                        result = measure_variant(variant, task_name, task(), seed, arguments)
                        result.write(file)
                        terminal.say(f"{task_name}, seed {seed}, {variant}: measured")
                    results.append(result)
        return cls.measured_now(backbone=arguments.backbone, results=results)


def measure_variant(
    variant: str, task_name: str, task: Task, seed: int, arguments: argparse.Namespace
) -> AblationResult:
    """Trains one variant on one set of photos and asks it about the others."""
    recipe = _recipe(variant, len(task.train), arguments)
    network = train_network(recipe, task.train, seed, arguments)
    model, objects, photos = network.model, network.objects, network.photos
    contract, compute = network.contract, network.compute
    answers = [
        _answers(model, view, files, objects, contract, compute)
        for view, files in task.test.items()
    ]
    return AblationResult(
        variant=variant,
        task=task_name,
        seed=seed,
        settings=recipe.settings(),
        backbone=arguments.backbone,
        input_size=contract.height,
        train_photos=len(task.train),
        head_weights=sum(p.numel() for p in model.head.parameters()),
        cpu_seconds=round(network.cpu_seconds, 2),
        asked=tuple(answers),
        refusal=_refusal(model, task, photos, objects, contract, compute),
    )


def _answers(
    model: ArtefactModel,
    view: str,
    files: list[PhotoFile],
    objects: list[str],
    contract: Preprocessing,
    compute: Compute,
) -> ViewAnswers:
    """Asks about one set of photos, once for each way in which it is shown."""
    from train.batches import predict_batches

    shown, right = [], []
    for pixels in shown_as(view, files, contract):
        chosen = predict_batches(model, pixels, compute).argmax(1).tolist()
        shown += [object_id for _, object_id in files]
        right += [objects[k] == own for k, (_, own) in zip(chosen, files, strict=True)]
    return ViewAnswers(
        photos=view,
        objects=tuple(objects),
        tested=count_by_object(objects, shown, [True] * len(shown)),
        right=count_by_object(objects, shown, right),
    )


def _refusal(
    model: ArtefactModel,
    task: Task,
    photos: Photos,
    objects: list[str],
    contract: Preprocessing,
    compute: Compute,
) -> Refusal | None:
    """Compares the best scores of known and unknown photos; None without unknown ones.

    An object's score is the mean of three cosines of a photo's embedding: with the object's
    direction, with the nearest of its training photos, and on the average of these.
    """
    from train.heads import CosineClassifier, EmbeddingHead

    if not task.unknown:
        return None
    head = model.head
    assert isinstance(head, EmbeddingHead)
    rows = [row for files in list(task.test.values())[:1] for row in files]
    known, unknown, gallery = (
        embeddings(model, np.asarray(pixels), compute)
        for pixels in (pixels_of(rows, contract), pixels_of(task.unknown, contract), photos.pixels)
    )
    classifier = head[2]
    assert isinstance(classifier, CosineClassifier)
    directions = classifier.directions.detach().numpy()

    def scores(embedded: Values) -> Values:
        cosines = embedded @ gallery.T
        own = [cosines[:, photos.truth.numpy() == k] for k in range(len(objects))]
        nearest = np.stack([c.max(1) for c in own], 1)
        mean = np.stack([c.mean(1) for c in own], 1)
        total: Values = embedded @ directions.T + nearest + mean
        return total / 3

    ours, others = scores(known), scores(unknown).max(1)
    right = ours.argmax(1) == [objects.index(own) for _, own in rows]
    best = ours.max(1)
    higher = (best[:, None] > others).mean() + (best[:, None] == others).mean() / 2
    matched = right & (best > np.quantile(others, 1 - RIGHT_AT))
    return Refusal(
        known=len(best),
        unknown=len(others),
        auroc=round(float(higher), 4),
        right=round(float(matched.mean()), 4),
    )


def embeddings(model: ArtefactModel, pixels: Pixels, compute: Compute) -> Values:
    """`[photos, size]` unit rows of photos `[photos, height, width, 3]`."""
    import torch

    from train.batches import to_images
    from train.heads import EmbeddingHead

    head = model.eval().head
    assert isinstance(head, EmbeddingHead)
    parts = []
    for start in range(0, len(pixels), 32):
        images = to_images(pixels[start : start + 32], compute)
        with torch.inference_mode(), compute.autocast():
            features = model.features(images).float()
        with torch.inference_mode():
            parts.append(head.embedding(features))
    embedded: Values = torch.cat(parts).numpy()
    return embedded


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
