"""The page of an evaluation: one file, no request to anywhere, readable without scripts."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup
from PIL import Image

from benchmarks.evaluation import tables
from benchmarks.evaluation.confused_pairs import training_photo
from benchmarks.evaluation.schema import Evaluation, Outlook, Scores
from benchmarks.report.formatting import percent
from benchmarks.report.html.contents import Contents, template_environment
from benchmarks.report.html.table import Cell, Column, Table, TableRow, plain_table
from benchmarks.report.html.thumbnails import THUMBNAIL, encoded

if TYPE_CHECKING:
    from benchmarks.evaluation.findings import Findings

AGAIN = 24
"""Objects to photograph again that the page shows with pictures."""


def render_page(evaluation: Evaluation, findings: Findings, figures: Path) -> str:
    """The content of `index.html`, pictures inside."""
    again = evaluation.photograph_again[:AGAIN]
    return (
        template_environment()
        .get_template("evaluation/page.html.j2")
        .render(
            contents=Contents(),
            evaluation=evaluation,
            main=evaluation.rows[-1],
            headline=_headline(evaluation),
            percent=percent,
            interval=tables.with_interval,
            paper_words=tables.PAPER_WORDS,
            curve_words=tables.curve_words(evaluation),
            comparison=tables.comparison_words(evaluation) if evaluation.comparisons else "",
            runs=_scores("Accuracy of every run", evaluation.rows),
            collections=_scores(
                f"Accuracy of {evaluation.main} by collection",
                evaluation.collections,
                by_collection=True,
            ),
            paper=_paper_table(evaluation),
            photograph_again=_photograph_again(again, findings),
            photograph_again_shown=len(again),
            figures=[(name, _inside(figures / name)) for name in evaluation.figures],
        )
    )


def _scores(caption: str, rows: Sequence[Scores], *, by_collection: bool = False) -> Table:
    titles = _capitalised(tables.SCORE_COLUMNS[2:])
    return plain_table(
        caption,
        ("Collection", "Objects", *titles) if by_collection else ("Run", *titles),
        [
            (
                *(
                    (row.collection or "no collection", str(row.objects))
                    if by_collection
                    else (row.model,)
                ),
                *map(_cell, tables.score_cells(row)[2:]),
            )
            for row in rows
        ],
    )


def _cell(text: str) -> Cell:
    """What stands in brackets goes under the number."""
    value, _, bracketed = text.partition(" (")
    return Cell(value, (bracketed.rstrip(")"),) if bracketed else ())


def _paper_table(evaluation: Evaluation) -> Table:
    return plain_table(
        "Precision, recall and F1 as the paper computes them",
        ("Run", "Precision (paper)", "Recall (paper)", "F1 (paper)"),
        [(row.model, *tables.paper_cells(row)) for row in evaluation.rows],
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


def _photograph_again(objects: Sequence[Outlook], findings: Findings) -> Table:
    """The objects with their picture and that of the nearest other object."""
    return Table(
        "Objects to photograph again, with the object that each is nearest to",
        (
            Column("Object"),
            *(Column(title) for title in _without_pictured(_capitalised(tables.OUTLOOK_COLUMNS))),
        ),
        tuple(
            TableRow(
                outlook.title or outlook.object_id,
                tuple(_cell(text) for text in _without_pictured(tables.outlook_cells(outlook))),
                _pictures(outlook, findings),
                tuple(
                    words
                    for words in (
                        outlook.collection,
                        *(f"nearest {near.object_id}" for near in outlook.nearest[:1]),
                    )
                    if words
                ),
            )
            for outlook in objects
        ),
    )


def _capitalised(titles: Sequence[str]) -> list[str]:
    return [title[:1].upper() + title[1:] for title in titles]


def _pictures(outlook: Outlook, findings: Findings) -> Markup:
    """Small pictures of the object and of its nearest; one that is missing leaves a gap."""
    names = [outlook.object_id, *(near.object_id for near in outlook.nearest[:1])]
    sources = [_thumbnail(findings, name) for name in names]
    pictures = [
        Markup('<img class="picture" src="{}" alt="{}" loading="lazy">').format(source, name)
        if source
        else Markup('<span class="picture"></span>')
        for source, name in zip(sources, names, strict=True)
    ]
    return Markup('<span class="two">{}</span>').format(Markup("").join(pictures))


def _without_pictured(cells: Sequence[str]) -> list[str]:
    """The cells without the object's name and its nearest, which stand in the first column."""
    pictured = (0, tables.OUTLOOK_COLUMNS.index("taken for"))
    return [cell for index, cell in enumerate(cells) if index not in pictured]


def _thumbnail(findings: Findings, object_id: str) -> str | None:
    path = training_photo(findings, object_id)
    return None if path is None else encoded(path, THUMBNAIL)


def _inside(path: Path) -> str:
    """A figure as a `data:` address; WebP takes a tenth of a PNG's bytes where photos are in it."""
    stream = io.BytesIO()
    with Image.open(path, formats=("PNG",)) as picture:
        picture.convert("RGB").save(stream, "WEBP", quality=88, method=4)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
