"""The demo as a newcomer starts it: from nothing to the report, broken off on the way."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.pipeline.demo import QUICK
from export import VARIANTS

ROOT = Path(__file__).parents[2]


def start(out: Path, log: Path, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "artefact_id", "demo", "--out", str(out), *words],
        stderr=log.open("wb"),
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def members(session: int) -> list[str]:
    """Processes of a session that are still there, those in groups of their own too."""
    listed = subprocess.run(["ps", "-o", "pid=,args=", "-s", str(session)], capture_output=True,
                            text=True, check=False)  # fmt: skip
    return [line for line in listed.stdout.splitlines() if "<defunct>" not in line]


@pytest.mark.slow
def test_the_demo_goes_on_after_ctrl_c_and_says_what_it_left_out(tmp_path: Path) -> None:
    out, log = tmp_path / "demo", tmp_path / "log.txt"
    words = ("--objects", "24", "--extra-views", "1", "--field-views", "0")
    demo = start(out, log, *words)
    end = time.monotonic() + 900
    while "Exporting tflite-int8" not in log.read_text() and demo.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.5)
    os.killpg(demo.pid, signal.SIGINT)
    assert demo.wait(timeout=120) == 130, log.read_text()
    # On a busy machine the system takes a while to clear away a process that has ended.
    end = time.monotonic() + 20
    while members(demo.pid) and time.monotonic() < end:
        time.sleep(0.2)
    assert not members(demo.pid)
    before = log.read_text()
    assert "Traceback" not in before
    assert not list(out.rglob("*/sweep/report"))
    trained = {path: path.stat().st_mtime_ns for path in out.rglob("run/model.safetensors")}
    assert trained

    assert start(out, log, *words, "--force").wait(timeout=1800) == 0, log.read_text()
    text = log.read_text()
    assert text.count("trained before, kept") >= len(trained)
    assert {path: path.stat().st_mtime_ns for path in trained} == trained
    # The rest may be done before a line is due.
    assert re.search(r"all of it: \d+%, \d+ (s|min) left", before + text)
    results = json.loads((out / "sweep/report/results.json").read_text())
    variants: dict[int, set[str]] = {}
    for row in results["rows"]:
        variants.setdefault(row["min_photos"], set()).add(row["variant"])
    assert QUICK.variants_above is not None
    assert variants == {
        3: {"torch-float32", *VARIANTS},
        **{n: {"torch-float32", *QUICK.variants_above} for n in (4, 5, 6)},
    }
    assert results["settings"]["notes"] == list(QUICK.notes)
    timed = {row["min_photos"] for row in results["rows"] if row["latency_ms"]}
    assert timed == {3}
