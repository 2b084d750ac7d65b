"""Commands killed at random, seeded moments; the same command afterwards loses nothing."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from materials import training_words

from mobile_assets.files import sha256_bytes, sha256_path
from mobile_assets.preprocessing import Preprocessing

ROOT = Path(__file__).parents[2]
PREPARED = Preprocessing(height=32, width=32, mean=(0.5,) * 3, std=(0.5,) * 3)
"""What `killed_commands.py` prepares photos for."""


Result = dict[str, str]
"""What is compared, by name: hashes, rows, and file names with nothing beside them."""


@dataclass(frozen=True)
class KilledCommand:
    """A command, what it starts from, and what must come of it.

    Attributes:
        name: Its name.
        words: The words that write into a folder.
        result: What in that folder must be the same as without a kill.
        begin: Fills the folder beforehand.
        chain: Kills in a row before it may run to its end.
    """

    name: str
    words: Callable[[Path, Path], list[str]]
    result: Callable[[Path], Result]
    begin: Callable[[Path, Path], object] = lambda _materials, _folder: None
    chain: int = 3


def _export_words(materials: Path, folder: Path) -> list[str]:
    return [
        "export", str(materials / "run"), "--photos", str(materials / "photos"), "--out",
        str(folder / "bundle"), "--variants", "tflite-float32", "--no-golden", "--name", "killed",
    ]  # fmt: skip


def _benchmark_words(materials: Path, folder: Path) -> list[str]:
    return [
        "benchmark", str(materials / "bundle"), "--run", str(materials / "run"), "--photos",
        str(materials / "photos"), "--out", str(folder / "report"), "--no-speed",
        "--preprocessing", "0", "--runtimes", "litert", "--force",
    ]  # fmt: skip


def _copy_bundle(materials: Path, folder: Path) -> None:
    shutil.copytree(materials / "bundle", folder / "bundle")


def _hashes(*names: str) -> Callable[[Path], Result]:
    """Hashes of what is named, and the names of all that lies beside it."""
    return lambda folder: (
        {path.name: "" for path in folder.iterdir()}
        | {name: sha256_path(folder / name) for name in names}
    )


def _prepared(folder: Path) -> Result:
    """Hashes of the prepared photos by their paths, and the names of the cache's files."""
    from train.prepare import prepare
    from train.registers.readers import read_register

    source = (folder / "source").read_text(encoding="utf-8")
    prepared = prepare(read_register(Path(source)), PREPARED, folder / "cache")
    pixels = np.asarray(prepared.pixels)
    return {path.relative_to(folder).as_posix(): "" for path in folder.rglob("*")} | {
        photo: sha256_bytes(pixels[row].tobytes()) for photo, row in prepared.rows.items()
    }


def _rows(folder: Path) -> Result:
    """The rows of a report, and the names of its files."""
    results = json.loads((folder / "report/results.json").read_text(encoding="utf-8"))
    rows = {f"row {number}": json.dumps(row) for number, row in enumerate(results["rows"])}
    return rows | {path.relative_to(folder).as_posix(): "" for path in folder.rglob("*")}


def _train_words(materials: Path, folder: Path) -> list[str]:
    return [*training_words(materials, folder / "run"), "--cache", str(folder / "cache")]


def _sign_words(materials: Path, folder: Path) -> list[str]:
    return ["sign", str(folder / "bundle"), "--key", str(materials / "key.pem"), "--force"]


def _enrol_words(materials: Path, folder: Path) -> list[str]:
    return [
        "enrol", str(materials / "gallery"), str(materials / "later"), "--out",
        str(folder / "bundle"), "--withdraw", "OBJ-0", "--key", str(materials / "key.pem"),
    ]  # fmt: skip


COMMANDS = {
    "prepare": KilledCommand(
        "prepare",
        lambda materials, folder: ["prepare", str(materials / "photos"), str(folder / "cache")],
        _prepared,
        lambda materials, folder: (folder / "source").write_text(str(materials / "photos")),
        chain=5,
    ),
    "train": KilledCommand(
        "train",
        _train_words,
        _hashes("run/model.safetensors", "run/labels.json", "run/split.json"),
        chain=5,
    ),
    "export": KilledCommand("export", _export_words, _hashes("bundle")),
    "export --force": KilledCommand(
        "export --force",
        lambda materials, folder: [*_export_words(materials, folder), "--force"],
        _hashes("bundle"),
        _copy_bundle,
    ),
    "enrol": KilledCommand("enrol", _enrol_words, _hashes("bundle")),
    "enrol --force": KilledCommand(
        "enrol --force",
        lambda materials, folder: [*_enrol_words(materials, folder), "--force"],
        _hashes("bundle"),
        _copy_bundle,
    ),
    "sign": KilledCommand("sign", _sign_words, _hashes("bundle"), _copy_bundle, chain=6),
    "benchmark": KilledCommand("benchmark", _benchmark_words, _rows, chain=4),
}


