"""`artefact-id evaluate`: from runs to tables, figures and the page."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.evaluation.acquisition import evidence_of, fit_curve, nearest_confusions, outlooks
from benchmarks.evaluation.ensemble import Ensemble, PhotoSelection, choose_photos, read_ensemble
from benchmarks.evaluation.inference import (
    Findings,
    Network,
    Predictions,
    Progress,
    Step,
    answer_photos,
    measure_latency,
)
from benchmarks.evaluation.schema import ENSEMBLE, Evaluation, EvaluationSettings, Member, Tested
from benchmarks.evaluation.score_rows import (
    collection_rows,
    compare,
    graded,
    photo_groups,
    score_row,
)
from benchmarks.measure.evaluation_set import list_hash, listed, unchanged
from benchmarks.measure.host import command_line, describe_host
from mobile_assets.errors import InputError
from mobile_assets.files import check_output, new_folder, write_text
from mobile_assets.plan_checks import check_packages, check_place
from train.registers.readers import Layout
from train.run import SplitPhoto, load_model
from train.versions import created_now, versions

TRAINING_PHOTOS = 4000
"""Training photos whose features are averaged: about two minutes of a small network on a CPU."""


@dataclass(frozen=True)
class EvaluateOptions:
    """What can be chosen of an evaluation: draws of objects, timed rounds of one photo, or none."""

    resamples: int = 1000
    seed: int = 0
    latency_runs: int = 15
    figures: bool = True
    layout: Layout = "auto"
    force: bool = False


def evaluate_runs(
    folders: Sequence[Path],
    photos: Path,
    *,
    further: Path | None = None,
    out: Path | None = None,
    options: EvaluateOptions | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluates one run, or several and their ensemble, on the register and `further` photos.

    Tables, figures and the page are written to `out`; None to write nothing.

    Raises:
        InputError: The runs do not belong together, no test photo is left, or `out` exists.
        DamagedError: A run is incomplete.
        ModuleNotFoundError: A library of the figures is not installed.
    """
    chosen = options or EvaluateOptions()
    if out is not None:
        check_output(out, force=chosen.force, what="evaluation")
        check_place(out, [*folders, photos, further], what="evaluation")
        if chosen.figures:
            check_libraries()
    ensemble = read_ensemble(folders, photos)
    findings = find(ensemble, choose_photos(ensemble, further, chosen.layout), chosen, progress)
    if out is None:
        return findings.evaluation
    return _write(findings, out, chosen, progress)


def check_libraries() -> None:
    """Finds out that a library of the figures is missing before minutes are spent.

    Raises:
        ModuleNotFoundError: One is.
    """
    check_packages(("matplotlib", "sklearn", "umap", "captum"))


def find(
    ensemble: Ensemble,
    photos: PhotoSelection,
    options: EvaluateOptions,
    progress: Progress | None = None,
) -> Findings:
    """Answers the photos and computes every table, without writing anything."""
    networks = tuple(
        Network(name, load_model(run), run.info.preprocessing)
        for name, run in zip(ensemble.names, ensemble.runs, strict=True)
    )

    def step(what: str) -> Step | None:
        return None if progress is None else lambda done, total: progress(what, done, total)

    answered = answer_photos(
        networks,
        (*photos.test, *photos.validation),
        objects=len(ensemble.labels),
        lead=ensemble.lead,
        root=ensemble.root,
        progress=step("answering photos"),
    )
    test = _test_answers(answered, photos)
    means = _training_means(ensemble, networks[ensemble.lead], step("looking at training photos"))
    times = measure_latency(networks, runs=options.latency_runs, seed=options.seed)
    info = ensemble.runs[0].info
    evaluation = Evaluation(
        created=created_now(),
        register_name=info.register_name,
        labels_sha256=ensemble.labels.sha256,
        objects=len(ensemble.labels),
        min_photos=info.min_photos,
        host=describe_host(),
        versions=versions(),
        settings=_settings(options),
        members=tuple(_member(ensemble, n, networks[n], times) for n in range(len(networks))),
        lead=ensemble.names[ensemble.lead],
        tested=Tested(
            photos=len(test.photos),
            objects_shown=len({photo.object_id for photo in test.photos}),
            unseen_photos=int((~test.seen).sum()),
            left_out=listed((*photos.left_out, *answered.unreadable)),
            sha256=list_hash(test.photos),
        ),
        **_scores(ensemble, answered, test, means, options),
    )
    return Findings(evaluation, ensemble, networks, test, means)


