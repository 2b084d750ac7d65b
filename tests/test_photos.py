"""Decoding: every kind of picture that people really have, and every kind of broken one."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from conftest import picture
from PIL import Image, ImageCms

from mobile_assets import photos
from mobile_assets.photos import PhotoError, decode, load
from mobile_assets.preprocessing import Preprocessing

CONTRACT = Preprocessing(height=32, width=24, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def rgb(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB")).astype(int)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_turned_upright(tmp_path: Path, orientation: int) -> None:
    upright = picture(1, 48, 32)
    undo = {
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }
    stored = upright
    for turn in undo.get(orientation, []):
        stored = stored.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "photo.png", exif=exif)
    assert np.array_equal(rgb(decode(tmp_path / "photo.png")), rgb(upright))


def test_a_missed_rotation_would_be_seen() -> None:
    upright = picture(1, 48, 48)
    assert not np.array_equal(rgb(upright), rgb(upright.transpose(Image.Transpose.ROTATE_90)))


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK", "LA", "RGBA", "I;16", "I", "F"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    source = picture(2)
    if mode in ("I;16", "I"):
        grey = np.asarray(source.convert("L")).astype(np.uint16 if mode == "I;16" else np.int32)
        made = Image.fromarray(grey * 257)
    elif mode == "F":
        made = Image.fromarray(np.asarray(source.convert("L")).astype(np.float32) / 255)
    else:
        made = source.convert(mode)
    path = tmp_path / ("photo.tif" if mode in ("CMYK", "F", "I") else "photo.png")
    made.save(path)
    decoded = decode(path)
    assert decoded.mode == "RGB"
    wanted = rgb(source.convert("L") if mode not in ("P", "CMYK", "RGBA") else source)
    limit = {"1": 140, "P": 40}.get(mode, 4)  # dithering to two colours, or to a palette, is coarse
    assert np.abs(rgb(decoded) - wanted).mean() < limit


def test_transparent_pixels_lie_over_white(tmp_path: Path) -> None:
    made = Image.new("RGBA", (8, 8), (10, 20, 30, 0))
    made.putpixel((3, 3), (10, 20, 30, 255))
    made.save(tmp_path / "photo.png")
    decoded = decode(tmp_path / "photo.png")
    assert decoded.getpixel((0, 0)) == (255, 255, 255)
    assert decoded.getpixel((3, 3)) == (10, 20, 30)


def test_transparent_palette_lies_over_white(tmp_path: Path) -> None:
    made = Image.new("P", (4, 4), 0)
    made.putpalette([0, 0, 0, 200, 100, 50])
    made.putpixel((1, 1), 1)
    made.save(tmp_path / "photo.gif", transparency=0)
    decoded = decode(tmp_path / "photo.gif")
    assert decoded.getpixel((0, 0)) == (255, 255, 255)
    assert decoded.getpixel((1, 1)) == (200, 100, 50)


def test_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [picture(seed) for seed in (3, 4)]
    frames[0].save(tmp_path / "photo.webp", save_all=True, append_images=frames[1:], lossless=True)
    assert np.array_equal(rgb(decode(tmp_path / "photo.webp")), rgb(frames[0]))


def test_heic_is_read(tmp_path: Path) -> None:
    source = picture(5, 64, 64)
    source.save(tmp_path / "photo.heic", quality=95)
    assert np.abs(rgb(decode(tmp_path / "photo.heic")) - rgb(source)).mean() < 4


def test_a_wide_gamut_profile_is_converted(tmp_path: Path) -> None:
    # LAB data with its own profile: the same numbers read as sRGB would be another colour.
    lab = ImageCms.createProfile("LAB")
    srgb = ImageCms.createProfile("sRGB")
    colour = Image.new("RGB", (8, 8), (200, 60, 40))
    made = ImageCms.profileToProfile(colour, srgb, lab, outputMode="LAB")
    assert made is not None
    made.save(tmp_path / "photo.tif", icc_profile=ImageCms.ImageCmsProfile(lab).tobytes())
    assert np.abs(rgb(decode(tmp_path / "photo.tif")) - (200, 60, 40)).max() <= 3


def test_a_broken_profile_is_ignored(tmp_path: Path) -> None:
    picture(6).save(tmp_path / "photo.png", icc_profile=b"not a profile")
    assert np.array_equal(rgb(decode(tmp_path / "photo.png")), rgb(picture(6)))


def truncated() -> bytes:
    data = io.BytesIO()
    picture(7, 200, 200).save(data, "JPEG")
    return data.getvalue()[: len(data.getvalue()) // 2]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.jpg", b"", "empty"),
        ("text.jpg", b"this is no picture", "not a picture"),
        ("cut.jpg", truncated(), "truncated"),
        ("head.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, ""),
        ("page.jpg", b"<html>not found</html>", "not a picture"),
        ("broken.heic", b"\0\0\0\x18ftypheic" + b"\0" * 30, ""),
    ],
)
def test_broken_files_say_why(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PhotoError) as caught:
        decode(tmp_path / name)
    assert reason in caught.value.reason
    assert name in str(caught.value)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match="no such file"):
        decode(tmp_path / "none.jpg")
    with pytest.raises(PhotoError):
        decode(tmp_path)


def test_too_many_pixels_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(8, 100, 100).save(tmp_path / "photo.png")
    monkeypatch.setattr(photos, "MAX_PIXELS", 100 * 100)
    assert decode(tmp_path / "photo.png").size == (100, 100)
    monkeypatch.setattr(photos, "MAX_PIXELS", 100 * 100 - 1)
    with pytest.raises(PhotoError, match="100×100"):
        decode(tmp_path / "photo.png")


def test_gigapixel_header_is_refused_before_decoding(tmp_path: Path) -> None:
    # A PNG whose header promises 10 gigapixels: what a decompression bomb looks like.
    data = io.BytesIO()
    Image.new("L", (1, 1)).save(data, "PNG")
    raw = bytearray(data.getvalue())
    raw[16:24] = (100_000).to_bytes(4, "big") * 2
    import zlib

    raw[29:33] = zlib.crc32(raw[12:29]).to_bytes(4, "big")
    (tmp_path / "bomb.png").write_bytes(raw)
    with pytest.raises(PhotoError, match="megapixels"):
        decode(tmp_path / "bomb.png")


def test_contract_squashes_without_cropping(tmp_path: Path) -> None:
    # The left third is red, the rest blue; squashing keeps the shares, cropping would not.
    wide = Image.new("RGB", (90, 30), (0, 0, 255))
    wide.paste((255, 0, 0), (0, 0, 30, 30))
    wide.save(tmp_path / "photo.png")
    pixels = load(tmp_path / "photo.png", CONTRACT)
    assert pixels.shape == (32, 24, 3)
    assert pixels.dtype == np.uint8
    assert abs((pixels[..., 0] > 127).mean() - 1 / 3) < 0.03


def test_shrinking_is_antialiased(tmp_path: Path) -> None:
    # One-pixel stripes: without antialiasing some stripes would survive as black or white.
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "photo.png")
    pixels = load(tmp_path / "photo.png", CONTRACT)
    assert pixels.min() > 100
    assert pixels.max() < 155
