"""The page of the ablation, from its raw rows alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from benchmarks.results.cluster_bootstrap import (
    Estimate,
    Tally,
    drawn_shares,
    interval,
    share_of,
    tally,
)
from benchmarks.studies.study_statistics import Counts, Names
from mobile_assets.schema import Document, Record

SHIPPED = "field"
"""The variant that the others are compared with."""

TEXT = """\
# What each part of the default recipe brings and costs

Development photos only: {views}. The groceries are those of the development half (every other
phone photo), so none of all these is a test photo of the other pages. {backbone}, seeds {seeds}; a
variant differs from `field` in the one point named. In brackets the difference to
`field` in points with its 95 % interval, the same objects drawn for both (2,000 draws of whole
objects). Time is the processor time of training, of `field`'s. Regenerate with

    python -m benchmarks.studies.recipe_ablation --grocery GROCERY --demo DEMO --out DIR --seeds {seeds} \\
        --table benchmarks/studies/recipe_ablation.md

{tables}
Measured {created} on {host}. Versions: {versions}.
"""


class Asked(Record):
    """Answers about one set of photos.

    Attributes:
        photos: What they are.
        objects: Object ids.
        tested: Photos of each.
        right: How many of them were answered right.
    """

    photos: str
    objects: Names
    tested: Counts
    right: Counts


class Result(Document):
    """One variant, trained on one set of photos with one seed.

    Attributes:
        variant: What differs from the default recipe.
        task: What it was trained on.
        seed: Of the draw of photos and of the training.
        settings: The recipe's.
        backbone: Its name.
        input_size: Height of its input in pixels.
        train_photos: Photos trained on; none validated.
        head_weights: Parameters of the head.
        cpu_seconds: Processor time of training.
        asked: The answers.
    """

    variant: str
    task: str
    seed: int
    settings: dict[str, float | int | str | bool | None]
    backbone: str
    input_size: int
    train_photos: int
    head_weights: int
    cpu_seconds: float
    asked: tuple[Asked, ...]

    @property
    def shares(self) -> str:
        """The accuracies in words."""
        return ", ".join(f"{sum(a.right) / sum(a.tested):.1%} of {a.photos}" for a in self.asked)


class Published(Document):
    """The raw rows behind the page."""

    created: str
    host: dict[str, str]
    versions: dict[str, str]
    backbone: str
    results: tuple[Result, ...]


def page(published: Published) -> str:
    """The Markdown page."""
    results = published.results
    return TEXT.format(
        views="; ".join(_described(results, task) for task in _ordered(r.task for r in results)),
        backbone=published.backbone,
        seeds=",".join(map(str, sorted({result.seed for result in results}))),
        tables="\n".join(_table(results, task) for task in _ordered(r.task for r in results)),
        created=published.created,
        host=", ".join(f"{key} {value}" for key, value in published.host.items()),
        versions=", ".join(f"{key} {value}" for key, value in published.versions.items()),
    )


def _ordered(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _described(results: Sequence[Result], task: str) -> str:
    first = next(result for result in results if result.task == task)
    asked = " and ".join(f"{sum(a.tested):,} {a.photos}" for a in first.asked)
    return f"{task} ({first.train_photos} photos for training, asked about {asked})"


def _table(results: Sequence[Result], task: str) -> str:
    own = [result for result in results if result.task == task]
    views = _ordered(asked.photos for asked in own[0].asked)
    lines = [
        f"## {task[0].upper()}{task[1:]}\n",
        f"| variant | {' | '.join(views)} | time | weights of the head |",
        f"| :--- |{' ---: |' * (len(views) + 2)}",
    ]
    shipped = [result for result in own if result.variant == SHIPPED]
    for variant in _ordered(result.variant for result in own):
        rows = [result for result in own if result.variant == variant]
        cells = " | ".join(_cell(rows, shipped, view) for view in views)
        ours, theirs = (sum(r.cpu_seconds for r in part) for part in (rows, shipped))
        time = f"{ours / theirs:.2f}" if theirs and len(rows) == len(shipped) else "–"
        lines.append(f"| {variant} | {cells} | {time} | {rows[0].head_weights:,} |")
    return "\n".join(lines) + "\n"


def _cell(rows: Sequence[Result], shipped: Sequence[Result], view: str) -> str:
    found, base = _tally(rows, view), _tally(shipped, view)
    if rows[0].variant == SHIPPED or not np.array_equal(found.tested, base.tested):
        return share_of(found).text(".1%")
    drawn = 100 * (drawn_shares(found) - drawn_shares(base))
    difference = Estimate(100 * (found.share - base.share), interval(drawn))
    return f"{found.share:.1%} [{difference.text('+.1f')}]"


def _tally(rows: Sequence[Result], view: str) -> Tally:
    asked = [asked for row in rows for asked in row.asked if asked.photos == view]
    return tally((a.objects, a.tested, a.right) for a in asked)
