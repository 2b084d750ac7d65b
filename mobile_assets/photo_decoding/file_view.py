"""A file without the parts that no pixel depends on.

Decoders read metadata too, and refuse a sound picture for a damaged comment. They are given a view
of the file that leaves such parts out, or has some bytes replaced.
"""

from __future__ import annotations

import bisect
import io
from collections.abc import Sequence
from typing import BinaryIO

Part = bytes | tuple[int, int]
"""Bytes as they are, or from where to where they stand in the file."""


class FileView:
    """Reads parts of a file in the order given, as if they were a file of their own."""

    def __init__(self, file: BinaryIO, parts: Sequence[Part]) -> None:
        """Takes the parts; those of the file are not read yet.

        Args:
            file: An open file, which nobody else may read from meanwhile.
            parts: Bytes, or (start, end) in the file.
        """
        self._file = file
        self._parts = list(parts)
        self._ends: list[int] = []
        total = 0
        for part in self._parts:
            total += len(part) if isinstance(part, bytes) else part[1] - part[0]
            self._ends.append(total)
        self._size = total
        self._position = 0

    def read(self, size: int | None = -1) -> bytes:
        """Reads up to `size` bytes, fewer at the end only; all that are left for None or −1."""
        left = self._size - self._position
        wanted = left if size is None or size < 0 else min(size, left)
        chunks = []
        while wanted > 0:
            chunk = self._read_of_one_part(wanted)
            if not chunk:  # the file has become shorter
                break
            chunks.append(chunk)
            wanted -= len(chunk)
            self._position += len(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _read_of_one_part(self, wanted: int) -> bytes:
        index = bisect.bisect_right(self._ends, self._position)
        part = self._parts[index]
        offset = self._position - (self._ends[index - 1] if index else 0)
        if isinstance(part, bytes):
            return part[offset : offset + wanted]
        self._file.seek(part[0] + offset)
        return self._file.read(min(wanted, part[1] - part[0] - offset))

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Sets the position."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError("a position before the file's start")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """The position."""
        return self._position

    def seekable(self) -> bool:
        """True."""
        return True

    def readable(self) -> bool:
        """True."""
        return True

    def close(self) -> None:
        """Does nothing: whoever opened the file closes it."""
