"""Runtimes in processes of their own: the worker's protocol and errors, TensorFlow, Arm."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import object_picture
from many_objects import tiny_bundle

from benchmarks.runtimes import Pixels, Probabilities, runtimes
from benchmarks.runtimes.arm64.runtime import LITERT_VERSION, Arm64Setup
from benchmarks.runtimes.arm64.setup import mirror_address
from benchmarks.runtimes.cached_setup import check_disk
from benchmarks.runtimes.subprocess_interpreter import (
    SCRIPT,
    LaunchCommand,
    WorkerSession,
    ask_versions,
)
from benchmarks.runtimes.subprocess_main import read_message, write_message
from benchmarks.runtimes.tensorflow_runtime import PYTHON_VARIABLE
from benchmarks.runtimes.tflite_model import Tensor, as_input, as_probabilities
from mobile_assets.bundle import Bundle
from mobile_assets.errors import DamagedError, InputError, MissingDependencyError
from mobile_assets.labels import Label, LabelMap

PHOTOS: Pixels = np.stack([np.asarray(object_picture(n % 6, n // 6)) for n in range(20)])
ROOT = Path(__file__).parents[2]
VARIANTS = ("tflite-float32", "tflite-int8")

# Stands at the start of a worker that misbehaves: the real one, with one thing changed.
REAL = f"import runpy, sys; sys.argv[0] = {str(SCRIPT)!r}; "
PATCH = f"{REAL}import os, time; from ai_edge_litert import interpreter as i;"
RUN = f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"


@pytest.fixture(scope="module")
def bundle(register_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A small network with weights that nobody trained; what it answers does not matter here."""
    return tiny_bundle(tmp_path_factory.mktemp("work"), register_folder, VARIANTS)


def launch(*code: str, seconds: float = 60, kind: str = "litert") -> LaunchCommand:
    """This machine's interpreter in a worker; `code` is Python to run in place of the script."""
    words = ("-c", " ".join(code)) if code else (str(SCRIPT),)
    name, remedy = "the worker under test", "Mend the test."
    return LaunchCommand(name, (sys.executable, *words, kind), os.environ, remedy, seconds)


def opened(
    bundle: Bundle, how: LaunchCommand, variant: str = VARIANTS[0], n: int = 1
) -> WorkerSession:
    return WorkerSession(how, bundle, bundle.info.variant(variant), threads=1, processes=n)


def expected(bundle: Bundle, variant: str = VARIANTS[0]) -> Probabilities:
    with runtimes("litert")[0].open(bundle, bundle.info.variant(variant)) as session:
        return session.predict(PHOTOS)


def agreement(ours: Probabilities, theirs: Probabilities) -> float:
    return float((ours.argmax(axis=1) == theirs.argmax(axis=1)).mean())


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_worker_answers_bit_for_bit_as_in_this_process(bundle: Bundle, variant: str) -> None:
    inside = expected(bundle, variant)
    with opened(bundle, launch(), variant, n=2) as session:
        found = session.predict(PHOTOS)
        assert found.dtype == np.float32
        assert np.array_equal(found, inside)
        assert session.predict(PHOTOS[:0]).shape == (0, bundle.info.objects)
        with runtimes("litert")[0].open(bundle, bundle.info.variant(variant)) as other:
            assert session.placement() == other.placement() != None  # noqa: E711


def test_a_batch_far_larger_than_a_pipe_does_not_deadlock(bundle: Bundle) -> None:
    many = np.tile(PHOTOS, (40, 1, 1, 1))  # 39 MB as float32; a pipe holds 64 kB
    with opened(bundle, launch(), n=2) as session:
        assert np.array_equal(session.predict(many)[-20:], expected(bundle))


def test_another_order_of_classes_is_seen(bundle: Bundle) -> None:
    turned = (
        PATCH,
        "old = i.Interpreter.get_tensor;",
        "i.Interpreter.get_tensor = lambda self, t: old(self, t)[:, ::-1];",
        RUN,
    )
    with opened(bundle, launch(*turned)) as session:
        assert agreement(session.predict(PHOTOS), expected(bundle)) < 0.5
    with opened(bundle, launch()) as session:
        assert agreement(session.predict(PHOTOS), expected(bundle)) == 1


def test_what_libraries_print_does_not_disturb(bundle: Bundle) -> None:
    noisy = (
        PATCH,
        "old = i.Interpreter.invoke;",
        "i.Interpreter.invoke = lambda self: (print('chatter', flush=True),",
        "os.write(1, b'more'), old(self))[2];",
        RUN,
    )
    with opened(bundle, launch(*noisy)) as session:
        assert np.array_equal(session.predict(PHOTOS), expected(bundle))


