"""Turning answers and speeds into the rows of `results.json`."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.accuracy import Measured
from benchmarks.coreml import Check
from benchmarks.metrics import (
    Answers,
    agreement,
    count_flips,
    expected_calibration_error,
    macro_scores,
    paired_drop_interval,
    select,
    top_k,
    wilson_interval,
)
from benchmarks.photos import Skipped, list_hash
from benchmarks.results import (
    REFERENCE_RUNTIME,
    REFERENCE_VARIANT,
    Custody,
    PhotoBin,
    Row,
    SkippedPhoto,
    TestSet,
)
from benchmarks.runtimes import runtime_for
from benchmarks.speed import Speed
from mobile_assets.bundle import BUNDLE_FILE, Variant
from mobile_assets.files import sha256_file
from train.run import MODEL_FILE, Run


def case_rows(
    measured: Measured,
    speeds: Mapping[str, Speed],
    checks: Mapping[str, Check],
    *,
    bootstrap: int,
    seed: int,
) -> list[Row]:
    """One row for the reference and one per variant, in the bundle's order.

    Args:
        measured: The answers.
        speeds: By variant's name; empty where speed was not measured.
        checks: What is to be said of each variant that no runtime here executes.
        bootstrap: Resamples for the interval of the drop.
        seed: Seed of the resampling.
    """
    common = _common(measured)
    reference = {
        "variant": REFERENCE_VARIANT,
        "runtime": REFERENCE_RUNTIME,
        "bytes": (measured.case.run.folder / MODEL_FILE).stat().st_size,
        "custody": _custody(measured, None),
    }
    rows = [
        Row.model_validate(
            common
            | reference
            | accuracy_fields(measured, REFERENCE_VARIANT, bootstrap=bootstrap, seed=seed)
            | speed_fields(speeds.get(REFERENCE_VARIANT))
        )
    ]
    for variant in measured.case.bundle.info.variants:
        fields = common | _file_fields(measured, variant)
        if variant.name in measured.answers:
            fields |= accuracy_fields(measured, variant.name, bootstrap=bootstrap, seed=seed)
            fields |= speed_fields(speeds.get(variant.name))
        else:
            check = checks[variant.name]
            fields |= {"status": check.status, "note": check.note, "photos": 0}
        rows.append(Row.model_validate(fields))
    return rows


def reference_point(
    run: Run, *, name: str, photos: int, top1: float, note: str, **shares: float
) -> Row:
    """A row given by the caller: another method's accuracy to compare with, marked as such.

    Args:
        run: The run whose register and threshold it belongs to.
        name: What it is, such as `linear probe`; stands in the column of variants.
        photos: Number of test photos that it was measured on.
        top1: Share right, 0–1.
        note: Where the number comes from.
        **shares: Further shares by their field names, such as `top5`.
    """
    info = run.info
    interval = wilson_interval(round(top1 * photos), photos)
    return Row.model_validate(
        {
            "register": info.register_name,
            "min_photos": info.min_photos,
            "backbone": info.backbone,
            "head": info.head,
            "seed": info.seed,
            "variant": name,
            "runtime": "given",
            "status": "given",
            "note": note,
            "objects": info.objects,
            "photos": photos,
            "top1": top1,
            "top1_ci95": interval,
            **shares,
        }
    )


def accuracy_fields(
    measured: Measured, variant: str, *, bootstrap: int, seed: int
) -> dict[str, object]:
    """A row's fields on accuracy and parity, over the photos of objects seen in training."""
    seen = measured.seen
    truth = measured.truth[seen]
    every = measured.answers[variant]
    answers = select(every, seen)
    reference = select(measured.answers[REFERENCE_VARIANT], seen)
    photos = len(truth)
    macro = macro_scores(answers.top, truth)
    flips = count_flips(reference.right, answers.right)
    top1, reference_top1 = top_k(answers.rank, 1), top_k(reference.rank, 1)
    defined = top1 is not None and reference_top1 is not None
    unseen = int((~seen).sum())
    return {
        "photos": photos,
        "unseen_photos": unseen,
        "top1_with_unseen": top_k(every.rank, 1) if unseen else None,
        **{f"top{k}": top_k(answers.rank, k) for k in (1, 3, 5, 10)},
        "precision": macro.precision if macro else None,
        "recall": macro.recall if macro else None,
        "f1": macro.f1 if macro else None,
        "top1_ci95": wilson_interval(int(answers.right.sum()), photos),
        "agreement": agreement(answers.top, reference.top),
        # Of the counts, so that equal accuracies give exactly zero.
        "drop_points": 100.0 * (flips.lost - flips.won) / photos if defined else None,
        "drop_ci95": paired_drop_interval(
            reference.right, answers.right, resamples=bootstrap, seed=seed
        ),
        "right_to_wrong": flips.lost if photos else None,
        "wrong_to_right": flips.won if photos else None,
        "max_probability_drift": measured.drift[variant],
        "invalid_answers": every.invalid,
        "calibration_error": expected_calibration_error(answers.probability[:, 0], answers.right),
        "by_photos": photo_bins(measured, answers),
    }


