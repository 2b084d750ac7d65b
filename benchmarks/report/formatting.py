"""How numbers are written everywhere: shares, points, bytes, times, intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.results.row_fields import Bounds
from benchmarks.results.schema import Row

MISSING = "–"


def percent(value: float | None) -> str:
    """A share as `98.9 %`; a share that is not quite all is never rounded up to 100."""
    if value is None:
        return MISSING
    shown = 100 * value
    if 99.95 <= shown < 100:
        return f"{int(shown * 100) / 100:.2f} %"
    return f"{shown:.1f} %"


def points(value: float | None) -> str:
    """Percentage points with a true minus sign."""
    if value is None:
        return MISSING
    return f"{value:+.1f}".replace("+0.0", "0.0").replace("-0.0", "0.0").replace("-", "−")


def signless(value: float) -> str:
    """Percentage points, plus sign left out."""
    return points(value).removeprefix("+")


def megabytes(value: int | None) -> str:
    """Bytes as `4.2 MB`, a million bytes each."""
    if value is None:
        return MISSING
    if value < 100_000:
        return f"{value / 1e3:.1f} kB"
    return f"{value / 1e6:.1f} MB"


def milliseconds(value: float | None) -> str:
    """`7.3 ms`; three digits and more without decimals."""
    if value is None:
        return MISSING
    return f"{value:.0f} ms" if value >= 100 else f"{value:.1f} ms"


def points_lost(row: Row) -> str:
    """The drop alone, for narrow tables."""
    return MISSING if row.drop_points is None else signless(row.drop_points)


def interval_words(bounds: Bounds | None) -> str:
    """An interval of percentage points, such as `−0.2 to 0.8`; empty where there is none."""
    if bounds is None:
        return ""
    low, high = bounds
    return f"{signless(low)} to {signless(high)}"


def interval_cell(row: Row) -> str:
    """The interval of top-1, such as `97.1–98.9`."""
    if row.top1_ci95 is None:
        return MISSING
    low, high = row.top1_ci95
    return f"{100 * low:.1f}–{100 * high:.1f}"


def markdown_rows(
    columns: Sequence[str], rows: Iterable[Sequence[str]], rule: Sequence[str] = ()
) -> str:
    """A table in Markdown; `rule` has each column's `---`.

    Cells are Markdown: words from outside pass `mobile_assets.markdown_text.markdown` before.
    """
    lines = [columns, rule or ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