@dataclass
class KillReport:
    """What came of the kills.

    Attributes:
        name: The command's name.
        kills: How many runs were ended before their own end.
        lost: Seeds whose result differs, with what was seen.
    """

    name: str
    kills: int = 0
    lost: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """One line, then each loss."""
        lines = [f"{self.name}: {self.kills} kills, {len(self.lost)} lost"]
        return "\n".join([*lines, *(f"  {text}" for text in self.lost)])


def kill_loop(
    command: KilledCommand, materials: Path, folder: Path, ask: Ask, *, kills: int, first: int = 0
) -> KillReport:
    """Kills one command at least so often, and compares what comes of it.

    Args:
        command: Which.
        materials: Folder that `write_materials` filled.
        folder: An empty folder.
        ask: From `command_process`.
        kills: How many.
        first: The first seed.
    """
    whole = _new_folder(command, materials, folder / "whole")
    (end,) = ask(command.words(materials, whole), [])
    if end["code"] != 0:
        raise RuntimeError(f"{command.name} does not run at all: {end}")
    wanted = command.result(whole)
    report, seed = KillReport(command.name), first
    while report.kills < kills:
        rng = random.Random(f"{command.name} {seed}")
        moments = [_moment(rng, end) for _ in range(rng.randint(1, command.chain))]
        case = _new_folder(command, materials, folder / f"case-{seed}")
        ends = ask(command.words(materials, case), moments)
        report.kills += sum(end["code"] == -9 for end in ends[:-1])
        problem = _problem(command, case, ends, wanted)
        if problem:
            report.lost.append(f"seed {seed}, {moments}: {problem}")
        else:
            shutil.rmtree(case)
        seed += 1
    return report


def _moment(rng: random.Random, end: dict[str, Any]) -> list[Any]:
    if rng.random() < 0.7:
        return ["event", rng.randint(1, max(1, end["events"]))]
    return ["time", round(rng.uniform(0, end["seconds"]), 4)]


def _new_folder(command: KilledCommand, materials: Path, folder: Path) -> Path:
    folder.mkdir(parents=True)
    command.begin(materials, folder)
    return folder


def _problem(
    command: KilledCommand, folder: Path, ends: list[dict[str, Any]], wanted: Any
) -> str | None:
    traces = [end["said"] for end in ends if "Traceback" in end["said"]]
    if traces:
        return traces[0]
    last = ends[-1]
    # A run that was killed after its last step has left the whole result.
    if last["code"] != 0 and not (last["code"] == 2 and "already exists" in last["said"]):
        return f"the last run ended with {last['code']}: {last['said']}"
    result = command.result(folder)
    differences = sorted(name for name in result | wanted if result.get(name) != wanted.get(name))
    return f"differs in {differences[:8]}" if differences else None


Ask = Callable[[list[str], list[Any]], list[dict[str, Any]]]
"""Runs a command once for each kill and once to its end; how each run ended."""


@contextlib.contextmanager
def command_process(folder: Path) -> Iterator[Ask]:
    """The process that imports once and forks the commands."""
    script = Path(__file__).parent / "killed_commands.py"
    process = subprocess.Popen(
        [sys.executable, str(script), str(folder / "log")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ
        | {
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            # Later than the bundle that is replaced, so that serial numbers are the same, too.
            "SOURCE_DATE_EPOCH": "4000000000",
        },
    )
    assert process.stdin is not None and process.stdout is not None
    requests, answers = process.stdin, process.stdout

    def ask(words: list[str], kills: list[Any]) -> list[dict[str, Any]]:
        requests.write(json.dumps({"words": words, "kills": kills}) + "\n")
        requests.flush()
        ends: list[dict[str, Any]] = json.loads(answers.readline())
        return ends

    with process:
        yield ask
        requests.close()
