"""What is settled before training begins: photos, threshold data set, split, recipe, contract."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mobile_assets.errors import InputError
from mobile_assets.preprocessing import Preprocessing
from train.backbones import DEFAULT_BACKBONE as DEFAULT_BACKBONE  # noqa: PLC0414
from train.backbones import find, pretrained_input
from train.held_out_objects import LARGEST_SHARE, LEAST_HELD_OUT, hold_out_objects
from train.plan_checks import (
    check_network,
    check_register,
    check_training_place,
    threshold_dataset,
)
from train.prepare import Prepared, Progress, default_cache, prepare, same_picture
from train.progress import OnProgress
from train.recipes import Recipe, default_recipe, recipe_named
from train.registers.readers import Layout, read_register
from train.registers.register import Register
from train.run import EpochRecord, Split, SplitName, SplitPhoto
from train.split import Strategy, make_split

SHARED_LISTED = 5
"""So many pictures that stand under two objects are named; `inspect` names them all."""


@dataclass(frozen=True)
class TrainOptions:
    """What can be chosen of a training.

    Attributes:
        backbone: A name of `train.backbones.BACKBONES`, or any of timm's.
        recipe: Name of a recipe; None for the default of the head.
        head: Name of a head; None for the recipe's own.
        split: How photos are divided; None for the recipe's own way.
        seed: Of the split, the head's first weights and the order of photos.
        weights: Checkpoint with the backbone's ImageNet weights; None to find them.
        device: `auto`, `cpu`, `cuda` or `mps`.
        input_size: Side of the square input in pixels; None for the backbone's own.
        epochs: Passes over all weights; None for the recipe's own.
        patience: Epochs without a better validation after which training ends; None for the
            recipe's own, 0 for never.
        teacher: A network that guides the stage of all weights: a run folder, a timm name, or
            `NAME=FILE` with its weights; None for none.
        teacher_weight: What the teacher's loss is multiplied by.
        teacher_size: Side of the teacher's square input in pixels; None for its own.
        hold_out_test: False where test photos come from elsewhere, so that none are spent on it.
        hold_out_objects: Share of the objects that are kept out of training; None for the recipe's
            own where photos are divided by the stratified split, and for 0 otherwise.
        fit_validation: Whether a head in closed form is fitted to validation photos too; None for
            the recipe's own.
        cache: Folder of prepared photos; None for the user's cache folder.
        force: Replace a run that is already there.
    """

    backbone: str = DEFAULT_BACKBONE
    recipe: str | None = None
    head: str | None = None
    min_photos: int = 3
    split: Strategy | None = None
    seed: int = 0
    weights: Path | None = None
    layout: Layout = "auto"
    device: str = "auto"
    input_size: int | None = None
    epochs: int | None = None
    patience: int | None = None
    teacher: str | None = None
    teacher_weight: float = 1.0
    teacher_size: int | None = None
    hold_out_test: bool = True
    hold_out_objects: float | None = None
    fit_validation: bool | None = None
    cache: Path | None = None
    force: bool = False

    @property
    def recipe_name(self) -> str:
        """The recipe that was named, or the default."""
        return self.recipe or default_recipe(self.head).name


@dataclass(frozen=True)
class Reporter:
    """Where training tells how far it is; every member may be left out."""

    prepared: Progress | None = None
    epoch: Callable[[EpochRecord, int], None] | None = None
    progress: OnProgress | None = None
    said: Callable[[str], object] = len  # says it to nobody


@dataclass(frozen=True)
class TrainingPlan:
    """Everything that is settled before the first step of training.

    Attributes:
        prepared: All readable photos with their pixels.
        held_out: Ids of the objects that are kept out of training, and enrolled afterwards.
    """

    recipe: Recipe
    contract: Preprocessing
    prepared: Prepared
    dataset: Register
    split: Split
    held_out: tuple[str, ...] = ()

    def photos_of(self, side: SplitName, *, held_out: bool) -> tuple[SplitPhoto, ...]:
        """One side's photos, of the objects kept out or of the others; without unseen objects."""
        objects = frozenset(self.held_out)
        return tuple(
            photo
            for photo in self.split.of(side)
            if photo.seen and (photo.object_id in objects) == held_out
        )


