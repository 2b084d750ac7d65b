"""Decoding: every kind of picture that people really have, and every kind of broken one."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from conftest import picture
from PIL import Image, ImageCms

from export.golden.synthetic_photos import display_p3
from mobile_assets.photo_decoding import limits
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
    monkeypatch.setattr(limits, "MAX_PIXELS", 100 * 100)
    assert decode(tmp_path / "photo.png").size == (100, 100)
    monkeypatch.setattr(limits, "MAX_PIXELS", 100 * 100 - 1)
    with pytest.raises(PhotoError, match="100×100"):
        decode(tmp_path / "photo.png")


def test_gigapixel_header_is_refused_before_decoding(tmp_path: Path) -> None:
    # A PNG whose header promises 10 gigapixels: what a decompression bomb looks like.
    data = io.BytesIO()
    Image.new("L", (1, 1)).save(data, "PNG")
    raw = bytearray(data.getvalue())
    raw[16:24] = (100_000).to_bytes(4, "big") * 2
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


def tiff(values: np.ndarray, photometric: int) -> bytes:
    """An uncompressed little-endian TIFF of whole numbers, as a scanner writes it."""
    channels = values.shape[2] if values.ndim == 3 else 1
    height, width, bits = values.shape[0], values.shape[1], 8 * values.itemsize
    count = 10
    extra = struct.pack("<3H", bits, bits, bits)
    start = 8 + 2 + 12 * count + 4
    tags = [
        (256, 4, 1, width), (257, 4, 1, height),
        (258, 3, channels, bits if channels == 1 else start), (259, 3, 1, 1),
        (262, 3, 1, photometric), (273, 4, 1, start + len(extra)), (277, 3, 1, channels),
        (278, 4, 1, height), (279, 4, 1, values.nbytes), (284, 3, 1, 1),
    ]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    head = b"II*\0" + struct.pack("<IH", 8, count) + entries + struct.pack("<I", 0)
    return head + extra + values.tobytes()


STEPS = np.arange(256).reshape(16, 16)


@pytest.mark.parametrize(
    ("values", "photometric"),
    [
        ((STEPS * 257).astype("<u2"), 1),
        ((65535 - STEPS * 257).astype("<u2"), 0),  # white is zero, as some scanners have it
        ((STEPS * 0x01010101).astype("<u4"), 1),
        (np.stack([STEPS * 257] * 3, axis=-1).astype("<u2"), 2),
    ],
    ids=["16 bits", "16 bits from white", "32 bits", "16 bits a colour"],
)
def test_deep_tiffs_keep_their_brightness(
    tmp_path: Path, values: np.ndarray, photometric: int
) -> None:
    (tmp_path / "photo.tif").write_bytes(tiff(values, photometric))
    assert np.abs(rgb(decode(tmp_path / "photo.tif")) - STEPS[..., None]).max() <= 1


def test_sixteen_bits_a_colour_in_a_png(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    colours = np.stack([STEPS, STEPS[::-1], STEPS.T], axis=-1)
    rows = b"".join(b"\0" + row.tobytes() for row in (colours * 257).astype(">u2"))
    head = struct.pack(">IIBBBBB", 16, 16, 16, 2, 0, 0, 0)
    (tmp_path / "photo.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )  # fmt: skip
    assert np.abs(rgb(decode(tmp_path / "photo.png")) - colours).max() <= 1


def test_first_page_of_a_tiff(tmp_path: Path) -> None:
    pages = [picture(seed) for seed in (3, 4)]
    pages[0].save(tmp_path / "photo.tif", save_all=True, append_images=pages[1:])
    assert np.array_equal(rgb(decode(tmp_path / "photo.tif")), rgb(pages[0]))


@pytest.mark.parametrize("reduced", [False, True])
def test_wide_colours_of_a_phone_are_converted(tmp_path: Path, reduced: bool) -> None:
    colour = Image.new("RGB", (640, 480), (200, 100, 60))
    colour.save(tmp_path / "p3.jpg", quality=95, icc_profile=display_p3())
    colour.save(tmp_path / "srgb.jpg", quality=95)
    p3, srgb = (
        load(tmp_path / name, CONTRACT, reduced=reduced).astype(int).mean(axis=(0, 1))
        for name in ("p3.jpg", "srgb.jpg")
    )
    # The same numbers mean a more saturated colour in the wider space.
    assert p3[0] > srgb[0] + 5
    assert p3[1] < srgb[1] - 2


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_reduced_decoding_of_every_jpeg(tmp_path: Path, mode: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture(3, 1200, 800).convert(mode).save(tmp_path / "photo.jpg", quality=95, exif=exif)
    exact, near = (
        load(tmp_path / "photo.jpg", CONTRACT, reduced=r).astype(int) for r in (False, True)
    )
    assert np.abs(exact - near).max() <= 6
    assert decode(tmp_path / "photo.jpg", at_least=64).width <= 150
    assert decode(tmp_path / "photo.jpg").width in (800, 1200)


def test_a_photo_of_several_pictures_as_phones_take(tmp_path: Path) -> None:
    large = picture(4, 800, 600)
    large.save(tmp_path / "photo.jpg", "MPO", save_all=True, append_images=[picture(5, 80, 60)])
    for reduced in (False, True):
        pixels = load(tmp_path / "photo.jpg", CONTRACT, reduced=reduced).astype(int)
        shape = (CONTRACT.width, CONTRACT.height)
        assert np.abs(pixels - rgb(large.resize(shape, Image.Resampling.BILINEAR))).mean() < 6


def test_our_own_limit_of_pixels_holds_not_pillows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(8, 100, 100).save(tmp_path / "photo.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert decode(tmp_path / "photo.png").size == (100, 100)
    assert Image.MAX_IMAGE_PIXELS == 1000
