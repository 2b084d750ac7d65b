"""What a benchmark did not measure, from its results: said in one place of the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from benchmarks.report.runtime_names import runtime_name
from benchmarks.results.schema import REFERENCE_VARIANT, Results, Row, TestSet
from benchmarks.results.target import BenchmarkTarget

Omission = tuple[str, str]
"""(what it is about, what was left out)."""

MOST_PATHS = 8
"""Of more photos left out only so many are listed."""


def omissions(results: Results) -> tuple[Omission, ...]:
    """Everything that was left out; empty where all was measured everywhere."""
    return (
        *_variants(results.rows),
        *_not_executed(results.rows),
        *_photos(results),
        *_speed(results),
        *_input_costs(results),
        *(("Scale", note) for note in results.settings.notes),
    )


def _joined(words: Sequence[str]) -> str:
    """`3`, `3 and 4`, or `3, 4 and 5`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _at(thresholds: Sequence[int]) -> str:
    return f"≥ {_joined([str(threshold) for threshold in thresholds])} photos"


def _by_thresholds(measured: Mapping[str, set[int]]) -> dict[tuple[int, ...], list[str]]:
    """Names that were measured at the same thresholds, together."""
    groups: dict[tuple[int, ...], list[str]] = {}
    for name, thresholds in measured.items():
        groups.setdefault(tuple(sorted(thresholds)), []).append(name)
    return groups


def _variants(rows: Sequence[Row]) -> Iterator[Omission]:
    """Which variants were measured where, if not all of them everywhere."""
    every = tuple(sorted({row.min_photos for row in rows}))
    measured: dict[str, set[int]] = {}
    for row in rows:
        if row.status == "measured":
            measured.setdefault(row.variant, set()).add(row.min_photos)
    groups = _by_thresholds(measured)
    if set(groups) <= {every}:
        return
    parts = []
    for thresholds, names in sorted(groups.items(), key=lambda group: -len(group[0])):
        only = "at every threshold" if thresholds == every else f"only at {_at(thresholds)}"
        parts.append(f"{only}: {_joined(names)}")
    yield "Variants", f"Measured {'; '.join(parts)}."


def _not_executed(rows: Sequence[Row]) -> Iterator[Omission]:
    """Files of which only the structure was checked, by reason."""
    reasons: dict[str, dict[str, None]] = {}
    for row in rows:
        if row.status in ("converted-only", "check-failed"):
            reasons.setdefault(row.note or row.status, {})[row.variant] = None
    for reason, names in reasons.items():
        yield "Not executed", f"{_joined(list(names))}: {reason.rstrip('.')}."


def _photos(results: Results) -> Iterator[Omission]:
    settings = results.settings
    if settings.limit is not None:
        yield (
            "Photos",
            f"At most {settings.limit:,} test photos of each threshold, drawn at random with seed "
            f"{settings.seed}.",
        )
    for test_set in results.test_sets:
        skipped = [*test_set.unreadable, *test_set.in_training]
        if skipped:
            listed = ", ".join(f"{photo.path} ({photo.reason})" for photo in skipped[:MOST_PATHS])
            more = " … all in results.json" if len(skipped) > MOST_PATHS else ""
            where = f"{_at([test_set.min_photos])}: "
            yield "Photos", f"{where}{len(skipped)} test photos left out: {listed}{more}."
    yield from _fewer_photos(results.rows, results.test_sets)
    for threshold, unseen in {row.min_photos: row.unseen_photos for row in results.rows}.items():
        if unseen:
            yield (
                "Photos",
                f"{_at([threshold])}: {unseen} more photos of objects unseen in training are "
                "counted apart.",
            )


def _fewer_photos(rows: Sequence[Row], test_sets: Sequence[TestSet]) -> Iterator[Omission]:
    """Slow runtimes answer only some of the photos."""
    full = {
        row.min_photos: row.photos
        for row in rows
        if row.variant == REFERENCE_VARIANT and row.status == "measured"
    } or {test_set.min_photos: test_set.photos for test_set in test_sets}
    fewer: dict[str, dict[str, None]] = {}
    for row in rows:
        of_all = full.get(row.min_photos, 0)
        if row.status == "measured" and row.photos < of_all:
            at = f"{row.photos:,} of {of_all:,} at {_at([row.min_photos])}"
            fewer.setdefault(runtime_name(row.runtime, row.unit), {})[at] = None
    for runtime, parts in fewer.items():
        words = f"is slow and answered fewer, drawn at random: {'; '.join(parts)}."
        yield "Photos", f"{runtime} {words}"


def _speed(results: Results) -> Iterator[Omission]:
    if not results.settings.measure_speed:
        yield "Speed", "Latency and memory were not measured."
        return
    if not any(row.device for row in results.rows):
        yield "Speed", "No phone was measured: times and memory are of this computer."
    timed = {BenchmarkTarget.of(row) for row in results.rows if row.latency_ms}
    untimed: dict[str, set[int]] = {}
    for row in results.rows:
        if row.status == "measured" and BenchmarkTarget.of(row) in timed and not row.latency_ms:
            untimed.setdefault(row.variant, set()).add(row.min_photos)
    for thresholds, names in _by_thresholds(untimed).items():
        yield "Speed", f"{_joined(names)} not timed at {_at(thresholds)}."
    never = {row.runtime for row in results.rows if row.status == "measured"}
    never -= {target.runtime for target in timed}
    if never:
        yield "Speed", f"No times on {_joined(sorted(map(runtime_name, never)))}."


def _input_costs(results: Results) -> Iterator[Omission]:
    costs, thresholds = results.preprocessing, {row.min_photos for row in results.rows}
    if not costs:
        yield "Ways of making the input", "Not compared."
        return
    variants = _joined(list(dict.fromkeys(cost.variant for cost in costs)))
    where = f" at {_at(sorted({c.min_photos for c in costs}))}" if len(thresholds) > 1 else ""
    photos = max(cost.photos for cost in costs)
    yield "Ways of making the input", f"Compared for {variants}{where} only, on {photos:,} photos."
