"""The cache of prepared photos: resumed, reused, replaced, and safe from kills and full disks."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import psutil
import pytest
from conftest import object_picture, picture

from mobile_assets.errors import InputError
from mobile_assets.photos import load
from mobile_assets.preprocessing import Preprocessing
from train.decode_pool import CRASHED, HUNG, DecoderPool
from train.decode_worker import Request
from train.prepare import Prepared, prepare
from train.registers.readers import read_register

ROOT = Path(__file__).parents[2]
CONTRACT = Preprocessing(height=32, width=32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


@pytest.fixture
def photos(register_folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(register_folder, tmp_path / "photos")
    return tmp_path / "photos"


def request(path: Path, side: int = 32) -> Request:
    return Request(file=str(path), height=side, width=side, pixels=True)


def same(one: Prepared, other: Prepared) -> bool:
    return (
        one.rows == other.rows
        and one.digests == other.digests
        and one.hashes == other.hashes
        and np.array_equal(one.pixels, other.pixels)
    )


def decoded(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the photos that a preparation decodes."""
    asked: list[str] = []
    examine = DecoderPool.examine

    def spy(self: DecoderPool, requests):  # type: ignore[no-untyped-def]
        kept = list(requests)
        asked.extend(Path(r.file).name for r in kept)
        return examine(self, kept)

    with monkeypatch.context() as patch:
        patch.setattr(DecoderPool, "examine", spy)
        prepare(read_register(root), CONTRACT, cache)
    return asked


