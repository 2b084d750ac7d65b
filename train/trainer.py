"""Training a run: from what is planned to the run folder."""

from __future__ import annotations

import dataclasses
import math
import platform
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobile_assets.csv_table import csv_text
from mobile_assets.files import check_output, new_folder, sha256_file, write_text
from mobile_assets.output_lock import claimed
from train.run import (
    METRICS_FILE,
    MODEL_FILE,
    VALIDATION_FILE,
    EpochRecord,
    HeldOutObjects,
    PhotoCounts,
    Run,
    RunInfo,
    RunMetrics,
    SplitName,
    TemperatureInfo,
    ValidationAnswer,
    ValidationAnswers,
    read_run,
)
from train.training_plan import (
    Reporter,
    TrainingPlan,
    TrainOptions,
    check_run,
    plan_run,
    report_plan,
)
from train.versions import created_now, versions

if TYPE_CHECKING:
    from train.batches import Enrolment, Photos
    from train.engine import Trainer
    from train.model import ArtefactModel
    from train.parallel import SingleProcess
    from train.teacher import Teacher
    from train.tensorboard import EventLog


def train_run(
    photos: Path,
    out: Path,
    options: TrainOptions,
    reporter: Reporter | None = None,
    *,
    plan: TrainingPlan | None = None,
) -> Run:
    """Fine-tunes one model and writes its run folder.

    Args:
        photos: The register: a folder or a manifest.
        out: The run folder to write; it appears whole or not at all.
        plan: `plan_run` of the same photos and options, where it is already made.

    Raises:
        InputError: The photos, an option or `out` cannot be used.
    """
    from train.checkpoint import remove_finished_state
    from train.parallel import is_first_process, processes

    reporter = reporter if reporter and is_first_process() else Reporter()

    def made_plan() -> TrainingPlan:
        if several.first:
            claim.enter_context(claimed(out))
            remove_finished_state(out)
        check_output(out, force=options.force, what="run")
        if plan is not None:
            return plan
        check_run(photos, out, options)
        return plan_run(photos, options, reporter)

    with ExitStack() as claim, processes() as several:
        settled = several.together(made_plan)
        report_plan(reporter, settled)
        _train(settled, out, options, reporter, several)
    return read_run(out)


def _train(
    plan: TrainingPlan, out: Path, options: TrainOptions, reporter: Reporter, several: SingleProcess
) -> None:
    """Trains, or goes on with, what is planned, and writes the run in the first process."""
    from train.checkpoint import Checkpoint
    from train.signals import InterruptHandler
    from train.tensorboard import LOGS_FOLDER, EventLog

    trainer, weights = several.together(lambda: _trainer(plan, options, reporter))
    settings = dataclasses.replace(options, cache=None, force=False)
    # By the hash of its weights: no training goes on with another teacher of the same name.
    teacher = [] if trainer.teacher is None else [trainer.teacher.info.model_dump()]
    checkpoint = Checkpoint.beside(
        out, plan.split.sha256, plan.recipe, plan.contract, settings, *teacher
    )
    resume = checkpoint.parse(several.share(checkpoint.read() if several.first else None))
    if resume is not None:
        reporter.said(f"going on {resume.place()}: this training was broken off")
    log = EventLog(checkpoint.folder / LOGS_FOLDER)
    trainer.checkpoint, trainer.processes = checkpoint, several
    if several.first:
        trainer.on_epoch = _logged(log, resume.history if resume else [], reporter)
    with InterruptHandler() as interrupts:
        trainer.interrupts = interrupts
        with checkpoint.kept_if_disk_is_full(checkpoint.folder):
            best = trainer.fit(resume)
    trainer.model.load_state_dict(best.weights)
    temperature = _temperature(trainer)

    def write() -> None:
        if several.first:
            with (
                checkpoint.kept_if_disk_is_full(out),
                new_folder(out, force=options.force, what="run") as folder,
            ):
                log.move(folder)
                facts = {"name": out.name, "weights": weights, "temperature": temperature}
                _write(folder, trainer, plan, options, facts)
                checkpoint.finish(sha256_file(folder / MODEL_FILE))
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


def _trainer(plan: TrainingPlan, options: TrainOptions, reporter: Reporter) -> tuple[Trainer, str]:
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
        depths=plan.recipe.depths,
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
        enrolment=_enrolment(plan),
        on_progress=reporter.progress,
        teacher=_teacher(plan, options, reporter),
    )
    return trainer, weights


def _teacher(plan: TrainingPlan, options: TrainOptions, reporter: Reporter) -> Teacher | None:
    """The network that guides the training, and a word of it; None if none was asked for."""
    if options.teacher is None:
        return None
    from train.teacher import TeacherChoice, load_teacher

    choice = TeacherChoice(options.teacher, options.teacher_weight, options.teacher_size)
    teacher = load_teacher(choice)
    teacher.check_split(plan.split, plan.held_out)
    info = teacher.info
    reporter.said(
        f"guided by {info.name} with weights from {info.weights}, {info.height} × {info.width}"
    )
    return teacher


