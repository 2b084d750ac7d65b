"""New results against earlier ones: what got better or worse, and whether beyond noise."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from benchmarks.gates.regression import QuantityChange, RowPair, Verdict, changes
from benchmarks.results.schema import REFERENCE_VARIANT, Results, Row, Status
from mobile_assets.errors import DamagedError, InputError
from mobile_assets.schema import Document, Record

AGAINST_FILE = "against.md"
"""The page that is written beside the report."""


class ResultsOrigin(Record):
    """Where a set of results came from."""

    created: str
    host: dict[str, str]
    versions: dict[str, str]


class RowKey(Record):
    """What a row is about, as far as rows are matched by it."""

    register_name: str
    min_photos: int
    backbone: str
    head: str
    seed: int
    variant: str
    runtime: str
    unit: str

    @property
    def words(self) -> str:
        """Such as `min 3, tflite-int8 on litert`."""
        unit = f" ({self.unit})" if self.unit else ""
        return f"min {self.min_photos}, {self.variant} on {self.runtime}{unit}"


class RowComparison(Record):
    """One row and what became of it.

    Attributes:
        old_head: The head before, where it was another one; null otherwise.
        same_file: Whether it is the very same file, so that differences are of the measuring.
        latency_ms: Median before and now, for information: it is the machine's as much as the
            model's, so it is not judged.
    """

    subject: RowKey
    old_head: str | None = None
    same_file: bool
    status: tuple[Status, Status]
    latency_ms: tuple[float | None, float | None]
    changes: tuple[QuantityChange, ...]


class ResultsComparison(Document):
    """A comparison of two sets of results.

    Attributes:
        appeared: What stands in the later ones only.
        vanished: What stands in the earlier ones only.
        ambiguous: What stands in one of them more than once, and is not compared.
    """

    old: ResultsOrigin
    new: ResultsOrigin
    rows: tuple[RowComparison, ...]
    appeared: tuple[RowKey, ...]
    vanished: tuple[RowKey, ...]
    ambiguous: tuple[RowKey, ...] = ()

    @property
    def counts(self) -> Mapping[Verdict, int]:
        """How often each verdict was reached."""
        return Counter(change.verdict for row in self.rows for change in row.changes)

    @property
    def judged_by_interval(self) -> int:
        """Comparisons whose verdict is a 95 % interval's: one in twenty errs by chance."""
        return sum(change.ci95 is not None for row in self.rows for change in row.changes)


def read_results(path: Path) -> Results:
    """Reads results, or those in a folder of a report.

    Raises:
        InputError: There are none.
        DamagedError: They are damaged or of another schema version.
    """
    file = path / "results.json" if path.is_dir() else path
    if not file.is_file():
        raise InputError(
            f"{file} is not there. Give the results.json, or the report's folder, of a benchmark."
        )
    return Results.read(file)


def compare(new: Results, old: Results) -> ResultsComparison:
    """Compares what both sets of results measured.

    Rows are matched by register, threshold, backbone, head, seed, variant, runtime and unit; where
    only the head is another one, and no other row fits, by the rest. Rows given by a caller are
    passed over.

    Raises:
        DamagedError: A row's record of right answers does not fit it.
    """
    before, now = _by_subject(old), _by_subject(new)
    ambiguous = [s for s in (before | now) if len(before.get(s, ())) > 1 or len(now.get(s, ())) > 1]
    for subject in ambiguous:
        before.pop(subject, None)
        now.pop(subject, None)
    matched = {subject: subject for subject in now if subject in before}
    matched |= _other_head(set(now) - set(matched), set(before) - set(matched))
    rows = [
        _compared(subject, matched[subject], now[subject][0], before[matched[subject]][0], new, old)
        for subject in now
        if subject in matched
    ]
    return ResultsComparison(
        old=_origin(old),
        new=_origin(new),
        rows=tuple(sorted(rows, key=lambda row: row.subject.min_photos)),
        appeared=tuple(subject for subject in now if subject not in matched),
        vanished=tuple(subject for subject in before if subject not in matched.values()),
        ambiguous=tuple(ambiguous),
    )


def _origin(results: Results) -> ResultsOrigin:
    return ResultsOrigin(created=results.created, host=results.host, versions=results.versions)


def _subject(row: Row) -> RowKey:
    return RowKey.model_validate({name: getattr(row, name) for name in RowKey.model_fields})


Key = TypeVar("Key")


def _grouped(subjects: Iterable[RowKey], key: Callable[[RowKey], Key]) -> dict[Key, list[RowKey]]:
    groups: dict[Key, list[RowKey]] = defaultdict(list)
    for subject in subjects:
        groups[key(subject)].append(subject)
    return groups


def _by_subject(results: Results) -> dict[RowKey, list[Row]]:
    rows: dict[RowKey, list[Row]] = defaultdict(list)
    for row in results.rows:
        if row.status != "given":
            rows[_subject(row)].append(row)
    return dict(rows)


def _other_head(now: Iterable[RowKey], before: Iterable[RowKey]) -> dict[RowKey, RowKey]:
    """Pairs that differ in the head alone, where just one stands on either side."""

    def rest(subject: RowKey) -> RowKey:
        return subject.model_copy(update={"head": ""})

    later, earlier = _grouped(now, rest), _grouped(before, rest)
    return {
        later[key][0]: earlier[key][0]
        for key in later
        if len(later[key]) == 1 and len(earlier.get(key, ())) == 1
    }


def _compared(
    subject: RowKey, old_subject: RowKey, row: Row, old_row: Row, new: Results, old: Results
) -> RowComparison:
    pair = RowPair(
        old=old_row,
        new=row,
        old_results=old,
        new_results=new,
        old_reference=_reference(old_row, old),
        new_reference=_reference(row, new),
    )
    files = [
        r.custody and (r.custody.variant_sha256 or r.custody.model_sha256) for r in (row, old_row)
    ]
    try:
        quantities = tuple(changes(pair))
    except DamagedError as error:
        raise DamagedError(f"{subject.words}: {error}") from None
    return RowComparison(
        subject=subject,
        old_head=old_subject.head if old_subject.head != subject.head else None,
        same_file=files[0] is not None and files[0] == files[1],
        status=(old_row.status, row.status),
        latency_ms=(_median_ms(old_row), _median_ms(row)),
        changes=quantities,
    )


def _median_ms(row: Row) -> float | None:
    return None if row.latency_ms is None else row.latency_ms.p50


def _reference(row: Row, results: Results) -> Row | None:
    """The full-precision row of the same bundle."""
    for other in results.rows:
        if (
            other.variant == REFERENCE_VARIANT
            and other.custody is not None
            and row.custody is not None
            and other.custody.bundle_sha256 == row.custody.bundle_sha256
            and other.custody.test_photos_sha256 == row.custody.test_photos_sha256
        ):
            return other
    return None


def notable(
    against: ResultsComparison, verdict: Verdict
) -> Sequence[tuple[RowComparison, QuantityChange]]:
    """Every change with that verdict, with its row."""
    return [
        (row, change) for row in against.rows for change in row.changes if change.verdict == verdict
    ]
