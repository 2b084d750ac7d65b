"""A process that runs cases: `python worker.py SUITE MATERIALS`, seeds in, findings out, as JSON.

Before each command it says which, so that its parent knows what hangs or kills it.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import sys
import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

FOLDERS = (Path(__file__).parent, Path(__file__).parents[1], Path(__file__).parents[2])
sys.path[:0] = map(str, FOLDERS)

from suite import Finding, Outcome, command_line, in_process  # noqa: E402
from suites import suite_named  # noqa: E402


def peak_memory(*, reset: bool = False) -> int:
    """Most bytes of memory that this process has held, on Linux since it was last reset."""
    if sys.platform != "linux":
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
    if reset:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))


def child_memory() -> int:
    """Most bytes of memory that any child, or a child of one, has held so far."""
    import resource

    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def main(name: str, materials: Path) -> None:
    """Answers one line of seeds after the other, until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer

    def say(value: object) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    def announced(words: Sequence[str]) -> Outcome:
        say({"command": list(words)})
        return (command_line if real else in_process)(words)

    suite, real = suite_named(name), False
    suite.open(materials, announced)
    say({"ready": True})
    for line in sys.stdin:
        request = json.loads(line)
        real = request["real"]
        folder = Path(request["folder"])
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        random.seed(0)  # nothing in the toolkit draws from it, but a library may
        peak_memory(reset=True)
        try:
            findings: list[Finding] = suite.run(request["seeds"], folder, announced)
        except Exception:
            say({"broken": traceback.format_exc()})  # the suite itself
            return
        say(
            {
                "findings": [asdict(finding) for finding in findings],
                "memory": peak_memory(),
                "child_memory": child_memory(),
            }
        )


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["ARTEFACT_ID_CACHE"] = tempfile.mkdtemp(prefix="artefact-id-fuzz-cache-")
    try:
        main(sys.argv[1], Path(sys.argv[2]))
    finally:
        shutil.rmtree(os.environ["ARTEFACT_ID_CACHE"], ignore_errors=True)
