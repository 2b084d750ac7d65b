"""New results against earlier ones: what counts as a difference, and what cannot be compared."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from result_rows import make_results, make_row

from artefact_id.main import main
from benchmarks.gates.comparison import ResultsComparison, RowComparison, compare, read_results
from benchmarks.gates.regression import QuantityChange
from benchmarks.report.comparison_page import against_markdown, against_table, remarks, summary
from benchmarks.results.classification import count_flips, wilson_interval
from benchmarks.results.cluster_bootstrap import paired_drop_interval
from benchmarks.results.correctness_mask import pack, pack_indices
from benchmarks.results.row_fields import (
    Calibration,
    Custody,
    Drift,
    Latency,
    LatencyRatio,
    Memory,
    ReliabilityBin,
)
from benchmarks.results.schema import Row, TestSet
from mobile_assets.errors import DamagedError, InputError

PHOTOS = 400
RIGHT = np.arange(PHOTOS) % 10 > 0  # the reference has nine of ten photos right


def row(
    variant: str = "tflite-int8",
    right: NDArray[np.bool_] = RIGHT,
    *,
    reference: NDArray[np.bool_] = RIGHT,
    bits: bool = True,
    photos_sha256: str = "p",
    **values: object,
) -> Row:
    """A row whose shares are those of the photos that are right."""
    flips = count_flips(reference, right)
    custody = Custody(
        bundle_sha256="b",
        model_sha256="m",
        variant_sha256=None if variant.startswith("torch") else variant,
        test_photos_sha256=photos_sha256,
    )
    fields: dict[str, object] = {
        "variant": variant,
        "runtime": "torch" if variant.startswith("torch") else "litert",
        "photos": len(right),
        "top1": float(right.mean()),
        "top1_ci95": wilson_interval(int(right.sum()), len(right)),
        "agreement": float((reference == right).mean()),
        "drop_points": 100 * (flips.lost - flips.won) / len(right),
        "drop_ci95": paired_drop_interval(
            reference, right, np.arange(len(right)), resamples=500, seed=0
        ),
        "right_bits": pack(right) if bits else None,
        "bytes": 1_000_000,
        "custody": custody,
    }
    return make_row(**(fields | values))


def against(new: Row, old: Row, *references: Row) -> ResultsComparison:
    return compare(make_results(new, *references), make_results(old, *references))


def compared(comparison: ResultsComparison) -> RowComparison:
    return next(r for r in comparison.rows if r.subject.variant == "tflite-int8")


def change_of(quantity: str, comparison: ResultsComparison) -> QuantityChange:
    return next(change for change in compared(comparison).changes if change.quantity == quantity)


def wrong_at(*places: int) -> NDArray[np.bool_]:
    changed = RIGHT.copy()
    changed[list(places)] = False
    return changed


RIGHT_PLACES = np.flatnonzero(RIGHT)
WORSE = wrong_at(*RIGHT_PLACES[:8])


def test_damaged_bits_name_the_row() -> None:
    with pytest.raises(DamagedError, match="min 3, tflite-int8 on litert"):
        against(row(right_bits="AAAA"), row())


def test_photos_are_compared_one_by_one() -> None:
    worse = row(right=WORSE)
    change = change_of("top-1", against(worse, row()))
    assert (change.verdict, change.difference) == ("worse", pytest.approx(-2.0))
    assert "photo by photo" in change.why
    assert change.ci95[0] < -2 < change.ci95[1] < 0
    assert change_of("top-1", against(row(), worse)).verdict == "better"
    # The same shares without the photos: eight of 400 are within the noise.
    blind = change_of("top-1", against(row(right=WORSE, bits=False), row(bits=False)))
    assert (blind.verdict, blind.difference) == ("no difference", pytest.approx(-2.0))
    assert "shares alone" in blind.why


def test_other_photos_cannot_be_compared() -> None:
    for other in (
        row(right=wrong_at(*RIGHT_PLACES), photos_sha256="q"),
        row(right=RIGHT[:200], reference=RIGHT[:200]),
        row(right=wrong_at(*RIGHT_PLACES), unseen_photos=3),
    ):
        comparison = against(row(), other)
        for quantity in ("top-1", "agreement", "drop"):
            change = change_of(quantity, comparison)
            assert (change.verdict, change.ci95) == ("not comparable", None)
            assert "different photos" in change.why
    assert "different photos" in " ".join(remarks(comparison))


def test_a_drop_is_judged_beside_both_references() -> None:
    # Reference and variant lost the same photos since: the drop is as before.
    lost = wrong_at(*RIGHT_PLACES[:40])
    comparison = compare(
        make_results(row("torch-float32", lost, reference=lost), row(right=lost, reference=lost)),
        make_results(row("torch-float32"), row()),
    )
    assert change_of("top-1", comparison).verdict == "worse"
    change = change_of("drop", comparison)
    assert (change.verdict, change.difference) == ("no difference", 0)
    assert "photo by photo" in change.why
    # The reference is as it was and the variant is not: the drop grew.
    comparison = against(row(right=lost), row(), row("torch-float32"))
    assert change_of("drop", comparison).verdict == "worse"
    assert change_of("agreement", comparison).verdict == "worse"


def test_a_reference_is_not_compared_with_itself() -> None:
    comparison = compare(make_results(row("torch-float32")), make_results(row("torch-float32")))
    assert {change.quantity for change in comparison.rows[0].changes} == {"top-1", "size"}


def ratio(median: float, spread: float = 0.02) -> LatencyRatio:
    return LatencyRatio(median=median, p10=median - spread, p90=median + spread, rounds=50)


def test_speed_and_memory_on_another_machine_cannot_be_compared() -> None:
    new = row(latency_ratio=ratio(0.3), memory_bytes=Memory(value=9, metric="m"))
    old = row(latency_ratio=ratio(0.5), memory_bytes=Memory(value=99, metric="m"))
    here = compare(make_results(new), make_results(old))
    assert {change_of(q, here).verdict for q in ("latency ratio", "memory")} == {"better"}
    elsewhere = compare(make_results(new), make_results(old, processor="Another"))
    for quantity in ("latency ratio", "memory"):
        change = change_of(quantity, elsewhere)
        assert (change.verdict, change.why) == ("not comparable", "another machine")
    assert any("Some CPU" in remark for remark in remarks(elsewhere))
    threads = compare(make_results(new, threads=4), make_results(old))
    assert change_of("latency ratio", threads).why == "other numbers of threads"


def test_absolute_times_are_told_and_not_judged() -> None:
    times = [Latency(p50=p50, p90=20, threads=1, runs=50) for p50 in (10.0, 19.0)]
    comparison = against(row(latency_ms=times[1]), row(latency_ms=times[0]))
    assert compared(comparison).latency_ms == (10.0, 19.0)
    assert not [c for c in compared(comparison).changes if c.verdict == "worse"]
    assert "10.0 ms → 19.0 ms" in against_markdown(comparison)


def calibrated(stated: float, photos: int = PHOTOS) -> Row:
    part = ReliabilityBin(low=0, high=1, photos=photos, stated=stated, right=0.9)
    error = abs(stated - 0.9)
    return row(calibration_error=error, calibration=Calibration(bins=(part,)))


def timed(median: float, spread: float = 0.02) -> Row:
    return row(latency_ratio=ratio(median, spread))


def holding(value: int, metric: str = "m") -> Row:
    return row(memory_bytes=Memory(value=value, metric=metric))


@pytest.mark.parametrize(
    ("quantity", "old", "new", "verdict"),
    [
        ("top-1", row(), row(), "no difference"),
        ("top-1", row(), row(right=wrong_at(*RIGHT_PLACES[:4])), "no difference"),
        ("size", row(), row(bytes=900_000), "better"),
        ("size", row(), row(bytes=1_100_000), "worse"),
        ("size", row(), row(bytes=1_000_500), "no difference"),
        ("latency ratio", timed(0.5), timed(0.4), "better"),
        ("latency ratio", timed(0.5), timed(0.6), "worse"),
        ("latency ratio", timed(0.5), timed(0.52), "no difference"),
        ("latency ratio", timed(0.5), timed(0.4, 0.1), "no difference"),
        ("latency ratio", timed(0.5), timed(0.6, 0.1), "no difference"),
        ("memory", holding(100), holding(95), "no difference"),
        ("memory", holding(100), holding(80), "better"),
        ("memory", holding(100), holding(120), "worse"),
        ("memory", holding(100), holding(80, "else"), "not comparable"),
        ("calibration error", calibrated(0.9), calibrated(0.8), "worse"),
        ("calibration error", calibrated(0.8), calibrated(0.9), "better"),
        ("calibration error", calibrated(0.9), calibrated(0.88), "no difference"),
        ("calibration error", calibrated(0.9), row(calibration_error=0.1), "not comparable"),
    ],
)  # fmt: skip
def test_a_quantity_is_better_worse_or_no_different(
    quantity: str, old: Row, new: Row, verdict: str
) -> None:
    assert change_of(quantity, against(new, old)).verdict == verdict


def test_what_is_measured_on_one_side_only() -> None:
    timed = row(latency_ratio=ratio(0.5))
    assert change_of("latency ratio", against(timed, row())).why == "not measured before"
    assert change_of("latency ratio", against(row(), timed)).why == "not measured now"


def test_rows_that_appeared_and_vanished() -> None:
    comparison = compare(
        make_results(row(), row("tflite-float16")),
        make_results(row(), row(seed=1), row(status="given", runtime="given")),
    )
    assert [s.variant for s in comparison.appeared] == ["tflite-float16"]
    assert [s.seed for s in comparison.vanished] == [1]
    assert len(comparison.rows) == 1
    words = " ".join(remarks(comparison))
    assert "New: min 3, tflite-float16 on litert" in words
    assert "No longer measured: min 3, tflite-int8 on litert" in words


def test_units_and_runtimes_are_not_mixed() -> None:
    comparison = against(row(runtime="coreml", unit="cpu"), row(runtime="coreml", unit="gpu"))
    assert (len(comparison.rows), len(comparison.appeared), len(comparison.vanished)) == (0, 1, 1)


def test_another_head_is_compared_and_told() -> None:
    comparison = against(row(head="embedding-256"), row(head="paper"))
    assert compared(comparison).old_head == "paper"
    assert "paper → embedding-256" in " ".join(remarks(comparison))
    both = compare(make_results(row(head="a")), make_results(row(head="b"), row(head="c")))
    assert (len(both.rows), len(both.vanished)) == (0, 2)


def test_rows_that_stand_twice_are_not_guessed_at() -> None:
    comparison = compare(make_results(row(), row()), make_results(row()))
    assert (len(comparison.rows), len(comparison.ambiguous)) == (0, 1)
    assert "more than once" in " ".join(remarks(comparison))


def test_a_row_that_is_no_longer_measured_is_told() -> None:
    gone = row(status="check-failed", top1=None, agreement=None, drop_points=None)
    comparison = against(gone, row())
    assert change_of("top-1", comparison).why == "not measured now"
    assert any("measured before, check-failed now" in remark for remark in remarks(comparison))


def test_the_page_holds_what_moved_and_how_sure_it_is() -> None:
    comparison = against(row(right=WORSE, bytes=500_000), row(), row("torch-float32"))
    page = against_markdown(comparison)
    assert "## Worse" in page
    assert "top-1 90.00 → 88.00 (−2.00 points, 95 % interval" in page
    assert "size 1,000,000 bytes → 500,000 bytes (−50.0 %; exact)" in page
    assert "▼ −2.00" in page
    assert summary(comparison).startswith("Against 2026-01-01T00:00:00+00:00: 1 better")
    assert against_table(comparison).row_count == 2
    assert any("95 % interval" in remark for remark in remarks(comparison))


def test_the_comparison_is_read_back(tmp_path: Path) -> None:
    comparison = against(row(right=WORSE), row())
    comparison.write(tmp_path / "against.json")
    assert ResultsComparison.read(tmp_path / "against.json") == comparison


def test_the_command_informs_and_does_not_fail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "old").mkdir()
    make_results(row()).write(tmp_path / "old" / "results.json")
    make_results(row(right=WORSE)).write(tmp_path / "new.json")
    words = ["gate", str(tmp_path / "new.json"), "--against", str(tmp_path / "old")]
    assert main(words) == 0
    assert "worse: min 3, tflite-int8 on litert: top-1" in capsys.readouterr().out
    assert main([*words, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert set(printed) == {"against"}
    assert ResultsComparison.model_validate(printed["against"]).counts["worse"] >= 1
    assert main([*words, "--gate"]) == 1
    with pytest.raises(InputError, match="is not there"):
        read_results(tmp_path / "nowhere")


def test_a_file_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    content = json.loads(make_results(row()).text)
    del content["settings"]["resampled"]
    (old,) = content["rows"]
    detail = {
        "runtime_resident": 1, "model_resident": 20, "model_private": None, "peak_resident": 30,
        "metric": "at rest",
    }  # fmt: skip
    old |= {
        "max_probability_drift": 0.3,
        "drift": {"mean": 0.1, "p99": 0.2, "max": 0.3},
        "calibration_error": 0.15,
        "calibration": {
            "error": 0.15,
            "bins": [{"low": 0.8, "high": 0.9, "photos": 9, "stated": 0.85, "right": 0.7}],
            "temperature": 1.5,
            "error_with_temperature": 0.1,
            "validation_photos": 5,
        },
        "memory_bytes": {"value": 25, "metric": "peak"},
        "memory": detail,
    }
    missing = dict.fromkeys(("memory_bytes", "max_probability_drift", "calibration_error"))
    content["rows"].append(old | missing | {"min_photos": 4})
    content["rows"].append(old | {"min_photos": 5, "memory": None, "drift": None})
    path = tmp_path / "results.json"
    path.write_text(json.dumps(content))
    results = read_results(path)
    both, nested, flat = results.rows
    assert results.settings.resampled == "photos"
    assert both.memory_bytes is not None and both.memory_bytes.value == 25
    assert both.memory is not None and both.memory.model_resident == 20
    assert nested.memory_bytes is not None and nested.memory_bytes.value == 20
    for read in (both, nested):
        assert (read.max_probability_drift, read.calibration_error) == (0.3, 0.15)
        assert read.drift == Drift(mean=0.1, p99=0.2)
        assert read.calibration is not None and read.calibration.temperature == 1.5
    assert flat.max_probability_drift == 0.3 and flat.drift is None and flat.memory is None
    results.write(path)
    assert read_results(path) == results
    written = json.loads(path.read_text())["rows"][0]
    assert "memory" not in written and "max" not in written["drift"]
    assert "error" not in written["calibration"]


def test_objects_are_drawn_where_the_results_tell_them() -> None:
    photos = len(RIGHT)
    objects = np.repeat(np.arange(photos // 10), 10)
    lost = RIGHT.copy()
    lost[: photos // 10] = False
    new, old = row(right=lost), row()
    tested = TestSet(
        register="patterns", min_photos=3, seed=0, photos=photos, objects_shown=photos // 10,
        unreadable=(), in_training=(), sha256=new.custody.test_photos_sha256,
        photo_objects=pack_indices(objects),
    )  # fmt: skip
    alone = change_of("top-1", against(new, old))
    assert alone.why.endswith("the results do not tell which")
    results = make_results(new).model_copy(update={"test_sets": (tested,)})
    drawn = change_of("top-1", compare(results, make_results(old)))
    assert drawn.why == f"photo by photo, {photos:,} photos of {photos // 10:,} objects"
    assert drawn.ci95 is not None and alone.ci95 is not None
    assert drawn.ci95[1] - drawn.ci95[0] > 1.5 * (alone.ci95[1] - alone.ci95[0])
    damaged = tested.model_copy(update={"photo_objects": "AAAA"})
    with pytest.raises(DamagedError, match="min 3, tflite-int8 on litert"):
        compare(results.model_copy(update={"test_sets": (damaged,)}), make_results(old))