def test_only_new_and_changed_photos_are_decoded(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    assert len(decoded(photos, cache, monkeypatch)) == 33
    assert decoded(photos, cache, monkeypatch) == []
    picture(98, 64, 64).save(photos / "Oriental/OBJ-0/new.png")
    picture(99, 64, 64).save(photos / "Oriental/OBJ-0/001.png")
    (photos / "Oriental/OBJ-2/000.png").unlink()
    assert sorted(decoded(photos, cache, monkeypatch)) == ["001.png", "new.png"]
    again = prepare(read_register(photos), CONTRACT, cache)
    assert same(again, prepare(read_register(photos), CONTRACT, tmp_path / "clean"))
    # The cache that was replaced is gone, and nothing of the work is left.
    assert len([p for p in cache.iterdir() if p.is_dir()]) == 1


def test_rows_are_read_from_disk_like_an_array(photos: Path, tmp_path: Path) -> None:
    prepared = prepare(read_register(photos), CONTRACT, tmp_path / "cache")
    paths = sorted(prepared.rows, reverse=True)
    eager, lazy = prepared.take(paths), prepared.view(paths)
    assert (len(lazy), lazy.shape, lazy.dtype) == (33, eager.shape, eager.dtype)
    chosen = np.array([5, 0, 5, 32])
    for index in (slice(3, 9), slice(0, 0), chosen, np.arange(33) % 2 == 0, -1, 7):
        assert np.array_equal(lazy[index], eager[index])
    shutil.rmtree(tmp_path / "cache")  # as another process may, that replaces the cache
    assert np.array_equal(lazy[:], eager)


SCRIPT = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
from pathlib import Path
from mobile_assets.preprocessing import Preprocessing
from train.prepare import prepare
from train.registers.readers import read_register
import train.photo_cache
train.photo_cache.SAVE_SECONDS = 0
def step(done, total):
    print(done, flush=True)
    if done >= int(sys.argv[3]): time.sleep(600)
contract = Preprocessing(height=32, width=32, mean=(0.5,)*3, std=(0.5,)*3)
prepare(read_register(Path(sys.argv[1])), contract, Path(sys.argv[2]), progress=step)
"""


def start_and_wait(photos: Path, cache: Path, at: int = 12) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(photos), str(cache), str(at)],
        stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == str(at):
            break
    return process


def test_a_killed_preparation_goes_on_where_it_was(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    for at in (12, 20):
        process = start_and_wait(photos, cache, at)
        children = psutil.Process(process.pid).children(recursive=True)
        assert children
        process.kill()
        process.wait()
        _, alive = psutil.wait_procs(children, timeout=10)
        assert not alive  # decoders end with their parent
        assert not [p for p in cache.iterdir() if not p.name.startswith(".")]
    left = decoded(photos, cache, monkeypatch)
    assert 0 < len(left) <= 33 - 20 + 1
    clean = prepare(read_register(photos), CONTRACT, tmp_path / "clean")
    assert same(prepare(read_register(photos), CONTRACT, cache), clean)
    assert [p.name for p in cache.iterdir() if p.is_dir()] == [
        p.name for p in (tmp_path / "clean").iterdir() if p.is_dir()
    ]


def test_work_of_another_state_of_the_register_is_a_source_of_rows(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    process = start_and_wait(photos, cache)
    process.kill()
    process.wait()
    picture(98, 64, 64).save(photos / "Oriental/OBJ-0/new.png")
    assert len(decoded(photos, cache, monkeypatch)) <= 34 - 11
    assert len([p for p in cache.iterdir() if p.is_dir()]) == 1


def test_ctrl_c_leaves_no_process_and_loses_nothing(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = start_and_wait(photos, tmp_path / "cache")
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    try:
        assert process.wait(timeout=60) != 0
    finally:
        process.kill()
    assert not psutil.wait_procs(children, timeout=5)[1]
    assert len(decoded(photos, tmp_path / "cache", monkeypatch)) <= 33 - 12


def test_two_processes_at_once(photos: Path, tmp_path: Path) -> None:
    script = SCRIPT.replace("time.sleep(600)", "pass")
    command = [sys.executable, "-c", script, str(photos), str(tmp_path / "cache"), "99"]
    both = [subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=ROOT) for _ in range(2)]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    prepared = prepare(read_register(photos), CONTRACT, tmp_path / "cache")
    assert same(prepared, prepare(read_register(photos), CONTRACT, tmp_path / "clean"))


def test_a_photo_that_kills_its_decoder_is_unreadable(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A process that dies for real at one photo, as a defect in a C library makes it die.
    deadly = (
        "import os, train.decode_worker as d; real = d.examine; d.examine = lambda r: "
        "os.abort() if r.file.endswith('OBJ-1/001.png') else real(r)"
    )
    (tmp_path / "sitecustomize.py").write_text(deadly)  # executed by every Python that starts
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), str(ROOT))))
    prepared = prepare(read_register(photos), CONTRACT, tmp_path / "cache")
    assert len(prepared.register.photos) == 32
    (problem,) = [p for p in prepared.register.problems if p.kind == "unreadable"]
    assert (problem.path, problem.reason) == ("Egyptian/OBJ-1/001.png", CRASHED)


def test_a_photo_that_hangs_its_decoder_is_unreadable(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = (
        "import time, train.decode_worker as d; real = d.examine; d.examine = lambda r: "
        "time.sleep(600) if r.file.endswith('OBJ-1/001.png') else real(r)"
    )
    (tmp_path / "sitecustomize.py").write_text(endless)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), str(ROOT))))
    monkeypatch.setattr("train.decode_pool.DECODE_SECONDS", 3.0)
    prepared = prepare(read_register(photos), CONTRACT, tmp_path / "cache")
    assert len(prepared.register.photos) == 32
    (problem,) = [p for p in prepared.register.problems if p.kind == "unreadable"]
    assert (problem.path, problem.reason) == ("Egyptian/OBJ-1/001.png", HUNG)


def test_a_photo_that_wants_all_memory_is_unreadable(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    greedy = (
        "import train.decode_worker as d; real = d.read_photo; d.read_photo = lambda p, **how: "
        "bytearray(2 << 30) if str(p).endswith('OBJ-1/001.png') else real(p, **how)"
    )
    (tmp_path / "sitecustomize.py").write_text(greedy)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), str(ROOT))))
    prepared = prepare(read_register(photos), CONTRACT, tmp_path / "cache")
    (problem,) = [p for p in prepared.register.problems if p.kind == "unreadable"]
    assert "memory" in problem.reason


def test_a_full_disk_is_said_before_anything_is_written(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 1000))
    with pytest.raises(InputError, match="GB free, and preparing 33 photos"):
        prepare(read_register(photos), CONTRACT, tmp_path / "cache")
    assert not [p for p in (tmp_path / "cache").iterdir() if p.is_dir()]


def test_a_disk_that_fills_up_loses_nothing(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A limit on the size of files fails like a full disk, for real, in a process of its own.
    script = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "import train.photo_cache as s; create = s.create\n"
        "def limited(path, shape):\n"
        "    header = create(path, shape)\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (header.offset + 20 * 3072, -1))\n"
        "    return header\n"
        "s.create = limited\n"
    ) + SCRIPT.replace("time.sleep(600)", "pass")
    done = subprocess.run(
        [sys.executable, "-c", script, str(photos), str(tmp_path / "cache"), "99"],
        check=False, capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert "The disk is full" in done.stderr
    assert len(decoded(photos, tmp_path / "cache", monkeypatch)) <= 14
    clean = prepare(read_register(photos), CONTRACT, tmp_path / "clean")
    assert same(prepare(read_register(photos), CONTRACT, tmp_path / "cache"), clean)


def test_a_cache_that_cannot_be_written_is_said(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="--cache"):
        prepare(read_register(photos), CONTRACT, tmp_path / "file" / "cache")


def test_pool_keeps_order_and_leaves_no_process(tmp_path: Path) -> None:
    for number in range(70):
        object_picture(number, 0).save(tmp_path / f"{number}.png")
    paths = [tmp_path / f"{number}.png" for number in range(70)]
    before = set(psutil.Process().children())  # other tests' helpers may live on
    with DecoderPool(70) as pool:
        answers = list(pool.examine(map(request, paths)))
        children = set(psutil.Process().children()) - before
        assert len(children) >= pool.processes
    assert not [p for p in children if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    for path, (facts, pixels) in zip(paths, answers, strict=True):
        assert facts.error is None
        assert pixels is not None
        assert np.array_equal(pixels, load(path, CONTRACT))


def test_an_interrupt_ends_the_pool_at_once(photos: Path) -> None:
    paths = sorted(photos.rglob("*.png"))
    started = time.monotonic()
    before = set(psutil.Process().children())
    with pytest.raises(KeyboardInterrupt), DecoderPool(100) as pool:
        for _ in pool.examine(request(path) for path in paths * 1000):
            children = set(psutil.Process().children()) - before
            raise KeyboardInterrupt
    assert not psutil.wait_procs(children, timeout=5)[1]
    assert time.monotonic() - started < 60  # 33,000 photos were asked for
