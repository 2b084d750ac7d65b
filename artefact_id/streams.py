"""The program's standard streams: closed, full, without a reader, or of a narrow encoding.

None of these ends a command half-way: it does its work, and says so by its exit code.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from typing import TextIO

from mobile_assets.visible_text import ESCAPES, visible

_NO_READER = (errno.EPIPE, errno.ESHUTDOWN)


class _Descriptor(io.RawIOBase):
    """Writes to a descriptor; after a first failure, what is written is dropped.

    Attributes:
        failure: Why output was lost; None where nothing was, or nobody wants to read on.
    """

    def __init__(self, number: int) -> None:
        self.failure: OSError | None = None
        self._number = number
        self._lost = False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._number

    def isatty(self) -> bool:
        return os.isatty(self._number)

    def write(self, data: object) -> int:
        view = memoryview(data)  # type: ignore[arg-type]
        while not self._lost:
            try:
                return os.write(self._number, view)
            except BlockingIOError:  # somebody who shares the pipe has made it so
                select.select([], [self._number], [])
            except OSError as error:
                self._lost = True
                if error.errno not in _NO_READER and not _reader_gone_on_windows(error):
                    self.failure = error
        return view.nbytes


class SafeStream(io.TextIOWrapper):
    """Text for a terminal, a pipe or a file; nothing in it can command a terminal."""

    def __init__(self, number: int, like: TextIO | None) -> None:
        """Wraps a descriptor.

        Args:
            number: 1 or 2.
            like: The stream that is replaced, whose encoding and buffering are kept.
        """
        self.descriptor = _Descriptor(number)
        console = sys.platform == "win32" and like is not None and like.isatty()
        super().__init__(
            # A Windows console takes text, not bytes: Python's own stream knows how.
            like.buffer if console and like is not None else io.BufferedWriter(self.descriptor),
            encoding=getattr(like, "encoding", None) or "utf-8",
            errors=ESCAPES,
            line_buffering=number == 2 or getattr(like, "line_buffering", False),
            write_through=getattr(like, "write_through", False),
        )

    def write(self, text: str) -> int:
        """Writes text, with what a terminal would obey as escapes."""
        super().write(visible(text, keep_lines=True))
        return len(text)

    def write_styled(self, text: str) -> int:
        """Writes text whose escape sequences are the toolkit's own."""
        return super().write(text)


def protect_streams() -> None:
    """Replaces standard output and error by streams that neither fail nor pass on commands.

    Streams that were replaced before, such as by a test or a notebook, are left as they are.
    """
    _open_closed_descriptors()
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115  (for the process's life)
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is None or stream is getattr(sys, f"__{name}__"):
            if stream is not None:
                stream.flush()
            setattr(sys, name, SafeStream(number, stream))


def output_failure() -> OSError | None:
    """Why some of the standard output was lost, after all of it was written; None if none was."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, SafeStream):
            stream.flush()
    return sys.stdout.descriptor.failure if isinstance(sys.stdout, SafeStream) else None


def _open_closed_descriptors() -> None:
    """Points closed standard descriptors at the null device.

    Otherwise the next file that is opened gets their number, and what libraries print goes there.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)


def _reader_gone_on_windows(error: OSError) -> bool:
    return sys.platform == "win32" and error.errno == errno.EINVAL
