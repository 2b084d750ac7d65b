"""The most confused pairs, side by side: the test photo, the right object, the answered one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.evaluation.plotting import new_figure, save
from benchmarks.results.classification import confused_pairs
from mobile_assets.photos import PhotoError, decode

if TYPE_CHECKING:
    from PIL import Image

    from benchmarks.evaluation.findings import Findings

PAIRS = 6
SIDE = 320
"""Pixels of a picture's longer side."""


@dataclass(frozen=True)
class Pair:
    """Two objects that are taken for each other.

    Attributes:
        right_photo: A training photo of the right object; None where there is none.
        answered_photo: A training photo of the answered one.
    """

    right: str
    answered: str
    count: int
    photo: Path
    right_photo: Path | None
    answered_photo: Path | None


def find_pairs(findings: Findings, limit: int = PAIRS) -> list[Pair]:
    """The most frequent mistakes of the evaluation's main model on objects seen in training."""
    test, labels = findings.test, findings.ensemble.labels
    rows = np.flatnonzero(test.seen)
    top, truth = test.answers[findings.evaluation.main].top, test.truth
    pairs = []
    for right, answered, count in confused_pairs(top[rows], truth[rows], limit=limit):
        row = next(row for row in rows if truth[row] == right and top[row] == answered)
        names = labels[right].object_id, labels[answered].object_id
        pairs.append(
            Pair(
                *names, count, test.photos[row].path, *(training_photo(findings, n) for n in names)
            )
        )
    return pairs


def training_photo(findings: Findings, object_id: str) -> Path | None:
    """The first training photo of an object that is there."""
    run = findings.ensemble.runs[findings.ensemble.lead]
    paths = (
        findings.ensemble.root / photo.path
        for photo in run.split.of("train")
        if photo.object_id == object_id
    )
    return next((path for path in paths if path.is_file()), None)


def draw_pairs(findings: Findings, folder: Path) -> list[str]:
    """One file with a row per pair; none where every answer is right."""
    pairs = find_pairs(findings)
    if not pairs:
        return []
    figure, axes = new_figure(6.4, 2.3 * len(pairs), len(pairs), 3)
    for row, pair in enumerate(pairs):
        plural = "s" if pair.count > 1 else ""
        shown = (
            (pair.photo, f"test photo, {pair.count} mistake{plural}"),
            (pair.right_photo, f"shown: {pair.right[:24]}"),
            (pair.answered_photo, f"answered: {pair.answered[:24]}"),
        )
        for column, (path, words) in enumerate(shown):
            picture = _picture(path)
            if picture is not None:
                axes[row, column].imshow(picture)
            axes[row, column].set_title(words, fontsize=8)
            axes[row, column].axis("off")
    return [save(figure, folder, "confused-pairs.png")]


def _picture(path: Path | None) -> Image.Image | None:
    if path is None:
        return None
    try:
        picture = decode(path)
    except PhotoError:
        return None
    picture.thumbnail((SIDE, SIDE))
    return picture
