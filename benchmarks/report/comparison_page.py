"""A comparison of results in Markdown and in the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from benchmarks.gates.comparison import (
    ResultsComparison,
    ResultsOrigin,
    RowComparison,
    RowKey,
    notable,
)
from benchmarks.gates.regression import QuantityChange, Verdict
from benchmarks.report.formatting import MISSING, markdown_rows, milliseconds
from benchmarks.report.html.contents import markdown_document
from mobile_assets.files import write_text

if TYPE_CHECKING:
    from pathlib import Path

    from rich.table import Table

MARKS: dict[Verdict, str] = {
    "better": "▲",
    "worse": "▼",
    "no difference": "=",
    "not comparable": "?",
}
LEGEND = (
    "▲ better, ▼ worse, = no difference beyond noise, ? cannot be compared, – not measured. "
    "Shares in percentage points, sizes and memory in percent."
)
_TONES: dict[Verdict, str] = {
    "better": "green",
    "worse": "bold red",
    "no difference": "",
    "not comparable": "dim",
}
COLUMNS = (
    "top-1",
    "agreement",
    "drop",
    "calibration error",
    "size",
    "latency ratio",
    "memory",
)
"""Quantities in the order of the table's columns."""

_SHORT = {"calibration error": "calibration", "latency ratio": "latency"}


def difference_words(change: QuantityChange) -> str:
    """How far a quantity moved, such as `+0.4 points` or `−12.0 %`; a dash where unknown."""
    if change.difference is None or change.old is None:
        return MISSING
    if change.unit == "points":
        return f"{_signed(change.difference, 2)} points"
    if change.unit == "bytes" and change.old:
        return f"{_signed(100 * change.difference / change.old, 1)} %"
    return _signed(change.difference, 3)


def sentence(row: RowComparison, change: QuantityChange) -> str:
    """One change in words: what moved, from where to where, the interval and the reason."""
    subject = row.subject
    interval = ""
    if change.ci95 is not None:
        low, high = (_signed(bound, 2) for bound in change.ci95)
        interval = f", 95 % interval {low} to {high}"
    return (
        f"{subject.words}: {change.quantity} {_value(change.old, change.unit)} → "
        f"{_value(change.new, change.unit)} ({difference_words(change)}{interval}; {change.why})"
    )


def summary(against: ResultsComparison) -> str:
    """One line: how many comparisons, with what verdicts."""
    words = [
        f"{against.counts.get('better', 0)} better",
        f"{against.counts.get('worse', 0)} worse",
        f"{against.counts.get('no difference', 0)} without a difference beyond noise",
        f"{against.counts.get('not comparable', 0)} not comparable",
    ]
    return f"Against {against.old.created}: {', '.join(words)}."


def remarks(against: ResultsComparison) -> Iterator[str]:
    """What must be known to read the comparison rightly."""
    if against.judged_by_interval:
        chance = math.ceil(against.judged_by_interval / 20)
        yield (
            f"{against.judged_by_interval} of the comparisons are judged by a 95 % interval: were "
            f"nothing different, up to {chance} of them would still be expected to seem so."
        )
    reasons = {change.why for _, change in notable(against, "not comparable")}
    if reasons:
        yield f"Not comparable: {'; '.join(sorted(reasons))}."
    for label, subjects in (
        ("New", against.appeared),
        ("No longer measured", against.vanished),
        ("Measured more than once, so not compared", against.ambiguous),
    ):
        if subjects:
            yield f"{label}: {_listed(subjects)}."
    heads = sorted({f"{r.old_head} → {r.subject.head}" for r in against.rows if r.old_head})
    if heads:
        yield f"Another head than before: {', '.join(heads)}."
    for row in against.rows:
        if row.status[0] != row.status[1]:
            yield f"{row.subject.words}: {row.status[0]} before, {row.status[1]} now."
    same = sum(row.same_file for row in against.rows)
    if same:
        yield f"{same} of {len(against.rows)} rows are of the very same file as before."
    changed = _changed(against.old, against.new)
    if changed:
        yield f"Measured with other versions or on another machine: {', '.join(changed)}."


def _listed(subjects: tuple[RowKey, ...]) -> str:
    return "; ".join(subject.words for subject in subjects)


def _changed(old: ResultsOrigin, new: ResultsOrigin) -> list[str]:
    before, now = old.host | old.versions, new.host | new.versions
    return [
        f"{key} {before.get(key, 'none')} → {now.get(key, 'none')}"
        for key in (before | now)
        if before.get(key) != now.get(key)
    ]


def _signed(value: float, digits: int) -> str:
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def _value(value: float | None, unit: str) -> str:
    if value is None:
        return MISSING
    if unit == "bytes":
        return f"{value:,.0f} bytes"
    return f"{value:.2f}" if unit == "points" else f"{value:.3f}"


def _cell(row: RowComparison, quantity: str) -> tuple[str, Verdict | None]:
    for change in row.changes:
        if change.quantity == quantity:
            moved = difference_words(change).removesuffix(" points")
            return f"{MARKS[change.verdict]} {moved}", change.verdict
    return MISSING, None


def against_table(against: ResultsComparison) -> Table:
    """The comparison as a table for the terminal, a line between thresholds."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(caption=LEGEND, pad_edge=False, box=box.SIMPLE_HEAD)
    table.add_column("min.", justify="right")
    table.add_column("variant", no_wrap=True)
    for title in COLUMNS:
        table.add_column(_SHORT.get(title, title), justify="right", no_wrap=True)
    rows = against.rows
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        judged = [_cell(row, title) for title in COLUMNS]
        table.add_row(
            str(row.subject.min_photos),
            _name(row),
            *(Text(text, style=_TONES[verdict] if verdict else "dim") for text, verdict in judged),
            end_section=following is None or following.subject.min_photos != row.subject.min_photos,
        )
    return table


def _name(row: RowComparison) -> str:
    subject = row.subject
    where = "" if subject.runtime in ("torch", "litert") else f" {subject.runtime}"
    return f"{subject.variant}{where}{f' {subject.unit}' if subject.unit else ''}"


def against_markdown(against: ResultsComparison) -> str:
    """The comparison as a Markdown document: what moved first, then everything."""
    titles = ("min. photos", "variant", "runtime", *COLUMNS, "latency, not judged")
    rule = ("---:", ":---", ":---", *["---:"] * (len(COLUMNS) + 1))
    return markdown_document(
        "report/against.md.j2",
        against=against,
        summary=summary(against),
        moved=lambda verdict: [sentence(*pair) for pair in notable(against, verdict)],
        table=markdown_rows(titles, map(_cells, against.rows), rule),
        legend=LEGEND,
        remarks=remarks(against),
    )


def _cells(row: RowComparison) -> list[str]:
    subject = row.subject
    runtime = f"{subject.runtime} {subject.unit}".strip()
    times = " → ".join(milliseconds(value) for value in row.latency_ms)
    quantities = (_cell(row, title)[0] for title in COLUMNS)
    return [str(subject.min_photos), subject.variant, runtime, *quantities, times]


def write_against(path: Path, against: ResultsComparison) -> None:
    """Writes the Markdown page by an atomic rename."""
    write_text(path, against_markdown(against))
