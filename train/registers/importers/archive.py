"""Refusing workbooks that would take more memory than any register needs."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from mobile_assets.errors import InputError, first_line

MAX_PARTS = 10_000
MAX_UNPACKED_BYTES = 200_000_000
"""Of all XML together."""

MAX_TAGS = 12_000_000
"""Of all XML together: 75,000 rows of 40 columns. Every tag may take 80 bytes of memory until the
file is read, however well it is packed."""

MAX_OTHER_BYTES = 16_000_000
"""Of any part but the sheets and their texts, such as the styles."""

_LARGE = ("xl/worksheets/", "xl/sharedStrings")
_CHUNK = 1 << 20


def check_archive(path: Path) -> None:
    """Refuses what is no ZIP archive, or whose XML unpacks to too much.

    Raises:
        InputError: Says which.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            problem = _problem(archive)
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, RuntimeError, EOFError) as error:
        with path.open("rb") as file:
            start = file.read(8)
        if start.startswith(b"\xd0\xcf\x11\xe0"):
            raise InputError(
                f"{path} is an old Excel workbook, or one with a password. "
                "Save it as .xlsx without a password."
            ) from None
        raise InputError(
            f"{path} is no Excel workbook, or a damaged one ({first_line(error)}). "
            "Save it again as .xlsx, or export it as CSV."
        ) from None
    if problem:
        raise InputError(f"{path} {problem}. Export it as CSV, in parts.")


def _problem(archive: zipfile.ZipFile) -> str:
    parts = archive.infolist()
    if len(parts) > MAX_PARTS:
        return f"has {len(parts):,} parts, and a workbook at most {MAX_PARTS:,}"
    unpacked = tags = 0
    for part in parts:
        begins, part_tags = _look(archive, part)
        if not begins:  # a picture; whatever refers to it as XML ends at its first byte
            continue
        if not part.filename.startswith(_LARGE) and part.file_size > MAX_OTHER_BYTES:
            return f"holds {part.filename} of {part.file_size / 1e6:,.0f} MB, which none needs"
        unpacked += part.file_size
        tags += part_tags
        if unpacked > MAX_UNPACKED_BYTES:
            return f"unpacks to more than the {MAX_UNPACKED_BYTES / 1e6:,.0f} MB that are read"
        if tags > MAX_TAGS:
            return f"has more than the {MAX_TAGS:,} tags of XML that are read"
    return ""


def _look(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> tuple[bool, int]:
    """Whether a part begins as XML does, and how many tags it has, `MAX_TAGS` and a few at most."""
    tags, begins = 0, False
    for position, chunk in enumerate(_chunks(archive, part)):
        if position == 0:
            begins = chunk.lstrip(b"\xef\xbb\xbf\xfe\xff\0 \t\r\n").startswith(b"<")
        tags += chunk.count(b"<")
        if not begins or tags > MAX_TAGS or position * _CHUNK > MAX_UNPACKED_BYTES:
            break
    return begins, tags


def _chunks(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> Iterator[bytes]:
    """The unpacked content; of a damaged part what comes before the damage, chunk by chunk."""
    try:
        with archive.open(part) as file:
            while chunk := file.read(_CHUNK):
                yield chunk
    except (zipfile.BadZipFile, zlib.error, EOFError):
        return
