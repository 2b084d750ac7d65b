"""Outputs whose writers are killed at every step, and outputs with two writers. Real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mobile_assets.errors import InputError
from mobile_assets.files import new_folder, write_bytes
from mobile_assets.output_lock import claimed

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).parents[1] / "kills.py"

OLD = {"a": "old", "inner/b": "old", "inner/c": "old"}
NEW = {"a": "new", "inner/b": "new"}
CHANGED = OLD | {"a": "new"}


@pytest.mark.parametrize(
    ("what", "states", "absent"),
    [
        ("folder", [OLD, NEW], False),
        ("folder without swap", [OLD, NEW], True),
        ("new folder", [None, NEW], True),
        ("file", [OLD, CHANGED], False),
        ("inside", [OLD, CHANGED], False),
    ],
)
def test_a_kill_at_any_step_loses_nothing(
    what: str, states: list[dict[str, str] | None], absent: bool, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), what, str(tmp_path / "root")],
        capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["code"] for row in rows] == [-9] * (len(rows) - 1) + [0]
    assert len(rows) >= 4
    for row in rows:
        left = {k: v for k, v in (row["left"] or {}).items() if not k.endswith(".part")}
        assert left in states or (absent and row["left"] is None)
        if what != "file":  # whose half-written neighbour the next writer writes over
            assert row["left"] is None or left == row["left"]
        repaired = {k: v for k, v in (row["repaired"] or {}).items() if not k.endswith(".part")}
        assert (repaired or None) in states
        assert row["after"] == states[1]
        assert row["end"] == ["out"]
        assert set(row["beside"]) - {".out.a.part"} <= {"out", ".out.lock"}
    # Both states are seen: before the last rename the old one, then the new one.
    assert rows[0]["repaired"] == states[0]
    assert rows[-1]["repaired"] == states[1]


@pytest.mark.parametrize("what", ["folder", "folder without swap", "new folder", "inside"])
def test_ctrl_c_at_any_step_leaves_nothing_half_written(what: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), what, str(tmp_path / "root")],
        capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "KILL_WITH": "SIGINT"},
    )  # fmt: skip
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["code"] for row in rows] == [130] * (len(rows) - 1) + [0]
    states = [OLD, CHANGED] if what == "inside" else [None if "new" in what else OLD, NEW]
    for row in rows:
        assert row["left"] in states
        # Interrupted while it tidied up, it may leave a hidden file, which the next one removes.
        hidden = {".out.lock", ".out.unfinished", ".out.old", ".out.a.part"}
        assert set(row["around"]) <= {"out"} | hidden
        assert row["end"] == ["out"]


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from mobile_assets.files import new_folder, write_bytes, write_into_finished
out = Path(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
failed = 0
for write in (
    lambda: write_bytes(out / "a", bytes(5000)),
    lambda: write_into_finished(out, "a", bytes(5000)),
):
    try:
        write()
    except OSError:
        failed += 1
try:
    with new_folder(out, force=True, what="test") as folder:
        (folder / "a").write_bytes(bytes(5000))
except OSError:
    failed += 1
print(failed)
"""


def test_a_full_disk_loses_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "a").write_bytes(b"old")
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(out)],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert done.stdout == "3\n"
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {"a": b"old"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


HOLDER = """
import sys, time
from pathlib import Path
from mobile_assets.files import new_folder
with new_folder(Path(sys.argv[1]), force=True, what="test") as folder:
    (folder / "file").write_bytes(b"first")
    print("writing", flush=True)
    sys.stdin.readline()
"""


def start_holder(out: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(out)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    return process


def test_a_second_writer_is_refused_until_the_first_is_dead(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    first = start_holder(out)
    for spelling in (out, tmp_path / "deep" / "x" / ".." / "out"):
        with (
            pytest.raises(InputError, match=f"being written by .*process {first.pid}"),
            new_folder(spelling, force=True, what="test"),
        ):
            pass
    first.send_signal(signal.SIGKILL)
    first.wait()
    # At once, whatever the clock says of what is left.
    assert (out.parent / ".out.unfinished").exists()
    for path in (out.parent / ".out.unfinished", out.parent / ".out.lock"):
        os.utime(path, (2**32, 2**32))
    with new_folder(out, force=False, what="test") as folder:
        assert list(folder.iterdir()) == []
        (folder / "file").write_bytes(b"second")
    assert (out / "file").read_bytes() == b"second"
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_the_first_writer_ends_in_peace(tmp_path: Path) -> None:
    first = start_holder(tmp_path / "out")
    with pytest.raises(InputError, match="Wait until"), claimed(tmp_path / "out"):
        pass
    first.communicate("\n")
    assert first.returncode == 0
    assert (tmp_path / "out/file").read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_thread_may_claim_twice_and_two_threads_may_not(tmp_path: Path) -> None:
    refused: list[str] = []

    def second() -> None:
        try:
            with claimed(tmp_path / "out"):
                pass
        except InputError as error:
            refused.append(str(error))

    with claimed(tmp_path / "out"), claimed(tmp_path / "out"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
        with (
            new_folder(tmp_path / "out", force=False, what="test"),
            pytest.raises(InputError),
            new_folder(tmp_path / "out", force=True, what="test"),
        ):
            pass
    assert len(refused) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    out = tmp_path / "out"
    ready, told = os.pipe()
    with claimed(out):
        child = os.fork()
        if child == 0:
            os.write(told, b"1")
            signal.pause()
        os.read(ready, 1)
    try:
        with claimed(out):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_nothing_stays_of_a_claim_that_came_to_nothing(tmp_path: Path) -> None:
    with claimed(tmp_path / "a" / "b" / "out"):
        assert (tmp_path / "a/b").is_dir()
    assert list(tmp_path.iterdir()) == []


def test_outputs_with_long_names_are_told_apart(tmp_path: Path) -> None:
    first, second = (tmp_path / ("ü" * 120 + end) for end in "ab")
    with (
        new_folder(first, force=False, what="test"),
        new_folder(second, force=False, what="test") as other,
    ):
        write_bytes(other / ("x" * 250), b"long")
    assert sorted(tmp_path.iterdir()) == [first, second]


def test_many_threads_write_one_file_and_it_is_always_whole(tmp_path: Path) -> None:
    file = tmp_path / "file"

    def write(letter: bytes) -> None:
        for _ in range(20):
            write_bytes(file, letter * 10_000)
            data = file.read_bytes()
            assert len(data) == 10_000 and len(set(data)) == 1

    threads = [threading.Thread(target=write, args=(letter,)) for letter in (b"a", b"b", b"c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
