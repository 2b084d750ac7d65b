"""A phone on adb, played by a stand-in for adb that replays a composed conversation.

No phone was at hand: `tests/android/README.md` says what the conversation was composed from.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.runtimes.android import adb, benchmark_model
from benchmarks.runtimes.android.adb import PhoneError
from benchmarks.runtimes.android.measure import PhoneOptions, measure_on_phone
from benchmarks.runtimes.android.placement import delegate_used
from benchmarks.runtimes.android.runtime import RUNTIMES, AndroidRuntime
from benchmarks.runtimes.interface import runtimes
from benchmarks.runtimes.litert_runtime import LitertRuntime
from mobile_assets.bundle import Bundle, BundleInfo, Source, TensorInfo, Variant
from mobile_assets.decision import DecisionThresholds
from mobile_assets.errors import DamagedError, InputError, MissingDependencyError
from mobile_assets.files import sha256_path
from mobile_assets.labels import LabelMap
from mobile_assets.preprocessing import Preprocessing

FILES = Path(__file__).parents[1] / "android"
SERIAL = "8A1X0PHONE"
REMOVED = "(rm -rf /data/local/tmp/artefact-id) 2>&1; echo artefact-id-exit:$?"
SIDE, OBJECTS = 8, 3

Entry = dict[str, Any]


def elf(machine: int, interpreter: bytes = b"/system/bin/linker64") -> bytes:
    """The beginning of a program: what says for which processor and system it was built."""
    return (
        b"\x7fELF\x02\x01\x01"
        + bytes(9)
        + b"\x03\0"
        + machine.to_bytes(2, "little")
        + bytes(44)
        + interpreter
    )


def tiny_tflite(dtype: str) -> bytes:
    """A real file that LiteRT executes: the mean of each channel, then softmax."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    def tensor(name: str, shape: list[int], kind: int, buffer: int = 0) -> Any:
        made = schema.TensorT()
        made.name, made.shape, made.type, made.buffer = name, shape, kind, buffer
        return made

    def quantized(made: Any, scale: float, zero: int) -> Any:
        made.quantization = schema.QuantizationParametersT()
        made.quantization.scale, made.quantization.zeroPoint = [scale], [zero]
        return made

    def operation(code: int, inputs: list[int], outputs: list[int], kind: int, options: Any) -> Any:
        made = schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = code, inputs, outputs
        made.builtinOptionsType, made.builtinOptions = kind, options
        return made

    types, options = schema.TensorType, schema.BuiltinOptions
    image = tensor("image", [1, SIDE, SIDE, 3], types.FLOAT32)
    if dtype == "uint8":
        image = quantized(tensor("image", [1, SIDE, SIDE, 3], types.UINT8), 0.05, 10)
    graph = schema.SubGraphT()
    graph.tensors = [
        image,
        tensor("floats", [1, SIDE, SIDE, 3], types.FLOAT32),
        tensor("axes", [2], types.INT32, 1),
        tensor("means", [1, 3], types.FLOAT32),
        tensor("probabilities", [1, 3], types.FLOAT32),
    ]
    reducer, softmax = schema.ReducerOptionsT(), schema.SoftmaxOptionsT()
    softmax.beta = 0.02
    first = 0 if dtype == "float32" else 1
    graph.inputs, graph.outputs = [0], [4]
    graph.operators = [
        operation(1, [first, 2], [3], options.ReducerOptions, reducer),
        operation(2, [3], [4], options.SoftmaxOptions, softmax),
    ]
    if dtype == "uint8":
        dequantize = operation(0, [0], [1], options.DequantizeOptions, schema.DequantizeOptionsT())
        graph.operators.insert(0, dequantize)
    model = schema.ModelT()
    model.version, model.subgraphs = 3, [graph]
    model.operatorCodes = []
    operators = schema.BuiltinOperator
    for code in (operators.DEQUANTIZE, operators.MEAN, operators.SOFTMAX):
        made = schema.OperatorCodeT()
        made.builtinCode, made.deprecatedBuiltinCode, made.version = code, code, 1
        model.operatorCodes.append(made)
    model.buffers = [schema.BufferT(), schema.BufferT()]
    model.buffers[1].data = np.array([1, 2], dtype=np.int32).view(np.uint8)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.fixture(params=["uint8", "float32"])
def bundle(tmp_path: Path, request: pytest.FixtureRequest) -> Bundle:
    return make_bundle(tmp_path, request.param)


@pytest.fixture
def bytes_bundle(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path, "uint8")


