"""New results against earlier ones: what counts as a difference, and what cannot be compared."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest

from artefact_id.main import main
from benchmarks.gates.comparison import ResultsComparison, RowComparison, compare, read_results
from benchmarks.gates.regression import QuantityChange
from benchmarks.report.comparison_page import against_markdown, against_table, remarks, summary
from benchmarks.results.calibration import calibration_deviation
from benchmarks.results.classification import count_flips, difference_interval, wilson_interval
from benchmarks.results.cluster_bootstrap import paired_change_interval, paired_drop_interval
from benchmarks.results.correctness_mask import pack, pack_indices, unpack
from benchmarks.results.row_fields import (
    Calibration,
    Custody,
    Drift,
    Latency,
    LatencyRatio,
    Memory,
    ReliabilityBin,
)
from benchmarks.results.schema import Results, Row, Settings, TestSet
from mobile_assets.errors import DamagedError, InputError

PHOTOS = 400
HOST = {"system": "Linux 6", "machine": "x86_64", "processor": "Some CPU", "cpus": "2"}
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
        "register": "patterns",
        "min_photos": 3,
        "backbone": "tiny",
        "head": "linear",
        "seed": 0,
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
    return Row.model_validate(fields | values)


def results_of(*rows: Row, threads: int = 1, **host: str) -> Results:
    settings = Settings(
        latency_runs=50,
        warmup=10,
        threads=(threads,),
        measure_speed=True,
        bootstrap=500,
        seed=0,
        limit=None,
        command="test",
    )
    return Results(
        created="2026-01-01T00:00:00+00:00",
        host=HOST | host,
        versions={"torch": "2"},
        settings=settings,
        rows=rows,
    )


def against(new: Row, old: Row, *references: Row) -> ResultsComparison:
    return compare(results_of(new, *references), results_of(old, *references))


def compared(found: ResultsComparison) -> RowComparison:
    return next(r for r in found.rows if r.subject.variant == "tflite-int8")


def change_of(quantity: str, found: ResultsComparison) -> QuantityChange:
    return next(change for change in compared(found).changes if change.quantity == quantity)


def wrong_at(*places: int) -> NDArray[np.bool_]:
    changed = RIGHT.copy()
    changed[list(places)] = False
    return changed


RIGHT_PLACES = np.flatnonzero(RIGHT)


# --- right answers in bits ------------------------------------------------------------------------


@pytest.mark.parametrize("photos", [0, 1, 7, 8, 9, 64, 1001])
def test_bits_come_back(photos: int) -> None:
    right = np.random.default_rng(photos).random(photos) < 0.5
    text = pack(right)
    assert np.array_equal(unpack(text, photos), right)
    assert len(text) <= photos / 6 + 4


def test_bits_that_do_not_fit_are_refused() -> None:
    text = pack(np.ones(16, dtype=np.bool_))
    for photos in (8, 15, 17):
        with pytest.raises(DamagedError, match="16 photos"):
            unpack(text, photos)
    for wrong in ("?", "abc", "ä"):
        with pytest.raises(DamagedError):
            unpack(wrong, 16)


def test_damaged_bits_name_the_row() -> None:
    with pytest.raises(DamagedError, match="min 3, tflite-int8 on litert"):
        against(row(right_bits="AAAA"), row())


# --- noise ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("photos", [60, 400, 5000])
def test_as_many_changed_photos_as_an_exact_test_asks_for(photos: int) -> None:
    for lost in range(3, 10):
        gained = np.zeros(photos, dtype=np.int64)
        gained[:lost] = -1
        exact = binomtest(lost, lost).pvalue < 0.05
        assert (paired_change_interval(gained, np.arange(len(gained)))[1] < 0) == exact, lost


@pytest.mark.slow
def test_a_paired_interval_covers_the_difference() -> None:
    # Between two models of equal accuracy, one comparison in twenty may err.
    generator = np.random.default_rng(0)
    missed = 0
    for _ in range(400):
        gained = generator.choice([-1, 0, 1], p=[0.05, 0.9, 0.05], size=300).astype(np.int64)
        low, high = paired_change_interval(gained, np.arange(len(gained)))
        missed += not low <= 0 <= high
    assert missed / 400 < 0.08


def test_unpaired_intervals_are_newcombes() -> None:
    # His example (a): 56 of 70 against 48 of 80 gives 0.0524 to 0.3339.
    one, other = wilson_interval(56, 70), wilson_interval(48, 80)
    assert one is not None
    assert other is not None
    assert difference_interval(48 / 80, other, 56 / 70, one) == pytest.approx(
        (0.0524, 0.3339), abs=1e-4
    )


def test_the_noise_of_a_calibration_error_falls_with_the_photos() -> None:
    def of(photos: int) -> Calibration:
        part = ReliabilityBin(low=0.8, high=0.9, photos=photos, stated=0.85, right=0.7)
        return Calibration(bins=(part,))

    # Of one range, the error's deviation is that of the share right.
    assert calibration_deviation(of(100)) == pytest.approx(100 * (0.21 / 100) ** 0.5, rel=0.05)
    assert calibration_deviation(of(10_000)) < calibration_deviation(of(100)) / 5
    assert calibration_deviation(Calibration(bins=())) == 0


# --- verdicts -------------------------------------------------------------------------------------


def test_equal_results_do_not_differ() -> None:
    found = against(row(), row(), row("torch-float32"))
    assert set(found.counts) == {"no difference"}
    assert compared(found).same_file
    assert change_of("top-1", found).difference == 0


def test_photos_are_compared_one_by_one() -> None:
    worse = row(right=wrong_at(*RIGHT_PLACES[:8]))
    change = change_of("top-1", against(worse, row()))
    assert (change.verdict, change.difference) == ("worse", pytest.approx(-2.0))
    assert "photo by photo" in change.why
    assert change.ci95 is not None
    assert change.ci95[0] < -2 < change.ci95[1] < 0
    assert change_of("top-1", against(row(), worse)).verdict == "better"
    # The same shares without the photos: eight of 400 are within the noise.
    blind = change_of("top-1", against(row(right=worse_right(), bits=False), row(bits=False)))
    assert (blind.verdict, blind.difference) == ("no difference", pytest.approx(-2.0))
    assert "shares alone" in blind.why


def worse_right() -> NDArray[np.bool_]:
    return wrong_at(*RIGHT_PLACES[:8])


def test_few_changed_photos_are_noise() -> None:
    assert change_of("top-1", against(row(right=wrong_at(*RIGHT_PLACES[:4])), row())).verdict == (
        "no difference"
    )


def test_other_photos_cannot_be_compared() -> None:
    for other in (
        row(right=wrong_at(*RIGHT_PLACES), photos_sha256="q"),
        row(right=RIGHT[:200], reference=RIGHT[:200]),
        row(right=wrong_at(*RIGHT_PLACES), unseen_photos=3),
    ):
        found = against(row(), other)
        for quantity in ("top-1", "agreement", "drop"):
            change = change_of(quantity, found)
            assert (change.verdict, change.ci95) == ("not comparable", None)
            assert "different photos" in change.why
    assert "different photos" in " ".join(remarks(found))


def test_a_drop_is_judged_beside_both_references() -> None:
    # Reference and variant lost the same photos since: the drop is as before.
    lost = wrong_at(*RIGHT_PLACES[:40])
    found = compare(
        results_of(row("torch-float32", lost, reference=lost), row(right=lost, reference=lost)),
        results_of(row("torch-float32"), row()),
    )
    assert change_of("top-1", found).verdict == "worse"
    change = change_of("drop", found)
    assert (change.verdict, change.difference) == ("no difference", 0)
    assert "photo by photo" in change.why
    # The reference is as it was and the variant is not: the drop grew.
    found = against(row(right=lost), row(), row("torch-float32"))
    assert change_of("drop", found).verdict == "worse"
    assert change_of("agreement", found).verdict == "worse"


def test_a_reference_is_not_compared_with_itself() -> None:
    found = compare(results_of(row("torch-float32")), results_of(row("torch-float32")))
    assert {change.quantity for change in found.rows[0].changes} == {"top-1", "size"}


@pytest.mark.parametrize(
    ("size", "verdict"),
    [(900_000, "better"), (1_100_000, "worse"), (1_000_500, "no difference")],
)
def test_sizes(size: int, verdict: str) -> None:
    assert change_of("size", against(row(bytes=size), row())).verdict == verdict


def ratio(median: float, spread: float = 0.02) -> LatencyRatio:
    return LatencyRatio(median=median, p10=median - spread, p90=median + spread, rounds=50)


def test_latency_is_compared_as_a_ratio_with_its_spread() -> None:
    old = row(latency_ratio=ratio(0.5))
    for median, verdict in ((0.4, "better"), (0.6, "worse"), (0.52, "no difference")):
        found = against(row(latency_ratio=ratio(median)), old)
        assert change_of("latency ratio", found).verdict == verdict
    for median in (0.4, 0.6):
        wide = row(latency_ratio=ratio(median, spread=0.1))
        assert change_of("latency ratio", against(wide, old)).verdict == "no difference"


def test_speed_and_memory_on_another_machine_cannot_be_compared() -> None:
    new = row(latency_ratio=ratio(0.3), memory_bytes=Memory(value=9, metric="m"))
    old = row(latency_ratio=ratio(0.5), memory_bytes=Memory(value=99, metric="m"))
    here = compare(results_of(new), results_of(old))
    assert {change_of(q, here).verdict for q in ("latency ratio", "memory")} == {"better"}
    elsewhere = compare(results_of(new), results_of(old, processor="Another"))
    for quantity in ("latency ratio", "memory"):
        change = change_of(quantity, elsewhere)
        assert (change.verdict, change.why) == ("not comparable", "another machine")
    assert any("Some CPU" in remark for remark in remarks(elsewhere))
    threads = compare(results_of(new, threads=4), results_of(old))
    assert change_of("latency ratio", threads).why == "other numbers of threads"


def test_absolute_times_are_told_and_not_judged() -> None:
    times = [Latency(p50=p50, p90=20, threads=1, runs=50) for p50 in (10.0, 19.0)]
    found = against(row(latency_ms=times[1]), row(latency_ms=times[0]))
    assert compared(found).latency_ms == (10.0, 19.0)
    assert not [c for c in compared(found).changes if c.verdict == "worse"]
    assert "10.0 ms → 19.0 ms" in against_markdown(found)


@pytest.mark.parametrize(
    ("value", "verdict"), [(95, "no difference"), (80, "better"), (120, "worse")]
)
def test_memory(value: int, verdict: str) -> None:
    old = row(memory_bytes=Memory(value=100, metric="m"))
    assert (
        change_of("memory", against(row(memory_bytes=Memory(value=value, metric="m")), old)).verdict
        == verdict
    )
    other = row(memory_bytes=Memory(value=value, metric="else"))
    assert change_of("memory", against(other, old)).why == "counted in another way"


def calibrated(stated: float, photos: int = PHOTOS) -> Row:
    part = ReliabilityBin(low=0, high=1, photos=photos, stated=stated, right=0.9)
    error = abs(stated - 0.9)
    return row(calibration_error=error, calibration=Calibration(bins=(part,)))


def test_calibration() -> None:
    quantity = "calibration error"
    assert change_of(quantity, against(calibrated(0.8), calibrated(0.9))).verdict == "worse"
    assert change_of(quantity, against(calibrated(0.9), calibrated(0.8))).verdict == "better"
    assert (
        change_of(quantity, against(calibrated(0.88), calibrated(0.9))).verdict == "no difference"
    )
    bare = row(calibration_error=0.1)
    assert change_of(quantity, against(bare, calibrated(0.9))).verdict == "not comparable"


def test_what_is_measured_on_one_side_only() -> None:
    timed = row(latency_ratio=ratio(0.5))
    assert change_of("latency ratio", against(timed, row())).why == "not measured before"
    assert change_of("latency ratio", against(row(), timed)).why == "not measured now"


# --- which rows -----------------------------------------------------------------------------------


def test_rows_that_appeared_and_vanished() -> None:
    found = compare(
        results_of(row(), row("tflite-float16")),
        results_of(row(), row(seed=1), row(status="given", runtime="given")),
    )
    assert [s.variant for s in found.appeared] == ["tflite-float16"]
    assert [s.seed for s in found.vanished] == [1]
    assert len(found.rows) == 1
    told = " ".join(remarks(found))
    assert "New: min 3, tflite-float16 on litert" in told
    assert "No longer measured: min 3, tflite-int8 on litert" in told


def test_units_and_runtimes_are_not_mixed() -> None:
    found = against(row(runtime="coreml", unit="cpu"), row(runtime="coreml", unit="gpu"))
    assert (len(found.rows), len(found.appeared), len(found.vanished)) == (0, 1, 1)


def test_another_head_is_compared_and_told() -> None:
    found = against(row(head="embedding-256"), row(head="paper"))
    assert compared(found).old_head == "paper"
    assert "paper → embedding-256" in " ".join(remarks(found))
    both = compare(results_of(row(head="a")), results_of(row(head="b"), row(head="c")))
    assert (len(both.rows), len(both.vanished)) == (0, 2)


def test_rows_that_stand_twice_are_not_guessed_at() -> None:
    found = compare(results_of(row(), row()), results_of(row()))
    assert (len(found.rows), len(found.ambiguous)) == (0, 1)
    assert "more than once" in " ".join(remarks(found))


def test_a_row_that_is_no_longer_measured_is_told() -> None:
    gone = row(status="check-failed", top1=None, agreement=None, drop_points=None)
    found = against(gone, row())
    assert change_of("top-1", found).why == "not measured now"
    assert any("measured before, check-failed now" in remark for remark in remarks(found))


# --- told -----------------------------------------------------------------------------------------


def test_the_page_holds_what_moved_and_how_sure_it_is() -> None:
    found = against(row(right=worse_right(), bytes=500_000), row(), row("torch-float32"))
    page = against_markdown(found)
    assert "## Worse" in page
    assert "top-1 90.00 → 88.00 (−2.00 points, 95 % interval" in page
    assert "size 1,000,000 bytes → 500,000 bytes (−50.0 %; exact)" in page
    assert "▼ −2.00" in page
    assert summary(found).startswith("Against 2026-01-01T00:00:00+00:00: 1 better")
    assert against_table(found).row_count == 2
    assert any("95 % interval" in remark for remark in remarks(found))


def test_the_comparison_is_read_back(tmp_path: Path) -> None:
    found = against(row(right=worse_right()), row())
    found.write(tmp_path / "against.json")
    assert ResultsComparison.read(tmp_path / "against.json") == found


def test_the_command_informs_and_does_not_fail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "old").mkdir()
    results_of(row()).write(tmp_path / "old" / "results.json")
    results_of(row(right=worse_right())).write(tmp_path / "new.json")
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


# --- files of earlier versions --------------------------------------------------------------------


def test_a_file_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    content = json.loads(results_of(row()).text)
    del content["settings"]["resampled"]
    (old,) = content["rows"]
    detail = {
        "runtime_resident": 1,
        "model_resident": 20,
        "model_private": None,
        "peak_resident": 30,
        "metric": "at rest",
    }
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
    content["rows"].append(
        old
        | {
            "min_photos": 4,
            "memory_bytes": None,
            "max_probability_drift": None,
            "calibration_error": None,
        }
    )
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
    assert new.custody is not None
    tested = TestSet(
        register="patterns",
        min_photos=3,
        seed=0,
        photos=photos,
        objects_shown=photos // 10,
        unreadable=(),
        in_training=(),
        sha256=new.custody.test_photos_sha256,
        photo_objects=pack_indices(objects),
    )
    alone = change_of("top-1", against(new, old))
    assert alone.why.endswith("the results do not tell which")
    told = results_of(new).model_copy(update={"test_sets": (tested,)})
    drawn = change_of("top-1", compare(told, results_of(old)))
    assert drawn.why == f"photo by photo, {photos:,} photos of {photos // 10:,} objects"
    assert drawn.ci95 is not None and alone.ci95 is not None
    assert drawn.ci95[1] - drawn.ci95[0] > 1.5 * (alone.ci95[1] - alone.ci95[0])
    damaged = tested.model_copy(update={"photo_objects": "AAAA"})
    with pytest.raises(DamagedError, match="min 3, tflite-int8 on litert"):
        compare(told.model_copy(update={"test_sets": (damaged,)}), results_of(old))
