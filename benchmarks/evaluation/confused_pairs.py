"""The most confused pairs, side by side: the test photo, the right object, the answered one."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.evaluation.inference import Findings
from benchmarks.evaluation.plotting import new_figure, save
from benchmarks.results.classification import confused_pairs
from mobile_assets.photos import PhotoError, decode

PAIRS = 6
SIDE = 320
"""Pixels of a picture's longer side."""


@dataclass(frozen=True)
class Pair:
    """Two objects that are taken for each other; a training photo is None where there is none."""

    right: str
    answered: str
    count: int
    photo: Path
    right_photo: Path | None
    answered_photo: Path | None


def find_pairs(findings: Findings) -> list[Pair]:
    """The most frequent mistakes of the evaluation's main model on objects seen in training."""
    test, labels = findings.test.select(findings.test.seen), findings.ensemble.labels
    top, truth = test.answers[findings.evaluation.main].top, test.truth
    pairs = []
    for right, answered, count in confused_pairs(top, truth, limit=PAIRS):
        position = int(np.flatnonzero((truth == right) & (top == answered))[0])
        names = labels[right].object_id, labels[answered].object_id
        photos = (training_photo(findings, name) for name in names)
        pairs.append(Pair(*names, count, test.photos[position].path, *photos))
    return pairs


def training_photo(findings: Findings, object_id: str) -> Path | None:
    """The first training photo of an object that is there."""
    split = findings.ensemble.runs[findings.ensemble.lead].split
    own = (photo.path for photo in split.of("train") if photo.object_id == object_id)
    paths = (findings.ensemble.root / path for path in own)
    return next((path for path in paths if path.is_file()), None)


def draw_pairs(findings: Findings, folder: Path) -> list[str]:
    """One file with a row per pair; none where every answer is right."""
    pairs = find_pairs(findings)
    if not pairs:
        return []
    figure, axes = new_figure(6.4, 2.3 * len(pairs), len(pairs), 3)
    for row, pair in zip(axes, pairs, strict=True):
        mistakes = f"{pair.count} mistake{'s' if pair.count > 1 else ''}"
        photos = (pair.photo, pair.right_photo, pair.answered_photo)
        titles = (
            f"test photo, {mistakes}",
            f"shown: {pair.right[:24]}",
            f"answered: {pair.answered[:24]}",
        )
        for chart, path, title in zip(row, photos, titles, strict=True):
            _show(chart, path)
            chart.set_title(title, fontsize=8)
            chart.axis("off")
    return [save(figure, folder, "confused-pairs.png")]


def _show(chart: Any, path: Path | None) -> None:
    """Draws a photo; one that is missing or cannot be decoded leaves a gap."""
    if path is None:
        return
    with contextlib.suppress(PhotoError):
        picture = decode(path)
        picture.thumbnail((SIDE, SIDE))
        chart.imshow(picture)
