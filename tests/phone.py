"""A phone on adb, played by a stand-in for adb that replays a composed conversation.

No phone was at hand: `tests/android/README.md` says what the conversation was composed from.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.runtimes.android.measure import PhoneOptions, measure_on_phone
from mobile_assets.bundle import Bundle
from mobile_assets.files import sha256_path

FILES = Path(__file__).parent / "android"


SERIAL = "8A1X0PHONE"


REMOVED = "(rm -rf /data/local/tmp/artefact-id) 2>&1; echo artefact-id-exit:$?"


SIDE = 64


OBJECTS = 6


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


def with_one(bundle: Bundle, variant: str) -> Bundle:
    """A bundle, as if it had one variant."""
    info = bundle.info.model_copy(update={"variants": (bundle.info.variant(variant),)})
    return replace(bundle, info=info)


@pytest.fixture(params=["tflite-int8", "tflite-float32"])
def bundle(golden_bundle: Bundle, request: pytest.FixtureRequest) -> Bundle:
    return with_one(golden_bundle, request.param)


@pytest.fixture
def bytes_bundle(golden_bundle: Bundle) -> Bundle:
    return with_one(golden_bundle, "tflite-int8")


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
