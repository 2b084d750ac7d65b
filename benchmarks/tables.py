"""Tables of results: terminal, Markdown and CSV."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Literal

from benchmarks.results import Bounds, Results, Row

if TYPE_CHECKING:
    from rich.table import Table

MISSING = "–"

COLUMNS = (
    "min. photos",
    "variant",
    "photos",
    "top-1",
    "95 % CI",
    "top-3",
    "top-5",
    "top-10",
    "agreement",
    "drop (95 % CI)",
    "size",
    "latency",
    "memory",
)
"""Column titles of the terminal and Markdown tables."""

_TEXT_COLUMNS = 2
_ONLY_IN_FILES = frozenset({"photos", "95 % CI", "top-3", "top-10", "memory"})
TERMINAL_TITLES = {"min. photos": "min.", "agreement": "agree", "drop (95 % CI)": "drop"}
"""Shorter column titles, so that the table fits 80 characters."""

CSV_COLUMNS = (
    "register",
    "min_photos",
    "backbone",
    "head",
    "seed",
    "variant",
    "runtime",
    "status",
    "objects",
    "photos",
    "unseen_photos",
    "top1",
    "top1_low",
    "top1_high",
    "top3",
    "top5",
    "top10",
    "precision",
    "recall",
    "f1",
    "agreement",
    "drop_points",
    "drop_low",
    "drop_high",
    "right_to_wrong",
    "wrong_to_right",
    "max_probability_drift",
    "invalid_answers",
    "calibration_error",
    "bytes",
    "cold_load_ms",
    "latency_p50_ms",
    "latency_p90_ms",
    "threads",
    "latency_ratio",
    "end_to_end_ms",
    "memory_bytes",
    "recipe",
    "train_seconds",
    "note",
)
"""Columns of `results.csv`: the key, what was measured, and a note."""


def sorted_rows(results: Results) -> list[Row]:
    """Rows by threshold; within one, as they were measured."""
    return sorted(results.rows, key=lambda row: (row.register_name, row.min_photos))


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


def drop_cell(row: Row) -> str:
    """The drop with its interval, such as `0.3 (−0.2 to 0.8)`."""
    if row.drop_points is None:
        return MISSING
    interval = drop_interval(row)
    return signless(row.drop_points) + (f" ({interval})" if interval else "")


def drop_interval(row: Row) -> str:
    """The interval of the drop, such as `−0.2 to 0.8`; empty where there is none."""
    return interval_words(row.drop_ci95)


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


def cells(row: Row) -> list[str]:
    """A row's cells under `COLUMNS`."""
    memory = row.memory_bytes.value if row.memory_bytes else None
    name = row.variant + ("" if row.status == "measured" else " *")
    return [
        str(row.min_photos),
        name,
        str(row.photos) if row.status in ("measured", "given") else MISSING,
        percent(row.top1),
        interval_cell(row),
        percent(row.top3),
        percent(row.top5),
        percent(row.top10),
        percent(row.agreement),
        drop_cell(row),
        megabytes(row.bytes),
        milliseconds(row.latency_ms.p50 if row.latency_ms else None),
        megabytes(memory),
    ]


def footnotes(results: Results) -> list[str]:
    """What the asterisks mean: each marked variant with its note, said once."""
    notes: dict[str, list[str]] = {}
    for row in results.rows:
        if row.status != "measured":
            notes.setdefault(row.note or row.status, [])
            if row.variant not in notes[row.note or row.status]:
                notes[row.note or row.status].append(row.variant)
    return [f"* {', '.join(names)}: {note}" for note, names in notes.items()]


def results_table(results: Results) -> Table:
    """The results as a table for the terminal, a line between thresholds."""
    from rich import box
    from rich.table import Table

    table = Table(
        caption="\n".join(footnotes(results)) or None, pad_edge=False, box=box.SIMPLE_HEAD
    )
    kept = [place for place, title in enumerate(COLUMNS) if title not in _ONLY_IN_FILES]
    for place in kept:
        title = TERMINAL_TITLES.get(COLUMNS[place], COLUMNS[place])
        justify: Literal["left", "right"] = "left" if 0 < place < _TEXT_COLUMNS else "right"
        table.add_column(title, justify=justify, no_wrap=True)
    rows = sorted_rows(results)
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        last = following is None or following.min_photos != row.min_photos
        every = cells(row)
        every[COLUMNS.index("drop (95 % CI)")] = points_lost(row)
        table.add_row(*(every[place] for place in kept), end_section=last)
    return table


def markdown_table(results: Results) -> str:
    """The results as a Markdown document: the table, what was left out, what was used."""
    lines = ["# Benchmark", ""]
    lines.append("| " + " | ".join(COLUMNS) + " |")
    rule = ["---:", ":---", *["---:"] * (len(COLUMNS) - _TEXT_COLUMNS)]
    lines.append("| " + " | ".join(rule) + " |")
    lines += ["| " + " | ".join(cells(row)) + " |" for row in sorted_rows(results)]
    lines += ["", *(f"{note}  " for note in footnotes(results)), ""]
    for test_set in results.test_sets:
        lines.append(
            f"- {test_set.register_name}, at least {test_set.min_photos} photos: measured on "
            f"{test_set.photos} photos of {test_set.objects_shown} objects; "
            f"{len(test_set.unreadable)} unusable, {len(test_set.in_training)} left out because "
            "training had them."
        )
    host = results.host
    lines += [
        "",
        f"Measured {results.created} on {host.get('processor', 'unknown')} "
        f"({host.get('cpus', '?')} CPUs, {host.get('system', '')}). Latency: median of "
        f"{results.settings.latency_runs} runs on {results.settings.threads[0]} thread(s).",
        "",
        "Versions: " + ", ".join(f"{k} {v}" for k, v in results.versions.items()) + ".",
        "",
    ]
    return "\n".join(lines)


def csv_table(results: Results) -> str:
    """The results as CSV, one line per row; what is undefined or unknown is an empty cell."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, CSV_COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in sorted_rows(results):
        writer.writerow(_flat(row))
    return stream.getvalue()


def _flat(row: Row) -> dict[str, object]:
    flat = row.model_dump(mode="json", by_alias=True)
    low, high = row.top1_ci95 or (None, None)
    drop_low, drop_high = row.drop_ci95 or (None, None)
    latency = row.latency_ms
    return flat | {
        "top1_low": low,
        "top1_high": high,
        "drop_low": drop_low,
        "drop_high": drop_high,
        "latency_p50_ms": latency.p50 if latency else None,
        "latency_p90_ms": latency.p90 if latency else None,
        "threads": latency.threads if latency else None,
        "latency_ratio": row.latency_ratio.median if row.latency_ratio else None,
        "memory_bytes": row.memory_bytes.value if row.memory_bytes else None,
    }
