"""What a fuzz suite is: inputs made from a seed, commands run on them, and what may not happen."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

ROOT = Path(__file__).parents[2]
DOCUMENTED_CODES = (0, 1, 2)

FindingKind = Literal["traceback", "hang", "memory", "accepted", "lost"]
FINDING_KINDS: tuple[FindingKind, ...] = ("traceback", "hang", "memory", "accepted", "lost")


@dataclass(frozen=True)
class Finding:
    """Something that must not happen.

    Attributes:
        kind: `traceback` also stands for a crash and for an exit code that is not documented;
            `accepted` for something changed that passes; `lost` for a row or an answer that
            neither arrives nor is reported.
        text: What was seen.
    """

    kind: FindingKind
    text: str


@dataclass(frozen=True)
class Outcome:
    """What a command gave."""

    code: int | None
    out: str
    err: str

    @property
    def findings(self) -> list[Finding]:
        """What is wrong whatever the command."""
        if "Traceback (most recent call last)" in self.err + self.out:
            return [Finding("traceback", (self.err + self.out)[-3000:])]
        if self.code not in DOCUMENTED_CODES:
            return [Finding("traceback", f"exit code {self.code}: {self.err[-1000:]}")]
        return []


Command = Callable[[Sequence[str]], Outcome]


class Suite(Protocol):
    """Inputs of one kind.

    Attributes:
        name: Its name; part of each case's seed.
        batch: So many cases share one folder and its commands.
    """

    name: str
    batch: int

    def open(self, materials: Path, command: Command) -> None:
        """Reads the whole inputs and what commands answer to them; once in each process."""

    def run(self, seeds: Sequence[int], folder: Path, command: Command) -> list[Finding]:
        """Writes the cases of some seeds into an empty folder and runs commands on them."""


def in_process(words: Sequence[str]) -> Outcome:
    """Runs a command in this process, with the standard streams of a real one."""
    from artefact_id.main import main

    out, err = (
        io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors=errors, write_through=True)
        for errors in ("strict", "backslashreplace")
    )
    code: int | None = None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(list(words))
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException:
            err.write(traceback.format_exc())
    texts = [
        stream.buffer.getvalue().decode("utf-8")  # type: ignore[attr-defined]
        for stream in (out, err)
    ]
    return Outcome(code, *texts)


def command_line(words: Sequence[str]) -> Outcome:
    """Runs a command as a user does, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "artefact_id", *words],
        capture_output=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
    )
    out, err = (text.decode("utf-8", "backslashreplace") for text in (done.stdout, done.stderr))
    return Outcome(done.returncode, out, err)
