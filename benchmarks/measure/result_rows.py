"""Turning answers and speeds into the rows of `results.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.measure.breakdowns import collection_bins, photo_bins
from benchmarks.measure.evaluation_set import (
    decode_chunks,
    exclude_training_photos,
    list_hash,
    listed,
)
from benchmarks.measure.latency import LatencyMeasurement
from benchmarks.measure.structure import StructureCheck
from benchmarks.results.calibration import BINS, calibration_of
from benchmarks.results.classification import (
    KEEP,
    NO_ANSWER,
    agreement,
    count_flips,
    expected_calibration_error,
    join_answers,
    reduce_answers,
    top_k,
    wilson_interval,
)
from benchmarks.results.cluster_bootstrap import paired_drop_interval
from benchmarks.results.correctness_mask import pack, pack_indices
from benchmarks.results.measurement import BenchmarkCase, Measurement, TestPhoto, object_indices
from benchmarks.results.row_fields import Custody, Drift, Memory, MemoryUse
from benchmarks.results.schema import REFERENCE_RUNTIME, REFERENCE_VARIANT, Row, TestSet
from benchmarks.results.scores import TOPS, macro_scores
from benchmarks.results.target import REFERENCE, BenchmarkTarget
from benchmarks.runtimes.torch_runtime import open_reference
from train.recipes import PAPER, PROBE
from train.run import MODEL_FILE, Run

if TYPE_CHECKING:
    from benchmarks.runtimes.android.measure import PhoneReply


def case_rows(
    measured: Measurement,
    speeds: Mapping[BenchmarkTarget, LatencyMeasurement],
    checks: Mapping[str, StructureCheck],
    *,
    phones: Mapping[BenchmarkTarget, PhoneReply] | None = None,
    bootstrap: int,
    seed: int,
) -> list[Row]:
    """One row for the reference and one per variant and runtime, in the bundle's order."""
    phones = phones or {}
    run, bundle = measured.case.run, measured.case.bundle
    common = _identity(run) | {
        "recipe": run.info.recipe,
        "train_seconds": run.metrics.seconds if run.metrics else None,
    }
    reference = {
        "variant": REFERENCE_VARIANT,
        "runtime": REFERENCE_RUNTIME,
        "bytes": (run.folder / MODEL_FILE).stat().st_size,
        "custody": _custody(measured, None, measured.photos),
    }
    rows = [
        Row.model_validate(
            common
            | reference
            | accuracy_fields(measured, REFERENCE, bootstrap=bootstrap, seed=seed)
            | speed_fields(speeds.get(REFERENCE))
        )
    ]
    for variant in bundle.info.variants:
        fields = common | {
            "variant": variant.name,
            "bytes": variant.bytes,
            "custody": _custody(measured, variant.sha256, measured.photos),
        }
        every = dict.fromkeys((*measured.answers, *phones))
        subjects = [subject for subject in every if subject.variant == variant.name]
        for subject in subjects:
            own: dict[str, object] = {**subject._asdict(), "photos": 0}
            if subject in measured.answers:
                photos = [measured.photos[position] for position in measured.positions[subject]]
                own["custody"] = _custody(measured, variant.sha256, photos)
                own |= accuracy_fields(measured, subject, bootstrap=bootstrap, seed=seed)
            own |= speed_fields(speeds.get(subject))
            own |= dict(phones[subject]) if subject in phones else {}
            rows.append(Row.model_validate(fields | own))
        for subject, why in measured.refused.items():
            if subject.variant == variant.name:
                own = {**subject._asdict(), "status": "converted-only", "note": why, "photos": 0}
                rows.append(Row.model_validate(fields | own))
                subjects.append(subject)
        if not subjects:
            check = checks[variant.name]
            kept = {"status": check.status, "note": check.note, "photos": 0}
            rows.append(Row.model_validate(fields | {"runtime": check.runtime} | kept))
    return rows


_COMPARED_RECIPES = {
    PROBE.name: (
        "linear probe",
        "A linear classifier on frozen ImageNet features: the floor for fine-tuning.",
    ),
    PAPER.name: (
        "paper's recipe",
        "All weights, Adam at 10^-4.8, 100 epochs, no augmentation, BGR pixels.",
    ),
}
"""Name and note of runs that are not exported, as points to compare with."""


def reference_row(run: Run, case: BenchmarkCase) -> Row:
    """Measures a run, of the same threshold data set and split, on a case's test photos."""
    photos, _ = exclude_training_photos(case.test_photos, run)
    contract, parts = run.info.preprocessing, []
    with open_reference(run) as session:
        for good, pixels in decode_chunks(photos, contract, [], root=case.photos, cache=case.cache):
            truth = object_indices(good)
            parts.append(reduce_answers(session.predict(pixels), truth, keep=KEEP))
    rank, recipe = join_answers(parts).rank, run.info.recipe
    usual = (f"recipe {recipe}", f"Trained by the recipe {recipe}.")
    name, note = _COMPARED_RECIPES.get(recipe, usual)
    shares = {f"top{k}": top_k(rank, k) for k in TOPS[1:]}
    row = reference_point(
        run, name=name, photos=len(rank), top1=top_k(rank, 1) or 0.0, note=note, **shares
    )
    seconds = run.require_metrics().seconds
    return row.model_copy(update={"recipe": recipe, "train_seconds": seconds})