def check_run(photos: Path, out: Path | None, options: TrainOptions) -> None:
    """Refuses in seconds what `plan_run` or the training would refuse after minutes or hours.

    Args:
        photos: The register: a folder or a manifest.
        out: The run folder to write; None where its place is another's business.
        options: What was chosen.

    Raises:
        ArtefactError: The photos, an option, `out` or the machine cannot be used.
        ModuleNotFoundError: A package is not installed.
    """
    if options.seed < 0:
        raise InputError(f"--seed {options.seed}: give 0 or more.")
    recipe = _recipe(options)
    contract = preprocessing_of(
        options.backbone, options.input_size, paper_input=recipe.paper_input
    )
    if out is not None:
        check_training_place(out, photos)
    register = read_register(photos, layout=options.layout)
    check_register(register, min_photos=options.min_photos, strategy=options.split or recipe.split)
    check_network(
        contract,
        recipe,
        backbone=options.backbone,
        head=options.head or recipe.head,
        objects=len(register.threshold(options.min_photos).object_ids),
        weights=options.weights,
        device=options.device,
        out=out,
    )
    _check_teacher(options, recipe)


def _check_teacher(options: TrainOptions, recipe: Recipe) -> None:
    """Refuses a teacher that cannot be used, or that would have nothing to do."""
    if options.teacher is None:
        return
    if not recipe.epochs:
        raise InputError(
            f"--teacher {options.teacher}: recipe {recipe.name} has no epochs of all weights, "
            "which a teacher guides. Leave it out, or choose another recipe."
        )
    from train.teacher import TeacherChoice, check_teacher

    check_teacher(TeacherChoice(options.teacher, options.teacher_weight, options.teacher_size))


def plan_run(photos: Path, options: TrainOptions, reporter: Reporter | None = None) -> TrainingPlan:
    """Reads and divides the photos; the same photos and options give the same plan.

    Args:
        photos: The register: a folder or a manifest.

    Raises:
        InputError: The photos or an option cannot be used.
    """
    reporter = reporter or Reporter()
    recipe = _recipe(options)
    contract = preprocessing_of(
        options.backbone, options.input_size, paper_input=recipe.paper_input
    )
    register = read_register(photos, layout=options.layout)
    cache = options.cache or default_cache()
    prepared = prepare(register, contract, cache, progress=reporter.prepared, said=reporter.said)
    dataset = threshold_dataset(prepared.register, options.min_photos)
    split = _split(dataset, prepared, options, recipe)
    held_out = hold_out_objects(
        dataset, split, recipe.hold_out_objects, seed=options.seed, shared=prepared.shared
    )
    plan = TrainingPlan(recipe, contract, prepared, dataset, split, held_out)
    recipe = recipe.for_photos(len(plan.photos_of("train", held_out=False)))
    return dataclasses.replace(plan, recipe=recipe)


def preprocessing_of(
    backbone: str, input_size: int | None, *, paper_input: bool = False
) -> Preprocessing:
    """The preprocessing contract of a backbone: its ImageNet weights' input size, mean and std.

    Args:
        backbone: A name of `train.backbones.BACKBONES`, or any of timm's.
        input_size: Side of a square input in pixels; None for the backbone's own size.
        paper_input: Pixels as in the paper: blue, green, red, 0–255, at the paper's size.

    Raises:
        InputError: Nobody knows the backbone, or the size is too small.
    """
    if input_size is not None and input_size < 32:
        raise InputError(f"--input-size {input_size}: give at least 32 pixels.")
    (height, width), mean, std = pretrained_input(backbone)
    if paper_input:
        ours = find(backbone)
        height, width = (ours and ours.paper_size) or (height, width)
        unchanged = 1 / 255  # (rgb / 255 - 0) / (1 / 255) is 0–255 again
        return Preprocessing(
            height=input_size or height,
            width=input_size or width,
            mean=(0.0, 0.0, 0.0),
            std=(unchanged, unchanged, unchanged),
            network_colour="BGR",
        )
    return Preprocessing(height=input_size or height, width=input_size or width, mean=mean, std=std)


