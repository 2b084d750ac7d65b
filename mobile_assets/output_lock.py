"""One writer per output: a lock that dies with its process, and the repair of what a kill left.

While `PARENT/NAME` is written, `PARENT/.NAME.lock` is locked by the writing process. The system
frees the lock when the process ends, however that happens. Whoever gets the lock next knows that
nobody writes any more, so it repairs and removes what it finds at once, without asking a clock.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from mobile_assets.errors import InputError
from mobile_assets.names import hidden_sibling

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_LOCKED_BYTE = 1 << 30
"""Windows locks bytes, also against reading: one that no lock file has."""

_UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)

_held: dict[Path, tuple[int, int]] = {}
"""Outputs that this process writes: the thread, and the descriptor of the lock (-1: none)."""
_registry = threading.Lock()


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Makes the calling thread the only writer of an output, until the block ends.

    At its start, what a killed writer left is repaired: an output that was being replaced is back
    in its place or replaced for good, and half-written folders are gone. A thread may claim an
    output again that it has claimed already. File systems that know no locks give none.

    Args:
        path: The file or folder to write; missing parent folders are made, and removed again
            where they stay empty.

    Raises:
        InputError: Another process or thread writes it.
    """
    path = _absolute(path)
    with _registry:
        holder = _held.get(path)
        if holder is None:
            made = _make_parents(path.parent)
            _held[path] = (threading.get_ident(), _lock(path))
    if holder is not None:
        if holder[0] != threading.get_ident():
            raise busy(path)
        yield
        return
    try:
        _repair(path)
        yield
    finally:
        with _registry:
            _, handle = _held.pop(path, (0, -1))
            _unlock(path, handle)
            for folder in made:
                with contextlib.suppress(OSError):  # it holds something by now
                    folder.rmdir()


def busy(path: Path, holder: str = "") -> InputError:
    """The refusal of a second writer."""
    who = f"another process ({holder})" if holder else "another process or thread"
    return InputError(
        f"{path} is being written by {who}. Wait until it has ended, or give another --out."
    )


def unfinished(path: Path) -> Path:
    """Where an output is written before it takes its place."""
    return hidden_sibling(_absolute(path), "unfinished")


def replaced(path: Path) -> Path:
    """Where an output waits while another takes its place, on systems that cannot swap two."""
    return hidden_sibling(_absolute(path), "old")


def remove(path: Path) -> None:
    """Removes a file, a link or a folder with all that it holds; what cannot be removed stays."""
    with contextlib.suppress(OSError):
        if path.is_symlink() or path.is_file():
            path.unlink()
        else:
            shutil.rmtree(path, ignore_errors=True)


def is_empty_folder(path: Path) -> bool:
    """Whether it is a folder, no link to one, and holds nothing."""
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())


def _absolute(path: Path) -> Path:
    """One spelling for an output however it was given; a link at the end of the path stays one."""
    whole = Path(os.path.abspath(path))  # noqa: PTH100  (`..` is taken as it is written)
    return whole.parent.resolve() / whole.name


def _make_parents(folder: Path) -> list[Path]:
    """Makes missing folders; gives those that it made, the innermost first."""
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _repair(path: Path) -> None:
    """Ends what a killed writer began; the caller holds the lock."""
    old, new = replaced(path), unfinished(path)
    if os.path.lexists(old):
        if os.path.lexists(path) and not is_empty_folder(path):
            remove(old)  # killed when the new one stood
        else:
            if path.is_dir():
                path.rmdir()
            os.replace(old, path)
    if os.path.lexists(new):
        remove(new)


def _lock(path: Path) -> int:
    """Locks an output for this process.

    Returns:
        The descriptor that holds the lock; -1 where the file system knows no locks.

    Raises:
        InputError: Another process has it.
    """
    file = hidden_sibling(path, "lock")
    while True:
        try:
            handle = os.open(file, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
        except OSError as error:
            if error.errno not in _UNWRITABLE or not path.is_dir() or sys.platform == "win32":
                raise
            # Nobody can replace the folder by another one here: its content is what is locked.
            handle, file = os.open(path, os.O_RDONLY), path
        try:
            if not _try_lock(handle):
                os.close(handle)
                return -1
        except BlockingIOError:
            holder = "" if file == path else _read_holder(handle)
            os.close(handle)
            raise busy(path, holder) from None
        if file == path:
            return handle
        # Its last holder may have removed the file between our opening and locking it.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), file.stat()):
                os.truncate(handle, 0)
                os.write(handle, f"process {os.getpid()}\n".encode("ascii"))
                return handle
        os.close(handle)


def _try_lock(handle: int) -> bool:
    """Locks an open file; gives whether its file system knows locks.

    Raises:
        BlockingIOError: Another process has locked it.
    """
    try:
        if sys.platform == "win32":
            os.lseek(handle, _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
            os.lseek(handle, 0, os.SEEK_SET)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except PermissionError:  # Windows
        raise BlockingIOError from None
    except OSError:
        return False
    return True


def _read_holder(handle: int) -> str:
    with contextlib.suppress(OSError):
        words = os.read(handle, 100).decode("ascii", "replace").split()
        if len(words) == 2 and words[1].isdecimal():
            return " ".join(words)
    return ""


def _unlock(path: Path, handle: int) -> None:
    """Removes the lock's file while nobody else can have it, and frees the lock."""
    file = hidden_sibling(path, "lock")
    if handle < 0:
        return
    if sys.platform == "win32":  # an open file cannot be removed there
        os.close(handle)
        with contextlib.suppress(OSError):
            file.unlink()
        return
    with contextlib.suppress(OSError):
        if os.path.samestat(os.fstat(handle), file.stat()):
            file.unlink()
    os.close(handle)


def _forget() -> None:
    """A forked process writes nothing that its parent has claimed, and must not keep its locks."""
    global _registry  # noqa: PLW0603
    _registry = threading.Lock()  # another thread of the parent may have held it
    for _, handle in _held.values():
        if handle >= 0:
            with contextlib.suppress(OSError):
                os.close(handle)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
