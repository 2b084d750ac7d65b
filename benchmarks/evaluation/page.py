"""The page of an evaluation: one file, no request to anywhere, readable without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from markupsafe import Markup
from PIL import Image

from benchmarks.evaluation import tables
from benchmarks.evaluation.confused_pairs import training_photo
from benchmarks.evaluation.inference import Findings
from benchmarks.evaluation.schema import Evaluation, Outlook
from benchmarks.report.formatting import percent
from benchmarks.report.html.contents import Contents, template_environment
from benchmarks.report.html.table import Table, TableRow
from benchmarks.report.html.thumbnails import THUMBNAIL, data_address, encoded

AGAIN = 24
"""Objects to photograph again that the page shows with pictures."""


def render_page(evaluation: Evaluation, findings: Findings, figures: Path) -> str:
    """The content of `index.html`, pictures inside."""
    again = evaluation.photograph_again[:AGAIN]
    template = template_environment().get_template("evaluation/page.html.j2")
    return template.render(
        contents=Contents(),
        evaluation=evaluation,
        main=evaluation.rows[-1],
        several=len(evaluation.members) > 1,
        percent=percent,
        interval=tables.interval_cell,
        **tables.words(evaluation),
        runs=tables.run_table(evaluation),
        collections=tables.collection_table(evaluation),
        paper=tables.paper_table(evaluation),
        photograph_again=_with_pictures(again, findings),
        figures=[(name, _as_address(figures / name)) for name in evaluation.figures],
    )


def _with_pictures(outlooks: Sequence[Outlook], findings: Findings) -> Table:
    """The objects with their picture and that of the nearest other object, for the column of it."""
    table = tables.outlook_table(outlooks)
    nearest = tables.OUTLOOK_COLUMNS.index("Taken for")
    rows = []
    for outlook, row in zip(outlooks, table.rows, strict=True):
        names = [near.object_id for near in outlook.nearest[:1]]
        notes = (outlook.collection, *(f"nearest {name}" for name in names))
        rows.append(
            TableRow(
                outlook.title or outlook.object_id,
                row.cells[: nearest - 1] + row.cells[nearest:],
                _pictures([outlook.object_id, *names], findings),
                tuple(note for note in notes if note),
            )
        )
    columns = table.columns[:nearest] + table.columns[nearest + 1 :]
    return replace(table, columns=columns, rows=tuple(rows))


def _pictures(names: Sequence[str], findings: Findings) -> Markup:
    """Small pictures of objects; one that is missing leaves a gap."""
    pictures = Markup()
    for name in names:
        path = training_photo(findings, name)
        source = None if path is None else encoded(path, THUMBNAIL)
        picture = Markup('<img class="picture" src="{}" alt="{}" loading="lazy">')
        pictures += (
            picture.format(source, name) if source else Markup('<span class="picture"></span>')
        )
    return Markup('<span class="two">{}</span>').format(pictures)


def _as_address(path: Path) -> str:
    """A figure as a `data:` address; WebP takes a tenth of a PNG's bytes where photos are in it."""
    with Image.open(path, formats=("PNG",)) as picture:
        return data_address(picture.convert("RGB"), quality=88)
