"""JPEG, GIF, BMP, WebP, HEIC and AVIF by orientation, metadata, colours and further pictures."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
import photo_files as made
from photo_case import (
    ALPHA,
    HALVES,
    HEIGHT,
    LINEAR,
    RGB,
    SRGB_PRIMARIES,
    WIDTH,
    Case,
    from_p3,
    generator,
    grey,
    malformed_tags,
    over_white,
    saved,
    srgb,
)
from photo_files import Array, exif, turned
from PIL import Image

# --- JPEG -----------------------------------------------------------------------------------------


def jpeg_cases() -> Iterator[Case]:
    plain = saved(HALVES, "JPEG", quality=95, subsampling=0)

    def with_exif(data: bytes, *before: tuple[int, bytes]) -> Callable[[], bytes]:
        return lambda: made.with_segments(plain, *before, (0xE1, b"Exif\0\0" + data))

    for orientation, order in product(range(1, 9), "<>"):
        yield Case(
            f"jpeg exif {orientation} {order}",
            with_exif(exif(order, orientation=orientation)),
            turned(HALVES, orientation),
            4,
        )
    upright = turned(HALVES, 6)
    for name, tag in malformed_tags():
        yield Case(f"jpeg malformed {name}", with_exif(exif("<", tag)), upright, 4)
    for value in (0, 9, 65535):
        yield Case(f"jpeg orientation {value}", with_exif(exif(orientation=value)), HALVES, 4)
    loop = exif("<", (0x8769, 4, 1, struct.pack("<L", 8)), (0x8825, 4, 1, struct.pack("<L", 8)))
    yield Case("jpeg exif that leads to itself", with_exif(loop), upright, 4)
    yield Case("jpeg exif cut off behind the orientation", with_exif(exif()[:22]), upright, 4)
    yield Case("jpeg exif of nonsense", with_exif(b"II*\0\xff\xff\xff\xff"), HALVES, 4)
    xmp = b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="6"/>'
    yield Case("jpeg xmp orientation", lambda: made.with_segments(plain, (0xE1, xmp)), HALVES, 4)
    yield Case(
        "jpeg xmp beside exif", with_exif(exif(orientation=8), (0xE1, xmp)), turned(HALVES, 8), 4
    )
    for marker, data in (
        (0xE2, b"ICC_PROFILE\0"),
        (0xE2, b"MPF\0II*\0"),
        (0xED, b"Photoshop 3.0\x008BIM\4\4"),
        (0xE0, b"JFIF"),
        (0xEE, b"Adobe"),
        (0xE1, b"Exif\0\0"),
    ):
        yield Case(
            f"jpeg segment {data[:5]!r} cut short",
            lambda m=marker, d=data: made.with_segments(plain, (m, d)),
            HALVES,
            4,
        )
    yield Case(
        "jpeg progressive",
        lambda: saved(HALVES, "JPEG", quality=95, subsampling=0, progressive=True),
        HALVES,
        4,
    )
    yield Case(
        "jpeg grey", lambda: saved(HALVES[..., 0], "JPEG", quality=95), grey(HALVES[..., 0]), 4
    )
    yield Case(
        "jpeg grey, grey profile",
        lambda: saved(HALVES[..., 0], "JPEG", quality=95, icc_profile=LINEAR),
        grey(srgb(HALVES[..., 0] / 255.0)),
        4,
    )
    icc = made.profile(b"RGB ", 1.0, SRGB_PRIMARIES)
    yield Case(
        "jpeg linear profile",
        lambda: saved(HALVES, "JPEG", quality=100, subsampling=0, icc_profile=icc),
        srgb(HALVES / 255.0),
        9,
    )
    yield Case("jpeg with zeros behind its end", lambda: plain + bytes(5000), HALVES, 4)
    second = saved(255 - HALVES, "JPEG")
    yield Case("jpeg with another behind it", lambda: plain + second, HALVES, 4)
    ink = np.concatenate([HALVES, np.zeros_like(HALVES[..., :1])], 2)
    yield Case("jpeg cmyk as Adobe stores it", lambda: cmyk_jpeg(ink), 255 - HALVES, 5)
    mpo = lambda: mpo_of(HALVES, 255 - HALVES)  # noqa: E731
    yield Case("mpo", mpo, HALVES, 40)


def cmyk_jpeg(ink: Array) -> bytes:
    file = io.BytesIO()
    Image.fromarray(ink, "CMYK").save(file, "JPEG", quality=95)
    return file.getvalue()


def mpo_of(first: Array, second: Array) -> bytes:
    file = io.BytesIO()
    Image.fromarray(first).save(file, "MPO", save_all=True, append_images=[Image.fromarray(second)])
    return file.getvalue()


UNKNOWN = made.ifd("<", [(0x0113, 3, 1, struct.pack("<H", 6))], 8)
UNKNOWN = b"Exif\0\0II*\0" + struct.pack("<L", 8) + UNKNOWN

# --- GIF, BMP, WebP, HEIC, AVIF -------------------------------------------------------------------


def other_cases() -> Iterator[Case]:
    index = generator.integers(0, 4, (HEIGHT, WIDTH), dtype=np.uint8)
    colours = made.GIF_PALETTE[index]
    yield Case("gif", lambda: made.gif([(index, (0, 0))], (WIDTH, HEIGHT)), colours)
    yield Case(
        "gif first frame",
        lambda: made.gif([(index, (0, 0)), (3 - index, (0, 0))], (WIDTH, HEIGHT)),
        colours,
    )
    wanted = np.full((HEIGHT + 6, WIDTH + 9, 3), 255, np.uint8)
    wanted[2 : 2 + HEIGHT, 3 : 3 + WIDTH] = colours
    yield Case(
        "gif frame smaller than its screen",
        lambda: made.gif([(index, (3, 2))], (WIDTH + 9, HEIGHT + 6)),
        wanted,
    )
    for top_down in (False, True):
        yield Case(f"bmp {top_down}", lambda t=top_down: made.bmp(RGB, top_down=t), RGB)
    for name, alpha, wanted in (
        ("", ALPHA, over_white(RGB, ALPHA)),
        (" of zeros", ALPHA * 0, RGB),
    ):
        pixels = np.concatenate([RGB, alpha], 2)
        yield Case(f"bmp alpha{name}", lambda p=pixels: made.bmp_with_alpha(p), wanted, 1)
    for orientation in range(1, 9):
        data = exif(orientation=orientation)
        yield Case(
            f"webp exif {orientation}",
            lambda d=data: saved(RGB, "WEBP", lossless=True, exif=d),
            turned(RGB, orientation),
        )
    xmp = b'<x tiff:Orientation="6"/>'
    yield Case("webp xmp orientation", lambda: saved(RGB, "WEBP", lossless=True, xmp=xmp), RGB)
    yield Case(
        "webp malformed exif",
        lambda: saved(
            RGB, "WEBP", lossless=True, exif=exif("<", (0x011A, 10, 1, struct.pack("<ll", -1, 0)))
        ),
        turned(RGB, 6),
    )
    yield Case(
        "webp first frame",
        lambda: saved(
            RGB, "WEBP", lossless=True, save_all=True, append_images=[Image.fromarray(255 - RGB)]
        ),
        RGB,
    )
    for kind, how in (("HEIF", {"quality": 90}), ("AVIF", {"quality": 90})):
        yield from iso_cases(kind, how)


def iso_cases(kind: str, how: dict[str, Any]) -> Iterator[Case]:
    name = kind.lower()
    large = np.repeat(np.repeat(HALVES, 4, 0), 4, 1)
    yield Case(name, lambda: saved(large, kind, **how), large, 30)
    for orientation in range(1, 9):
        data = exif(orientation=orientation)
        yield Case(
            f"{name} turned by boxes {orientation}",
            lambda d=data: saved(large, kind, exif=d, **how),
            turned(large, orientation),
            30,
        )
    yield Case(
        f"{name} exif alone is not obeyed",
        lambda: with_late_exif(saved(large, kind, exif=UNKNOWN, **how)),
        large,
        30,
    )
    yield Case(
        f"{name} linear nclx",
        lambda: with_code_points(saved(large, kind, **how), 1, 8),
        srgb(large / 255.0),
        45,
    )
    yield Case(
        f"{name} P3 nclx",
        lambda: with_code_points(saved(large, kind, **how), 12, 13),
        from_p3(large),
        30,
    )
    yield Case(
        f"{name} BT.709 nclx", lambda: with_code_points(saved(large, kind, **how), 1, 1), large, 30
    )
    yield Case(
        f"{name} primary picture is the second",
        lambda: second_primary(kind, 255 - large, large),
        large,
        30,
    )


def with_late_exif(file: bytes) -> bytes:
    """Turns a tag of no meaning into an orientation, past the writer, which would obey it."""
    for order in "<>":
        tag, orientation = (struct.pack(order + "HHLH", n, 3, 1, 6) for n in (0x0113, 0x0112))
        if tag in file:
            return file.replace(tag, orientation)
    raise AssertionError("the writer left EXIF out")


def with_code_points(file: bytes, primaries: int, transfer: int) -> bytes:
    start = file.index(b"colrnclx") + 8
    return file[:start] + struct.pack(">HH", primaries, transfer) + file[start + 4 :]


def second_primary(kind: str, first: Array, second: Array) -> bytes:
    """Two pictures of one size, of which the second is the primary one."""
    if kind == "AVIF":
        return made.avif_of_two(saved(first, kind, quality=90), saved(second, kind, quality=90))
    import pillow_heif

    container = pillow_heif.from_pillow(Image.fromarray(first))
    container.add_from_pillow(Image.fromarray(second))
    file = io.BytesIO()
    container.save(file, quality=90, primary_index=1)
    return file.getvalue()
