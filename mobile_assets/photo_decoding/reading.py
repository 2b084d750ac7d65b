"""Decoding a photo, from its file to upright 8-bit sRGB."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from mobile_assets.photo_decoding.colour import ToSrgb
from mobile_assets.photo_decoding.containers import Size, StoredPicture, open_picture
from mobile_assets.photo_decoding.errors import PhotoError, UnreadableError
from mobile_assets.photo_decoding.exif import TURNS
from mobile_assets.photo_decoding.formats import HEAD_BYTES, other_format, photo_format
from mobile_assets.photo_decoding.jpeg import read_jpeg_header
from mobile_assets.photo_decoding.limits import (
    BAND_PIXELS,
    LARGE_PIXELS,
    reduction,
    turn_of,
)
from mobile_assets.photo_decoding.png import read_png_header


@dataclass(frozen=True)
class DecodedPhoto:
    """A photo's pixels, and what was found out on the way.

    Attributes:
        image: Upright, RGB.
        size: Width and height of the file's picture in pixels, before it was turned.
        mode: Pillow's name of the way in which the colours are stored.
        format: One of `formats.PHOTO_FORMATS`.
        turned: Whether the picture does not stand upright in the file.
        exact: Whether it was decoded as `mobile_assets.photos.load` does it without `reduced`.
    """

    image: Image.Image
    size: Size
    mode: str
    format: str
    turned: bool
    exact: bool


def read_photo(path: Path | str, *, at_least: int | None = None) -> DecodedPhoto:
    """Decodes a photo; `mobile_assets.photos.decode` says how.

    Raises:
        PhotoError: For whatever goes wrong with this photo, in any decoder.
    """
    try:
        with _opened(path) as file, _without_pillows_limit():
            head = file.read(HEAD_BYTES)
            if not head:
                raise UnreadableError("the file is empty (0 bytes)")
            kind = photo_format(head)
            if kind is None:
                raise UnreadableError(other_format(head))
            picture = open_picture(file, kind, at_least)
            with turn_of(picture.size):
                return _decoded(picture)
    except UnreadableError as error:
        raise PhotoError(path, str(error)) from None
    except FileNotFoundError:
        raise PhotoError(path, "there is no such file") from None
    except PermissionError:
        raise PhotoError(path, "no permission to read it") from None
    except MemoryError:
        raise PhotoError(path, "decoding it takes more memory than there is") from None
    except UnidentifiedImageError:
        raise PhotoError(path, "not a picture, or its header is damaged") from None
    except Exception as error:
        # Decoders raise errors of every kind on broken files. None may cost other photos.
        raise PhotoError(path, _broken(error)) from None


def takes_bounded_time(path: Path | str) -> bool:
    """Whether decoding a photo ends soon, whatever its content, so that nobody need watch it.

    The work of sequential JPEG and of PNG grows with the number of pixels alone. Progressive JPEG
    can hold thousands of scans of one picture, and other decoders are large programs. What is no
    photo is refused at once.
    """
    try:
        with _opened(path) as file:
            kind = photo_format(file.read(HEAD_BYTES))
            if kind == "JPEG":
                header = read_jpeg_header(file)
                return header.buffered == 0 and reduction(header.size) == 1
            if kind == "PNG":
                return reduction(read_png_header(file).size) == 1
            return kind is None
    except (UnreadableError, OSError, ValueError):
        return True
    except Exception:  # a header that nobody has thought of: better watched
        return False


@contextmanager
def _opened(path: Path | str) -> Iterator[BinaryIO]:
    path = Path(path)
    kind = path.stat().st_mode
    if stat.S_ISDIR(kind):
        raise UnreadableError("this is a folder, not a photo")
    if not stat.S_ISREG(kind):
        raise UnreadableError("this is a pipe or a device, not a photo")
    with path.open("rb") as file:
        yield file


class _PillowsLimit:
    """Counts the decoders at work, while Pillow's own limit of pixels is lifted.

    Pillow's limit is lower than ours, has two messages, and is checked at several points.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.kept: int | None = None


_LIMIT = _PillowsLimit()


@contextmanager
def _without_pillows_limit() -> Iterator[None]:
    with _LIMIT.lock:
        if _LIMIT.users == 0:
            _LIMIT.kept, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        _LIMIT.users += 1
    try:
        yield
    finally:
        with _LIMIT.lock:
            _LIMIT.users -= 1
            if _LIMIT.users == 0:
                Image.MAX_IMAGE_PIXELS = _LIMIT.kept


def _decoded(picture: StoredPicture) -> DecodedPhoto:
    wanted = reduction(picture.size)
    to_srgb = ToSrgb(picture.tags)
    loaded = picture.load()
    if isinstance(loaded, Image.Image):
        loaded.load()
        if loaded.size[0] * loaded.size[1] <= LARGE_PIXELS:
            image = to_srgb(loaded)
        elif picture.reduced >= wanted and not to_srgb.changes(loaded):
            image = loaded
        else:
            divisor = max(1, wanted // picture.reduced)
            image = _assembled(_bands_of(loaded), loaded.size, divisor, to_srgb)
    else:
        image = _assembled(loaded, picture.size, wanted, to_srgb)
    image.info = {}
    if picture.crop is not None:
        left, top, right, bottom = (side // wanted for side in picture.crop)
        image = image.crop((left, top, right, bottom))
    if picture.orientation in TURNS:
        image = image.transpose(TURNS[picture.orientation])
    return DecodedPhoto(
        image=image,
        size=picture.size,
        mode=picture.mode,
        format=picture.format,
        turned=picture.orientation != 1,
        exact=max(picture.reduced, wanted) == wanted,
    )


def _bands_of(photo: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """A large picture in bands of an even number of rows, so that it is not copied as a whole."""
    rows = max(2, BAND_PIXELS // photo.width // 2 * 2)
    for top in range(0, photo.height, rows):
        yield top, photo.crop((0, top, photo.width, min(top + rows, photo.height)))


def _assembled(
    bands: Iterable[tuple[int, Image.Image]], size: Size, divisor: int, to_srgb: ToSrgb
) -> Image.Image:
    """The picture of its bands, each converted and, if it must be, reduced by itself."""
    shape = (-(-size[0] // divisor), -(-size[1] // divisor))
    whole: Image.Image | None = None
    for top, band in bands:
        part = to_srgb(band)
        if divisor > 1:
            part = part.reduce(divisor)
        if part.size == shape:
            return part
        whole = whole or Image.new("RGB", shape)
        whole.paste(part, (0, top // divisor))
    assert whole is not None
    return whole


def _broken(error: Exception) -> str:
    text = (str(error).strip().splitlines() or [""])[0].rstrip(".").lower()
    text = text[:120] or type(error).__name__
    return f"damaged ({text})" if "truncated" not in text else f"truncated ({text})"
