"""New results against earlier ones: what got better or worse, and whether beyond noise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

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
    """A comparison of two sets of results: what appeared, what vanished, and what is compared.

    What stands in one of them more than once is ambiguous and not compared.
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
    before, now = _by_key(old.rows, _key), _by_key(new.rows, _key)
    ambiguous = [k for k in (before | now) if len(before.get(k, ())) > 1 or len(now.get(k, ())) > 1]
    for key in ambiguous:
        before.pop(key, None)
        now.pop(key, None)
    # Those that differ in the head alone are pairs where just one stands on either side.
    headless = [
        _by_key([rows[key][0] for key in rows if key not in others], _headless)
        for rows, others in ((before, now), (now, before))
    ]
    pairs = {key: (now[key][0], before[key][0]) for key in now if key in before}
    pairs |= {
        _key(rows[0]): (rows[0], headless[0][key][0])
        for key, rows in headless[1].items()
        if len(rows) == 1 and len(headless[0].get(key, ())) == 1
    }
    compared = [_compared(*pairs[key], new, old) for key in now if key in pairs]
    matched = {_key(old_row) for _, old_row in pairs.values()}
    return ResultsComparison(
        old=_origin(old),
        new=_origin(new),
        rows=tuple(sorted(compared, key=lambda row: row.subject.min_photos)),
        appeared=tuple(key for key in now if key not in pairs),
        vanished=tuple(key for key in before if key not in matched),
        ambiguous=tuple(ambiguous),
    )


def _origin(results: Results) -> ResultsOrigin:
    return ResultsOrigin(created=results.created, host=results.host, versions=results.versions)


def _key(row: Row) -> RowKey:
    return RowKey.model_validate({name: getattr(row, name) for name in RowKey.model_fields})


def _headless(row: Row) -> RowKey:
    return _key(row).model_copy(update={"head": ""})


def _by_key(rows: Iterable[Row], key: Callable[[Row], RowKey]) -> dict[RowKey, list[Row]]:
    groups: dict[RowKey, list[Row]] = {}
    for row in rows:
        if row.status != "given":
            groups.setdefault(key(row), []).append(row)
    return groups


def _compared(row: Row, old_row: Row, new: Results, old: Results) -> RowComparison:
    key = _key(row)
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
        raise DamagedError(f"{key.words}: {error}") from None
    return RowComparison(
        subject=key,
        old_head=old_row.head if old_row.head != row.head else None,
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
        if other.variant == REFERENCE_VARIANT and other.custody and row.custody:
            beside = row.custody.model_copy(update={"variant_sha256": None})
            if other.custody == beside:
                return other
    return None


def notable(
    against: ResultsComparison, verdict: Verdict
) -> Sequence[tuple[RowComparison, QuantityChange]]:
    """Every change with that verdict, with its row."""
    return [
        (row, change) for row in against.rows for change in row.changes if change.verdict == verdict
    ]
