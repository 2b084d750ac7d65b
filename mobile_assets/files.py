"""Writing files and folders so that they appear whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mobile_assets.errors import InputError

if sys.platform != "win32":
    import fcntl

_CHUNK = 1 << 20
_UNFINISHED = ".unfinished"
_YOUNG_SECONDS = 60


def write_bytes(path: Path, data: bytes) -> None:
    """Writes `data` to `path` by an atomic rename: a kill leaves the old file or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name[:40]}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)  # mkstemp makes files that only the owner can read
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text by an atomic rename."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Writes JSON with two-space indentation, keys in the order given, by an atomic rename."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """The one way in which this project spells JSON: UTF-8, indented, no NaN, ends in a newline."""
    return json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def sha256_bytes(data: bytes) -> str:
    """Hexadecimal SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def sha256_path(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, or of a folder's relative names and contents in sorted order.

    A Core ML package is a folder; this gives it one hash that changes when any file in it does.
    """
    if path.is_file():
        return sha256_file(path)
    lines = [
        f"{file.relative_to(path).as_posix()}\0{sha256_file(file)}\n"
        for file in sorted(path.rglob("*"))
        if file.is_file()
    ]
    return sha256_bytes("".join(lines).encode("utf-8"))


def size_of(path: Path) -> int:
    """Size in bytes of a file, or of all files in a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def check_output(path: Path, *, force: bool, what: str) -> None:
    """Refuses an output that is already there, unless `force`.

    Raises:
        InputError: `path` exists and is not an empty folder, or its parent is not a folder.
    """
    occupied = path.is_file() or (path.is_dir() and any(path.iterdir()))
    if occupied and not force:
        raise InputError(
            f"{path} already exists, so the {what} was not written. "
            "Give another --out, or --force to replace it."
        )
    for parent in path.absolute().parents:
        if parent.exists():
            if not parent.is_dir():
                raise InputError(f"{path} cannot be created: {parent} is a file, not a folder.")
            break


@contextlib.contextmanager
def new_folder(path: Path, *, force: bool, what: str) -> Iterator[Path]:
    """Gives a temporary folder that becomes `path` when the block ends without an error.

    Temporary folders that killed processes left behind for the same `path` are removed.

    Args:
        path: The folder to create.
        force: Replace a folder that is already there, once the new one is complete.
        what: What is written, for the message, such as "bundle".

    Yields:
        An empty folder beside `path`, on the same file system.

    Raises:
        InputError: `path` exists and `force` is false.
    """
    check_output(path, force=force, what=what)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(path)
    prefix = f".{path.name[:40]}."
    temporary = Path(tempfile.mkdtemp(prefix=prefix, suffix=_UNFINISHED, dir=path.parent))
    try:
        temporary.chmod(0o755)
        with _locked(temporary):
            yield temporary
            _replace_folder(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Locks a folder until the block or the process ends; gives whether it could."""
    if sys.platform == "win32":  # folders cannot be locked there
        yield False
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # another has it, or the file system knows no locks
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def _remove_abandoned(path: Path) -> None:
    """Removes temporary folders of `path` whose processes are gone: nobody holds their lock."""
    for folder in path.parent.iterdir():
        name = folder.name
        if not (name.startswith(f".{path.name[:40]}.") and name.endswith(_UNFINISHED)):
            continue
        with contextlib.suppress(OSError):
            # A younger one may be about to be locked.
            if time.time() - folder.stat().st_mtime > _YOUNG_SECONDS:
                with _locked(folder) as abandoned:
                    if abandoned:
                        shutil.rmtree(folder, ignore_errors=True)


def _replace_folder(new: Path, path: Path) -> None:
    """Renames `new` to `path`; what stood there is moved aside first and then removed."""
    if not path.exists():
        os.replace(new, path)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name[:40]}.old.", dir=path.parent))
    os.replace(path, aside / "old")
    try:
        os.replace(new, path)
    except OSError:
        os.replace(aside / "old", path)
        raise
    finally:
        if path.exists():
            shutil.rmtree(aside, ignore_errors=True)
