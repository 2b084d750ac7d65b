"""What a JPEG says before its pixels: orientation, profile, coding, and whether it is whole."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import BinaryIO

from mobile_assets.photo_decoding.errors import UnreadableError
from mobile_assets.photo_decoding.exif import exif_orientation
from mobile_assets.photo_decoding.file_view import Part

_START_OF_SCAN = 0xDA
_END = 0xD9
_BARE = frozenset({0x01, 0xD8, *range(0xD0, 0xD8)})  # markers without a segment
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_LOSSLESS = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF})
_NEXT_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_MOST_SEGMENTS = 65536
_FILL_BYTES = 64
"""So many equal bytes, 0 or 255, at the end of a file without an end mark were filled in."""

_PROFILE = b"ICC_PROFILE\0"
_JFIF_LENGTH = 14
_ADOBE_LENGTH = 12
_SCAN_HEADER = 5  # mark, length, number of colours


@dataclass(frozen=True)
class JpegHeader:
    """A JPEG's header.

    Attributes:
        parts: The file without its metadata: all that decides on the pixels.
        orientation: 1 to 8, from EXIF.
        profile: The ICC profile, put together; None where there is none, or a part is missing.
        size: Width and height in pixels, as stored.
        scan: Where the first scan starts.
        buffered: Bytes that a decoder keeps per pixel before the first row is done: of progressive
            files and of such with a scan for each colour, 2 a coefficient; else 0.
    """

    parts: tuple[Part, ...]
    orientation: int
    profile: bytes | None
    size: tuple[int, int]
    scan: int
    buffered: float


def read_jpeg_header(file: BinaryIO) -> JpegHeader:
    """Reads everything up to the first scan.

    Raises:
        UnreadableError: There is no scan, or a kind of coding that nobody decodes.
    """
    length = file.seek(0, io.SEEK_END)
    reader = _Segments(file, length)
    frame: tuple[int, bytes] | None = None
    exif: bytes | None = None
    profile: list[bytes] = []
    parts: list[Part] = [b"\xff\xd8"]
    for marker, start, end in reader:
        if marker == _START_OF_SCAN:
            if frame is None:
                raise UnreadableError("damaged (a JPEG without a frame header)")
            if end - start < _SCAN_HEADER:
                raise UnreadableError("damaged (a JPEG's scan header is cut off)")
            parts.append((start, length))
            return JpegHeader(
                parts=tuple(parts),
                orientation=exif_orientation(exif),
                profile=_joined(profile),
                size=_size(frame[1]),
                scan=end,
                buffered=_buffered(*frame, components=reader.content(1)[0]),
            )
        if 0xE0 <= marker <= 0xEF or marker == 0xFE:
            content = reader.content(65535)
            if marker == 0xE1 and exif is None and content.startswith(b"Exif\0"):
                exif = content
            elif marker == 0xE2 and content.startswith(_PROFILE) and len(content) > 14:
                profile.append(content)
            if not _decides(marker, content):
                continue
        elif marker in _FRAMES:
            frame = (marker, reader.content(65535))
            _check_frame(*frame)
        parts.append((start, end))
    raise UnreadableError("truncated (the file ends in the JPEG's header)")


class _Segments:
    """Yields (marker, start, end) of each segment, from its 0xFF to the byte behind it."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        self._file, self._length = file, length
        self._content = (0, 0)
        self._position = 2
        self._left = _MOST_SEGMENTS

    def __iter__(self) -> _Segments:
        return self

    def __next__(self) -> tuple[int, int, int]:
        while self._position < self._length and self._left:
            self._left -= 1
            self._file.seek(self._position)
            head = self._file.read(4)
            if len(head) < 4:
                break
            if head[0] != 0xFF or head[1] in (0x00, 0xFF):  # junk between segments, or a fill byte
                self._position += self._junk()
                continue
            if head[1] in _BARE:
                self._position += 2
                continue
            if head[1] == _END:
                break
            start = self._position
            self._position += 2 + max(2, int.from_bytes(head[2:4], "big"))
            self._content = (start + 4, self._position)
            if self._position > self._length:
                break
            return head[1], start, self._position
        raise StopIteration

    def _junk(self) -> int:
        self._file.seek(self._position)
        block = self._file.read(65536)
        match = re.search(rb"\xff[\x01-\xfe]", block[1:])
        return 1 + match.start() if match else max(1, len(block) - 1)

    def content(self, most: int) -> bytes:
        """The first bytes of the segment that was yielded last, at most `most`."""
        start, end = self._content
        self._file.seek(start)
        return self._file.read(min(most, end - start))


def _decides(marker: int, content: bytes) -> bool:
    """Whether an application's segment tells the decoder how the colours are coded."""
    if marker == 0xE0:
        return content.startswith(b"JFIF\0") and len(content) >= _JFIF_LENGTH
    return marker == 0xEE and content.startswith(b"Adobe") and len(content) >= _ADOBE_LENGTH


def _check_frame(marker: int, content: bytes) -> None:
    if len(content) < 6 or len(content) < 6 + 3 * content[5]:
        raise UnreadableError("damaged (a JPEG's frame header is cut off)")
    if marker in _LOSSLESS:
        raise UnreadableError("a JPEG of a kind that is not read (lossless or hierarchical)")
    if content[0] != 8:
        raise UnreadableError(f"a JPEG of a kind that is not read ({content[0]} bits a colour)")
    if content[5] not in (1, 3, 4):
        raise UnreadableError(f"a JPEG of a kind that is not read ({content[5]} colours)")
    if 0 in _size(content):
        raise UnreadableError("damaged (a JPEG without width or height)")


def _size(frame: bytes) -> tuple[int, int]:
    return int.from_bytes(frame[3:5], "big"), int.from_bytes(frame[1:3], "big")


def _buffered(marker: int, frame: bytes, *, components: int) -> float:
    if marker not in _PROGRESSIVE and components == frame[5]:
        return 0.0
    samplings = [(byte >> 4, byte & 15) for byte in frame[7 : 6 + 3 * frame[5] : 3]]
    most = max(h for h, _ in samplings) * max(v for _, v in samplings)
    return 2.0 * sum(h * v for h, v in samplings) / max(1, most)


def _joined(chunks: list[bytes]) -> bytes | None:
    """The profile of its chunks, whatever their order; None when one is missing."""
    by_number = {chunk[12]: chunk[14:] for chunk in chunks}
    if not chunks or sorted(by_number) != list(range(1, chunks[0][13] + 1)):
        return None
    return b"".join(by_number[number] for number in sorted(by_number))


def is_filled_up(file: BinaryIO, scan: int) -> bool:
    """Whether the picture's end is missing and the file was filled up with zeros or 0xFF.

    An interrupted copy onto a disk that had taken the space already looks like this. A decoder
    makes grey of it and says nothing. What follows the picture's end mark is not looked at.

    Args:
        file: The JPEG.
        scan: Where its first scan starts.
    """
    length = file.seek(0, io.SEEK_END)
    file.seek(max(scan, length - _FILL_BYTES))
    tail = file.read()
    if len(tail) < _FILL_BYTES or len(set(tail)) != 1 or tail[0] not in (0x00, 0xFF):
        return False
    file.seek(scan)
    data = file.read()
    # Between a scan's bytes 0xFF stands before 0 or a restart mark only; segments may follow.
    position = 0
    while (match := _NEXT_MARKER.search(data, position)) is not None:
        marker = data[match.start() + 1]
        if marker == _END:
            return False
        size = 0 if marker in _BARE else int.from_bytes(data[match.end() : match.end() + 2], "big")
        position = match.end() + size
    return True