def reference_point(
    run: Run, *, name: str, photos: int, top1: float, note: str, **shares: float | None
) -> Row:
    """A row given by the caller: another method's accuracy to compare with, marked as such."""
    interval = wilson_interval(round(top1 * photos), photos)
    return Row.model_validate(
        {
            **_identity(run),
            "variant": name,
            "runtime": "given",
            "status": "given",
            "note": note,
            "photos": photos,
            "top1": top1,
            "top1_ci95": interval,
            **shares,
        }
    )


def accuracy_fields(
    measured: Measurement, subject: BenchmarkTarget, *, bootstrap: int, seed: int
) -> dict[str, object]:
    """A row's fields on accuracy and parity, over the photos of objects seen in training."""
    positions = measured.positions[subject]
    seen = measured.seen[positions]
    truth = measured.truth[positions][seen]
    every = measured.answers[subject]
    answers = every.select(seen)
    reference = measured.reference_of(subject).select(seen)
    photos = len(truth)
    macro = macro_scores(answers.top, truth)
    flips = count_flips(reference.right, answers.right)
    unseen = int((~seen).sum())
    drift = measured.drift[subject]
    finite = len(drift) and bool(np.isfinite(drift).all())
    shown = [measured.photos[position] for position in positions[seen]]
    tempered = measured.tempered.get(subject)
    return {
        "photos": photos,
        "unseen_photos": unseen,
        "top1_with_unseen": top_k(every.rank, 1) if unseen else None,
        **{f"top{k}": top_k(answers.rank, k) for k in (1, 3, 5, 10)},
        **(vars(macro) if macro else {}),
        "top1_ci95": wilson_interval(int(answers.right.sum()), photos),
        "agreement": agreement(answers.top, reference.top),
        # Of the counts, so that equal accuracies give exactly zero.
        "drop_points": 100.0 * (flips.lost - flips.won) / photos if photos else None,
        "drop_ci95": paired_drop_interval(
            reference.right, answers.right, truth, resamples=bootstrap, seed=seed
        ),
        "right_to_wrong": flips.lost if photos else None,
        "wrong_to_right": flips.won if photos else None,
        # Undefined without photos, and where one was answered with no finite numbers.
        "max_probability_drift": float(drift.max()) if finite else None,
        "drift": Drift(mean=float(drift.mean()), p99=float(np.quantile(drift, 0.99)))
        if finite
        else None,
        "invalid_answers": every.invalid,
        "calibration_error": expected_calibration_error(
            answers.probability[:, 0], answers.right, bins=BINS
        ),
        "calibration": calibration_of(
            answers.probability[:, 0],
            answers.right,
            temperature=measured.temperatures.get(subject),
            tempered=None if tempered is None else tempered[seen],
        ),
        "by_photos": photo_bins(measured, shown, answers),
        "by_collection": collection_bins(shown, answers),
        "right_bits": pack(answers.right) if photos else None,
    }


def speed_fields(speed: LatencyMeasurement | None) -> dict[str, object]:
    """A row's fields on speed and memory; none where speed was not measured."""
    if speed is None:
        return {}
    start = dict(speed.start)
    detail: MemoryUse = start.pop("memory")
    peak = start["memory_bytes"] or Memory(value=detail.model_resident, metric=detail.metric)
    start["memory_bytes"] = peak.model_copy(update={"detail": detail})
    return {**start, **dict(speed.warm), "latency_more": speed.more, "latency_ratio": speed.ratio}


def make_test_set(measured: Measurement) -> TestSet:
    """What one case was measured on, and what was left out and why."""
    info = measured.case.run.info
    return TestSet(
        register_name=info.register_name,
        min_photos=info.min_photos,
        seed=info.seed,
        photos=len(measured.photos),
        objects_shown=len({photo.object_id for photo in measured.photos}),
        unreadable=listed(measured.unreadable),
        in_training=listed(measured.in_training),
        sha256=list_hash(measured.photos),
        photo_objects=pack_indices(np.where(measured.seen, measured.truth, NO_ANSWER)),
    )


def _identity(run: Run) -> dict[str, object]:
    """The fields that say which network a row is about."""
    names = ("min_photos", "backbone", "head", "seed", "objects")
    return {"register": run.info.register_name, **{n: getattr(run.info, n) for n in names}}


def _custody(
    measured: Measurement, variant_sha256: str | None, photos: Sequence[TestPhoto]
) -> Custody:
    case = measured.case
    return Custody(
        bundle_sha256=case.bundle.sha256,
        model_sha256=case.run.info.model_sha256,
        variant_sha256=variant_sha256,
        test_photos_sha256=list_hash(photos),
    )