def test_integer_tensors_follow_the_files_own_scale() -> None:
    eighth = Tensor((1, 1, 1, 3), "int8", scale=2.0, zero=-128)
    pixel = np.array([[[[0, 255, 100]]]], dtype=np.uint8)
    assert as_input(pixel, eighth).tolist() == [[[[-128, 0, -78]]]]
    result = Tensor((1, 3), "uint8", scale=1 / 256, zero=0)
    values = np.array([[0, 128, 255]], dtype=np.uint8)
    assert as_probabilities(values, result).tolist() == [[0.0, 0.5, 255 / 256]]
    assert as_input(pixel, replace(eighth, dtype="float32")).dtype == np.float32


def test_messages_are_read_as_they_were_written() -> None:
    stream = io.BytesIO()
    write_message(stream, b"A", b"content")
    stream.seek(0)
    assert read_message(stream) == (b"A", b"content")
    assert read_message(stream) is None
    stream.truncate(len(stream.getvalue()) - 1)
    stream.seek(0)
    assert read_message(stream) is None
    with pytest.raises(ValueError, match="INFO: hel"):
        read_message(io.BytesIO(b"INFO: hello, world"))


@pytest.mark.parametrize(
    ("invoke", "seconds", "words"),
    [
        (
            "(os.write(2, b'illegal instruction at 7\\n'), os._exit(3))", 60,
            "exit status 3; last line: illegal instruction at 7",
        ),
        ("time.sleep(600)", 3, "did not answer within 3 s"),
        ("1 // 0", 60, r"failed with .*float32\.tflite: .*by zero"),
    ],
    ids=["dies", "hangs", "errs"],
)  # fmt: skip
def test_a_worker_that_fails_is_ended_and_reported(
    bundle: Bundle, invoke: str, seconds: float, words: str
) -> None:
    failing = (PATCH, f"i.Interpreter.invoke = lambda self: {invoke};", RUN)
    start = time.monotonic()
    with (
        pytest.raises(DamagedError, match=words),
        opened(bundle, launch(*failing, seconds=seconds), n=2) as session,
    ):
        session.predict(PHOTOS)
    assert time.monotonic() - start < 300  # not the ten minutes that one of them sleeps


def test_a_worker_that_prints_before_it_starts_is_named(bundle: Bundle) -> None:
    with pytest.raises(DamagedError, match=r"'Welcome t' .*sitecustomize"):
        opened(bundle, launch("print('Welcome to this Python', flush=True);", REAL, RUN))


def test_a_damaged_model_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    variant = bundle.info.variants[0]
    (tmp_path / variant.file).parent.mkdir()
    (tmp_path / variant.file).write_bytes(bundle.path(variant).read_bytes()[:1000])
    with pytest.raises(DamagedError, match="cannot be opened by the worker under test"):
        opened(replace(bundle, folder=tmp_path), launch())


def test_labels_inside_that_differ_are_refused(bundle: Bundle) -> None:
    turned = tuple(
        Label(**label.model_dump() | {"index": index})
        for index, label in enumerate(reversed(bundle.labels.labels))
    )
    with pytest.raises(DamagedError, match=r"labels inside .* not those of labels\.json"):
        opened(replace(bundle, labels=LabelMap(turned)), launch())


def test_another_number_of_objects_is_refused(bundle: Bundle) -> None:
    info = bundle.info.model_copy(update={"objects": 7})
    with pytest.raises(DamagedError, match=r"the bundle says .* to \(1, 7\)"):
        opened(replace(bundle, info=info), launch())


@pytest.mark.parametrize("name", ["litert", "litert-arm64", "tensorflow"])
def test_a_core_ml_variant_is_refused(bundle: Bundle, name: str) -> None:
    variant = bundle.info.variants[0].model_copy(update={"format": "coreml", "name": "coreml-x"})
    with pytest.raises(InputError, match=f"coreml-x is a coreml variant, which {name} does not"):
        runtimes(name)[0].open(bundle, variant)


def test_an_interpreter_that_is_not_installed_is_named() -> None:
    without = f"import sys; sys.modules['ai_edge_litert'] = None; {REAL}"
    with pytest.raises(MissingDependencyError, match=r"ai_edge_litert.*Mend the test"):
        ask_versions(launch(without, RUN))
    with pytest.raises(MissingDependencyError, match="cannot be started"):
        ask_versions(replace(launch(), command=("/nowhere/python",)))


def test_a_worker_does_not_outlive_its_parent(bundle: Bundle) -> None:
    path = bundle.path(bundle.info.variants[0])
    parent = (
        "import os, subprocess, sys; from benchmarks.runtimes.subprocess_main import read_message;"
        f"w = subprocess.Popen([sys.executable, {str(SCRIPT)!r}, 'litert', {str(path)!r}, '1'],"
        "stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL);"
        "read_message(w.stdout); print(w.pid, flush=True); os._exit(9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", parent], capture_output=True, check=False, cwd=ROOT
    )
    assert done.returncode == 9
    until = time.monotonic() + 30
    while alive(int(done.stdout)):
        assert time.monotonic() < until, "the worker is still there"
        time.sleep(0.05)