def make_bundle(tmp_path: Path, dtype: Any) -> Bundle:
    folder = tmp_path / "bundle"
    (folder / "models").mkdir(parents=True)
    path = folder / "models/m.tflite"
    path.write_bytes(tiny_tflite(dtype))
    labels = LabelMap.of([(f"EG.{n}", "Egyptian", f"Shabti {n}", 4) for n in range(OBJECTS)])
    variant = Variant(
        name="tflite-int8",
        file="models/m.tflite",
        format="tflite",
        precision="int8",
        bytes=path.stat().st_size,
        sha256=sha256_path(path),
        inputs=(TensorInfo(name="image", dtype=dtype, shape=(1, SIDE, SIDE, 3)),),
        outputs=(TensorInfo(name="probabilities", dtype="float32", shape=(1, OBJECTS)),),
    )
    info = BundleInfo(
        name="three shabtis",
        created="2026-01-01T00:00:00+00:00",
        objects=OBJECTS,
        labels_sha256=labels.sha256,
        preprocessing=Preprocessing(
            height=SIDE, width=SIDE, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)
        ),
        decision=DecisionThresholds(match=0.8, reject=0.2, validation_photos=9),
        variants=(variant,),
        source=Source(
            run="../run",
            model_sha256="0" * 64,
            backbone="b",
            head="linear",
            recipe="r",
            seed=0,
            min_photos=3,
            photo_list_sha256="1" * 64,
        ),
        calibration=None,
        versions={"python": "3.11"},
    )
    return Bundle(folder, info, labels)


@dataclass
class Talk:
    """The stand-in for adb with its conversation, and what was said to it."""

    folder: Path
    entries: list[Entry]
    options: PhoneOptions

    def change(self, part: str, **changes: Any) -> None:
        """Changes every entry one of whose arguments holds `part`; at least one must."""
        found = [entry for entry in self.entries if any(part in word for word in entry["say"])]
        assert found, part
        for entry in found:
            entry.update(changes)
            for other in {"stdout": ("file",), "file": ("stdout",)}.get(next(iter(changes)), ()):
                entry.pop(other, None)
        self.write()

    def break_off(self, part: str, stderr: str, code: int = 1) -> None:
        """The connection ends with this command: adb's own error, and no exit code from Android."""
        self.change(part, stdout="", stderr=stderr, code=code)
        for entry in self.entries:
            if any(part in word for word in entry["say"]):
                entry.pop("exit", None)
        self.write()

    def write(self) -> None:
        (self.folder / "conversation.json").write_text(json.dumps(self.entries))

    @property
    def said(self) -> list[list[str]]:
        log = self.folder / "said.jsonl"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


@pytest.fixture
def talk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Bundle], Talk]:
    """Begins the conversation about a bundle's variant."""
    for variable in (
        "ANDROID_SERIAL",
        "ARTEFACT_ID_ADB",
        "ARTEFACT_ID_BENCHMARK_MODEL",
        "ARTEFACT_ID_ANDROID_RUNNER",
    ):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    def begin(bundle: Bundle) -> Talk:
        folder = tmp_path / "talk"
        folder.mkdir()
        program = folder / "adb"
        program.write_text(f"#!{sys.executable} -IS\n" + (FILES / "fake_adb.py").read_text())
        program.chmod(0o755)
        tool = folder / "benchmark_model"
        tool.write_bytes(elf(183))
        model = bundle.path(bundle.info.variants[0])
        text = (FILES / "conversation.json").read_text()
        for word, value in {
            "$MODEL_SHA256": sha256_path(model),
            "$PROGRAM_SHA256": sha256_path(tool),
            "$MODEL": str(model),
            "$PROGRAM": str(tool),
            "$RUNNER": str(tool),
        }.items():
            text = text.replace(word, value)
        entries: list[Entry] = json.loads(text)
        for entry in entries:
            if "file" in entry:
                entry["file"] = str(FILES / entry["file"])
        options = PhoneOptions(adb=str(program), program=tool, threads=(1, 2), runs=4)
        made = Talk(folder, entries, options)
        made.write()
        return made

    return begin


@pytest.fixture
def phone(talk: Callable[[Bundle], Talk], bytes_bundle: Bundle) -> Talk:
    return talk(bytes_bundle)


def measure(talk: Talk, bundle: Bundle, **options: Any) -> Any:
    return measure_on_phone(bundle, bundle.info.variants[0], replace(talk.options, **options))


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


def test_without_its_statistics_nothing_is_reported(phone: Talk, bytes_bundle: Bundle) -> None:
    log = (FILES / "cpu_steady.log").read_text()
    lines = [line for line in log.splitlines() if "count=4" not in line]
    phone.change("--num_runs=4", stdout="\n".join(lines) + "\n")
    with pytest.raises(PhoneError, match="without its line of statistics"):
        measure(phone, bytes_bundle)
    assert phone.said[-1][-1] == REMOVED


