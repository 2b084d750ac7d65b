"""A comparison of results in Markdown and in the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from benchmarks.gates.comparison import ResultsComparison, RowComparison, notable
from benchmarks.gates.regression import QUANTITIES, QuantityChange, Verdict
from benchmarks.report.formatting import MISSING, markdown_rows, milliseconds
from benchmarks.report.html.contents import markdown_document
from mobile_assets.files import write_text
from mobile_assets.markdown_text import markdown

if TYPE_CHECKING:
    from pathlib import Path

    from rich.table import Table

MARKS: dict[Verdict, tuple[str, str]] = {
    "better": ("▲", "green"),
    "worse": ("▼", "bold red"),
    "no difference": ("=", ""),
    "not comparable": ("?", "dim"),
}
"""Mark and colour of each verdict."""

LEGEND = (
    "▲ better, ▼ worse, = no difference beyond noise, ? cannot be compared, – not measured. "
    "Shares in percentage points, sizes and memory in percent."
)
COLUMNS = tuple(quantity.name for quantity in QUANTITIES)


def difference_words(change: QuantityChange) -> str:
    """How far a quantity moved, such as `+0.4 points` or `−12.0 %`; a dash where unknown."""
    if change.difference is None or change.old is None:
        return MISSING
    if change.unit == "points":
        return f"{_signed(change.difference, 2)} points"
    if change.unit == "bytes":
        return f"{_signed(100 * change.difference / change.old, 1)} %"
    return _signed(change.difference, 3)


def sentence(row: RowComparison, change: QuantityChange) -> str:
    """One change in words: what moved, from where to where, the interval and the reason."""
    interval = ""
    if change.ci95 is not None:
        interval = ", 95 % interval " + " to ".join(_signed(bound, 2) for bound in change.ci95)
    values = " → ".join(_value(value, change.unit) for value in (change.old, change.new))
    moved = f"{difference_words(change)}{interval}; {change.why}"
    return f"{row.subject.words}: {change.quantity} {values} ({moved})"


def summary(against: ResultsComparison) -> str:
    """One line: how many comparisons, with what verdicts."""
    counts = against.counts
    return (
        f"Against {against.old.created}: {counts.get('better', 0)} better, "
        f"{counts.get('worse', 0)} worse, "
        f"{counts.get('no difference', 0)} without a difference beyond noise, "
        f"{counts.get('not comparable', 0)} not comparable."
    )


def remarks(against: ResultsComparison) -> Iterator[str]:
    """What must be known to read the comparison rightly."""
    if against.judged_by_interval:
        chance = math.ceil(against.judged_by_interval / 20)
        yield (
            f"{against.judged_by_interval} of the comparisons are judged by a 95 % interval: were "
            f"nothing different, up to {chance} of them would still be expected to seem so."
        )
    reasons = {change.why for _, change in notable(against, "not comparable")}
    heads = {f"{row.old_head} → {row.subject.head}" for row in against.rows if row.old_head}
    before = against.old.host | against.old.versions
    now = against.new.host | against.new.versions
    changed = [
        f"{key} {before.get(key, 'none')} → {now.get(key, 'none')}"
        for key in before | now
        if before.get(key) != now.get(key)
    ]
    for label, items, separator in (
        ("Not comparable", sorted(reasons), "; "),
        ("New", [key.words for key in against.appeared], "; "),
        ("No longer measured", [key.words for key in against.vanished], "; "),
        (
            "Measured more than once, so not compared",
            [key.words for key in against.ambiguous],
            "; ",
        ),
        ("Another head than before", sorted(heads), ", "),
        ("Measured with other versions or on another machine", changed, ", "),
    ):
        if items:
            yield f"{label}: {separator.join(items)}."
    for row in against.rows:
        if row.status[0] != row.status[1]:
            yield f"{row.subject.words}: {row.status[0]} before, {row.status[1]} now."
    same = sum(row.same_file for row in against.rows)
    if same:
        yield f"{same} of {len(against.rows)} rows are of the very same file as before."


def _signed(value: float, digits: int) -> str:
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def _value(value: float | None, unit: str) -> str:
    if value is None:
        return MISSING
    if unit == "bytes":
        return f"{value:,.0f} bytes"
    return f"{value:.2f}" if unit == "points" else f"{value:.3f}"


def _cells(row: RowComparison) -> list[tuple[str, str]]:
    """(words, colour) under `COLUMNS`."""
    by_name = {change.quantity: change for change in row.changes}
    cells = []
    for name in COLUMNS:
        mark, colour = MISSING, "dim"
        if name in by_name:
            mark, colour = MARKS[by_name[name].verdict]
            mark = f"{mark} {difference_words(by_name[name]).removesuffix(' points')}"
        cells.append((mark, colour))
    return cells


def against_table(against: ResultsComparison) -> Table:
    """The comparison as a table for the terminal, a line between thresholds."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(caption=LEGEND, pad_edge=False, box=box.SIMPLE_HEAD)
    table.add_column("min.", justify="right")
    table.add_column("variant", no_wrap=True)
    for name in COLUMNS:
        title = name.removesuffix(" error").removesuffix(" ratio")
        table.add_column(title, justify="right", no_wrap=True)
    rows = against.rows
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        key = row.subject
        runtime = "" if key.runtime in ("torch", "litert") else key.runtime
        table.add_row(
            str(key.min_photos),
            " ".join(word for word in (key.variant, runtime, key.unit) if word),
            *(Text(words, style=colour) for words, colour in _cells(row)),
            end_section=following is None or following.subject.min_photos != key.min_photos,
        )
    return table


def against_markdown(against: ResultsComparison) -> str:
    """The comparison as a Markdown document: what moved first, then everything."""
    titles = ("min. photos", "variant", "runtime", *COLUMNS, "latency, not judged")
    rule = ("---:", ":---", ":---", *["---:"] * (len(COLUMNS) + 1))
    rows = [
        (
            str(row.subject.min_photos),
            row.subject.variant,
            f"{row.subject.runtime} {row.subject.unit}".strip(),
            *(words for words, _ in _cells(row)),
            " → ".join(map(milliseconds, row.latency_ms)),
        )
        for row in against.rows
    ]
    return markdown_document(
        "report/against.md.j2",
        against=against,
        summary=summary(against),
        moved=lambda verdict: [sentence(*pair) for pair in notable(against, verdict)],
        table=markdown_rows(titles, [list(map(markdown, row)) for row in rows], rule),
        legend=LEGEND,
        remarks=remarks(against),
    )


def write_against(path: Path, against: ResultsComparison) -> None:
    """Writes the Markdown page by an atomic rename."""
    write_text(path, against_markdown(against))
