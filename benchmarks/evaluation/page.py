"""The page of an evaluation: one file, no request to anywhere, readable without scripts."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, PrefixLoader
from PIL import Image

from benchmarks.evaluation import tables
from benchmarks.evaluation.confused_pairs import training_photo
from benchmarks.evaluation.schema import Evaluation, Outlook
from benchmarks.report.formatting import percent
from benchmarks.report.html.thumbnails import THUMBNAIL, encoded

if TYPE_CHECKING:
    from benchmarks.evaluation.findings import Findings

AGAIN = 24
"""Objects to photograph again that the page shows with pictures."""

CAPTIONS: dict[str, tuple[str, str]] = {
    "accuracy-by-photos.png": (
        "Accuracy by photos per object",
        "Objects with so many photos in the register (left) and in training (right). Lines: 95 % "
        "intervals; n: test photos.",
    ),
    "accuracy-by-parameters.png": (
        "Accuracy by parameters",
        "The paper's models for orientation only: they were tested on other photos.",
    ),
    "accuracy-by-latency.png": (
        "Accuracy by latency",
        "One photo in torch on this computer, median of rounds in which the runs took turns. A "
        "phone's time is measured by the benchmark of a bundle.",
    ),
    "features-pca.png": ("Features by PCA", "The two directions in which photos differ most."),
    "features-tsne.png": (
        "Features by t-SNE",
        "Neighbours stay neighbours; distances between groups mean nothing.",
    ),
    "features-umap.png": (
        "Features by UMAP",
        "Another view of the same neighbours; as random as t-SNE.",
    ),
    "saliency-right.png": (
        "Where it looks when right",
        "Photo and, below, the pixels that move the answer most, bright.",
    ),
    "saliency-wrong.png": (
        "Where it looks when wrong",
        "The same for wrong answers, towards the answer that was given.",
    ),
    "confused-pairs.png": (
        "Which objects it mixes up",
        "A test photo, the object it shows, and the object that was answered.",
    ),
}
"""Heading and sentence of each figure."""


def render_page(evaluation: Evaluation, found: Findings, figures: Path) -> str:
    """The content of `index.html`, pictures inside.

    Args:
        evaluation: The numbers.
        found: What they were computed from, for pictures.
        figures: Folder of the figures that `evaluation.figures` names.
    """
    environment = Environment(
        loader=PrefixLoader(
            {
                "evaluation": PackageLoader("benchmarks.evaluation", "."),
                "report": PackageLoader("benchmarks.report.html", "."),
            }
        ),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    main = evaluation.rows[-1]
    return environment.get_template("evaluation/page.html.j2").render(
        evaluation=evaluation,
        main=main,
        headline=_headline(evaluation),
        percent=percent,
        interval=tables.with_interval,
        columns=tables.SCORE_COLUMNS,
        cells=tables.score_cells,
        paper_words=tables.PAPER_WORDS,
        curve_words=tables.curve_words(evaluation),
        comparison=tables.comparison_words(evaluation) if evaluation.comparisons else "",
        figures=[
            (*CAPTIONS[name], _inside(figures / name), _shape(name)) for name in evaluation.figures
        ],
        outlook_columns=_less_near(tables.OUTLOOK_COLUMNS),
        again=[_shown(one, found) for one in evaluation.photograph_again[:AGAIN]],
    )


def _headline(evaluation: Evaluation) -> str:
    main = evaluation.rows[-1]
    voters = f"{len(evaluation.members)} runs together" if len(evaluation.members) > 1 else "It"
    return (
        f"{voters} recognise{'s' if len(evaluation.members) == 1 else ''} the exact object in "
        f"{percent(main.top1.value)} of {main.photos} new photos, and "
        f"{'have' if len(evaluation.members) > 1 else 'has'} it among the first five in "
        f"{percent(main.top5.value)}."
    )


def _shown(one: Outlook, found: Findings) -> dict[str, object]:
    near = one.nearest[0].object_id if one.nearest else None
    return {
        "name": one.title or one.object_id,
        "collection": one.collection,
        "picture": _thumbnail(found, one.object_id),
        "near": near,
        "near_picture": None if near is None else _thumbnail(found, near),
        "cells": _less_near(tables.outlook_cells(one)),
    }


def _less_near(cells: Sequence[str]) -> list[str]:
    """Less the object's name and its nearest, which the page shows in pictures."""
    near = tables.OUTLOOK_COLUMNS.index("taken for")
    return [cell for place, cell in enumerate(cells) if place not in (0, near)]


def _thumbnail(found: Findings, object_id: str) -> str | None:
    path = training_photo(found, object_id)
    return None if path is None else encoded(path, THUMBNAIL)


def _shape(name: str) -> str:
    """How much room a figure takes: all of the width, half of it, or a tall column."""
    wide = ("accuracy-by-photos.png", "saliency-right.png", "saliency-wrong.png")
    return "wide" if name in wide else "tall" if name == "confused-pairs.png" else ""


def _inside(path: Path) -> str:
    """A figure as a `data:` address; WebP takes a tenth of a PNG's bytes where photos are in it."""
    stream = io.BytesIO()
    with Image.open(path) as picture:
        picture.convert("RGB").save(stream, "WEBP", quality=88, method=4)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
