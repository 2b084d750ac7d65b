"""Finding the line that names the columns, and making the names distinct."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from train.registers.importers.columns import guess_field, normalised
from train.registers.importers.source import one_line

SEARCHED_ROWS = 20
"""Above the columns' names an export may have a title, a date and blank lines, but no more."""


def header_position(rows: Sequence[Sequence[str]], wanted: Collection[str]) -> int:
    """Index of the row that names the columns, among the first `SEARCHED_ROWS`.

    Args:
        rows: The first rows as texts.
        wanted: Columns that a mapping names.

    Returns:
        The row with the most wanted and known names; the first that is not blank where none has
        any.
    """
    names = {normalised(name) for name in wanted}
    scores = [
        sum(normalised(cell) in names or guess_field(cell) is not None for cell in row)
        for row in rows[:SEARCHED_ROWS]
    ]
    best = max(scores, default=0)
    if best:
        return scores.index(best)
    return next((n for n, row in enumerate(rows[:SEARCHED_ROWS]) if any(map(str.strip, row))), 0)


def distinct_names(cells: Sequence[str]) -> tuple[str, ...]:
    """Column names: trimmed, on one line, `Image (2)` for the second `Image`, `column 3` for blank.

    Args:
        cells: The header as it stands.
    """
    names: list[str] = []
    seen: Counter[str] = Counter()
    for position, cell in enumerate(cells, start=1):
        name = one_line(" ".join(cell.split())) or f"column {position}"
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return tuple(names)
