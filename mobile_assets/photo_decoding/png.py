"""What a PNG says beside its pixels: orientation, colours, and the key of transparency."""

from __future__ import annotations

import io
import re
import zlib
from dataclasses import dataclass, field
from typing import BinaryIO

from mobile_assets.photo_decoding.colour_tags import CodePoints, ColourTags, primaries_of
from mobile_assets.photo_decoding.errors import UnreadableError
from mobile_assets.photo_decoding.exif import exif_orientation
from mobile_assets.photo_decoding.file_view import Part

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END = bytes.fromhex("0000000049454e44ae426082")
_MOST_CHUNKS = 1 << 19
_MOST_METADATA = 1 << 24
_MOST_PROFILE = 1 << 24
_COLOUR_CHUNKS = frozenset({b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"cICP", b"eXIf", b"tRNS"})
_RAW_PROFILES = (b"Raw profile type exif", b"Raw profile type APP1")


@dataclass
class PngHeader:
    """What stands around a PNG's pixels.

    Attributes:
        parts: The file without its metadata and without the further frames of an APNG.
        size: Width and height in pixels.
        bits: Bits of a sample.
        colour_type: 0 grey, 2 RGB, 3 palette, 4 grey with alpha, 6 RGBA.
        chunks: Content of the first chunk of each kind that says how to read the colours.
        raw_profile: EXIF as ImageMagick writes it, in a text.
    """

    parts: list[Part] = field(default_factory=lambda: [_SIGNATURE])
    size: tuple[int, int] = (0, 0)
    bits: int = 8
    colour_type: int = 2
    chunks: dict[bytes, bytes] = field(default_factory=dict)
    raw_profile: bytes | None = None

    @property
    def orientation(self) -> int:
        """1 to 8, from the chunk `eXIf` or else from a raw profile as far as it can be read."""
        return exif_orientation(self.chunks.get(b"eXIf") or self.raw_profile)

    @property
    def transparent(self) -> tuple[int, ...] | None:
        """The grey or the red, green and blue that mean transparent, as stored; not of palettes."""
        key = self.chunks.get(b"tRNS")
        samples = {0: 1, 2: 3}.get(self.colour_type)
        if key is None or samples is None or len(key) < 2 * samples:
            return None
        most = (1 << self.bits) - 1
        numbers = (key[start : start + 2] for start in range(0, 2 * samples, 2))
        return tuple(int.from_bytes(number, "big") & most for number in numbers)

    @property
    def colour(self) -> ColourTags:
        """How to read the colours. The first of these counts: cICP, iCCP, sRGB, gAMA with cHRM."""
        if (code := self.chunks.get(b"cICP")) is not None and len(code) >= 4:
            return ColourTags(code_points=CodePoints(code[0], code[1]))
        if (profile := _profile(self.chunks.get(b"iCCP"))) is not None:
            return ColourTags(profile=profile)
        if b"sRGB" in self.chunks:
            return ColourTags()
        return ColourTags(gamma=self._gamma(), primaries=self._primaries())

    def _gamma(self) -> float | None:
        stored = int.from_bytes(self.chunks.get(b"gAMA", b"")[:4], "big")
        return 100000 / stored if stored else None

    def _primaries(self) -> tuple[float, ...] | None:
        chunk = self.chunks.get(b"cHRM", b"")
        numbers = [int.from_bytes(chunk[at : at + 4], "big") for at in range(0, 32, 4)]
        return primaries_of(numbers) if len(chunk) >= 32 else None


def read_png_header(file: BinaryIO) -> PngHeader:
    """Reads the chunks of a PNG; pixels are passed over.

    Raises:
        UnreadableError: There is no header or there are no pixels.
    """
    header = PngHeader()
    length = file.seek(0, io.SEEK_END)
    position, pixels, cut = 8, False, False
    for _ in range(_MOST_CHUNKS):
        if position + 8 > length:
            break
        file.seek(position)
        head = file.read(8)
        size, kind = int.from_bytes(head[:4], "big"), head[4:]
        start, position = position, position + 12 + size
        cut = position > length
        if kind == b"IEND" or (cut and kind != b"IDAT"):
            break
        if kind == b"IHDR" and header.size != (0, 0):
            continue  # a second one would be another size than the one that was checked
        if kind in (b"IHDR", b"PLTE", b"IDAT"):
            pixels = pixels or kind == b"IDAT"
            header.parts.append((start, min(position, length)))
        if kind == b"IHDR" and size >= 13:
            content = file.read(13)
            header.size = int.from_bytes(content[:4], "big"), int.from_bytes(content[4:8], "big")
            header.bits, header.colour_type = content[8], content[9]
        elif size <= _MOST_METADATA:
            _note(header, kind, file, size)
        if kind == b"tRNS" and header.colour_type == 3 and not pixels:
            header.parts.append((start, position))
    if not pixels or 0 in header.size:
        raise UnreadableError("truncated or damaged (a PNG without pixels)")
    if not cut:
        header.parts.append(_END)
    return header


def _note(header: PngHeader, kind: bytes, file: BinaryIO, size: int) -> None:
    if kind in _COLOUR_CHUNKS:
        header.chunks.setdefault(kind, file.read(size))
    elif kind in (b"tEXt", b"zTXt") and header.raw_profile is None:
        key, _, value = file.read(size).partition(b"\0")
        if key in _RAW_PROFILES:
            text = value if kind == b"tEXt" else _inflated(value[1:])
            header.raw_profile = _unwrapped(text or b"")


def _unwrapped(text: bytes) -> bytes:
    """EXIF of a raw profile: a name, a length and hexadecimal digits, as far as they are sound."""
    match = re.match(rb"\s*\w+\s+\d+\s+((?:[0-9a-fA-F]{2}\s*)*)", text)
    return bytes.fromhex(match[1].decode("ascii")) if match else b""


def _profile(chunk: bytes | None) -> bytes | None:
    """The ICC profile: a name of 1 to 79 bytes, a zero, a method that is 0, and deflated bytes."""
    name, _, rest = (chunk or b"").partition(b"\0")
    return _inflated(rest[1:]) if name and rest[:1] == b"\0" else None


def _inflated(data: bytes) -> bytes | None:
    """Inflates at most 16 MiB; None when it is damaged or more."""
    stream = zlib.decompressobj()
    try:
        inflated = stream.decompress(data, _MOST_PROFILE)
    except zlib.error:
        return None
    return inflated if stream.eof else None
