"""Photos without metadata: the same pixels, and nobody's place or name."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from mobile_assets.photo_metadata import without_metadata
from mobile_assets.photos import decode

SECRET = b"SECRET"
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a who="SECRET NAME"/></x:xmpmeta>'


def exif(orientation: int) -> Image.Exif:
    record = Image.Exif()
    record[0x0112] = orientation
    record[0x013B] = "SECRET NAME"
    record[0x9286] = b"ASCII\0\0\0SECRET comment"
    record.get_ifd(0x8825).update({1: "N", 2: (54.0, 46.0, 30.5), 29: "SECRET place"})
    return record


def photo(mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(1).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def jpeg(orientation: int, mode: str = "RGB", **options: Any) -> bytes:
    stream = io.BytesIO()
    photo(mode).save(stream, "JPEG", exif=exif(orientation), comment=b"SECRET", **options)
    data = stream.getvalue()
    more = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP)
    more += segment(0xED, b"Photoshop 3.0\0SECRET") + segment(0xE2, b"MPF\0SECRET")
    # A telephone's film, or the small pictures of a burst, follow the picture.
    return data[:2] + more + data[2:] + b"SECRET film"


def png(orientation: int, mode: str = "RGB", **options: Any) -> bytes:
    stream = io.BytesIO()
    text = PngImagePlugin.PngInfo()
    text.add_text("Author", "SECRET NAME")
    text.add_itxt("XML:com.adobe.xmp", XMP.decode())
    text.add_text("Comment", "SECRET", zip=True)
    photo(mode).save(stream, "PNG", exif=exif(orientation), pnginfo=text, **options)
    return stream.getvalue() + b"SECRET tail"


def webp(orientation: int, mode: str = "RGB", **options: Any) -> bytes:
    stream = io.BytesIO()
    photo(mode).save(stream, "WEBP", exif=exif(orientation), xmp=XMP, **options)
    return stream.getvalue()


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PHOTOS = {
    **{f"JPEG {o}": jpeg(o) for o in range(1, 9)},
    "JPEG progressive": jpeg(6, progressive=True),
    "JPEG grey": jpeg(3, "L"),
    "JPEG CMYK": jpeg(8, "CMYK"),
    "JPEG with profile": jpeg(6, icc_profile=SRGB),
    "JPEG with restarts": jpeg(6, restart_marker_rows=1),
    **{f"PNG {o}": png(o) for o in (1, 6)},
    "PNG palette": png(6, "P"),
    "PNG grey and alpha": png(8, "LA"),
    "PNG with profile": png(5, icc_profile=SRGB),
    **{f"WebP {o}": webp(o) for o in (1, 6)},
    "WebP lossless": webp(3, lossless=True),
    "WebP alpha": webp(6, "RGBA"),
    "WebP with profile": webp(8, icc_profile=SRGB),
}


def decoded(content: bytes, folder: Path, name: str) -> np.ndarray[Any, Any]:
    path = folder / f"{len(content)}.{name.split(maxsplit=1)[0].lower()}"
    path.write_bytes(content)
    return np.asarray(decode(path))


@pytest.mark.parametrize("name", PHOTOS)
def test_the_picture_stays_and_everything_else_goes(name: str, tmp_path: Path) -> None:
    content = PHOTOS[name]
    bare = without_metadata(content)
    assert bare is not None
    assert np.array_equal(decoded(bare, tmp_path, name), decoded(content, tmp_path, name))
    assert SECRET not in bare and b"xmp" not in bare and b"meta" not in bare
    with Image.open(io.BytesIO(bare)) as picture:
        picture.load()
        record = picture.getexif()
        assert set(record) <= {0x0112}
        assert not record.get_ifd(0x8825)
        kept = {"jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi", "exif", "icc_profile",
                "progressive", "progression", "adobe", "adobe_transform", "transparency", "gamma",
                "loop", "background", "timestamp", "duration"}  # fmt: skip
        assert set(picture.info) <= kept
        assert ("icc_profile" in picture.info) == ("profile" in name)
    assert without_metadata(bare) == bare


@pytest.mark.parametrize("name", ["JPEG 6", "PNG 6", "WebP 6"])
def test_damaged_photos_are_left_to_the_caller(name: str) -> None:
    content = PHOTOS[name]
    for length in range(0, len(content), 7):
        without_metadata(content[:length])  # never raises
    assert without_metadata(b"GIF89a") is None


def test_malformed_exif_goes_and_the_orientation_stays() -> None:
    body = b"Exif\0\0II*\0" + struct.pack("<IHHHII", 8, 2, 0x0112, 3, 1, 6)
    body += struct.pack("<HHII", 0x011A, 10, 1, 38) + bytes(4) + struct.pack("<ii", -1, 0)
    stream = io.BytesIO()
    photo().save(stream, "JPEG")
    data = stream.getvalue()
    bare = without_metadata(data[:2] + segment(0xE1, body) + data[2:])
    assert bare is not None
    with Image.open(io.BytesIO(bare)) as picture:
        assert picture.getexif() == {0x0112: 6}