def _photos(plan: TrainingPlan, side: SplitName, *, held_out: bool = False) -> Photos:
    """Pixels and class indices of one side, of the objects that are kept out or of the others."""
    import torch

    from train.batches import Photos

    index = plan.dataset.label_map().index_of
    chosen = plan.photos_of(side, held_out=held_out)
    return Photos(
        plan.prepared.view([photo.path for photo in chosen]),
        torch.tensor([index[photo.object_id] for photo in chosen], dtype=torch.int64),
    )


def _enrolment(plan: TrainingPlan) -> Enrolment | None:
    from train.batches import Enrolment

    if not plan.held_out:
        return None
    return Enrolment(*(_photos(plan, side, held_out=True) for side in ("train", "val")))


def _temperature(trainer: Trainer) -> TemperatureInfo | None:
    """The temperature of the trained network by its validation photos; None without any.

    Label smoothing leaves a network less sure than it is right, and an officer should be able to
    take a probability at its word. Where the head was fitted to these photos at the end, their
    answers from before are taken: on photos that it was fitted to it is surer than on any other.
    """
    from train.batches import predict_batches
    from train.temperature import fitted

    if trainer.validated is not None:
        logits, truth = trainer.validated.logits, trainer.validated.truth
    elif len(trainer.val):
        truth = trainer.val.truth
        logits = predict_batches(
            trainer.model, trainer.val.pixels, trainer.compute, processes=trainer.processes
        )
    else:
        return None
    temperature = fitted(logits.numpy(), truth.numpy())
    if temperature is None:
        return None
    return TemperatureInfo(value=round(temperature.value, 4), photos=temperature.photos)


def _write(
    folder: Path, trainer: Trainer, plan: TrainingPlan, options: TrainOptions, facts: dict[str, Any]
) -> None:
    from safetensors.torch import save_file

    dataset, split = plan.dataset, plan.split
    labels = dataset.label_map()
    model = {k: v.contiguous().cpu() for k, v in trainer.model.state_dict().items()}
    save_file(model, folder / MODEL_FILE)
    labels.write(folder, text=False)
    split.write(folder / "split.json")
    write_text(folder / "history.csv", _history(trainer.history))
    _metrics(trainer).write(folder / METRICS_FILE)
    model_sha256 = sha256_file(folder / MODEL_FILE)
    if trainer.validation_fitted:
        _validation_answers(trainer, plan, facts["temperature"], model_sha256).write(
            folder / VALIDATION_FILE
        )
    RunInfo(
        created=created_now(),
        register_name=dataset.name,
        objects=len(labels),
        min_photos=options.min_photos,
        backbone=options.backbone,
        head=options.head or trainer.recipe.head,
        depths=trainer.model.depths,
        recipe=trainer.recipe.name,
        recipe_settings=trainer.recipe.settings(),
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
        model_sha256=model_sha256,
        versions=versions(),
        host={
            "system": f"{platform.system()} {platform.machine()}",
            "compute": trainer.compute.description,
        },
        held_out=HeldOutObjects(share=trainer.recipe.hold_out_objects, objects=plan.held_out)
        if plan.held_out
        else None,
        validation_fitted=trainer.validation_fitted,
        teacher=trainer.teacher.info if trainer.teacher else None,
        **facts,
    ).write(folder / "run.json")


def _validation_answers(
    trainer: Trainer, plan: TrainingPlan, temperature: TemperatureInfo | None, model_sha256: str
) -> ValidationAnswers:
    """What was answered to validation photos before the head was fitted to them."""
    assert trainer.validated is not None, "they were fitted after they were validated"
    photos = [
        photo for held_out in (False, True) for photo in plan.photos_of("val", held_out=held_out)
    ]
    logits = trainer.validated.logits / (temperature.value if temperature else 1.0)
    probabilities, answers = logits.softmax(dim=1).max(dim=1)
    rows = zip(photos, answers.tolist(), probabilities.tolist(), strict=True)
    return ValidationAnswers(
        model_sha256=model_sha256,
        photos=tuple(
            ValidationAnswer(path=photo.path, answer=answer, probability=min(1.0, probability))
            for photo, answer, probability in rows
        ),
    )


def _metrics(trainer: Trainer) -> RunMetrics:
    best = trainer.best
    rows = [record for record in trainer.history if record.stage == "all"]
    seen = len(rows) * len(trainer.train)
    return RunMetrics(
        best_epoch=best.epoch,
        best_stage=best.stage,
        val_top1=best.top1 if len(trainer.val) else None,
        val_photos=len(trainer.val),
        enrolled_top1=trainer.validated.enrolled_top1 if trainer.validated else None,
        enrolled_photos=len(trainer.enrolment.val) if trainer.enrolment else 0,
        seconds=round(trainer.seconds, 2),
        cpu_seconds=round(trainer.cpu_seconds, 2),
        train_photos_per_second=(
            round(seen / sum(record.seconds for record in rows), 2) if rows else None
        ),
    )


def _history(records: list[EpochRecord]) -> str:
    """`history.csv`; a cell is empty where there was nothing to measure."""
    rows = ({key: _cell(value) for key, value in record.model_dump().items()} for record in records)
    return csv_text(rows, list(EpochRecord.model_fields))


def _cell(value: object) -> object:
    if not isinstance(value, float):
        return value
    return None if math.isnan(value) else round(value, 6)
