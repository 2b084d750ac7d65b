"""What the boxes of a HEIC or AVIF file say about its primary picture (ISO/IEC 23008-12)."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from mobile_assets.photo_decoding.colour_tags import CodePoints
from mobile_assets.photo_decoding.file_view import Part

_MOST_BOXES = 1 << 24
Box = tuple[bytes, int, int]
"""Kind, and from where to where its content stands in the data that hold it."""


@dataclass(frozen=True)
class HeifHeader:
    """What stands around the primary picture.

    Attributes:
        parts: The file with its EXIF items renamed, so that no decoder looks for them. Both formats
            state the orientation in boxes of their own, which decoders obey.
        code_points: From the primary picture's `nclx` colour box; None where there is none.
        crop: Left, top, right and bottom of what is shown of the picture, by its `clap` box.
        last_box: Kind of the last box of the file.
    """

    parts: tuple[Part, ...]
    code_points: CodePoints | None = None
    crop: tuple[int, int, int, int] | None = None
    last_box: bytes = b""


def read_heif_header(file: BinaryIO) -> HeifHeader:
    """Reads the boxes that describe the primary picture; what is damaged counts as not there."""
    length = file.seek(0, io.SEEK_END)
    try:
        start, end, last_box = _meta_box(file, length)
        file.seek(start)
        meta = file.read(end - start)
        boxes = {kind: (first, last) for kind, first, last in _boxes(meta, 4, len(meta))}
        parts = tuple(_without_exif(meta, boxes.get(b"iinf"), start, length))
        properties = list(_properties(meta, boxes))
    except (struct.error, LookupError, ValueError):
        return HeifHeader(((0, length),))
    code_points, size, crop = None, (0, 0), None
    for kind, content in properties:
        if kind == b"colr" and content[:4] == b"nclx" and len(content) >= 8:
            code_points = CodePoints(*struct.unpack_from(">HH", content, 4))
        elif kind == b"ispe" and len(content) >= 12:
            size = struct.unpack_from(">II", content, 4)
        elif kind == b"clap" and len(content) >= 32:
            crop = _crop(struct.unpack_from(">IIIIiIiI", content), size)
    return HeifHeader(parts, code_points, crop, last_box)


def _boxes(data: bytes, start: int, end: int) -> Iterator[Box]:
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        content = start + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, content)
            content += 8
        last = end if size == 0 else start + size
        if last < content or last > end:
            return
        yield kind, content, last
        start = last


def _meta_box(file: BinaryIO, length: int) -> tuple[int, int, bytes]:
    """Where the content of the file's `meta` box stands, and of what kind the last box is."""
    position, meta, kind = 0, (0, 0), b""
    while position + 16 <= length:
        file.seek(position)
        head = file.read(16)
        size, kind = struct.unpack_from(">I4s", head)
        content = position + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", head, 8)
            content += 8
        end = length if size == 0 else position + size
        if end <= position:
            break
        if kind == b"meta" and not any(meta) and end <= length and end - content <= _MOST_BOXES:
            meta = (content, end)
        position = end
    return (*meta, kind)


def _without_exif(
    meta: bytes, items: tuple[int, int] | None, start: int, length: int
) -> Iterator[Part]:
    """The file with the type of every EXIF item overwritten."""
    position = 0
    if items is not None:
        wide = meta[items[0]] > 0
        for kind, first, last in _boxes(meta, items[0] + (8 if wide else 6), items[1]):
            version = meta[first]
            at = first + (8 if version < 3 else 10)
            if kind == b"infe" and version >= 2 and at + 4 <= last and meta[at : at + 4] == b"Exif":
                yield (position, start + at)
                yield b"none"
                position = start + at + 4
    yield (position, length)


def _properties(meta: bytes, boxes: dict[bytes, tuple[int, int]]) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each property of the primary picture, in the order of the file."""
    first, last = boxes[b"pitm"]
    primary = int.from_bytes(meta[first + 4 : min(last, first + (8 if meta[first] else 6))], "big")
    inner = {kind: (begin, end) for kind, begin, end in _boxes(meta, *boxes[b"iprp"])}
    known = list(_boxes(meta, *inner[b"ipco"]))
    for kind, begin, _ in _boxes(meta, *boxes[b"iprp"]):
        if kind != b"ipma":
            continue
        for index in _associations(meta, begin, primary):
            if 0 < index <= len(known):
                name, content, end = known[index - 1]
                yield name, meta[content:end]


def _associations(meta: bytes, position: int, item: int) -> Iterator[int]:
    """Numbers of the properties of an item, from an `ipma` box."""
    version, wide = meta[position], bool(meta[position + 3] & 1)
    (entries,) = struct.unpack_from(">I", meta, position + 4)
    position += 8
    for _ in range(entries):
        (number,) = struct.unpack_from(">I" if version else ">H", meta, position)
        position += 4 if version else 2
        count = meta[position]
        position += 1
        for _ in range(count):
            if wide:
                index = struct.unpack_from(">H", meta, position)[0] & 0x7FFF
            else:
                index = meta[position] & 0x7F
            position += 2 if wide else 1
            if number == item:
                yield index


def _crop(numbers: tuple[int, ...], size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """What is shown by a clean aperture: width, height and the centre's offset, as fractions."""
    if not all(numbers[1::2]) or not all(size):
        return None
    width, height, right, down = (numbers[at] / numbers[at + 1] for at in range(0, 8, 2))
    left = round((size[0] - width) / 2 + right)
    top = round((size[1] - height) / 2 + down)
    box = (left, top, left + round(width), top + round(height))
    fits = 0 <= left < box[2] <= size[0] and 0 <= top < box[3] <= size[1]
    return box if fits and box != (0, 0, *size) else None
