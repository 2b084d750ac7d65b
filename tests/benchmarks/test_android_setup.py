"""Phones, programs and runners: what is chosen, what is refused and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from phone import OBJECTS, REMOVED, SERIAL, SIDE, Talk, elf, measure

from benchmarks.runtimes.android import adb
from benchmarks.runtimes.android.adb import PhoneError
from benchmarks.runtimes.android.runtime import RUNTIMES, AndroidRuntime
from benchmarks.runtimes.interface import runtimes
from benchmarks.runtimes.litert_runtime import LitertRuntime
from mobile_assets.bundle import Bundle
from mobile_assets.errors import DamagedError, InputError, MissingDependencyError

pytest_plugins = ("phone",)


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
    phone.break_off("int8.tflite", stderr)
    with pytest.raises(PhoneError, match=says):
        measure(phone, bytes_bundle)
    assert phone.said[-1][-1] == REMOVED


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
    [({}, "wrote no 000000.raw"), ({"000000.raw": b"\0" * 8}, "wrote 8 bytes for a photo, not 24")],
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


def test_a_wrong_file_is_never_sent(phone: Talk, bytes_bundle: Bundle, tmp_path: Path) -> None:
    variant = bytes_bundle.info.variants[0]
    (tmp_path / variant.file).parent.mkdir()
    (tmp_path / variant.file).write_bytes(b"no model")
    runtime = AndroidRuntime("xnnpack", replace(phone.options, runner=phone.options.program))
    with pytest.raises(DamagedError):
        runtime.open(replace(bytes_bundle, folder=tmp_path), variant)
    assert phone.said == []


def test_without_a_runner_there_are_no_answers(phone: Talk, bytes_bundle: Bundle) -> None:
    runtime = AndroidRuntime("gpu", phone.options)
    assert not runtime.answers
    with pytest.raises(MissingDependencyError, match="runner"):
        runtime.open(bytes_bundle, bytes_bundle.info.variants[0])
