"""Writing files and folders so that they appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mobile_assets.errors import InputError
from mobile_assets.names import hidden_sibling
from mobile_assets.output_lock import (
    busy,
    claimed,
    is_empty_folder,
    remove,
    replaced,
    unfinished,
)
from mobile_assets.swap import swap

if sys.platform != "win32":
    import fcntl

_CHUNK = 1 << 20


def write_bytes(path: Path, data: bytes) -> None:
    """Writes `data` to `path` by an atomic rename: a kill leaves the old file or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_by_rename(hidden_sibling(path, "part"), path, data)


def write_into_finished(folder: Path, name: str, data: bytes) -> None:
    """Writes one file of a finished folder; a kill leaves nothing in it that is not finished.

    The file is written beside the folder and renamed into it; where that is another file system or
    may not be written, in the folder itself.
    """
    folder = folder.resolve()
    try:
        _write_by_rename(hidden_sibling(folder, f"{name}.part"), folder / name, data)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        _write_by_rename(hidden_sibling(folder / name, "part"), folder / name, data)


def remove_unfinished(folder: Path, name: str) -> None:
    """Removes what a killed `write_into_finished` left in the folder, where it had to write there.

    The caller is the folder's only writer.
    """
    remove(hidden_sibling(folder.resolve() / name, "part"))


def _write_by_rename(part: Path, path: Path, data: bytes) -> None:
    """Writes `part`, waits until it is on disk, and renames it to `path`.

    `part` is the same for every writer of the file, so that a kill leaves one at most, which the
    next one writes over. Two that write at once do so one after the other.
    """
    with os.fdopen(_opened_alone(part), "wb") as file:
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            if sys.platform != "win32":  # there, an open file cannot be renamed
                os.replace(part, path)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink()
            raise
    if sys.platform == "win32":
        os.replace(part, path)


def _opened_alone(part: Path) -> int:
    """Opens an empty file for writing, which no other process or thread writes meanwhile."""
    while True:
        flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        handle = os.open(part, flags, 0o666)
        if sys.platform != "win32":
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(handle, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), part.stat()):
                os.truncate(handle, 0)
                return handle
        os.close(handle)  # the one before has renamed it by now


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
    occupied = os.path.lexists(path) and not (path.is_dir() and not any(path.iterdir()))
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

    A kill at any moment leaves the old folder or the new one at `path`, or, on systems that cannot
    swap two folders, the old one hidden beside it until `path` is written again, which puts it
    back first. What killed processes left behind is removed.

    Args:
        path: The folder to create.
        force: Replace a folder that is already there, once the new one is complete.
        what: What is written, for the message, such as "bundle".

    Yields:
        An empty folder beside `path`, on the same file system.

    Raises:
        InputError: `path` exists and `force` is false, or another process writes it.
    """
    with claimed(path):
        check_output(path, force=force, what=what)
        temporary = unfinished(path)
        try:
            temporary.mkdir()
        except FileExistsError:
            raise busy(path) from None
        try:
            yield temporary
            _to_disk(temporary)
            _put_in_place(temporary, path)
        finally:
            remove(temporary)  # half-written, or what was replaced


def _to_disk(folder: Path) -> None:
    """Waits until every file of a folder is on disk: a power cut after the rename loses none."""
    if sys.platform == "win32":
        return
    for path in (*folder.rglob("*"), folder):
        if not path.is_symlink():
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _put_in_place(new: Path, path: Path) -> None:
    """Renames `new` to `path`, or swaps the two, so that what stood at `path` can be removed."""
    if is_empty_folder(path):
        path.rmdir()
    if not os.path.lexists(path):
        os.replace(new, path)
    elif not swap(new, path):
        old = replaced(path)
        os.replace(path, old)
        try:
            os.replace(new, path)
        except BaseException:
            if not os.path.lexists(path):
                os.replace(old, path)
            raise
        finally:
            if os.path.lexists(path):
                remove(old)