def _test_answers(answered: Predictions, photos: PhotoSelection) -> Predictions:
    """The answers to test photos, of all that were answered."""
    validation = {photo.path for photo in photos.validation}
    test = answered.select(np.array([p.path not in validation for p in answered.photos], np.bool_))
    if not test.photos:
        raise InputError(
            f"None of the {len(photos.test)} test photos can be read "
            f"(first: {answered.unreadable[0].path}: {answered.unreadable[0].reason}). "
            "Give the register with --photos, or others with --test-photos."
        )
    if not answered.seen.any():
        raise InputError(
            "Every test photo is of an object without a training photo, so there is nothing to "
            "measure. Give photos of trained objects with --test-photos FOLDER."
        )
    return test


def _training_means(
    ensemble: Ensemble, network: Network, progress: Step | None
) -> NDArray[np.float32]:
    """`[objects, features]` mean features of each object's training photos, or of some of them."""
    objects = len(ensemble.labels)
    most = max(1, TRAINING_PHOTOS // objects)
    run = ensemble.runs[ensemble.lead]
    by_object: dict[str, list[SplitPhoto]] = defaultdict(list)
    for entry in run.split.of("train"):
        by_object[entry.object_id].append(entry)
    entries = [entry for entries in by_object.values() for entry in entries[:most]]
    photos, _ = unchanged(entries, run, ensemble.root)
    answered = answer_photos(
        [network], photos, objects=objects, lead=0, root=ensemble.root, progress=progress
    )
    sums = np.zeros((objects, answered.features.shape[1]), np.float64)
    np.add.at(sums, answered.truth, answered.features)
    counts = np.bincount(answered.truth, minlength=objects)
    means: NDArray[np.float32] = (sums / np.maximum(counts, 1)[:, None]).astype(np.float32)
    return means


def _settings(options: EvaluateOptions) -> EvaluationSettings:
    import torch

    return EvaluationSettings(
        resamples=options.resamples,
        seed=options.seed,
        latency_runs=options.latency_runs,
        threads=torch.get_num_threads(),
        command=command_line(),
    )


def _scores(
    ensemble: Ensemble,
    answered: Predictions,
    test: Predictions,
    means: NDArray[np.float32],
    options: EvaluateOptions,
) -> dict[str, Any]:
    """The fields of an evaluation that hold its tables."""
    labels, names = ensemble.labels, list(test.answers)
    main = names[-1]
    draws: Any = {"resamples": options.resamples, "seed": options.seed}
    registered = np.array([label.photos for label in labels.labels], dtype=np.int64)
    fitted = ensemble.runs[ensemble.lead].fitted_photos
    counts = Counter(photo.object_id for photo in fitted)
    trained = np.array([counts[name] for name in labels.object_ids], dtype=np.int64)
    evidence = evidence_of(answered.select(answered.seen), main, len(labels))
    curve = fit_curve(registered, evidence, **draws)
    nearest = nearest_confusions(answered, main, means, labels)
    return {
        "rows": tuple(
            score_row(name, graded(test, name), objects=len(labels), **draws) for name in names
        ),
        "collections": tuple(collection_rows(test, main, labels, **draws)),
        "by_photos": (
            *photo_groups(test, main, registered, "register", **draws),
            *photo_groups(test, main, trained, "training", **draws),
        ),
        "comparisons": tuple(compare(test, ENSEMBLE, names[:-1], **draws) if names[1:] else ()),
        "curve": curve,
        "photograph_again": outlooks(labels, trained, evidence, curve, nearest),
    }


_FROM_RUN = ("backbone", "head", "recipe", "seed", "weights", "model_sha256")


def _member(ensemble: Ensemble, position: int, network: Network, times: dict[str, float]) -> Member:
    run = ensemble.runs[position]
    return Member(
        name=network.name,
        split=run.split.strategy,
        split_seed=run.split.seed,
        input=network.size,
        network_colour=network.contract.network_colour,
        parameters=sum(p.numel() for p in network.model.parameters()),
        head_parameters=sum(p.numel() for p in network.model.head.parameters()),
        val_top1=ensemble.val_top1[position],
        latency_ms=times.get(network.name),
        **{name: getattr(run.info, name) for name in _FROM_RUN},
    )


def _write(
    findings: Findings, out: Path, options: EvaluateOptions, progress: Progress | None
) -> Evaluation:
    """Writes every file into a folder that appears whole or not at all."""
    from benchmarks.evaluation.page import render_page
    from benchmarks.evaluation.tables import csv_files, markdown

    evaluation = findings.evaluation
    with new_folder(out, force=options.force, what="evaluation") as folder:
        if options.figures:
            from benchmarks.evaluation.figures import draw_figures

            names = draw_figures(findings, folder / "figures", progress)
            evaluation = evaluation.model_copy(update={"figures": names})
        files = csv_files(evaluation, findings.test, findings.ensemble.labels)
        files["evaluation.json"] = evaluation.text
        files["evaluation.md"] = markdown(evaluation)
        files["index.html"] = render_page(evaluation, findings, folder / "figures")
        for name, text in files.items():
            write_text(folder / name, text)
    return evaluation