def _recipe(options: TrainOptions) -> Recipe:
    recipe = recipe_named(options.recipe_name)
    if options.epochs is not None:
        if options.epochs < 0:
            raise InputError(f"--epochs {options.epochs}: give 0 or more.")
        recipe = dataclasses.replace(recipe, epochs=options.epochs)
    if options.patience is not None:
        if options.patience < 0:
            raise InputError(f"--patience {options.patience}: give 0 (never) or more.")
        recipe = dataclasses.replace(recipe, patience=options.patience)
    recipe = _closed_form(recipe, options)
    head = options.head or recipe.head
    if recipe.closed_form and not head.startswith("embedding"):
        raise InputError(
            f"Recipe {recipe.name} fits an embedding in closed form, and head {head} has none. "
            "Leave --head out, or give --head embedding-N."
        )
    if recipe.epochs + recipe.head_epochs == 0:
        raise InputError(f"Recipe {recipe.name} with --epochs 0 trains nothing. Give 1 or more.")
    return recipe


def _closed_form(recipe: Recipe, options: TrainOptions) -> Recipe:
    """The recipe with what was chosen of its head in closed form."""
    share, fitted = options.hold_out_objects, options.fit_validation
    if share is not None and not 0 <= share <= LARGEST_SHARE:
        raise InputError(f"--hold-out-objects {share}: give a share from 0 to {LARGEST_SHARE}.")
    if not recipe.closed_form and (share or fitted):
        option = "--hold-out-objects" if share else "--fit-validation"
        raise InputError(
            f"{option} needs a head in closed form, and recipe {recipe.name} trains its head by "
            f"gradients. Leave {option} out, or give --recipe discriminant."
        )
    if share is None:
        # A split that others made, or made before, is for comparing: all are trained on it alike.
        stratified = (options.split or recipe.split) == "stratified"
        share = recipe.hold_out_objects if stratified else 0.0
    if fitted is None:
        fitted = recipe.fit_validation
    return dataclasses.replace(recipe, hold_out_objects=share, fit_validation=fitted)


def _split(dataset: Register, prepared: Prepared, options: TrainOptions, recipe: Recipe) -> Split:
    return make_split(
        dataset,
        strategy=options.split or recipe.split,
        seed=options.seed,
        min_photos=options.min_photos,
        digests=prepared.digests,
        hashes=prepared.hashes,
        shared=prepared.shared,
        hold_out_test=options.hold_out_test,
    )


def report_plan(reporter: Reporter, plan: TrainingPlan) -> None:
    """Says what will be trained on, and what is wrong with it."""
    dataset, split = plan.dataset, plan.split
    left = len(plan.prepared.register.object_ids) - len(dataset.object_ids)
    unreadable = sum(problem.kind == "unreadable" for problem in dataset.problems)
    reporter.said(
        f"{len(dataset.object_ids)} objects with at least {split.min_photos} photos"
        f" ({left} with fewer left out): {len(split.of('train'))} photos for training, "
        f"{len(split.of('val'))} for validation, {len(split.of('test'))} for test"
    )
    if plan.held_out:
        reporter.said(
            f"{len(plan.held_out)} objects are kept out of training, to set thresholds on, and "
            "enrolled at the end"
        )
    elif plan.recipe.hold_out_objects:
        reporter.said(
            f"no object is kept out of training: that takes {2 * LEAST_HELD_OUT} objects or more, "
            "with pictures that no other object has"
        )
    if unreadable:
        reporter.said(f"{unreadable} photos cannot be read: `artefact-id inspect` lists them")
    for problem in same_picture(plan.prepared.shared)[:SHARED_LISTED]:
        reporter.said(f"{problem.path} {problem.reason}")
    if len(plan.prepared.shared) > SHARED_LISTED:
        reporter.said(
            f"{len(plan.prepared.shared)} pictures stand under two objects: "
            "`artefact-id inspect` lists them"
        )
    if not split.of("val") and plan.recipe.patience:
        raise InputError(
            f"--patience {plan.recipe.patience} waits for a better validation, but there are no "
            "validation photos. Leave it out, or hold some out."
        )
    if not split.of("val"):
        reporter.said("no validation photos: the last epoch's weights are taken")
