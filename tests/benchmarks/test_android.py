"""What is measured of a phone, and what goes wrong on it; `phone` plays the phone."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from phone import FILES, REMOVED, SERIAL, Talk, measure

from benchmarks.runtimes.android import adb, benchmark_model
from benchmarks.runtimes.android.adb import PhoneError
from benchmarks.runtimes.android.placement import delegate_used
from mobile_assets.bundle import Bundle

pytest_plugins = ("phone",)


def test_a_variant_is_measured_on_the_processor(phone: Talk, bytes_bundle: Bundle) -> None:
    reply = measure(phone, bytes_bundle)
    assert (reply.latency_ms.threads, reply.latency_ms.runs) == (1, 4)
    times = [11.0, 12.0, 13.0, 14.0]  # of cpu_pairs_1.log
    assert reply.latency_ms.p50 == pytest.approx(12.5)
    assert reply.latency_ms.p90 == pytest.approx(np.quantile(times, 0.9))
    assert reply.latency_ms.p99 == pytest.approx(np.quantile(times, 0.99))
    (two,) = reply.latency_more
    assert (two.threads, two.runs) == (2, 4)
    assert two.p50 == pytest.approx(6.5)  # 6, 7 and twice 6.5, which the tool calls all the same
    assert reply.cold_load_ms == pytest.approx(21.5 + 14.1)
    assert reply.memory_bytes.value == int(12.5 * 2**20)
    assert "ru_maxrss" in reply.memory_bytes.metric
    assert reply.memory_bytes.detail is None
    placement = reply.placement
    assert (placement.delegate, placement.taken, placement.total) == ("XNNPACK", 69, 70)
    assert placement.left == {"QUANTIZE": 1}
    assert reply.device.model == "Google Pixel 8 (Google Tensor G3)"
    assert reply.device.android == "Android 15 (API 35)"
    assert reply.device.delegate_asked == "xnnpack"
    assert reply.device.delegate_used == "XNNPACK 69 of 70 operations in 1 piece"
    assert reply.device.temperature_celsius == (28.3, 29.7)
    assert "Thermal status none before, light after." in reply.note
    assert "Peak memory of its process 21.1 MB" in reply.note
    assert "median 11.50" in reply.note  # the tool's own statistics are kept
    assert phone.said[-1][-1] == REMOVED


def test_a_variant_is_measured_on_the_gpu(phone: Talk, bytes_bundle: Bundle) -> None:
    reply = measure(phone, bytes_bundle, delegate="gpu")
    assert reply.device.delegate_asked == "gpu"
    assert reply.device.delegate_used == "GPU 70 of 70 operations in 1 piece"
    assert reply.placement.left == {}
    assert reply.latency_ms.p50 == pytest.approx(4.5)
    assert reply.latency_more == ()  # threads of the processor mean nothing there


def test_the_processor_in_place_of_the_gpu_is_told(phone: Talk, bytes_bundle: Bundle) -> None:
    for part, name in (("--num_runs=4", "steady"), ("--num_runs=5", "profiled"), ("n=0", "pairs")):
        for entry in phone.entries:
            words = entry["say"][-1]
            if part in words and "--use_gpu" in words:
                entry["file"] = str(FILES / f"litert_{name}.log")
    phone.write()
    reply = measure(phone, bytes_bundle, delegate="gpu")
    assert reply.device.delegate_asked == "gpu"
    assert reply.device.delegate_used.startswith("not GPU, which was asked for: XNNPACK 69 of 70")
    assert reply.placement.delegate == "XNNPACK"
    assert reply.placement.left == {"not named": 1}  # that tool has no such table
    assert reply.memory_bytes.value == int(14.25 * 2**20)
    assert reply.cold_load_ms == pytest.approx(30.25 + 14.1)


def test_a_gpu_that_refuses_the_file_gives_no_time(phone: Talk, bytes_bundle: Bundle) -> None:
    for entry in phone.entries:
        if "--num_runs=4" in entry["say"][-1] and "--use_gpu" in entry["say"][-1]:
            entry.update(file=str(FILES / "gpu_refused.log"), exit=1)
    phone.write()
    reply = measure(phone, bytes_bundle, delegate="gpu")
    assert reply.latency_ms is None
    assert reply.placement is None
    assert reply.device.delegate_used == "none: the GPU delegate could not be applied"
    assert "refused this file" in reply.note
    assert phone.said[-1][-1] == REMOVED


def test_times_at_an_unknown_number_of_threads_are_not_reported(
    phone: Talk, bytes_bundle: Bundle
) -> None:
    log = (FILES / "cpu_steady.log").read_text()
    phone.change("--num_runs=4", stdout="WARN: Unconsumed cmdline flags: --num_threads=1\n" + log)
    reply = measure(phone, bytes_bundle)
    assert reply.latency_ms is None
    assert "--num_threads=1" in reply.note


STEADY, PAIRS = ((FILES / f"cpu_{name}.log").read_text() for name in ("steady", "pairs_1"))


@pytest.mark.parametrize(
    ("part", "changes", "words"),
    [
        (
            "--num_runs=4", {"stdout": STEADY.replace("count=4", "")},
            "without its line of statistics",
        ),
        ("n=0", {"stdout": PAIRS[: len(PAIRS) // 2]}, "called 2 times with two runs each"),
        (
            "--num_runs=4", {"stdout": "CANNOT LINK EXECUTABLE: libc++ not found\n", "exit": 1},
            r"exit code 1.*built for Android",
        ),
    ],
    ids=["no statistics", "fewer calls", "fails"],
)  # fmt: skip
def test_what_the_program_did_not_do_is_noticed(
    phone: Talk, bytes_bundle: Bundle, part: str, changes: dict[str, Any], words: str
) -> None:
    phone.change(part, **changes)
    with pytest.raises(PhoneError, match=words):
        measure(phone, bytes_bundle)
    assert phone.said[-1][-1] == REMOVED


def test_a_damaged_file_is_noticed_and_removed(phone: Talk, bytes_bundle: Bundle) -> None:
    phone.change("sha256sum /data/local/tmp/artefact-id/model", stdout=f"{'0' * 64}  model\n")
    with pytest.raises(PhoneError, match="arrived damaged"):
        measure(phone, bytes_bundle)
    assert phone.said[-1][-1] == REMOVED
    assert not any("benchmark_model" in word for words in phone.said for word in words)


def test_the_calls_stop_at_the_first_fault(tmp_path: Path) -> None:
    """The command line is executed by a real shell, with a program that fails when told so."""
    program, graph = tmp_path / "a tool", tmp_path / "model"
    program.write_text('#!/bin/sh\necho "$@" >> calls\ncat "${1#--graph=}"\n')
    program.chmod(0o755)
    graph.write_text("count=1 curr=9\ncount=2 first=4 curr=5 min=4 max=5 avg=4.5 std=1\n")
    pair = benchmark_model.command(
        str(program), str(graph), delegate="gpu", threads=3, warmup=7, runs=2
    )
    line = benchmark_model.repeated(pair, 4)
    done = subprocess.run(
        ["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    times = benchmark_model.single_times(benchmark_model.read_log(done.stdout), 4)
    assert (done.returncode, times) == (0, (0.004, 0.005) * 4)
    calls = (tmp_path / "calls").read_text().splitlines()
    assert len(calls) == 4
    for flag in ("--num_threads=3", "--warmup_runs=7", "--num_runs=2", "--use_gpu=true"):
        assert flag in calls[0].split()
    graph.unlink()
    done = subprocess.run(
        ["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert len((tmp_path / "calls").read_text().splitlines()) == 5


def test_a_phone_that_goes_away_in_the_middle(phone: Talk, bytes_bundle: Bundle) -> None:
    phone.break_off("--num_runs=4", "")
    phone.break_off("(rm -rf /data/local/tmp/artefact-id)", f"error: device '{SERIAL}' not found\n")
    with pytest.raises(PhoneError) as caught:
        measure(phone, bytes_bundle)
    assert "did not finish a command" in str(caught.value)
    assert f"adb -s {SERIAL} shell rm -rf /data/local/tmp/artefact-id" in str(caught.value)


def test_a_phone_that_does_not_answer(
    phone: Talk, bytes_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adb, "TRANSFER_SECONDS", 1)
    phone.change("int8.tflite", seconds=20)
    with pytest.raises(PhoneError, match="adb push did not end within 1 seconds"):
        measure(phone, bytes_bundle)
    assert phone.said[-1][-1] == REMOVED


def test_an_interrupt_removes_the_files(phone: Talk, bytes_bundle: Bundle) -> None:
    phone.change("--num_runs=4", seconds=30)

    def interrupt() -> None:
        for _ in range(300):
            if any("--num_runs=4" in words[-1] for words in phone.said):
                break
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            measure(phone, bytes_bundle)
    finally:
        thread.join()
        signal.signal(signal.SIGINT, before)
    assert phone.said[-1][-1] == REMOVED
    assert not any("--num_runs=5" in words[-1] for words in phone.said)


def test_what_delegates_really_took_is_told() -> None:
    log = benchmark_model.read_log(
        "VERBOSE: Replacing 48 out of 90 node(s) with delegate (LITERT_CL) node, yielding 2 "
        "partitions for subgraph 0 (main).\n"
        "VERBOSE: Replacing 32 out of 44 node(s) with delegate (TfLiteXNNPackDelegate) node, "
        "yielding 4 partitions for subgraph 0 (main).\n"
    )
    words, placement = delegate_used(log, "gpu")
    assert words == (
        "GPU 48 of 90 operations in 2 pieces then XNNPACK 32 of 44 operations in 4 pieces"
    )
    assert (placement.taken, placement.total, placement.left) == (48, 90, {"not named": 42})
    given_up = benchmark_model.read_log(
        "VERBOSE: Replacing 70 out of 70 node(s) with delegate (TfLiteGpuDelegateV2) node, "
        "yielding 1 partitions for the whole graph.\n"
        "INFO: Created 0 GPU delegate kernels.\n"
        "VERBOSE: Replacing 69 out of 70 node(s) with delegate (TfLiteXNNPackDelegate) node, "
        "yielding 1 partitions for the whole graph.\n"
    )
    words, placement = delegate_used(given_up, "gpu")
    assert words.startswith("not GPU, which was asked for: XNNPACK 69 of 70")
    undone = benchmark_model.read_log(
        "VERBOSE: Replacing 70 out of 70 node(s) with delegate (TfLiteGpuDelegateV2) node, "
        "yielding 1 partitions for the whole graph.\n"
        "ERROR: Restored original execution plan after delegate application failure.\n"
    )
    assert delegate_used(undone, "gpu")[1] is None
    nothing, none = delegate_used(benchmark_model.read_log("INFO: STARTING!\n"), "xnnpack")
    assert none is None
    assert "plain kernels" in nothing
