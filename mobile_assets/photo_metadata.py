"""Photos without what they tell beside their picture: place, time, camera, names, comments.

Only what decides over pixels stays: the compressed picture as it is, bit for bit, its colour
profile, and the EXIF orientation. What follows the picture in the file, such as a film or a depth
map of a telephone, goes as well.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from PIL import Image

ORIENTATION = 0x0112

_JPEG_PICTURE = frozenset({*range(0xC0, 0xD0), 0xDA, 0xDB, 0xDC, 0xDD, 0xDE}) - {0xC8}
"""Markers of the picture: frames, tables, scans, intervals."""
_JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})
"""Markers without a length: restarts."""
_SOS, _EOI, _APP0, _APP1, _APP2, _APP14 = 0xDA, 0xD9, 0xE0, 0xE1, 0xE2, 0xEE

_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_PICTURE = frozenset(
    (
        b"IHDR",
        b"PLTE",
        b"IDAT",
        b"IEND",
        b"tRNS",
        b"gAMA",
        b"cHRM",
        b"sRGB",
        b"iCCP",
        b"cICP",
        b"sBIT",
    )
)
_WEBP_PICTURE = frozenset((b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ICCP", b"ANIM", b"ANMF"))
_WEBP_EXIF_FLAG, _WEBP_XMP_FLAG = 0x08, 0x04


def without_metadata(content: bytes) -> bytes | None:
    """The same picture, still compressed as it was, without metadata.

    Args:
        content: A photo's file.

    Returns:
        The file without metadata; None where it is damaged, or no JPEG, PNG or WebP. Whoever needs
        certainty decodes both.
    """
    try:
        if content.startswith(b"\xff\xd8"):
            return _jpeg(content)
        if content.startswith(_PNG_START):
            return _png(content)
        if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
            return _webp(content)
    except (IndexError, struct.error, ValueError):
        return None
    return None


def _orientation(exif: bytes) -> int:
    """1 to 8; 1 where the data say nothing that can be read."""
    record = Image.Exif()
    try:
        record.load(exif)
        value = record.get(ORIENTATION, 1)
    except Exception:  # whatever Pillow makes of damaged data: they are left out anyway
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _exif(orientation: int) -> bytes:
    """EXIF data (a TIFF header with one directory) that hold the orientation alone."""
    return struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, ORIENTATION, 3, 1, orientation, 0, 0)


def _jpeg(content: bytes) -> bytes:
    kept = bytearray()
    orientation = 1
    for marker, segment in _segments(content):
        body = segment[4:]
        if marker == _APP1 and body.startswith(b"Exif\0\0"):
            orientation = _orientation(body)
        elif marker == _APP0 and body.startswith(b"JFIF\0"):
            kept += struct.pack(">BBH", 0xFF, _APP0, 16) + body[:12] + b"\0\0"  # no small picture
        elif (
            marker in _JPEG_PICTURE
            or marker in _JPEG_ALONE
            or marker == _EOI
            or (marker == _APP2 and body.startswith(b"ICC_PROFILE\0"))
            or (marker == _APP14 and body.startswith(b"Adobe"))
        ):
            kept += segment
    exif = b""
    if orientation != 1:
        data = b"Exif\0\0" + _exif(orientation)
        exif = struct.pack(">BBH", 0xFF, _APP1, len(data) + 2) + data
    return content[:2] + exif + bytes(kept)


def _segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Markers with their segments up to the picture's end; a scan's comes with its data."""
    at = 2
    while at < len(content):
        if content[at] != 0xFF:
            raise ValueError("no marker")
        marker = content[at + 1]
        if marker == 0xFF:  # a filling byte
            at += 1
            continue
        if marker == _EOI:
            yield marker, content[at : at + 2]
            return
        end = at + 2
        if marker not in _JPEG_ALONE:
            end += int(struct.unpack_from(">H", content, at + 2)[0])
        if marker == _SOS:
            end = _scan_end(content, end)
        yield marker, content[at:end]
        at = end


def _scan_end(content: bytes, at: int) -> int:
    """Where the compressed data of a scan end: at a marker that is no restart."""
    while True:
        at = content.find(b"\xff", at)
        if at < 0 or at + 1 >= len(content):
            return len(content)
        if content[at + 1] not in (0x00, 0xFF, *range(0xD0, 0xD8)):
            return at
        at += 1 if content[at + 1] == 0xFF else 2


def _png(content: bytes) -> bytes:
    chunks = list(_png_chunks(content))
    orientation = next((_orientation(c[8:-4]) for kind, c in chunks if kind == b"eXIf"), 1)
    kept = [(kind, chunk) for kind, chunk in chunks if kind in _PNG_PICTURE]
    if orientation != 1:
        data = b"eXIf" + _exif(orientation)
        chunk = struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))
        kept.insert([kind for kind, _ in kept].index(b"IDAT"), (b"eXIf", chunk))
    return _PNG_START + b"".join(chunk for _, chunk in kept)


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kinds of chunks with the whole chunk, up to the picture's end."""
    at = len(_PNG_START)
    while at < len(content):
        (length,) = struct.unpack_from(">I", content, at)
        kind = content[at + 4 : at + 8]
        yield kind, content[at : at + 12 + length]
        if kind == b"IEND":
            return
        at += 12 + length
    raise ValueError("no end")


def _webp(content: bytes) -> bytes:
    chunks: list[tuple[bytes, bytes]] = []
    orientation, at = 1, 12
    end = min(len(content), 8 + int(struct.unpack_from("<I", content, 4)[0]))
    while at + 8 <= end:
        kind = content[at : at + 4]
        (length,) = struct.unpack_from("<I", content, at + 4)
        data = content[at + 8 : at + 8 + length]
        if kind == b"EXIF":
            orientation = _orientation(data)
        elif kind in _WEBP_PICTURE:
            chunks.append((kind, data))
        at += 8 + length + length % 2
    if orientation != 1:
        chunks.append((b"EXIF", _exif(orientation)))
    body = b"WEBP"
    for kind, data in chunks:
        flags = data[:1]
        if kind == b"VP8X":
            others = data[0] & ~(_WEBP_EXIF_FLAG | _WEBP_XMP_FLAG)
            flags = bytes([others | (_WEBP_EXIF_FLAG if orientation != 1 else 0)])
        body += kind + struct.pack("<I", len(data)) + flags + data[1:] + b"\0" * (len(data) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body
