"""Commands that are killed: `python killed_commands.py LOG`, jobs in, answers out, as JSON lines.

A job is `{"words": [...], "kills": [...]}`. The command runs once for each kill, in a forked
process, so that imports are paid for once, and then once to its end. A kill is
`["event", n]`, before the n-th time that a file is created, renamed or removed, or
`["time", seconds]`, after so long. The word `prepare` stands for the preparation of a register's
photos alone, `["prepare", PHOTOS, CACHE]`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

torch.set_num_threads(1)

import litert_torch  # noqa: E402, F401  (what is imported here is not imported in every process)
import tensorboardX.summary  # noqa: E402, F401
import timm  # noqa: E402, F401

import artefact_id.terminal  # noqa: E402, F401
import benchmarks.pipeline.benchmark  # noqa: E402
import benchmarks.runtimes.litert_runtime  # noqa: E402
import benchmarks.verify.golden_predictor  # noqa: E402, F401
import export.bundle.enrolment  # noqa: E402
import export.bundle.signing  # noqa: E402, F401
import train.checkpoint  # noqa: E402
import train.photo_cache  # noqa: E402
import train.trainer  # noqa: E402
from artefact_id.main import main  # noqa: E402
from mobile_assets.preprocessing import Preprocessing  # noqa: E402
from train.prepare import prepare  # noqa: E402
from train.registers.readers import read_register  # noqa: E402

FILE_EVENTS = frozenset(
    {
        "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate",
        "os.chmod", "shutil.rmtree", "shutil.move", "tempfile.mkdtemp", "tempfile.mkstemp",
    }
)  # fmt: skip
CONTRACT = Preprocessing(height=32, width=32, mean=(0.5,) * 3, std=(0.5,) * 3)


class EventCounter:
    """Counts what a process does to files, and ends it before a chosen event."""

    def __init__(self, last: int | None) -> None:
        """Counts from now on."""
        self.count = 0
        self._last = last
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        writes = event == "open" and (
            isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        )
        if writes or event in FILE_EVENTS:
            self.count += 1
            if self.count == self._last:
                os.kill(os.getpid(), signal.SIGKILL)


def run(words: Sequence[str]) -> int:
    """One command, with everything kept as soon as it is there."""
    train.checkpoint.PAUSE_SECONDS = train.checkpoint.WRITING_SHARE = 0
    train.photo_cache.SAVE_SECONDS = 0
    if words[0] != "prepare":
        return main(list(words))
    prepare(read_register(Path(words[1])), CONTRACT, Path(words[2]))
    return 0


def in_child(words: Sequence[str], kill: list[Any], log: Path) -> dict[str, Any]:
    """Runs a command in a process of its own; how it ended, how long it took, what it did."""
    answer, written = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        os.setsid()
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        counter = EventCounter(kill[1] if kill and kill[0] == "event" else None)
        code = run(words)
        os.write(written, str(counter.count).encode())
        os._exit(code)
    os.close(written)
    timer = threading.Timer(kill[1] if kill and kill[0] == "time" else 120, _end, [child])
    timer.start()
    _, status = os.waitpid(child, 0)
    timer.cancel()
    timer.join()
    events = os.read(answer, 32)
    os.close(answer)
    return {
        "code": os.waitstatus_to_exitcode(status),
        "seconds": time.monotonic() - began,
        "events": int(events or 0),
        "said": log.read_text(encoding="utf-8", errors="replace")[-3000:],
    }


def _end(child: int) -> None:
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:
        os.kill(child, signal.SIGKILL)  # it has no group of its own yet


if __name__ == "__main__":
    log = Path(sys.argv[1])
    for line in sys.stdin:
        job = json.loads(line)
        ends = [in_child(job["words"], kill, log) for kill in job["kills"]]
        print(json.dumps([*ends, in_child(job["words"], [], log)]), flush=True)
