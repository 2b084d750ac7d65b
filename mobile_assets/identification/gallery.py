"""The gallery of a bundle: embeddings of the register's photos, and a direction of each object.

`gallery/gallery.json` is the header; every array is a file of its own beside it, little-endian, row
after row, without a header, so that an app reads or maps it as it is:

    embeddings.bin         int8 [rows, dimensions]
    embedding_scales.bin   float32 [rows]
    row_objects.bin        int32 [rows], class indices, never falling
    row_photos.bin         uint8 [rows, 32], SHA-256 of the photo's file
    directions.bin         int8 [objects, dimensions]
    direction_scales.bin   float32 [objects]

A row is its int8 values times its scale, and of length 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mobile_assets.bundle import Bundle
from mobile_assets.bundle_contents import MOST_VALUES, BundleContents
from mobile_assets.errors import DamagedError
from mobile_assets.files import write_bytes
from mobile_assets.schema import Document

GALLERY_FOLDER = "gallery"
GALLERY_FILE = f"{GALLERY_FOLDER}/gallery.json"

MOST_ROWS = 2_000_000
MOST_DIMENSIONS = 2048
SHA256_BYTES = 32

_LENGTH_TOLERANCE = 0.03
"""How far a row's length may be from 1. Rounding to int8 moves it by under 0.01 in 64 dimensions
and less in more; a longer row would be nearer to every photo than it ought to be."""

_LARGEST = 127
_ROWS_AT_ONCE = 16_384

Int8s = NDArray[np.int8]
Floats = NDArray[np.float32]


class GalleryInfo(Document):
    """The content of `gallery/gallery.json`.

    Attributes:
        objects: As many as the label map has.
        dimensions: Values of an embedding.
        rows: Embeddings in the gallery; 0 for directions alone.
        unseen_objects: Class indices, rising, of the objects whose photos trained neither the
            network nor its embedding: held out, or enrolled later. Their rows stand for photos of
            objects that are not in the register, once their own entry is removed.
    """

    objects: int = Field(ge=2)
    dimensions: int = Field(ge=1, le=MOST_DIMENSIONS)
    rows: int = Field(ge=0, le=MOST_ROWS)
    unseen_objects: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class QuantisedRows:
    """Rows of length 1 in 8 bits, each with a scale of its own.

    Attributes:
        values: `[rows, dimensions]` int8, -127 to 127.
        scales: `[rows]` float32, above 0.
    """

    values: Int8s
    scales: Floats

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.scales)

    @classmethod
    def of(cls, rows: NDArray[np.floating[Any]]) -> Self:
        """Rounds rows of length 1, `[rows, dimensions]`.

        Raises:
            ValueError: A row is not finite or not of length 1.
        """
        exact = np.asarray(rows, dtype=np.float32)
        lengths = np.linalg.norm(exact, axis=1)
        if not (np.abs(lengths - 1) <= 1e-3).all():
            raise ValueError("the rows are not all of length 1")
        scales = np.abs(exact).max(axis=1, initial=0) / np.float32(_LARGEST)
        values = np.rint(exact / scales[:, None]).clip(-_LARGEST, _LARGEST)
        return cls(values.astype(np.int8), scales.astype(np.float32))

    def dequantised(self, rows: slice | NDArray[np.integer] = slice(None)) -> Floats:
        """The rows in float32, all or some of them."""
        chosen: Floats = self.values[rows] * self.scales[rows, None]
        return chosen

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> QuantisedRows:
        """Some rows, unchanged."""
        return QuantisedRows(self.values[rows], self.scales[rows])


@dataclass(frozen=True, eq=False)
class Gallery:
    """What photos are compared with.

    Attributes:
        embeddings: Of the register's photos, `[rows, dimensions]`.
        row_objects: `[rows]` int32, class indices, never falling.
        row_photos: `[rows, 32]` uint8, SHA-256 of each photo's file.
        directions: One of each object, `[objects, dimensions]`.
        unseen_objects: As in `GalleryInfo`.
    """

    embeddings: QuantisedRows
    row_objects: NDArray[np.int32]
    row_photos: NDArray[np.uint8]
    directions: QuantisedRows
    unseen_objects: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Checks that the arrays fit together.

        Raises:
            ValueError: They do not.
        """
        for problem in _problems(self):
            raise ValueError(problem)

    @property
    def objects(self) -> int:
        """Number of objects."""
        return len(self.directions)

    @property
    def dimensions(self) -> int:
        """Values of an embedding."""
        return int(self.directions.values.shape[1])

    @property
    def info(self) -> GalleryInfo:
        """The header."""
        return GalleryInfo(
            objects=self.objects,
            dimensions=self.dimensions,
            rows=len(self.embeddings),
            unseen_objects=self.unseen_objects,
        )

    def write(self, bundle: Path) -> None:
        """Writes the files into a bundle's folder, the header last; the same bytes every time."""
        for name, array in _arrays(self).items():
            little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
            write_bytes(bundle / GALLERY_FOLDER / name, little.tobytes())
        self.info.write(bundle / GALLERY_FILE)


