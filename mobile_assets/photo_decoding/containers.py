"""Opening each format: what is in the file, and how its pixels are read."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, cast

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from mobile_assets.photo_decoding.colour_tags import ColourTags
from mobile_assets.photo_decoding.errors import UnreadableError
from mobile_assets.photo_decoding.exif import exif_orientation
from mobile_assets.photo_decoding.file_view import FileView, Part
from mobile_assets.photo_decoding.heif import read_heif_header
from mobile_assets.photo_decoding.jpeg import is_filled_up, read_jpeg_header
from mobile_assets.photo_decoding.limits import MAX_FILE, check_size, reduction
from mobile_assets.photo_decoding.png import PngHeader, read_png_header
from mobile_assets.photo_decoding.tiff import read_tiff_picture
from mobile_assets.photo_decoding.tiff_tags import read_tiff_page

Size = tuple[int, int]
Bands = Iterator[tuple[int, Image.Image]]

_FILLED_BYTES = 4096
_READ_BYTES = 1 << 20  # at a time: 64 kB, as Pillow does it, take 3 % longer
_WHOLE_BYTES = 21.0
"""What a pixel takes where the decoder holds the whole picture, several times over: measured were
16 to 20 for WebP, 9 to 16 for AVIF and 7 to 13 for HEIC, all of 8 bits."""


@dataclass(frozen=True)
class StoredPicture:
    """The picture of a file that counts, not decoded yet.

    Attributes:
        format: One of `formats.PHOTO_FORMATS`.
        mode: How the colours are stored, as Pillow names it.
        size: Width and height in pixels, as stored.
        orientation: 1 to 8: how the stored picture is turned upright.
        tags: What is said about its colours.
        load: Decodes; gives one picture, or bands of one from the top with their first rows.
        reduced: By what the decoder itself divides the sides.
        crop: What is shown of the stored picture; None for all of it.
    """

    format: str
    mode: str
    size: Size
    orientation: int
    tags: ColourTags
    load: Callable[[], Image.Image | Bands]
    reduced: int = 1
    crop: tuple[int, int, int, int] | None = None


def open_picture(file: BinaryIO, kind: str, at_least: int | None) -> StoredPicture:
    """Opens a photo's picture.

    Args:
        file: The open file.
        kind: Its format, one of `formats.PHOTO_FORMATS`.
        at_least: A JPEG may be decoded at a half, a quarter or an eighth of its scale as long as
            both sides keep so many pixels. None for all pixels.

    Raises:
        UnreadableError: It is damaged, too large, or of a kind that is not read.
    """
    if kind == "JPEG":
        return _jpeg(file, at_least)
    if kind == "PNG":
        return _png(file)
    if kind == "TIFF":
        return _tiff(file)
    return _iso(file, kind) if kind in ("HEIF", "AVIF") else _other(file, kind)


def _pillow(file: BinaryIO, parts: tuple[Part, ...], *kinds: str) -> Image.Image:
    """Opens a view of a file with Pillow, as one of some formats and nothing else."""
    try:
        return Image.open(cast(BinaryIO, FileView(file, parts)), formats=kinds)
    except UnidentifiedImageError:
        raise UnreadableError("damaged (its header cannot be read)") from None


def _jpeg(file: BinaryIO, at_least: int | None) -> StoredPicture:
    header = read_jpeg_header(file)
    kind = "progressive JPEG" if header.buffered else "JPEG"
    check_size(header.size, per_pixel=header.buffered, kind=kind)
    if is_filled_up(file, header.scan):
        raise UnreadableError("truncated (its end is missing and filled with zeros or 0xFF)")
    opened = _pillow(file, header.parts, "JPEG")
    cast(ImageFile.ImageFile, opened).decodermaxblock = _READ_BYTES
    width, height = opened.size
    divided = reduction(opened.size)
    if at_least is not None or divided > 1:
        wanted = max(width, height) if at_least is None else at_least
        opened.draft(None, (min(wanted, width // divided), min(wanted, height // divided)))
    return StoredPicture(
        format="JPEG",
        mode=opened.mode,
        size=(width, height),
        orientation=header.orientation,
        tags=ColourTags(header.profile),
        load=lambda: opened,
        reduced=round(width / opened.width),
    )


def _png(file: BinaryIO) -> StoredPicture:
    header = read_png_header(file)
    check_size(header.size, kind="PNG")
    opened = _pillow(file, tuple(header.parts), "PNG")
    return StoredPicture(
        format="PNG",
        mode=opened.mode,
        size=opened.size,
        orientation=header.orientation,
        tags=header.colour,
        load=lambda: _png_pixels(opened, header),
    )


def _png_pixels(opened: Image.Image, header: PngHeader) -> Image.Image:
    """Pixels of 8 bits; the colour that means transparent is compared at full depth."""
    opened.load()
    key = header.transparent
    if opened.mode.startswith("I"):
        values = np.asarray(opened)
        grey = Image.fromarray((values // 257).astype(np.uint8))
        if key is not None:
            grey.putalpha(Image.fromarray(np.where(values == key[0], 0, 255).astype(np.uint8)))
        return grey
    if key is not None and opened.mode in ("1", "L"):
        opened = opened.convert("L")
        opened.info["transparency"] = key[0] * 255 // ((1 << header.bits) - 1)
    elif key is not None and opened.mode == "RGB":
        # Of 16 bits a colour Pillow keeps the upper 8.
        opened.info["transparency"] = tuple(number >> (header.bits - 8) for number in key)
    return opened


def _tiff(file: BinaryIO) -> StoredPicture:
    page = read_tiff_page(file)
    check_size(page.size, kind="TIFF")
    picture = read_tiff_picture(page)
    if picture is not None:
        load: Callable[[], Image.Image | Bands] = lambda: picture.bands(file)  # noqa: E731
        mode = picture.mode
    else:
        length = file.seek(0, io.SEEK_END)
        _check_length(length, "TIFF of this kind")
        try:
            opened = _pillow(file, page.parts(length), "TIFF")
        except UnreadableError:
            raise UnreadableError("a TIFF of a kind that is not read, or damaged") from None
        pixel_bytes = (1 if opened.mode in ("1", "L", "P") else 4) + length / np.prod(opened.size)
        check_size(page.size, per_pixel=pixel_bytes, kind="TIFF of this kind")
        load, mode = lambda: opened, opened.mode
    return StoredPicture(
        format="TIFF",
        mode=mode,
        size=page.size,
        orientation=page.orientation,
        tags=ColourTags(page.profile),
        load=load,
    )


def _iso(file: BinaryIO, kind: str) -> StoredPicture:
    """HEIC or AVIF: the primary picture, whose turns and crop are boxes, whatever EXIF says."""
    kinds = [name for name in (kind, "AVIF", "HEIF") if name in Image.OPEN or name == "AVIF"]
    if kind not in kinds:
        raise UnreadableError(
            "a HEIC photo, and the extra that reads them is not installed: "
            "pip install 'artefact-id[heic]'"
        )
    _check_length(file.seek(0, io.SEEK_END), kind)
    header = read_heif_header(file)
    if header.last_box == b"mdat":
        _check_end(file)
    opened = _pillow(file, header.parts, *dict.fromkeys(kinds))
    check_size(opened.size, per_pixel=_WHOLE_BYTES, kind="HEIC or AVIF photo")
    profile = opened.info.get("icc_profile")
    picture = _opened(opened, kind, ColourTags(profile, None if profile else header.code_points))
    if opened.format == "AVIF":
        # Pillow tells the turns of the file's boxes as EXIF, and leaves them and the crop to us.
        turn = exif_orientation(opened.info.get("exif"))
        return replace(picture, orientation=turn, crop=header.crop)
    return picture


def _other(file: BinaryIO, kind: str) -> StoredPicture:
    """WebP, GIF and BMP."""
    length = file.seek(0, io.SEEK_END)
    if kind == "WEBP":
        _check_length(length, "WebP")
        file.seek(0)
        check_size(_webp_size(file.read(30)), per_pixel=_WHOLE_BYTES, kind="WebP photo")
        _check_end(file)
    opened = _pillow(file, ((0, length),), kind)
    picture = _opened(opened, kind, ColourTags(opened.info.get("icc_profile")))
    if kind == "WEBP":
        return replace(picture, orientation=exif_orientation(opened.info.get("exif")))
    check_size(opened.size, kind=kind)
    return replace(picture, load=lambda: (_gif_pixels if kind == "GIF" else _bmp_pixels)(opened))


def _opened(opened: Image.Image, kind: str, tags: ColourTags) -> StoredPicture:
    return StoredPicture(
        format=kind,
        mode=opened.mode,
        size=opened.size,
        orientation=1,
        tags=tags,
        load=lambda: opened,
    )


def _gif_pixels(opened: Any) -> Image.Image:
    """The first frame; what it does not cover of the screen is transparent."""
    covered = opened.tile[0].extents if opened.tile else None
    opened.load()
    if covered in (None, (0, 0, *opened.size)) or "transparency" in opened.info:
        return cast(Image.Image, opened)
    screen = Image.new("RGB", opened.size, "white")
    screen.paste(opened.crop(covered).convert("RGB"), covered)
    return screen


def _bmp_pixels(opened: Image.Image) -> Image.Image:
    """The picture; an alpha of zero everywhere is a field that nobody has filled in."""
    if opened.mode == "RGBA" and opened.getchannel("A").getextrema() == (0, 0):
        return opened.convert("RGB")
    return opened


def _webp_size(head: bytes) -> Size:
    """Width and height from a WebP's first 30 bytes; decoders take memory before they say it."""
    if head[12:16] == b"VP8X":
        numbers = (head[24:27], head[27:30])
        width, height = (int.from_bytes(number, "little") + 1 for number in numbers)
    elif head[12:16] == b"VP8L":
        packed = int.from_bytes(head[21:25], "little")
        width, height = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    else:
        width, height = (int.from_bytes(head[at : at + 2], "little") & 0x3FFF for at in (26, 28))
    return width, height


def _check_end(file: BinaryIO) -> None:
    """Refuses a file whose compressed pixels end in thousands of zeros, or of 255.

    Decoders make grey or garbage of what an interrupted copy leaves. Large plain areas are coded in
    zeros, too, but in few.
    """
    file.seek(max(0, file.seek(0, io.SEEK_END) - _FILLED_BYTES))
    tail = file.read()
    if len(tail) == _FILLED_BYTES and len(set(tail)) == 1 and tail[0] in (0x00, 0xFF):
        raise UnreadableError("truncated (its end is missing and filled with zeros or 0xFF)")


def _check_length(length: int, kind: str) -> None:
    if length > MAX_FILE:
        most = MAX_FILE // 1_000_000
        raise UnreadableError(
            f"{length // 1_000_000} MB is more than {most} MB, the most that are read of a {kind}"
        )
