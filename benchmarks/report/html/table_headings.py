"""The first cells of the report's tables: a variant's name once, then where it ran."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from benchmarks.report.html.styles import swatch
from benchmarks.report.runtime_names import runtime_name, several_runtimes
from benchmarks.results.schema import REFERENCE_VARIANT, Row

Line = dict[str, object]
"""What a line of a table says, by the names that the template knows."""


def headed(rows: Sequence[Row], *, several: bool | None = None) -> Iterator[tuple[Row, Line]]:
    """Each row with its first cell; rows of one variant come together.

    Args:
        rows: Rows of one threshold.
        several: Whether rows must say where they ran; None to find out from these rows.
    """
    if several is None:
        several = several_runtimes(rows)
    for name, own in groupby(_gathered(rows), key=lambda row: row.variant):
        for place, row in enumerate(own):
            ran = row.status == "measured" and row.variant != REFERENCE_VARIANT
            yield (
                row,
                {
                    "name": name,
                    "again": place > 0,
                    "swatch": swatch(row),
                    "place": place_words(row) if ran and several else "",
                    "min_photos": row.min_photos,
                },
            )


def headed_by_threshold(rows: Sequence[Row]) -> Iterator[tuple[Row, Line]]:
    """The same of rows that are sorted by threshold."""
    several = several_runtimes(rows)
    for _, own in groupby(rows, key=lambda row: row.min_photos):
        yield from headed(list(own), several=several)


def _gathered(rows: Sequence[Row]) -> list[Row]:
    """Rows of one variant after each other, variants in the order in which they come first."""
    order = list(dict.fromkeys(row.variant for row in rows))
    return sorted(rows, key=lambda row: order.index(row.variant))


def place_words(row: Row) -> str:
    """Where a row was measured: the runtime, or the phone and what executed there."""
    if row.device is None:
        return runtime_name(row.runtime, row.unit)
    return f"{row.device.model}, {row.device.delegate_used}"
