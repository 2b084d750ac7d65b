"""Writers that are killed at every step: a program that the tests start.

`python kills.py WHAT FOLDER [BUNDLE KEY]` does WHAT in a process of its own that is killed at its
first step in the file system, then in another that is killed at its second, and so on, until one
comes to its end. After each, a living process looks at what is left, does the same, and looks
again. A step is what Python reports to its audit hooks: a file opened for writing, renamed or
removed, a folder made.

Standard output gets one JSON object per kill.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mobile_assets.files
from mobile_assets.files import new_folder, write_bytes, write_into_finished
from mobile_assets.output_lock import claimed

STEPS = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate")

SIGNAL = getattr(signal, os.environ.get("KILL_WITH", "SIGKILL"))

killing = {"at": 0, "steps": 0}


def hook(event: str, details: tuple[Any, ...]) -> None:
    reads = event == "open" and not details[2] & (os.O_WRONLY | os.O_RDWR)
    if killing["at"] and event in STEPS and not reads:
        killing["steps"] += 1
        if killing["steps"] == killing["at"]:
            os.kill(os.getpid(), SIGNAL)


def content(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): p.read_text() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def write_old(out: Path) -> None:
    (out / "inner").mkdir(parents=True)
    for name in ("a", "inner/b", "inner/c"):
        (out / name).write_text("old")


def write_folder(out: Path) -> None:
    with new_folder(out, force=True, what="test") as folder:
        (folder / "inner").mkdir()
        for name in ("a", "inner/b"):
            write_bytes(folder / name, b"new")


def write_file(out: Path) -> None:
    write_bytes(out / "a", b"new")


def write_inside(out: Path) -> None:
    with claimed(out):
        write_into_finished(out, "a", b"new")


WRITERS: dict[str, Callable[[Path], None]] = {
    "folder": write_folder,
    "folder without swap": write_folder,
    "new folder": write_folder,
    "file": write_file,
    "inside": write_inside,
}


def killed_at(step: int, work: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        killing["at"] = step
        try:
            work()
        except KeyboardInterrupt:
            os._exit(130)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def sign(root: Path, bundle: Path, key: str) -> None:
    from artefact_id.main import main as artefact_id

    words = ["sign", str(root / "out"), "--key", key]
    step, code = 0, -9
    while code == -9:
        step += 1
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(bundle, root / "out")
        before = {path.name for path in (root / "out").iterdir()}
        code = killed_at(step, lambda: artefact_id(words))
        row = {"code": code, "more": sorted({p.name for p in (root / "out").iterdir()} - before)}
        row["again"] = artefact_id([*words, "--force"])
        row["end"] = sorted(path.name for path in root.iterdir())
        print(json.dumps(row))


def main(what: str, root: Path, *more: str) -> None:
    sys.addaudithook(hook)
    if what == "sign":
        sign(root, Path(more[0]), more[1])
        return
    if what == "folder without swap":
        mobile_assets.files.swap = lambda *_: False  # type: ignore[assignment]
    out, write = root / "out", WRITERS[what]
    step, code = 0, -9
    while code != 0:
        step += 1
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        if what != "new folder":
            write_old(out)
        code = killed_at(step, lambda: write(out))
        left = content(out) if out.exists() else None
        around = sorted(path.name for path in root.iterdir())
        with claimed(out):
            repaired = content(out) if out.exists() else None
            beside = sorted(path.name for path in root.iterdir())
        write(out)
        row = {"code": code, "left": left, "repaired": repaired, "beside": beside, "around": around}
        row |= {"after": content(out), "end": sorted(path.name for path in root.iterdir())}
        print(json.dumps(row))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