def alive(process: int) -> bool:
    """Whether it runs; one that ended and was not fetched does not."""
    try:
        words = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    except OSError:
        if sys.platform == "linux":
            return False
        return subprocess.run(["ps", "-p", str(process)], check=False).returncode == 0
    return words[0] != "Z"


def test_tensorflow_answers_as_litert(bundle: Bundle) -> None:
    runtime = runtimes("tensorflow")[0]
    if (missing := runtime.missing()) is not None:
        pytest.skip(missing)
    for name in VARIANTS:
        with runtime.open(bundle, bundle.info.variant(name)) as session:
            found = session.predict(PHOTOS)
        assert np.abs(found - expected(bundle, name)).max() < 0.02
        assert agreement(found, expected(bundle, name)) == 1


def test_a_python_without_tensorflow_says_so(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runtime = runtimes("tensorflow")[0]
    monkeypatch.setenv(PYTHON_VARIABLE, str(tmp_path / "nowhere"))
    assert "which is no program" in (runtime.missing() or "")
    with pytest.raises(MissingDependencyError, match=PYTHON_VARIABLE):
        runtime.open(bundle, bundle.info.variants[0])
    empty = tmp_path / "empty"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(empty)], check=True)
    monkeypatch.setenv(PYTHON_VARIABLE, str(empty / "bin" / "python"))
    assert runtime.missing() is None  # nothing is imported to find out
    with pytest.raises(MissingDependencyError, match="No module named 'tensorflow'"):
        runtime.open(bundle, bundle.info.variants[0])


def test_the_arm_build_answers_as_this_machines(bundle: Bundle) -> None:
    runtime = runtimes("litert-arm64")[0]
    if (missing := runtime.missing()) is not None:
        pytest.skip(missing)
    for name in VARIANTS:
        with runtime.open(bundle, bundle.info.variant(name)) as session:
            assert session.hello["machine"] == "aarch64"  # type: ignore[attr-defined]
            found = session.predict(PHOTOS)
        # Sums are taken in another order, so floats differ in their last bits; integers may then
        # round to a neighbour.
        assert np.abs(found - expected(bundle, name)).max() < (1e-4 if "float" in name else 0.02)
        assert agreement(found, expected(bundle, name)) >= 0.95


@pytest.mark.skipif(sys.platform != "linux", reason="the emulator runs on Linux only")
def test_only_a_complete_setup_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    missing, folder = runtimes("litert-arm64")[0].missing, tmp_path / "artefact-id/arm64"
    (folder / "root").mkdir(parents=True)
    assert "Run: artefact-id setup litert-arm64" in (missing() or "")
    made = Arm64Setup(created="", litert="1.0", versions={}, packages={}, bytes=1, seconds=0)
    made.write(folder / "complete.json")
    assert f"holds LiteRT 1.0, and {LITERT_VERSION} is needed" in (missing() or "")
    made.model_copy(update={"litert": LITERT_VERSION}).write(folder / "complete.json")
    assert missing() is None
    (folder / "complete.json").write_text("{}", encoding="utf-8")
    assert "not prepared" in (missing() or "")
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert "runtime litert is the 64-bit Arm build" in (missing() or "")


def setup(cache: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "artefact_id", "setup", "litert-arm64", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"XDG_CACHE_HOME": str(cache)} | environment,
    )


debian_only = pytest.mark.skipif(
    os.uname().machine != "x86_64"
    or not Path("/usr/bin/apt-get").exists()
    or not Path("/usr/share/keyrings/debian-archive-keyring.gpg").exists(),
    reason="the set-up needs apt and Debian's keys",
)


@debian_only
def test_a_setup_that_fails_leaves_nothing_that_looks_finished(tmp_path: Path) -> None:
    mirror = (tmp_path / "no-mirror").as_uri()
    done = setup(tmp_path / "cache", "--mirror", mirror)
    assert done.returncode == 2
    assert "lists of packages could not be downloaded from file:" in done.stderr
    assert "Check the network" in done.stderr
    assert "Traceback" not in done.stderr
    left = [path.name for path in (tmp_path / "cache/artefact-id").iterdir()]
    assert left == [".arm64.setup-lock"]


@debian_only
def test_a_setup_without_apt_says_what_it_needs(tmp_path: Path) -> None:
    done = setup(tmp_path, PATH=str(tmp_path))
    assert done.returncode == 2
    assert "needs apt-get (package apt)" in done.stderr


def test_a_setup_needs_room_and_an_address(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"needs 10+ MB in .* MB are free"):
        check_disk(tmp_path, 10**12)
    check_disk(tmp_path, 0)
    with pytest.raises(InputError, match="debian-mirror is no address"):
        mirror_address("debian-mirror")
    assert mirror_address("https://mirror.example/debian") == "https://mirror.example/debian"