def read_gallery(bundle: Bundle) -> Gallery | None:
    """The gallery of a bundle; None if it has none.

    Raises:
        DamagedError: A file is missing, changed or of the wrong size, a value is out of range, or
            it is of another number of objects than the label map.
    """
    contents = bundle.contents or BundleContents(bundle.folder, {})
    if GALLERY_FILE not in contents:
        return None
    header = bundle.folder / GALLERY_FILE
    info = GalleryInfo.parse(contents.read(GALLERY_FILE), header, most_values=MOST_VALUES)
    if info.objects != len(bundle.labels):
        raise _damaged(header, f"it is of {info.objects} objects, not of {len(bundle.labels)}")

    def read(name: str, dtype: str, *shape: int) -> NDArray[Any]:
        content = contents.read(f"{GALLERY_FOLDER}/{name}")
        kind = np.dtype(dtype)
        expected = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
        if len(content) != expected:
            raise _damaged(header, f"{name} has {len(content):,} bytes instead of {expected:,}")
        # A view: nothing is copied where the machine is little-endian.
        return (
            np.frombuffer(content, kind).reshape(shape).astype(kind.newbyteorder("="), copy=False)
        )

    try:
        return _assembled(info, read)
    except ValueError as error:
        raise _damaged(header, str(error)) from None


def _assembled(info: GalleryInfo, read: Callable[..., NDArray[Any]]) -> Gallery:
    rows, dimensions = info.rows, info.dimensions
    return Gallery(
        embeddings=QuantisedRows(
            read("embeddings.bin", "<i1", rows, dimensions),
            read("embedding_scales.bin", "<f4", rows),
        ),
        row_objects=read("row_objects.bin", "<i4", rows),
        row_photos=read("row_photos.bin", "<u1", rows, SHA256_BYTES),
        directions=QuantisedRows(
            read("directions.bin", "<i1", info.objects, dimensions),
            read("direction_scales.bin", "<f4", info.objects),
        ),
        unseen_objects=info.unseen_objects,
    )


def _arrays(gallery: Gallery) -> dict[str, NDArray[Any]]:
    return {
        "embeddings.bin": gallery.embeddings.values,
        "embedding_scales.bin": gallery.embeddings.scales,
        "row_objects.bin": gallery.row_objects,
        "row_photos.bin": gallery.row_photos,
        "directions.bin": gallery.directions.values,
        "direction_scales.bin": gallery.directions.scales,
    }


_DTYPES: Final = {
    "embeddings.bin": np.int8,
    "embedding_scales.bin": np.float32,
    "row_objects.bin": np.int32,
    "row_photos.bin": np.uint8,
    "directions.bin": np.int8,
    "direction_scales.bin": np.float32,
}


def _problems(gallery: Gallery) -> Iterator[str]:
    """What keeps the arrays from being a gallery; each check relies on the ones before it."""
    arrays, rows = _arrays(gallery), len(gallery.embeddings)
    objects, dimensions = gallery.directions.values.shape
    shapes = {
        "embeddings.bin": (rows, dimensions),
        "row_objects.bin": (rows,),
        "row_photos.bin": (rows, SHA256_BYTES),
        "direction_scales.bin": (objects,),
    }
    for name, array in arrays.items():
        if array.dtype != _DTYPES[name] or array.shape != shapes.get(name, array.shape):
            yield f"{name} is {array.dtype} {list(array.shape)}"
    if rows and (gallery.row_objects.min() < 0 or gallery.row_objects.max() >= objects):
        yield f"row_objects.bin has indices outside 0 to {objects - 1}"
    if (np.diff(gallery.row_objects) < 0).any():
        yield "row_objects.bin is not in the order of the objects"
    # With some objects only, their scores would be of another kind than the others'.
    if rows and np.unique(gallery.row_objects).size < objects:
        yield "some objects have rows and some have none"
    unseen = gallery.unseen_objects
    if list(unseen) != sorted(set(unseen)) or any(not 0 <= index < objects for index in unseen):
        yield "unseen_objects are not rising class indices"
    for name, part in (("embedding", gallery.embeddings), ("direction", gallery.directions)):
        if wrong := _rows_problem(part):
            yield f"{name}s.bin or {name}_scales.bin: {wrong}"


def _rows_problem(rows: QuantisedRows) -> str | None:
    if not ((rows.scales > 0) & (rows.scales <= 1)).all():  # false for NaN
        return "a scale is not above 0 and at most 1"
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        part = rows.dequantised(slice(start, start + _ROWS_AT_ONCE))
        lengths = np.sqrt(np.einsum("ij,ij->i", part, part))
        if not (np.abs(lengths - 1) <= _LENGTH_TOLERANCE).all():
            return "a row is not of length 1"
    return None


def _damaged(path: Path, why: str) -> DamagedError:
    return DamagedError(
        f"{path} and the arrays beside it are no gallery ({why}). "
        "They are damaged: export the bundle again."
    )
