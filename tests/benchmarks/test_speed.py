"""Speed and memory: that what is broken shows. No time is held against a clock's number."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
from patterns import OBJECTS
from PIL import Image

from benchmarks.measure import probe_processes
from benchmarks.measure.camera_photo import make_camera_photo
from benchmarks.measure.host import SHORTEST_SECONDS, CpuContention, busy_seconds
from benchmarks.measure.latency import LatencyPlan, measure_target, ratios_of, typical_start
from benchmarks.measure.memory import settled_memory
from benchmarks.measure.probe import (
    LatencyReply,
    ProbeRequest,
    StartReply,
    measure_latency,
    measure_start,
    noise_photo,
    opener,
    summarise,
    timed,
)
from benchmarks.measure.probe_processes import balanced_orders, run_interleaved, run_probe
from benchmarks.measure.result_rows import speed_fields
from benchmarks.pipeline.benchmark import BenchmarkOptions, run_benchmark
from benchmarks.results.measurement import BenchmarkCase
from benchmarks.results.row_fields import MemoryUse, Placement
from benchmarks.results.schema import Results, Row
from benchmarks.results.target import REFERENCE, BenchmarkTarget
from benchmarks.runtimes import Pixels, Probabilities, Session
from mobile_assets.errors import DamagedError
from mobile_assets.photos import decode

FLOAT32, INT8 = (
    BenchmarkTarget("tflite-float32", "litert"),
    BenchmarkTarget("tflite-int8", "litert"),
)
MEGABYTE = 2**20
PAUSE = 0.02
TICKS = 0.1
"""Seconds; the system counts each processor's time in hundredths."""


@pytest.fixture(scope="module")
def case(pattern_case: BenchmarkCase) -> BenchmarkCase:
    return pattern_case


def request_of(case: BenchmarkCase, subject: BenchmarkTarget, **changes: object) -> ProbeRequest:
    request = ProbeRequest(
        kind="latency",
        bundle=str(case.bundle.folder),
        run=str(case.run.folder),
        variant=subject.variant,
        runtime=subject.runtime,
        runs=20,
        warmup=2,
    )
    return request.model_copy(update=changes)


