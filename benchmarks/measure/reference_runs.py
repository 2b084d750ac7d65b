"""Runs that are not exported, measured in torch as points to compare with."""

from __future__ import annotations

from benchmarks.measure.evaluation_set import decode_chunks, exclude_training_photos
from benchmarks.measure.result_rows import reference_point
from benchmarks.results.classification import join_answers, reduce_answers, top_k
from benchmarks.results.measurement import BenchmarkCase, Skipped, object_indices
from benchmarks.results.schema import Row
from benchmarks.runtimes.torch_runtime import open_reference
from train.recipes import PAPER, PROBE
from train.run import Run

NAMES = {
    PROBE.name: "linear probe",
    PAPER.name: "paper's recipe",
}

NOTES = {
    PROBE.name: "A linear classifier on frozen ImageNet features: the floor for fine-tuning.",
    PAPER.name: "All weights, Adam at 10^-4.8, 100 epochs, no augmentation, BGR pixels.",
}


def reference_row(run: Run, case: BenchmarkCase) -> Row:
    """Measures a run on a case's test photos.

    Args:
        run: Trained on the same threshold data set and split as the case's own run.
        case: Where the photos come from.
    """
    photos, _ = exclude_training_photos(case.test_photos, run)
    unreadable: list[Skipped] = []
    parts = []
    with open_reference(run) as session:
        for good, pixels in decode_chunks(
            photos, run.info.preprocessing, unreadable, root=case.photos, cache=case.cache
        ):
            answers = session.predict(pixels)
            parts.append(reduce_answers(answers, object_indices(good), keep=10))
    rank = join_answers(parts).rank
    shares = {f"top{k}": share for k in (3, 5, 10) if (share := top_k(rank, k)) is not None}
    recipe = run.info.recipe
    row = reference_point(
        run,
        name=NAMES.get(recipe, f"recipe {recipe}"),
        photos=len(rank),
        top1=top_k(rank, 1) or 0.0,
        note=NOTES.get(recipe, f"Trained by the recipe {recipe}."),
        **shares,
    )
    seconds = run.require_metrics().seconds
    return row.model_copy(update={"recipe": recipe, "train_seconds": seconds})
