"""Prepared pixels on disk, read in parts: what training sees of them, without holding them all."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, overload

import numpy as np
from numpy.typing import NDArray

Index = slice | NDArray[np.integer] | NDArray[np.bool_] | Sequence[int]


class Pixels(Protocol):
    """`[N, height, width, 3]` uint8 RGB: an array, or `PixelRows`."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: slice | NDArray[np.int64], /) -> NDArray[np.uint8]: ...


@dataclass(frozen=True)
class Header:
    """Where the rows of a `.npy` file of pixels lie: offset in bytes and `[N, H, W, 3]`."""

    offset: int
    shape: tuple[int, ...]

    @property
    def row_bytes(self) -> int:
        """Size of a row in bytes."""
        return int(np.prod(self.shape[1:]))


def create(path: Path, shape: tuple[int, int, int, int]) -> Header:
    """Creates a `.npy` file of zeros, without taking the disk space yet where that can be."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|u1", "fortran_order": False, "shape": shape}
        )
        header = Header(file.tell(), shape)
        file.truncate(header.offset + shape[0] * header.row_bytes)
    return header


def read_header(path: Path) -> Header:
    """Reads and checks the header of a file that `create` made.

    Raises:
        OSError: The file is missing or cut off.
        ValueError: It is no such file.
    """
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        header = Header(file.tell(), shape)
    if dtype != np.uint8 or fortran or len(shape) != 4:
        raise ValueError(f"{path} does not hold pixels")
    if path.stat().st_size != header.offset + shape[0] * header.row_bytes:
        raise ValueError(f"{path} is cut off")
    return header


class PixelFile:
    """A `.npy` file of pixels, held open: it stays readable when a newer one takes its place.

    Rows are read rather than mapped, so that they do not count as memory of the process.
    """

    def __init__(self, path: Path) -> None:
        self.header = read_header(path)
        self._file = path.open("rb")
        self._lock = threading.Lock()

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Rows in the order given, `[len(rows), H, W, 3]` uint8."""
        pixels = np.empty((len(rows), *self.header.shape[1:]), np.uint8)
        size = self.header.row_bytes
        flat = pixels.reshape(-1)
        with self._lock:
            for index, row in enumerate(rows.tolist()):
                self._file.seek(self.header.offset + row * size)
                if self._file.readinto(flat[index * size : (index + 1) * size].data) != size:
                    raise OSError("the prepared photos were cut off while they were in use")
        return pixels

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class PixelRows:
    """Some rows of a file of pixels; looks like an array `[N, H, W, 3]` of uint8.

    Indexing with an integer, a slice, or a NumPy array of positions or of truth values reads the
    rows from disk. Rows are never kept.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, file: PixelFile, rows: NDArray[np.int64]) -> None:
        self._file = file
        self._rows = rows

    @property
    def shape(self) -> tuple[int, ...]:
        """`(N, height, width, 3)`."""
        return (len(self._rows), *self._file.header.shape[1:])

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int, /) -> NDArray[np.uint8]: ...
    @overload
    def __getitem__(self, index: Index, /) -> NDArray[np.uint8]: ...
    def __getitem__(self, index: int | Index, /) -> NDArray[np.uint8]:
        """Reads one photo `[H, W, 3]`, or several `[n, H, W, 3]`."""
        rows = self._rows[index]
        if isinstance(rows, np.ndarray):
            return self._file.read(rows)
        return self._file.read(np.array([rows], dtype=np.int64))[0]
