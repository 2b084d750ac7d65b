"""Colour and mark of each variant: told apart without colour, Core ML's hollow."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from benchmarks.report.html.contents import svg
from benchmarks.report.runtime_names import short_name
from benchmarks.results.schema import REFERENCE_VARIANT, Row

PLAIN = ("reference", "float32", "float16", "int8-weights", "int8", "palette6", "given", "other")
"""Styles that the page's style sheet has a colour for."""

HOLLOW = "coreml-"
"""Styles that begin so are drawn as the style without it, hollow."""

_SAME = {"w8a8": "int8"}  # Core ML's name of full integer


def style_of(row: Row) -> str:
    """The style of a row's variant, such as `int8` or `coreml-float16`."""
    if row.status == "given":
        return "given"
    if row.variant == REFERENCE_VARIANT:
        return "reference"
    prefix = HOLLOW if row.variant.startswith(HOLLOW) else ""
    short = row.variant.removeprefix("tflite-").removeprefix(HOLLOW)
    short = _SAME.get(short, short)
    return prefix + short if short in PLAIN else "other"


def filled_style(row: Row) -> str:
    """The same where there is no room to tell hollow marks from filled ones, as in a bar."""
    return style_of(row).removeprefix(HOLLOW)


def swatch(row: Row) -> Markup:
    """An `<svg>` of the row's mark, to stand before its name."""
    return svg("swatch", style=style_of(row))


def legend(rows: Sequence[Row]) -> list[tuple[Markup, str]]:
    """(SVG mark, name) of each variant with an accuracy, in the rows' order."""
    entries: dict[str, tuple[Markup, str]] = {}
    for row in rows:
        if row.top1 is None:
            continue
        style = style_of(row)
        name = row.variant if style in ("given", "other") else short_name(row.variant)
        entries.setdefault(row.variant, (swatch(row), name))
    return list(entries.values())
