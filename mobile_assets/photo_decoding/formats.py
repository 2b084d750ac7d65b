"""Which files are photos, told by their first bytes and never by their names.

Pillow reads many formats more, among them programs (PostScript, which Ghostscript executes) and
pictures of other trades. Only the formats named here are ever handed to it.
"""

from __future__ import annotations

import stat
from pathlib import Path

PHOTO_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "HEIF", "AVIF")
"""Pillow's names of all formats that are read; for `formats` of `PIL.Image.open`."""

PHOTO_SUFFIXES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".jif",
        ".mpo",
        ".png",
        ".apng",
        ".webp",
        ".tif",
        ".tiff",
        ".bmp",
        ".dib",
        ".gif",
        ".heic",
        ".heics",
        ".heif",
        ".heifs",
        ".hif",
        ".avif",
        ".avifs",
    ]
)
"""File name endings of these formats, in lower case."""

HEAD_BYTES = 64
"""So many first bytes of a file tell its format."""

_STARTS = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
)
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_ANY_BRANDS = frozenset({b"mif1", b"msf1", b"mif2", b"miaf"})
_BMP_HEADERS = frozenset({12, 16, 40, 52, 56, 64, 108, 124})

_OTHERS = (
    (b"%!PS", "a PostScript program"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript program"),
    (b"%PDF", "a PDF document"),
    (b"8BPS", "a Photoshop document"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"II\xbc", "a JPEG XR picture"),
    (b"icns", "an icon"),
    (b"\0\0\1\0", "an icon"),
    (b"\0\0\2\0", "a mouse pointer"),
    (b"DDS ", "a DDS texture"),
    (b"SIMPLE  =", "a FITS file"),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile"),
    (b"\1\0\0\0", "a Windows metafile"),
    (b"FUJIFILMCCD-RAW", "a camera's raw file"),
    (b"IIR", "a camera's raw file"),
    (b"IIU\0", "a camera's raw file"),
    (b"PK\3\4", "a ZIP archive"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML document"),
    (b"<!DOCTYPE", "a web page"),
    (b"<html", "a web page"),
)


def photo_format(head: bytes) -> str | None:
    """The format of a photo.

    Args:
        head: The file's first `HEAD_BYTES` bytes, or fewer.

    Returns:
        One of `PHOTO_FORMATS`; None for anything else, also for pictures of other formats.
    """
    for start, name in _STARTS:
        if head.startswith(start):
            return name
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WEBP"
    if head.startswith(_TIFF_STARTS) and head[8:10] != b"CR":
        return "TIFF"
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    return _iso_format(head) if head[4:8] == b"ftyp" else None


def _iso_format(head: bytes) -> str | None:
    """HEIF or AVIF by the brands of the file type box, whose first is the major one."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12], *(head[start : start + 4] for start in range(16, end - 3, 4))]
    for brand in brands:
        if brand in _AVIF_BRANDS:
            return "AVIF"
        if brand in _HEIF_BRANDS:
            return "HEIF"
    return "HEIF" if _ANY_BRANDS & set(brands) else None


def other_format(head: bytes) -> str:
    """What a file is that is no photo, in words; for messages."""
    if head.startswith(b"II*\0") and head[8:10] == b"CR":
        return "not a picture of a kind that is read (a camera's raw file)"
    if head[4:8] == b"ftyp":
        return "not a picture of a kind that is read (perhaps a film)"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    for start, what in _OTHERS:
        if head.startswith(start) or text.lower().startswith(start.lower()):
            return f"not a picture of a kind that is read ({what})"
    return "not a picture, or its header is damaged"


def is_photo_file(path: Path | str) -> bool:
    """Whether a file is to be taken for a photo: by its name's ending, or else by its content.

    A file with a photo's ending counts whatever it holds, so that a damaged photo is reported and
    not passed over. Never raises an error; what cannot be read and has another ending is no photo.
    """
    path = Path(path)
    if path.suffix.lower() in PHOTO_SUFFIXES:
        return True
    try:
        # A pipe or device is never opened: it may have no end.
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with path.open("rb") as file:
            return photo_format(file.read(HEAD_BYTES)) is not None
    except (OSError, ValueError):
        return False
