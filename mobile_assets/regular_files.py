"""Opening files that another person may have put there: no link, FIFO, device or endless file."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from mobile_assets.errors import DamagedError

# A FIFO without a writer is opened at once, and then refused.
_FLAGS = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_BINARY", "O_NOCTTY")
)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


def open_regular(path: Path, *, most: int, links: bool = False) -> BinaryIO:
    """Opens a file for reading in binary.

    Args:
        path: The file.
        most: How many bytes it may have.
        links: Whether a link is followed; not where another person may have put it.

    Raises:
        FileNotFoundError: There is no such file.
        DamagedError: It is a folder, FIFO or device, is larger, or cannot be opened.
    """
    try:
        # Looked at before, since opening a device can already do something.
        _check(path, path.stat(follow_symlinks=links), most)
        descriptor = os.open(path, _FLAGS | (0 if links else _NO_LINK))
        try:
            _check(path, os.fstat(descriptor), most)
            return os.fdopen(descriptor, "rb")
        except BaseException:
            os.close(descriptor)
            raise
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise DamagedError(
            f"{path} cannot be read ({reason}). Restore or write it again."
        ) from None


def read_regular(path: Path, *, most: int, links: bool = False) -> bytes:
    """The content of a file, read once; the arguments are those of `open_regular`.

    Raises:
        FileNotFoundError: There is no such file.
        DamagedError: It is a folder, FIFO or device, is larger, or cannot be read.
    """
    with open_regular(path, most=most, links=links) as file:
        try:
            content = file.read(most + 1)
        except OSError as error:
            raise DamagedError(f"{path} cannot be read ({error.strerror}).") from None
    if len(content) > most:  # it has grown since it was opened
        raise DamagedError(_too_large(path, len(content), most))
    return content


def _check(path: Path, status: os.stat_result, most: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = "a link" if stat.S_ISLNK(status.st_mode) else "no regular file"
        raise DamagedError(f"{path} is {kind}, so it is not read. Put the file itself there.")
    if status.st_size > most:
        raise DamagedError(_too_large(path, status.st_size, most))


def _too_large(path: Path, size: int, most: int) -> str:
    return f"{path} has {size:,} bytes, and no such file has more than {most:,}. It is not read."