def photo_bins(measured: Measured, answers: Answers) -> tuple[PhotoBin, ...]:
    """Accuracy by how many photos the register holds of the object.

    Args:
        measured: The case.
        answers: Answers to its photos of seen objects.
    """
    places: dict[int, list[int]] = defaultdict(list)
    seen = [photo for photo in measured.photos if photo.seen]
    for place, photo in enumerate(seen):
        count = measured.case.run.labels[photo.object_index].photos
        places[count].append(place)
    bins: list[PhotoBin] = []
    for count in sorted(places):
        right = int(answers.right[np.array(places[count])].sum())
        photos = len(places[count])
        interval = wilson_interval(right, photos)
        assert interval is not None  # a bin holds at least one photo
        bins.append(
            PhotoBin(
                photos_per_object=count, photos=photos, top1=right / photos, top1_ci95=interval
            )
        )
    return tuple(bins)


def speed_fields(speed: Speed | None) -> dict[str, object]:
    """A row's fields on speed and memory; none where speed was not measured."""
    if speed is None:
        return {}
    reply = speed.reply
    return {
        "cold_load_ms": reply.cold_load_ms,
        "latency_ms": reply.latency,
        "latency_more": speed.more,
        "latency_ratio": speed.ratio,
        "end_to_end_ms": reply.end_to_end_ms,
        "memory_bytes": reply.memory,
        "placement": reply.placement,
    }


def make_test_set(measured: Measured) -> TestSet:
    """What one case was measured on, and what was left out and why."""
    info = measured.case.run.info
    return TestSet(
        register_name=info.register_name,
        min_photos=info.min_photos,
        seed=info.seed,
        photos=len(measured.photos),
        objects_shown=len({photo.object_id for photo in measured.photos}),
        unreadable=_listed(measured.unreadable),
        in_training=_listed(measured.in_training),
        sha256=list_hash(measured.photos),
    )


def _listed(skipped: Sequence[Skipped]) -> tuple[SkippedPhoto, ...]:
    return tuple(SkippedPhoto(path=_short(s.path), reason=s.reason) for s in skipped)


def _short(path: str) -> str:
    """The last three parts of a path: enough to find the photo, nothing of the machine."""
    return "/".join(Path(path).parts[-3:])


def _common(measured: Measured) -> dict[str, object]:
    info = measured.case.run.info
    return {
        "register": info.register_name,
        "min_photos": info.min_photos,
        "backbone": info.backbone,
        "head": info.head,
        "seed": info.seed,
        "objects": info.objects,
        "recipe": info.recipe,
        "train_seconds": _train_seconds(measured.case.run),
    }


def _train_seconds(run: Run) -> float | None:
    """From the run's `metrics.json`, which an older or imported run may lack."""
    try:
        value = json.loads((run.folder / "metrics.json").read_text(encoding="utf-8"))["seconds"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return float(value) if isinstance(value, int | float) else None


def _file_fields(measured: Measured, variant: Variant) -> dict[str, object]:
    runtime = runtime_for(variant)
    return {
        "variant": variant.name,
        "runtime": runtime.name if runtime else "coreml",
        "bytes": variant.bytes,
        "custody": _custody(measured, variant.sha256),
    }


def _custody(measured: Measured, variant_sha256: str | None) -> Custody:
    case = measured.case
    return Custody(
        bundle_sha256=sha256_file(case.bundle.folder / BUNDLE_FILE),
        model_sha256=case.run.info.model_sha256,
        variant_sha256=variant_sha256,
        test_photos_sha256=list_hash(measured.photos),
    )
