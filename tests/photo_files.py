"""Photo files written by hand, byte for byte, so that no decoder's own writer is believed."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

NONE, LZW, DEFLATE, PACKBITS = 1, 5, 8, 32773


def turned(pixels: Array, orientation: int) -> Array:
    """What an upright viewer shows of stored pixels, by the definition of the EXIF tag."""
    flips = {1: (), 2: (1,), 3: (0, 1), 4: (0,), 5: (), 6: (1,), 7: (0, 1), 8: (0,)}
    swapped = pixels.swapaxes(0, 1) if orientation > 4 else pixels
    return np.flip(swapped, flips[orientation])


def ifd(order: str, entries: Iterable[tuple[int, int, int, bytes]], at: int) -> bytes:
    """A TIFF directory (tag, type, count, data) that starts at the offset `at`."""
    rows = sorted(entries)
    extra_at = at + 2 + 12 * len(rows) + 4
    head, extra = struct.pack(order + "H", len(rows)), b""
    for number, kind, count, data in rows:
        field = data.ljust(4, b"\0")
        if len(data) > 4:
            field = struct.pack(order + "L", extra_at + len(extra))
            extra += data + bytes(len(data) % 2)
        head += struct.pack(order + "HHL", number, kind, count) + field
    return head + bytes(4) + extra


def exif(order: str = "<", *more: tuple[int, int, int, bytes], orientation: int = 6) -> bytes:
    """EXIF data with an orientation and other tags."""
    rows = [(0x0112, 3, 1, struct.pack(order + "H", orientation)), *more]
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(order + "L", 8) + ifd(order, rows, 8)


def _lzw(data: bytes) -> bytes:
    bits, length, codes = 0, 0, {bytes([value]): value for value in range(256)}
    out, width, current, following = bytearray(), 9, b"", 258

    def put(code: int) -> None:
        nonlocal bits, length
        bits, length = bits << width | code, length + width
        while length >= 8:
            length -= 8
            out.append(bits >> length & 255)
            bits &= (1 << length) - 1

    put(256)
    for byte in data:
        grown = current + bytes([byte])
        if grown in codes:
            current = grown
            continue
        put(codes[current])
        codes[grown], following, current = following, following + 1, bytes([byte])
        width = 9 + sum(following >= limit for limit in (512, 1024, 2048))
        if following == 4094:
            put(256)
            codes, following, width = {bytes([value]): value for value in range(256)}, 258, 9
    put(codes[current])
    following += 1
    width = 9 + sum(following >= limit for limit in (512, 1024, 2048))
    put(257)
    return bytes(out) + bytes([bits << (8 - length) & 255])


def _packbits(row: bytes) -> bytes:
    chunks = (row[start : start + 128] for start in range(0, len(row), 128))
    return b"".join(bytes([len(chunk) - 1]) + chunk for chunk in chunks)


def _row_bytes(row: Array, bits: int, order: str, predictor: int) -> bytes:
    """Bytes of one row `[width, samples]`."""
    if bits not in (8, 16, 32, 64):
        flags = (row.reshape(-1, 1).astype(np.int64) >> np.arange(bits - 1, -1, -1)) & 1
        return np.packbits(flags.astype(np.uint8).reshape(-1)).tobytes()
    if predictor == 3:
        planes = np.ascontiguousarray(row.astype(row.dtype.newbyteorder(">"))).view(np.uint8)
        planes = planes.reshape(-1, bits // 8).T.reshape(-1, row.shape[1])
        return np.diff(planes, axis=0, prepend=np.zeros((1, row.shape[1]), np.uint8)).tobytes()
    if predictor == 2:
        row = row.view(f"u{bits // 8}")
        row = np.diff(row, axis=0, prepend=np.zeros((1, row.shape[1]), row.dtype))
    return row.astype(row.dtype.newbyteorder(order)).tobytes()


def _packed(block: Array, bits: int, order: str, predictor: int, compression: int) -> bytes:
    rows = [_row_bytes(row, bits, order, predictor) for row in block]
    if compression == PACKBITS:
        return b"".join(map(_packbits, rows))
    data = b"".join(rows)
    return {NONE: bytes, LZW: _lzw, DEFLATE: zlib.compress}[compression](data)


def tiff(
    samples: Array,
    photometric: int,
    *,
    bits: int = 0,
    order: str = "<",
    compression: int = NONE,
    predictor: int = 1,
    planar: bool = False,
    tile: int = 0,
    rows: int = 5,
    orientation: int = 0,
    extra: Sequence[int] = (),
    more: Sequence[tuple[int, int, int, bytes]] = (),
) -> bytes:
    """A TIFF of samples `[height, width, samples]`, whose dtype tells unsigned, signed or float."""
    height, width, count = samples.shape
    bits = bits or 8 * samples.itemsize
    planes = [samples[..., n : n + 1] for n in range(count)] if planar else [samples]
    blocks = []
    for plane in planes:
        if tile:
            down, right = -height % tile, -width % tile
            padded = np.pad(plane, ((0, down), (0, right), (0, 0)))
            blocks += [
                padded[y : y + tile, x : x + tile]
                for y in range(0, height, tile)
                for x in range(0, width, tile)
            ]
        else:
            blocks += [plane[y : y + rows] for y in range(0, height, rows)]
    data, offsets, sizes = b"", [], []
    for block in blocks:
        packed = _packed(block, bits, order, predictor, compression)
        offsets.append(8 + len(data))
        sizes.append(len(packed))
        data += packed + bytes(len(packed) % 2)

    def numbers(tag: int, kind: str, *values: int) -> tuple[int, int, int, bytes]:
        return (
            tag,
            {"H": 3, "L": 4}[kind],
            len(values),
            struct.pack(order + f"{len(values)}{kind}", *values),
        )

    entries = [
        numbers(256, "L", width), numbers(257, "L", height), numbers(258, "H", *[bits] * count),
        numbers(259, "H", compression), numbers(262, "H", photometric), numbers(277, "H", count),
        numbers(284, "H", 2 if planar else 1),
        numbers(339, "H", *[{"u": 1, "i": 2, "f": 3}[samples.dtype.kind]] * count), *more,
    ]  # fmt: skip
    entries += [numbers(338, "H", *extra)] if extra else []
    entries += [numbers(317, "H", predictor)] if predictor > 1 else []
    entries += [numbers(274, "H", orientation)] if orientation else []
    if tile:
        entries += [numbers(322, "L", tile), numbers(323, "L", tile)]
        entries += [numbers(324, "L", *offsets), numbers(325, "L", *sizes)]
    else:
        entries += [numbers(278, "L", rows), numbers(273, "L", *offsets), numbers(279, "L", *sizes)]
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return (
        mark + struct.pack(order + "L", 8 + len(data)) + data + ifd(order, entries, 8 + len(data))
    )


def chunk(kind: bytes, data: bytes) -> bytes:
    """A PNG chunk."""
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def png(
    samples: Array,
    colour_type: int,
    *before: tuple[bytes, bytes],
    bits: int = 8,
    after: Sequence[tuple[bytes, bytes]] = (),
) -> bytes:
    """A PNG of samples `[height, width, samples]`, with chunks (kind, data) around the pixels."""
    rows = b"".join(
        b"\0" + _row_bytes(row.astype(np.uint16 if bits == 16 else np.uint8), bits, ">", 1)
        for row in samples
    )
    head = struct.pack(">LLBBBBB", samples.shape[1], samples.shape[0], bits, colour_type, 0, 0, 0)
    chunks = [(b"IHDR", head), *before, (b"IDAT", zlib.compress(rows)), *after, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks)


def profile(space: bytes, gamma: float, primaries: Array | None = None) -> bytes:
    """An ICC profile of grey or RGB with one curve; `primaries` are XYZ columns adapted to D50."""
    white = np.array([0.9642, 1.0, 0.8249])
    curve = b"curv" + struct.pack(">LLHH", 0, 1, round(256 * gamma), 0)
    tags = {b"wtpt": _xyz(white), b"cprt": b"text\0\0\0\0x\0\0\0", b"kTRC": curve}
    if primaries is not None:
        tags.pop(b"kTRC")
        for column, name in enumerate((b"r", b"g", b"b")):
            tags[name + b"XYZ"] = _xyz(primaries[:, column])
            tags[name + b"TRC"] = curve
    table, body, start = struct.pack(">L", len(tags)), b"", 132 + 12 * len(tags)
    for name, data in tags.items():
        table += struct.pack(">4sLL", name, start + len(body), len(data))
        body += data
    head = struct.pack(
        ">L4sL4s4s4s", start + len(body), b"    ", 0x02100000, b"mntr", space, b"XYZ "
    )
    head += bytes(12) + b"acsp" + bytes(28) + _xyz(white)[8:]
    return head.ljust(128, b"\0") + table + body


def _xyz(values: Array) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3l", *np.rint(values * 65536).astype(int).tolist())


def with_segments(jpeg: bytes, *segments: tuple[int, bytes]) -> bytes:
    """A JPEG with further segments (marker, content) at its start."""
    made = b"".join(
        b"\xff" + bytes([marker]) + struct.pack(">H", len(data) + 2) + data
        for marker, data in segments
    )
    return jpeg[:2] + made + jpeg[2:]


def gif(frames: Sequence[tuple[Array, tuple[int, int]]], screen: tuple[int, int]) -> bytes:
    """A GIF of frames (index array, left and top) with four colours, 0 to 3."""
    data = b"GIF89a" + struct.pack("<HHBBB", *screen, 0xF1, 0, 0) + bytes(GIF_PALETTE.reshape(-1))
    for indices, (left, top) in frames:
        height, width = indices.shape
        data += b"," + struct.pack("<HHHHB", left, top, width, height, 0) + b"\x02"
        data += _gif_lzw(indices.reshape(-1).tolist()) + b"\0"
    return data + b";"


GIF_PALETTE = np.array([[10, 20, 30], [200, 0, 0], [0, 180, 0], [0, 0, 160]], np.uint8)


def _gif_lzw(values: list[int]) -> bytes:
    """Three bits a code, cleared before the codes grow."""
    codes = []
    for position, value in enumerate(values):
        codes += [4] if position % 2 == 0 else []
        codes.append(value)
    bits = "".join(format(code, "03b")[::-1] for code in [*codes, 5])
    packed = bytes(
        int(bits[start : start + 8][::-1].rjust(8, "0"), 2) for start in range(0, len(bits), 8)
    )
    blocks = (packed[start : start + 255] for start in range(0, len(packed), 255))
    return b"".join(bytes([len(block)]) + block for block in blocks)


def bmp(pixels: Array, *, top_down: bool = False) -> bytes:
    """A BMP of 24 bits of `[height, width, 3]` RGB."""
    height, width = pixels.shape[:2]
    rows = pixels[..., ::-1] if top_down else pixels[::-1, :, ::-1]
    data = b"".join(row.tobytes() + bytes(-3 * width % 4) for row in rows)
    head = struct.pack(
        "<LllHHLLllLL", 40, width, -height if top_down else height, 1, 24, 0, 0, 1, 1, 0, 0
    )
    return b"BM" + struct.pack("<LHHL", 54 + len(data), 0, 0, 54) + head + data


def _box(kind: bytes, *content: bytes) -> bytes:
    data = b"".join(content)
    return struct.pack(">L4s", 8 + len(data), kind) + data


def _inside(file: bytes, kind: bytes) -> bytes:
    """The first box of a kind, wherever it is."""
    at = file.index(kind) - 4
    return file[at : at + int.from_bytes(file[at : at + 4], "big")]


def avif_of_two(first: bytes, second: bytes) -> bytes:
    """An AVIF of the pictures of two, of equal size and kind; the second is the primary one."""
    pictures = [_inside(file, b"mdat")[8:] for file in (first, second)]
    properties = [_inside(first, kind) for kind in (b"ispe", b"pixi", b"av1C", b"colr")]
    numbers = bytes([len(properties), *(n + 1 for n in range(len(properties)))])
    items = [
        _box(b"infe", b"\2\0\0\0", struct.pack(">HH", number, 0), b"av01", b"\0")
        for number in (1, 2)
    ]
    start = _box(b"ftyp", b"avif\0\0\0\0avifmif1miaf")

    def meta(offset: int) -> bytes:
        places = (offset, offset + len(pictures[0]))
        located = b"".join(
            struct.pack(">HHHLL", number, 0, 1, place, len(picture))
            for number, place, picture in zip((1, 2), places, pictures, strict=True)
        )
        associations = b"".join(struct.pack(">H", number) + numbers for number in (1, 2))
        return _box(
            b"meta", bytes(4),
            _box(b"hdlr", bytes(8), b"pict", bytes(13)),
            _box(b"pitm", bytes(4), struct.pack(">H", 2)),
            _box(b"iloc", bytes(4), b"\x44\0", struct.pack(">H", 2), located),
            _box(b"iinf", bytes(4), struct.pack(">H", 2), *items),
            _box(b"iprp", _box(b"ipco", *properties),
                 _box(b"ipma", bytes(4), struct.pack(">L", 2), associations)),
        )  # fmt: skip

    offset = len(start) + len(meta(0)) + 8
    return start + meta(offset) + _box(b"mdat", *pictures)


def bits_reversed(file: bytes) -> bytes:
    """An uncompressed little-endian TIFF with the bits of every pixel's byte in reverse order."""
    end = int.from_bytes(file[4:8], "little")
    flags = np.unpackbits(np.frombuffer(file[8:end], np.uint8).reshape(-1, 1), axis=1)
    return file[:8] + np.packbits(flags[:, ::-1], axis=1).tobytes() + file[end:]


def bmp_with_alpha(pixels: Array) -> bytes:
    """A BMP of 32 bits of `[height, width, 4]` RGBA, with the masks of a version 4 header."""
    height, width = pixels.shape[:2]
    data = pixels[::-1, :, [2, 1, 0, 3]].tobytes()
    head = struct.pack("<LllHHLLllLL", 108, width, height, 1, 32, 3, len(data), 0, 0, 0, 0)
    head += struct.pack("<4L", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + b"BGRs" + bytes(48)
    return b"BM" + struct.pack("<LHHL", 122 + len(data), 0, 0, 122) + head + data
