"""Training a run: register → threshold data set → split → network → run folder."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mobile_assets.errors import InputError
from mobile_assets.files import check_output, new_folder, sha256_file, write_text
from mobile_assets.preprocessing import Preprocessing
from train.backbones import find, pretrained_input
from train.prepare import Prepared, Progress, default_cache, prepare, same_picture
from train.progress import OnProgress
from train.readers import Layout, read_register
from train.recipes import Recipe, recipe_named
from train.register import Register
from train.run import (
    MODEL_FILE,
    EpochRecord,
    PhotoCounts,
    Run,
    RunInfo,
    RunMetrics,
    Split,
    read_run,
)
from train.split import Strategy, make_split
from train.versions import created_now, versions

if TYPE_CHECKING:
    from train.batches import Photos
    from train.engine import Trainer
    from train.logs import EventLog
    from train.model import ArtefactModel
    from train.parallel import Alone

SHARED_LISTED = 5
"""So many pictures that stand under two objects are named; `inspect` names them all."""

DEFAULT_BACKBONE = "tf_efficientnet_lite0"


@dataclass(frozen=True)
class TrainOptions:
    """What can be chosen of a training.

    Attributes:
        backbone: A name of `train.backbones.BACKBONES`, or any of timm's.
        recipe: Name of a recipe.
        head: Name of a head; None for the recipe's own.
        min_photos: The threshold data set.
        split: How photos are divided; None for the recipe's own way.
        seed: Of the split, the head's first weights and the order of photos.
        weights: Checkpoint with the backbone's ImageNet weights; None to find them.
        layout: How folders are meant.
        device: `auto`, `cpu`, `cuda` or `mps`.
        input_size: Side of the square input in pixels; None for the backbone's own.
        epochs: Passes over all weights; None for the recipe's own.
        patience: Epochs without a better validation after which training ends; None for the
            recipe's own, 0 for never.
        hold_out_test: False where test photos come from elsewhere, so that none are spent on it.
        cache: Folder of prepared photos; None for the user's cache folder.
        force: Replace a run that is already there.
    """

    backbone: str = DEFAULT_BACKBONE
    recipe: str = "field"
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
    hold_out_test: bool = True
    cache: Path | None = None
    force: bool = False


@dataclass(frozen=True)
class Reporter:
    """Where training tells how far it is; every member may be left out."""

    prepared: Progress | None = None
    epoch: Callable[[EpochRecord, int], None] | None = None
    progress: OnProgress | None = None
    said: Callable[[str], object] = len  # says it to nobody


@dataclass(frozen=True)
class Plan:
    """Everything that is settled before the first step of training.

    Attributes:
        recipe: How to train.
        contract: The preprocessing contract.
        prepared: All readable photos with their pixels.
        dataset: The threshold data set.
        split: Its division.
    """

    recipe: Recipe
    contract: Preprocessing
    prepared: Prepared
    dataset: Register
    split: Split


def plan_run(photos: Path, options: TrainOptions, reporter: Reporter | None = None) -> Plan:
    """Reads and divides the photos; the same photos and options give the same plan.

    Args:
        photos: The register: a folder or a manifest.
        options: What was chosen.
        reporter: Where progress goes.

    Raises:
        InputError: The photos or an option cannot be used.
    """
    reporter = reporter or Reporter()
    recipe = _recipe(options)
    contract = contract_of(options.backbone, options.input_size, paper_input=recipe.paper_input)
    register = read_register(photos, layout=options.layout)
    cache = options.cache or default_cache()
    prepared = prepare(register, contract, cache, progress=reporter.prepared, said=reporter.said)
    dataset = threshold_dataset(prepared.register, options.min_photos)
    split = _split(dataset, prepared, options, recipe)
    recipe = recipe.for_photos(len(split.of("train")))
    return Plan(recipe, contract, prepared, dataset, split)


def train_run(
    photos: Path,
    out: Path,
    options: TrainOptions,
    reporter: Reporter | None = None,
    *,
    plan: Plan | None = None,
) -> Run:
    """Fine-tunes one model and writes its run folder.

    Args:
        photos: The register: a folder or a manifest.
        out: The run folder to write; it appears whole or not at all.
        options: What was chosen.
        reporter: Where progress goes.
        plan: `plan_run` of the same photos and options, where it is already made.

    Returns:
        The run, as read back from disk.

    Raises:
        InputError: The photos, an option or `out` cannot be used.
    """
    from train.parallel import is_first_process, processes

    reporter = reporter if reporter and is_first_process() else Reporter()

    def made_plan() -> Plan:
        check_output(out, force=options.force, what="run")
        return plan or plan_run(photos, options, reporter)

    with processes() as several:
        settled = several.together(made_plan)
        _say_what_is_learned(reporter, settled)
        _train(settled, out, options, reporter, several)
    return read_run(out)


def _train(
    plan: Plan, out: Path, options: TrainOptions, reporter: Reporter, several: Alone
) -> None:
    """Trains, or goes on with, what is planned, and writes the run in the first process."""
    from train.checkpoint import Checkpoint
    from train.interrupt import Interrupts
    from train.logs import LOGS_FOLDER, EventLog

    trainer, weights = several.together(lambda: _trainer(plan, options, reporter))
    settings = dataclasses.replace(options, cache=None, force=False)
    checkpoint = Checkpoint.beside(out, plan.split.sha256, plan.recipe, plan.contract, settings)
    resume = checkpoint.parse(several.share(checkpoint.read() if several.first else None))
    if resume is not None:
        reporter.said(f"going on {resume.place()}: this training was broken off")
    log = EventLog(checkpoint.folder / LOGS_FOLDER)
    trainer.checkpoint, trainer.processes = checkpoint, several
    if several.first:
        trainer.on_epoch = _logged(log, resume.history if resume else [], reporter)
    with Interrupts() as interrupts:
        trainer.interrupts = interrupts
        with checkpoint.kept_if_disk_is_full(checkpoint.folder):
            best = trainer.fit(resume)
    trainer.model.load_state_dict(best.weights)

    def write() -> None:
        if several.first:
            with (
                checkpoint.kept_if_disk_is_full(out),
                new_folder(out, force=options.force, what="run") as folder,
            ):
                log.move(folder)
                _write(folder, trainer, plan, options, name=out.name, weights=weights)
            checkpoint.remove()

    several.together(write)


def _logged(
    log: EventLog, history: Sequence[EpochRecord], reporter: Reporter
) -> Callable[[EpochRecord, int], None]:
    """Writes each epoch into the log, then tells it."""
    if history:
        log.begin(history)

    def epoch(record: EpochRecord, epochs: int) -> None:
        log.write(record)
        if reporter.epoch is not None:
            reporter.epoch(record, epochs)

    return epoch


def contract_of(
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


def threshold_dataset(register: Register, min_photos: int) -> Register:
    """The objects with enough readable photos.

    Raises:
        InputError: Fewer than two objects have so many photos.
    """
    if min_photos < 1:
        raise InputError(f"--min-photos {min_photos}: give 1 or more.")
    dataset = register.threshold(min_photos)
    objects = len(dataset.object_ids)
    if objects >= 2:
        return dataset
    counts = register.photos_per_object
    most = max(counts.values(), default=0)
    raise InputError(
        f"{register.root} has {objects} object{'s' if objects != 1 else ''} with at least "
        f"{min_photos} readable photos (of {len(counts)}; the most photographed has {most}). "
        "At least 2 are needed: add photos or lower --min-photos."
    )


def _recipe(options: TrainOptions) -> Recipe:
    recipe = recipe_named(options.recipe)
    if options.epochs is not None:
        if options.epochs < 0:
            raise InputError(f"--epochs {options.epochs}: give 0 or more.")
        recipe = dataclasses.replace(recipe, epochs=options.epochs)
    if options.patience is not None:
        if options.patience < 0:
            raise InputError(f"--patience {options.patience}: give 0 (never) or more.")
        recipe = dataclasses.replace(recipe, patience=options.patience)
    if recipe.epochs + recipe.head_epochs == 0:
        raise InputError(f"Recipe {recipe.name} with --epochs 0 trains nothing. Give 1 or more.")
    return recipe


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


def _say_what_is_learned(reporter: Reporter, plan: Plan) -> None:
    dataset, split = plan.dataset, plan.split
    left = len(plan.prepared.register.object_ids) - len(dataset.object_ids)
    unreadable = sum(problem.kind == "unreadable" for problem in dataset.problems)
    reporter.said(
        f"{len(dataset.object_ids)} objects with at least {split.min_photos} photos"
        f" ({left} with fewer left out): {len(split.of('train'))} photos for training, "
        f"{len(split.of('val'))} for validation, {len(split.of('test'))} for test"
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


def _trainer(plan: Plan, options: TrainOptions, reporter: Reporter) -> tuple[Trainer, str]:
    import torch

    from train.batches import seed_for
    from train.device import choose_compute, keep_freed_memory
    from train.engine import Trainer
    from train.model import build_model
    from train.weights import load_imagenet

    torch.manual_seed(seed_for(options.seed, "head"))
    model: ArtefactModel = build_model(
        options.backbone,
        options.head or plan.recipe.head,
        objects=len(plan.dataset.object_ids),
        preprocessing=plan.contract,
    )
    weights = load_imagenet(model.backbone, options.backbone, weights=options.weights)
    compute = choose_compute(options.device)
    if compute.device.type == "cpu":
        keep_freed_memory()
    reporter.said(f"{options.backbone} with ImageNet weights from {weights}, {compute.description}")
    trainer = Trainer(
        model,
        plan.recipe,
        _photos(plan, "train"),
        _photos(plan, "val"),
        compute,
        seed=options.seed,
        on_progress=reporter.progress,
    )
    return trainer, weights


def _photos(plan: Plan, side: str) -> Photos:
    """Pixels and class indices of one side; objects unseen in training are left out."""
    import torch

    from train.batches import Photos

    index = {object_id: i for i, object_id in enumerate(plan.dataset.object_ids)}
    chosen = [photo for photo in plan.split.photos if photo.split == side and photo.seen]
    return Photos(
        plan.prepared.view([photo.path for photo in chosen]),
        torch.tensor([index[photo.object_id] for photo in chosen], dtype=torch.int64),
    )


def _write(
    folder: Path,
    trainer: Trainer,
    plan: Plan,
    options: TrainOptions,
    *,
    name: str,
    weights: str,
) -> None:
    from safetensors.torch import save_file

    dataset, split = plan.dataset, plan.split
    labels = dataset.label_map()
    model = {k: v.contiguous().cpu() for k, v in trainer.model.state_dict().items()}
    save_file(model, folder / MODEL_FILE)
    labels.write(folder, text=False)
    split.write(folder / "split.json")
    write_text(folder / "history.csv", _history(trainer.history))
    _metrics(trainer).write(folder / "metrics.json")
    RunInfo(
        name=name,
        created=created_now(),
        register_name=dataset.name,
        objects=len(labels),
        min_photos=options.min_photos,
        backbone=options.backbone,
        head=options.head or trainer.recipe.head,
        recipe=trainer.recipe.name,
        recipe_settings=trainer.recipe.settings(),
        weights=weights,
        seed=options.seed,
        preprocessing=plan.contract,
        photos=PhotoCounts(
            train=len(split.of("train")),
            val=len(split.of("val")),
            test=len(split.of("test")),
            unreadable=sum(p.kind == "unreadable" for p in dataset.problems),
        ),
        photo_list_sha256=split.sha256,
        labels_sha256=labels.sha256,
        model_sha256=sha256_file(folder / MODEL_FILE),
        versions=versions(),
        host={
            "system": f"{platform.system()} {platform.machine()}",
            "compute": trainer.compute.description,
        },
    ).write(folder / "run.json")


def _metrics(trainer: Trainer) -> RunMetrics:
    best = trainer.best
    rows = [record for record in trainer.history if record.stage == "all"]
    seen = len(rows) * len(trainer.train)
    return RunMetrics(
        best_epoch=best.epoch,
        best_stage=best.stage,
        val_top1=best.top1 if len(trainer.val) else None,
        val_photos=len(trainer.val),
        seconds=round(trainer.seconds, 2),
        cpu_seconds=round(trainer.cpu_seconds, 2),
        train_photos_per_second=(
            round(seen / sum(record.seconds for record in rows), 2) if rows else None
        ),
    )


def _history(records: list[EpochRecord]) -> str:
    """`history.csv`; a cell is empty where there was nothing to measure."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(EpochRecord.model_fields), lineterminator="\n")
    writer.writeheader()
    for record in records:
        row = record.model_dump()
        writer.writerow(
            {
                key: "" if isinstance(v, float) and math.isnan(v) else _rounded(v)
                for key, v in row.items()
            }
        )
    return text.getvalue()


def _rounded(value: object) -> object:
    return round(value, 6) if isinstance(value, float) else value