def test_fewer_calls_than_asked_are_noticed(phone: Talk, bytes_bundle: Bundle) -> None:
    log = (FILES / "cpu_pairs_1.log").read_text()
    phone.change("n=0", stdout=log[: len(log) // 2])
    with pytest.raises(PhoneError, match="called 2 times with two runs each"):
        measure(phone, bytes_bundle)


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
    line = benchmark_model.pairs_command(
        str(program), str(graph), delegate="gpu", threads=3, warmup=7, pairs=4
    )
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


@pytest.mark.parametrize(
    ("stderr", "says"),
    [
        ("adb: error: failed to copy 'm' to 'm': remote No space left on device\n", "is full"),
        ("adb: error: failed to copy 'm' to 'm': remote Permission denied\n", "does not let"),
        (f"error: device '{SERIAL}' not found\n", "no longer there"),
        ("error: device offline\n", "no longer there"),
        ("error: device unauthorized.\n", "answer Allow"),
        ("error: something new\n", "something new"),
    ],
)
def test_a_failed_push_says_what_to_do(
    phone: Talk, bytes_bundle: Bundle, stderr: str, says: str
) -> None:
    phone.break_off("m.tflite", stderr)
    with pytest.raises(PhoneError, match=says):
        measure(phone, bytes_bundle)
    assert phone.said[-1][-1] == REMOVED


def test_a_phone_that_goes_away_in_the_middle(phone: Talk, bytes_bundle: Bundle) -> None:
    phone.break_off("--num_runs=4", "")
    phone.break_off("(rm -rf /data/local/tmp/artefact-id)", f"error: device '{SERIAL}' not found\n")
    with pytest.raises(PhoneError) as caught:
        measure(phone, bytes_bundle)
    assert "did not finish a command" in str(caught.value)
    assert f"adb -s {SERIAL} shell rm -rf /data/local/tmp/artefact-id" in str(caught.value)


def test_a_program_that_fails_on_the_phone(phone: Talk, bytes_bundle: Bundle) -> None:
    said = "CANNOT LINK EXECUTABLE: library libc++_shared.so not found\n"
    phone.change("--num_runs=4", stdout=said, exit=1)
    with pytest.raises(PhoneError, match=r"exit code 1.*built for Android"):
        measure(phone, bytes_bundle)
    assert phone.said[-1][-1] == REMOVED


def test_a_phone_that_does_not_answer(
    phone: Talk, bytes_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adb, "_LONG", 1)
    phone.change("m.tflite", seconds=20)
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


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("", "adb sees no phone"),
        ("A1 unauthorized usb:1 transport_id:1\n", "Allow USB debugging"),
        ("A1 offline usb:1\n", "is offline"),
        ("A1 no permissions (user in plugdev group); see [x] usb:1\n", "udev rules"),
        ("A1 device model:Pixel_8\nB2 device model:Moto_G\n", r"A1 \(Pixel 8, device\), B2"),
        ("A1 sleeping\n", "in the state 'sleeping'"),
    ],
)
def test_phones_that_cannot_be_chosen(
    phone: Talk, bytes_bundle: Bundle, lines: str, says: str
) -> None:
    phone.change("devices", stdout=f"List of devices attached\n{lines}\n")
    with pytest.raises(InputError, match=says):
        measure(phone, bytes_bundle)


