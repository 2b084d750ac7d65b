"""The tags of a TIFF's first page (TIFF 6.0, and BigTIFF)."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from mobile_assets.photo_decoding.errors import UnreadableError
from mobile_assets.photo_decoding.exif import valid_orientation
from mobile_assets.photo_decoding.file_view import Part

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
FILL_ORDER, STRIPS, ORIENTATION, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES = 266, 273, 274, 277, 278, 279
PLANAR, PREDICTOR, COLOUR_MAP, TILE_WIDTH, TILE_HEIGHT = 284, 317, 320, 322, 323
TILES, TILE_BYTES, EXTRA_SAMPLES, SAMPLE_FORMAT, ICC_PROFILE = 324, 325, 338, 339, 34675
SUBSAMPLING = 530
_WANTED = frozenset(
    {WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, STRIPS, ORIENTATION, SAMPLES}
    | {ROWS_PER_STRIP, STRIP_BYTES, PLANAR, PREDICTOR, COLOUR_MAP, TILE_WIDTH, TILE_HEIGHT}
    | {TILES, TILE_BYTES, EXTRA_SAMPLES, SAMPLE_FORMAT, ICC_PROFILE, SUBSAMPLING}
)
_FOR_DECODERS = _WANTED - {ORIENTATION, ICC_PROFILE} | frozenset(
    (292, 293, 332, 347, *range(512, 522), *range(529, 533))
)  # and the options of fax, the tables of JPEG, YCbCr: nothing else decides on a pixel
_KINDS = {
    1: "u1",
    2: "u1",
    3: "u2",
    4: "u4",
    6: "i1",
    7: "u1",
    8: "i2",
    9: "i4",
    16: "u8",
    18: "u8",
}
_KINDS_OF_RAW = frozenset({50706, 50740, 33421, 33422})  # DNG version and private data, mosaic
_MOSAIC = frozenset({32803, 34892})
_MOST_BLOCKS = 1 << 20


@dataclass(frozen=True)
class TiffPage:
    """A page of a TIFF: tags, and the fields that every page has.

    Attributes:
        order: `<` or `>`, how the file writes numbers.
        tags: Values of the tags that pixels depend on; those of another kind than numbers left out.
        big: Whether the file is a BigTIFF.
        entries: The entries as they stand in the file of all tags that a decoder needs, in order.
    """

    order: str
    tags: dict[int, Sequence[int]]
    big: bool = False
    entries: tuple[bytes, ...] = ()

    def parts(self, length: int) -> tuple[Part, ...]:
        """The file of `length` bytes as one of this page only, without all other tags."""
        head = self.order + ("2sHHHQ" if self.big else "2sHL")
        count = struct.pack(self.order + ("Q" if self.big else "H"), len(self.entries))
        pad, mark = bytes(length % 2), b"II" if self.order == "<" else b"MM"
        fields = (43, 8, 0) if self.big else (42,)
        start = struct.pack(head, mark, *fields, length + len(pad))
        table = count + b"".join(self.entries) + bytes(8 if self.big else 4)
        return (start, (len(start), length), pad + table)

    def number(self, tag: int, default: int = 0) -> int:
        """The first value of a tag."""
        values = self.tags.get(tag)
        return int(values[0]) if values is not None and len(values) else default

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, as stored."""
        return self.number(WIDTH), self.number(HEIGHT)

    @property
    def orientation(self) -> int:
        """1 to 8."""
        return valid_orientation(self.number(ORIENTATION, 1))

    @property
    def profile(self) -> bytes | None:
        """The ICC profile."""
        values = self.tags.get(ICC_PROFILE)
        return None if values is None else bytes(np.asarray(values, dtype=np.uint8))


def read_tiff_page(file: BinaryIO) -> TiffPage:
    """Reads the first page's tags.

    Raises:
        UnreadableError: The tags are not there, or the file is a camera's raw file, whose first
            page is a small preview or a mosaic of colour filters.
    """
    length = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(16)
    order = "<" if head[:2] == b"II" else ">"
    try:
        big = struct.unpack_from(order + "H", head, 2)[0] == 43
        (start,) = struct.unpack_from(order + ("Q" if big else "L"), head, 8 if big else 4)
        page = _read_tags(file, order, big, start, length)
    except (struct.error, OSError, OverflowError):
        raise UnreadableError("truncated or damaged (a TIFF without tags)") from None
    if 0 in page.size:
        raise UnreadableError("damaged (a TIFF without width or height)")
    return page


def _read_tags(file: BinaryIO, order: str, big: bool, start: int, length: int) -> TiffPage:
    file.seek(start)
    count_format, entry_format = (
        (order + "Q", order + "HHQ8s") if big else (order + "H", order + "HHL4s")
    )
    (count,) = struct.unpack(count_format, file.read(struct.calcsize(count_format)))
    size = struct.calcsize(entry_format)
    entries = file.read(size * min(count, 4096))
    if len(entries) < size * min(count, 4096):
        raise UnreadableError("truncated (the file ends in a TIFF's tags)")
    tags: dict[int, Sequence[int]] = {}
    numbers, kept = set(), []
    for at in range(0, len(entries) - size + 1, size):
        tag, kind, values, inline = struct.unpack_from(entry_format, entries, at)
        numbers.add(tag)
        if tag in _FOR_DECODERS:
            kept.append((tag, entries[at : at + size]))
        if tag not in _WANTED or kind not in _KINDS or values == 0:
            continue
        dtype = np.dtype(order + _KINDS[kind])
        wanted = dtype.itemsize * values
        if wanted > length or values > (1 << 26 if tag == ICC_PROFILE else _MOST_BLOCKS):
            continue
        data = inline
        if wanted > len(inline):
            file.seek(struct.unpack(order + ("Q" if big else "L"), inline)[0])
            data = file.read(wanted)
        if len(data) >= wanted:
            tags[tag] = np.frombuffer(data, dtype, values).tolist()
        elif tag in _FOR_DECODERS:  # its default would make another picture
            raise UnreadableError("truncated (the file ends before a TIFF's tags do)")
    if numbers & _KINDS_OF_RAW or tags.get(PHOTOMETRIC, [0])[0] in _MOSAIC:
        raise UnreadableError("a camera's raw file, which is not read")
    return TiffPage(order, tags, big, tuple(entry for _, entry in sorted(kept)))