@pytest.fixture(scope="module")
def results(case: BenchmarkCase, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """One whole benchmark with every measuring process that it starts."""
    out = tmp_path_factory.mktemp("out") / "benchmark"
    options = BenchmarkOptions(latency_runs=20, warmup=3, threads=(1,), starts=1, bootstrap=0)
    run_benchmark([case], out, options=replace(options, limit=OBJECTS))
    return Results.read(out / "results.json")


def row_of(results: Results, subject: BenchmarkTarget) -> Row:
    return next(row for row in results.rows if BenchmarkTarget.of(row) == subject)


@pytest.mark.parametrize("subject", [REFERENCE, FLOAT32, INT8], ids=str)
def test_every_row_tells_its_speed_and_memory(results: Results, subject: BenchmarkTarget) -> None:
    row = row_of(results, subject)
    latency, memory = row.latency_ms, row.memory
    assert 0 < latency.p50 <= latency.p90 <= latency.p99
    assert (latency.runs, latency.threads) == (20, 1)
    assert row.cold_load_ms > 0
    # Four hundred times the pixels to decode: whatever the machine does besides.
    assert row.end_to_end_12mp_ms > row.end_to_end_ms > 0
    assert memory.peak_resident > memory.runtime_resident > 0
    assert "smaps_rollup" in memory.metric or "psutil" in memory.metric
    # Of the model alone: the libraries, over 100 MB in torch's case, are in the baseline.
    assert 0 < row.memory_bytes.value < 100 * MEGABYTE
    assert row.busy_share is None or 0 <= row.busy_share <= 1


def test_the_runtime_and_the_model_are_told_apart(results: Results) -> None:
    reference, small = row_of(results, REFERENCE).memory, row_of(results, INT8).memory
    assert reference.runtime_resident > 5 * small.runtime_resident, "torch is the larger runtime"
    # Tiny networks both: neither may be charged with the library that executes it.
    assert reference.model_resident < reference.runtime_resident / 3


def test_ratios_are_against_the_float32_file_and_in_turns(results: Results) -> None:
    assert row_of(results, FLOAT32).latency_ratio is None
    for subject in (REFERENCE, INT8):
        ratio = row_of(results, subject).latency_ratio
        assert ratio.rounds == 20
        assert 0 < ratio.p10 <= ratio.median <= ratio.p90


def test_placement_counts_every_operation(results: Results) -> None:
    placement = row_of(results, INT8).placement
    assert isinstance(placement, Placement)
    assert placement.delegate == "XNNPACK"
    assert 0 < placement.taken <= placement.total
    assert sum(placement.left.values()) == placement.total - placement.taken
    assert row_of(results, REFERENCE).placement is None


class Tampered(Session):
    """A real session with something done before every answer."""

    def __init__(self, session: Session, before: Callable[[], object]) -> None:
        self._session, self._before = session, before

    def predict(self, batch: Pixels) -> Probabilities:
        self._before()
        return self._session.predict(batch)


@contextmanager
def opened(case: BenchmarkCase) -> Iterator[Session]:
    with opener(case.bundle, request_of(case, FLOAT32))() as session:
        yield session


def every(number: int, action: Callable[[], object]) -> Callable[[], None]:
    calls = iter(range(1_000_000))

    def act() -> None:
        if next(calls) % number == number - 1:
            action()

    return act


def test_rare_pauses_show_in_the_slowest_runs_alone(case: BenchmarkCase) -> None:
    photo = noise_photo(case.bundle)
    with opened(case) as session:
        slow = Tampered(session, every(25, lambda: time.sleep(PAUSE)))
        latency = summarise(timed(slow, photo, runs=100, warmup=0), threads=1)
    assert latency.p99 > PAUSE * 1000
    assert latency.p50 < PAUSE * 1000 / 2, "the tiny network itself is far quicker than a pause"


def test_a_slow_model_shows_in_its_ratio(case: BenchmarkCase) -> None:
    photo = noise_photo(case.bundle)
    with opened(case) as session:
        slow = Tampered(session, lambda: time.sleep(PAUSE))
        turns: dict[BenchmarkTarget, list[float]] = {FLOAT32: [], INT8: []}
        for _ in range(10):
            turns[FLOAT32] += timed(session, photo, runs=1, warmup=0)
            turns[INT8] += timed(slow, photo, runs=1, warmup=0)
    ratio = ratios_of(turns, FLOAT32)[INT8]
    assert ratio.median > 2
    assert ratios_of({FLOAT32: turns[FLOAT32], INT8: turns[FLOAT32]}, FLOAT32)[INT8].median == 1


def start_with(
    case: BenchmarkCase, *, runtime: int = 0, model: int = 0, freed: int = 0
) -> StartReply:
    """A start in this process whose runtime and model hold, or freed, so many bytes more."""
    held: list[np.ndarray] = []

    def prepare() -> Callable[[], Session]:
        opening = opener(case.bundle, request_of(case, FLOAT32))
        held.append(np.ones(runtime, np.uint8))

        def larger() -> Session:
            held.append(np.ones(model, np.uint8))
            np.ones(freed, np.uint8)
            return opening()

        return larger

    return measure_start(prepare, noise_photo(case.bundle))


def test_memory_is_charged_to_whom_holds_it(case: BenchmarkCase) -> None:
    start_with(case)  # LiteRT is imported and has answered once
    size = 64 * MEGABYTE
    of_model = start_with(case, model=size).memory
    of_runtime = start_with(case, runtime=size).memory
    for memory, model, runtime in ((of_model, size, 0), (of_runtime, 0, size)):
        assert memory.model_resident == pytest.approx(model, abs=16 * MEGABYTE)
        assert memory.runtime_resident == pytest.approx(runtime, abs=16 * MEGABYTE)
        assert memory.peak_resident >= size
    if of_model.model_private is not None:
        assert of_model.model_private == pytest.approx(size, abs=16 * MEGABYTE)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs glibc's malloc_trim")
def test_memory_that_the_c_library_keeps_is_handed_back() -> None:
    size = 64 * MEGABYTE
    before = settled_memory().resident
    pieces = [bytes(1000) for _ in range(size // 1000)]
    assert settled_memory().resident - before > size / 2
    # Between pieces that stay, freed ones stay with the library, too, unless it is asked.
    pieces = pieces[::1000]
    assert settled_memory().resident - before < size / 4


def test_what_was_freed_is_not_at_rest_but_in_the_peak(case: BenchmarkCase) -> None:
    size = 64 * MEGABYTE
    start = start_with(case, freed=size)
    assert start.memory.model_resident < size / 2
    assert start.memory_bytes.value > size * 0.9


def test_the_start_with_the_median_memory_is_kept_whole() -> None:
    memory = MemoryUse(runtime_resident=1, model_resident=1, peak_resident=1, metric="m")
    starts = [
        StartReply(
            cold_load_ms=cold,
            memory_bytes=None,
            memory=memory.model_copy(update={"model_resident": held, "peak_resident": held + 1}),
            placement=None,
        )
        for cold, held in ((5.0, 30), (900.0, 10), (7.0, 20))
    ]
    kept = typical_start(starts)
    assert (kept.memory.model_resident, kept.memory.peak_resident) == (20, 21)
    assert kept.cold_load_ms == 7.0


def test_a_cameras_photo_is_large_lies_on_its_side_and_shows_the_same(tmp_path: Path) -> None:
    small = tmp_path / "small.png"
    made = np.zeros((40, 30, 3), dtype=np.uint8)
    made[:10, :, 0], made[10:, :, 2] = 220, 120
    Image.fromarray(made).save(small)
    large = tmp_path / "large.jpg"
    make_camera_photo(small, large)
    with Image.open(large) as stored:
        assert (stored.format, stored.size) == ("JPEG", (4032, 3024))
        assert stored.getexif()[0x0112] == 6
    upright = decode(large)
    assert upright.size == (3024, 4032)
    back = np.asarray(upright.resize((30, 40), Image.Resampling.BOX)).astype(int)
    assert np.abs(back[2:8] - made[2:8]).max() < 12, "red on top: it was turned the right way"
    grain = np.asarray(upright.crop((1000, 3000, 1200, 3200)), dtype=float).std(axis=(0, 1))
    assert grain[2] > 1, "a sensor's noise makes the decoder work as a real photo does"
    again = tmp_path / "again.jpg"
    make_camera_photo(small, again)
    assert again.read_bytes() == large.read_bytes()


def test_end_to_end_passes_over_photos_that_cannot_be_read(
    case: BenchmarkCase, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"")
    photos = (str(broken), *(str(photo.path) for photo in case.test_photos[:3]))

    def measured(photos: tuple[str, ...]) -> LatencyReply:
        with opened(case) as session:
            request = request_of(case, FLOAT32, photos=photos)
            return measure_latency(session, noise_photo(case.bundle), request, case.bundle)

    assert measured(photos).end_to_end_ms is not None
    assert measured((str(broken),)).end_to_end_ms is None
    assert measured(photos).end_to_end_12mp_ms is None


BURN = "import time; end = time.process_time() + 0.5\nwhile time.process_time() < end: pass"


def test_other_work_is_told() -> None:
    counted, start = CpuContention(), time.perf_counter()
    subprocess.run([sys.executable, "-c", BURN], check=True)
    share, seconds = counted.share(), time.perf_counter() - start
    # The rest of the machine may work, too; never less than what was asked for.
    assert share * seconds * (os.cpu_count() or 1) > 0.5 - TICKS


def test_own_work_is_not_other_work() -> None:
    before, counted, start = busy_seconds(), CpuContention(), time.perf_counter()
    exec(BURN)
    share, seconds = counted.share(), time.perf_counter() - start
    everybody = busy_seconds() - before
    assert share * seconds * (os.cpu_count() or 1) < everybody - 0.5 + TICKS
    assert CpuContention().share() is None, f"under {SHORTEST_SECONDS} s nothing can be said"


@pytest.mark.parametrize("count", range(1, 8))
def test_orders_favour_nobody(count: int) -> None:
    rows = list(islice(balanced_orders(count), 4 * count))
    assert all(sorted(row) == list(range(count)) for row in rows)
    positions = Counter(position for row in rows for position in enumerate(row))
    behind = Counter(pair for row in rows for pair in pairwise(row))
    assert set(positions.values()) == {4}
    assert len(behind) == count * (count - 1)
    assert set(behind.values()) <= {4}
    assert rows[: 2 * count] == rows[2 * count :]


def test_processes_take_turns(case: BenchmarkCase) -> None:
    requests = {s: request_of(case, s, kind="turns") for s in (FLOAT32, INT8)}
    turns = run_interleaved(requests, 5)
    assert {subject: len(times) for subject, times in turns.items()} == {FLOAT32: 5, INT8: 5}


def test_a_process_that_fails_is_told_with_its_last_words(case: BenchmarkCase) -> None:
    wrong = request_of(case, BenchmarkTarget("tflite-none", "litert"))
    with pytest.raises(DamagedError, match=r"tflite-none \(litert\) failed \(.*no variant"):
        run_probe(StartReply, wrong.model_copy(update={"kind": "start"}))
    with pytest.raises(DamagedError, match="tflite-none"):
        run_interleaved({FLOAT32: wrong.model_copy(update={"kind": "turns"})}, 1)


def test_a_process_that_takes_too_long_is_given_up(
    case: BenchmarkCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe_processes, "PROBE_SECONDS", 0.05)
    with pytest.raises(DamagedError, match=r"took over 0\.05 s"):
        run_probe(StartReply, request_of(case, FLOAT32, kind="start"))


def test_every_number_of_threads_has_its_own_process(case: BenchmarkCase) -> None:
    speed = measure_target(
        request_of(case, FLOAT32, runs=3),
        LatencyPlan(runs=3, warmup=0, threads=(1, 2, 4), starts=2),
    )
    assert speed.warm.latency_ms.threads == 1
    assert [latency.threads for latency in speed.more] == [2, 4]
    assert speed_fields(speed)["latency_more"] == speed.more
    assert speed.warm.end_to_end_ms is None
    assert speed.warm.busy_share is None, "three runs of a tiny network are too short to tell"


def test_ratios_are_of_the_same_round() -> None:
    # The machine is ten times slower in the second half; the ratio is 0.5 throughout.
    base = [2.0] * 5 + [20.0] * 5
    ratio = ratios_of({FLOAT32: base, INT8: [time / 2 for time in base]}, FLOAT32)
    assert list(ratio) == [INT8]
    assert (ratio[INT8].median, ratio[INT8].p10, ratio[INT8].p90) == (0.5, 0.5, 0.5)
