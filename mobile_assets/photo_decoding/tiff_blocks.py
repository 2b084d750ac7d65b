"""The samples of a TIFF, decompressed strip by strip or tile by tile.

Pillow turns few kinds of samples into pixels, and some of these wrongly. Here it only decompresses:
each strip or tile is handed to it as rows of bytes, which NumPy then reads as what they are.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobile_assets.photo_decoding import tiff_tags as tag
from mobile_assets.photo_decoding.errors import UnreadableError
from mobile_assets.photo_decoding.limits import BAND_BYTES, DECODER_BYTES

Bytes = NDArray[np.uint8]
Samples = NDArray[Any]

COMPRESSIONS = {1, 5, 8, 32773, 32946, 34925, 50000}
"""None, LZW, Deflate, PackBits, the older Deflate, LZMA and Zstandard: what gives bytes back."""

WHOLE_BYTES = (8, 16, 32, 64)
_PREDICTORS = (1, 2, 3)


@dataclass(frozen=True)
class TiffLayout:
    """Where the samples of a page stand, and as what.

    Attributes:
        width: Of the picture, pixels.
        height: Of the picture, pixels.
        samples: Of a pixel.
        bits: Of a sample.
        format: 1 unsigned, 2 signed, 3 floating point.
        planar: Whether each sample of the pixels has strips or tiles of its own.
        block: Width and height of a tile or strip, pixels.
        offsets: Where the tiles or strips stand in the file.
        sizes: How many bytes they take.
        compression: As in `COMPRESSIONS`.
        predictor: 1 none, 2 difference to the pixel on the left, 3 the same for floating point.
        order: `<` or `>`.
        tiled: Whether there are tiles.
    """

    width: int
    height: int
    samples: int
    bits: int
    format: int
    planar: bool
    block: tuple[int, int]
    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    compression: int
    predictor: int
    order: str
    tiled: bool

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of a sample in memory, native byte order."""
        letter = {1: "u", 2: "i", 3: "f"}[self.format]
        size = next(size for size in (1, 2, 4, 8) if 8 * size >= self.bits)
        return np.dtype(f"{letter}{size}")

    @property
    def across(self) -> int:
        """Tiles beside each other."""
        return -(-self.width // self.block[0])

    @property
    def down(self) -> int:
        """Tiles or strips above each other."""
        return -(-self.height // self.block[1])

    @property
    def block_samples(self) -> int:
        """Samples of a pixel in one tile or strip."""
        return 1 if self.planar else self.samples

    @property
    def pixel_bytes(self) -> int:
        """Bytes of memory that a pixel takes while it is decompressed, about."""
        unpacked = 0 if self.bits in WHOLE_BYTES else self.bits
        return self.samples * (unpacked + 4 * self.dtype.itemsize)

    @property
    def row_bytes(self) -> int:
        """Bytes of a row of one tile or strip."""
        return (self.block[0] * self.block_samples * self.bits + 7) // 8


def read_layout(page: tag.TiffPage) -> TiffLayout | None:
    """How the samples are laid out; None for kinds that are left to Pillow.

    Raises:
        UnreadableError: The tags contradict each other.
    """
    width, height = page.size
    samples = page.number(tag.SAMPLES, 1)
    bits = set(list(page.tags.get(tag.BITS, [1]))[: max(1, samples)])
    formats = set(list(page.tags.get(tag.SAMPLE_FORMAT, [1]))[: max(1, samples)])
    kind = formats.pop() if len(formats) == 1 else 0
    depth = bits.pop() if len(bits) == 1 else 0
    kind = 1 if kind == 4 else kind  # undefined
    compression = page.number(tag.COMPRESSION, 1)
    predictor = page.number(tag.PREDICTOR, 1) if compression != 1 else 1
    known = (
        compression in COMPRESSIONS
        and page.number(tag.FILL_ORDER, 1) == 1
        and depth in ((16, 32, 64) if kind == 3 else (1, 2, 4, 8, 10, 12, 14, 16, 32, 64))
        and kind in (1, 2, 3)
        and 1 <= samples <= 64
        and predictor in _PREDICTORS
        and (predictor == 1 or depth in WHOLE_BYTES)
        and (predictor == 3) <= (kind == 3)
    )
    if not known:
        return None
    tiled = tag.TILES in page.tags
    rows = page.number(tag.ROWS_PER_STRIP, height) or height
    block = (width, min(rows, height))
    if tiled:
        block = (page.number(tag.TILE_WIDTH), page.number(tag.TILE_HEIGHT))
        if 0 in block or max(block) > 1 << 16:
            raise UnreadableError("damaged (a TIFF's tiles have no size)")
    offsets = tuple(page.tags.get(tag.TILES if tiled else tag.STRIPS, ()))
    sizes = tuple(page.tags.get(tag.TILE_BYTES if tiled else tag.STRIP_BYTES, ()))
    layout = TiffLayout(
        width=width,
        height=height,
        samples=samples,
        bits=depth,
        format=kind,
        planar=page.number(tag.PLANAR, 1) == 2 and samples > 1,
        block=block,
        offsets=offsets,
        sizes=sizes,
        compression=compression,
        predictor=predictor,
        order=page.order,
        tiled=tiled,
    )
    return _checked(layout)


def _checked(layout: TiffLayout) -> TiffLayout:
    blocks = layout.across * layout.down * (layout.samples if layout.planar else 1)
    if len(layout.offsets) < blocks:
        raise UnreadableError("damaged (a TIFF lacks some of its strips or tiles)")
    if len(layout.sizes) < blocks:
        if layout.compression != 1:
            raise UnreadableError("damaged (a TIFF does not say how long its strips are)")
        sizes = (layout.row_bytes * layout.block[1],) * blocks
        return TiffLayout(**(vars(layout) | {"sizes": sizes}))
    return layout


def bands(layout: TiffLayout, file: BinaryIO) -> Iterator[tuple[int, Samples]]:
    """Yields (row, samples) of the page, from the top.

    Args:
        layout: Of the page.
        file: The open file.

    Yields:
        The first row of a band, and its samples, `[rows, width, samples]` in native byte order.

    Raises:
        UnreadableError: The file is cut off or damaged, or a strip takes too much memory.
    """
    single = layout.compression == 1 and not layout.tiled
    rows = max(1, BAND_BYTES // (layout.width * layout.pixel_bytes))
    if not single:
        rows = max(1, rows // layout.block[1]) * layout.block[1]
    if rows * layout.across * layout.block[0] * layout.pixel_bytes > DECODER_BYTES:
        raise UnreadableError("a TIFF whose strips are too large to be read one at a time")
    read = _uncompressed_rows if single else _block_rows
    rows += rows % 2 * rows  # even, so that bands can be halved
    for top in range(0, layout.height, rows):
        count = min(rows, layout.height - top)
        planes = range(layout.samples) if layout.planar else range(1)
        parts = [read(layout, file, plane, top, count) for plane in planes]
        yield top, parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)


def _uncompressed_rows(
    layout: TiffLayout, file: BinaryIO, plane: int, top: int, count: int
) -> Samples:
    """Rows of strips that are not compressed, however long the strips are."""
    data = bytearray()
    row = top
    while row < top + count:
        strip, inside = divmod(row, layout.block[1])
        rows = min(layout.block[1] - inside, top + count - row)
        file.seek(layout.offsets[plane * layout.down + strip] + inside * layout.row_bytes)
        data += _read(file, rows * layout.row_bytes)
        row += rows
    stored = np.frombuffer(data, np.uint8).reshape(count, layout.row_bytes)
    return _samples(layout, stored, layout.width)


def _block_rows(layout: TiffLayout, file: BinaryIO, plane: int, top: int, count: int) -> Samples:
    """Rows of tiles or compressed strips; `top` is the first row of some."""
    height = layout.block[1]
    first = top // height
    rows_of_blocks = -(-count // height)
    start = plane * layout.across * layout.down + first * layout.across
    numbers = range(start, start + rows_of_blocks * layout.across)
    # The last strip may be cut short, but never a tile.
    rows = rows_of_blocks * layout.across * height if layout.tiled else count
    stored = _decompressed(layout, file, numbers, rows)
    samples = _samples(layout, stored, layout.block[0])
    if layout.tiled:
        shape = (rows_of_blocks, layout.across, height, layout.block[0], layout.block_samples)
        grid = samples.reshape(shape).transpose(0, 2, 1, 3, 4)
        samples = grid.reshape(rows_of_blocks * height, -1, layout.block_samples)
    return samples[:count, : layout.width]


def _decompressed(layout: TiffLayout, file: BinaryIO, numbers: range, rows: int) -> Bytes:
    """Rows of bytes, `[rows, row_bytes]`, of tiles or strips put under each other."""
    # No way of packing makes more than twice of what is packed: a size beyond that is a lie.
    length = layout.row_bytes * layout.block[1]
    most = length if layout.compression == 1 else 2 * length + 4096
    chunks = []
    for number in numbers:
        file.seek(layout.offsets[number])
        size = most if layout.compression == 1 else min(layout.sizes[number], most)
        chunks.append(_read(file, size))
    if layout.compression == 1:
        return np.frombuffer(b"".join(chunks), np.uint8).reshape(-1, layout.row_bytes)
    with Image.open(io.BytesIO(_as_grey(layout, chunks, rows)), formats=("TIFF",)) as opened:
        return np.asarray(opened)


def _as_grey(layout: TiffLayout, chunks: list[bytes], rows: int) -> bytes:
    """A TIFF of 8-bit greys that holds the chunks as its strips."""
    offsets, position = [], 8
    for chunk in chunks:
        offsets.append(position)
        position += len(chunk)
    entries = [
        (tag.WIDTH, [layout.row_bytes]),
        (tag.HEIGHT, [rows]),
        (tag.BITS, [8]),
        (tag.COMPRESSION, [layout.compression]),
        (tag.PHOTOMETRIC, [1]),
        (tag.STRIPS, offsets),
        (tag.SAMPLES, [1]),
        (tag.ROWS_PER_STRIP, [layout.block[1]]),
        (tag.STRIP_BYTES, [len(chunk) for chunk in chunks]),
    ]
    table = struct.pack("<H", len(entries))
    extra, at = b"", position + 2 + 12 * len(entries) + 4
    for number, values in entries:
        packed = struct.pack(f"<{len(values)}L", *values)
        if len(values) > 1:
            extra, packed = extra + packed, struct.pack("<L", at + len(extra))
        table += struct.pack("<HHL", number, 4, len(values)) + packed
    return b"".join([b"II*\0", struct.pack("<L", position), *chunks, table, bytes(4), extra])


def _samples(layout: TiffLayout, stored: Bytes, width: int) -> Samples:
    """Samples `[rows, width, samples]` of rows of bytes."""
    rows, count, bits = len(stored), layout.block_samples, layout.bits
    if bits not in WHOLE_BYTES:
        flags = np.unpackbits(stored, axis=1)[:, : width * count * bits]
        flags = flags.reshape(rows, width, count, bits)
        values = np.zeros(flags.shape[:3], layout.dtype)
        for bit in range(bits):
            values = (values << 1) | flags[..., bit]
        return values
    size = bits // 8
    if layout.predictor == 3:
        stored = _undo_float_predictor(stored, count, size)
    order: Literal["<", ">"] = "<" if layout.order == "<" and layout.predictor != 3 else ">"
    values = np.ascontiguousarray(stored).view(layout.dtype.newbyteorder(order))
    native = values.reshape(rows, width, count).astype(layout.dtype, copy=False)
    if layout.predictor == 2:
        whole = native.view(f"u{size}")
        native = np.cumsum(whole, axis=1, dtype=whole.dtype).view(layout.dtype)
    return native


def _undo_float_predictor(stored: Bytes, count: int, size: int) -> Bytes:
    """Big-endian numbers of rows in which the bytes of each significance stand together."""
    rows = len(stored)
    summed = np.cumsum(stored.reshape(rows, -1, count), axis=1, dtype=np.uint8)
    planes = summed.reshape(rows, size, -1).transpose(0, 2, 1)
    return planes.reshape(rows, -1)


def _read(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise UnreadableError("truncated (the file ends in a TIFF's pixels)")
    return data