def test_a_phone_is_chosen_by_its_number(
    phone: Talk, bytes_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = f"{SERIAL} device model:Pixel_8\nB2 device model:Moto_G\nC3 unauthorized\n"
    phone.change("devices", stdout=f"List of devices attached\n{lines}\n")
    assert adb.choose(str(phone.options.adb), SERIAL).serial == SERIAL
    monkeypatch.setenv("ANDROID_SERIAL", "B2")
    assert adb.choose(str(phone.options.adb)).serial == "B2"
    with pytest.raises(InputError, match=r"adb sees no phone D4. It sees: 8A1X0PHONE"):
        measure(phone, bytes_bundle, serial="D4")
    with pytest.raises(InputError, match="C3 does not trust"):
        measure(phone, bytes_bundle, serial="C3")


@pytest.mark.parametrize(
    ("program", "says"),
    [
        (elf(62), "was built for x86_64"),
        (elf(40), "was built for armeabi-v7a"),
        (elf(183, b"/lib/ld-linux-aarch64.so.1"), "for Linux, not for Android"),
        (b"#!/bin/sh\n", "no ELF file"),
    ],
)
def test_a_program_for_something_else_is_refused(
    phone: Talk, bytes_bundle: Bundle, tmp_path: Path, program: bytes, says: str
) -> None:
    path = tmp_path / "other"
    path.write_bytes(program)
    with pytest.raises(InputError, match=says):
        measure(phone, bytes_bundle, program=path)
    assert not any("push" in words for words in phone.said)


def test_what_is_missing_is_named(
    phone: Talk, bytes_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [(runtime.name, runtime.unit) for runtime in runtimes("android")] == [
        ("android", "xnnpack"),
        ("android", "gpu"),
    ]
    unit = RUNTIMES[0].unit
    assert AndroidRuntime(unit, phone.options).missing() is None
    without = replace(phone.options, program=None)
    assert "benchmark_model" in str(AndroidRuntime(unit, without).missing())
    with pytest.raises(MissingDependencyError, match="litert-cli"):
        measure(phone, bytes_bundle, program=None)
    fetched = tmp_path / ".cache/litert-cli/binaries/arm64-v8a/benchmark_model"
    fetched.parent.mkdir(parents=True)
    fetched.write_bytes(elf(183))
    assert without.find_program() == fetched
    monkeypatch.setenv("PATH", str(tmp_path))
    nowhere = AndroidRuntime(unit, replace(phone.options, adb=None))
    assert "apt install adb" in str(nowhere.missing())


def test_photos_are_answered_by_a_runner(
    talk: Callable[[Bundle], Talk], bundle: Bundle, tmp_path: Path
) -> None:
    """What the runner would write is what LiteRT answers here; both ways of input are sent."""
    phone = talk(bundle)
    variant = bundle.info.variants[0]
    photos = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)
    with LitertRuntime().open(bundle, variant) as here:
        expected = here.predict(photos)
    made = {}
    for number, row in enumerate(expected):
        path = tmp_path / f"{number}.out"
        path.write_bytes(row.astype("<f4").tobytes())
        made[f"{number:06}.raw"] = str(path)
    phone.change("pull", make=made)
    runtime = AndroidRuntime("xnnpack", replace(phone.options, runner=phone.options.program))
    assert runtime.answers
    with runtime.open(bundle, variant) as session:
        found = session.predict(photos)
        assert session.predict(photos[:0]).shape == (0, OBJECTS)
    np.testing.assert_array_equal(found, expected)
    sent = phone.folder / "phone/data/local/tmp/artefact-id/inputs"
    kind = np.uint8 if variant.inputs[0].dtype == "uint8" else np.dtype("<f4")
    for number, photo in enumerate(photos):
        raw = np.frombuffer((sent / f"{number:06}.raw").read_bytes(), dtype=kind)
        np.testing.assert_array_equal(raw.reshape(SIDE, SIDE, 3), photo)
    assert phone.said[-1][-1] == REMOVED


@pytest.mark.parametrize(
    ("made", "says"),
    [({}, "wrote no 000000.raw"), ({"000000.raw": b"\0" * 8}, "wrote 8 bytes for a photo, not 12")],
)
def test_a_runner_that_breaks_its_contract(
    phone: Talk, bytes_bundle: Bundle, tmp_path: Path, made: dict[str, bytes], says: str
) -> None:
    files = {}
    for name, content in made.items():
        (tmp_path / name).write_bytes(content)
        files[name] = str(tmp_path / name)
    phone.change("pull", make=files)
    options = replace(phone.options, runner=phone.options.program)
    photos = np.zeros((1, SIDE, SIDE, 3), dtype=np.uint8)
    variant = bytes_bundle.info.variants[0]
    with (
        pytest.raises(PhoneError, match=says),
        AndroidRuntime("xnnpack", options).open(bytes_bundle, variant) as session,
    ):
        session.predict(photos)
    assert phone.said[-1][-1] == REMOVED


def test_a_wrong_file_is_never_sent(phone: Talk, bytes_bundle: Bundle) -> None:
    variant = bytes_bundle.info.variants[0]
    bytes_bundle.path(variant).write_bytes(b"no model")
    runtime = AndroidRuntime("xnnpack", replace(phone.options, runner=phone.options.program))
    with pytest.raises(DamagedError):
        runtime.open(bytes_bundle, variant)
    assert phone.said == []


def test_without_a_runner_there_are_no_answers(phone: Talk, bytes_bundle: Bundle) -> None:
    runtime = AndroidRuntime("gpu", phone.options)
    assert not runtime.answers
    with pytest.raises(MissingDependencyError, match="runner"):
        runtime.open(bytes_bundle, bytes_bundle.info.variants[0])


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
