"""PNG by kind of samples, orientation, transparency, colours and further pictures."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
import photo_files as made
from photo_case import (
    ALPHA,
    FLAT,
    GREY,
    HEIGHT,
    LINEAR,
    RGB,
    SRGB_PRIMARIES,
    WIDTH,
    Case,
    from_p3,
    generator,
    grey,
    over_white,
    srgb,
)
from photo_files import Array, exif, png, turned

# --- PNG ------------------------------------------------------------------------------------------


def png_cases() -> Iterator[Case]:
    stored = {
        "grey": (GREY, 0, grey(GREY)),
        "rgb": (RGB, 2, RGB),
        "grey alpha": (np.concatenate([GREY, ALPHA], 2), 4, grey(over_white(GREY, ALPHA))),
        "rgba": (np.concatenate([RGB, ALPHA], 2), 6, over_white(RGB, ALPHA)),
    }
    for name, (samples, kind, wanted) in stored.items():
        for orientation in range(1, 9):
            chunks = (b"eXIf", exif("<>"[orientation % 2], orientation=orientation))
            yield Case(
                f"png {name} eXIf {orientation}",
                lambda s=samples, k=kind, c=chunks: png(s, k, c),
                turned(wanted, orientation),
                1,
            )
        yield Case(
            f"png {name} 16 bits",
            lambda s=samples, k=kind: png(s.astype(np.uint16) * 257, k, bits=16),
            wanted,
            1,
        )
    yield from png_keys()
    yield from png_colours()
    frame = (b"fcTL", struct.pack(">LLLLLHHBB", 0, WIDTH, HEIGHT, 0, 0, 1, 10, 0, 0))
    other = zlib.compress(b"".join(b"\0" + row.tobytes() for row in 255 - RGB))
    later = [
        (b"fcTL", struct.pack(">LLLLLHHBB", 1, WIDTH, HEIGHT, 0, 0, 1, 10, 0, 0)),
        (b"fdAT", struct.pack(">L", 2) + other),
    ]
    count = (b"acTL", struct.pack(">LL", 2, 0))
    yield Case("apng", lambda: png(RGB, 2, count, frame, after=later), RGB)
    yield Case("apng with a still of its own", lambda: png(RGB, 2, count, after=later), RGB)
    text = b"Raw profile type exif\0\nexif\n      14\n"
    sound = exif(orientation=6).hex().encode()
    for name, data, orientation in (
        ("damaged", b"4578zz\n", 1),
        ("sound", sound + b"\n", 6),
        ("damaged at its end", sound + b"zz", 6),
    ):
        yield Case(
            f"png raw profile {name}",
            lambda d=data: png(RGB, 2, (b"tEXt", text + d)),
            turned(RGB, orientation),
        )
    bomb = b"Comment\0\0" + zlib.compress(bytes(80_000_000), 9)
    yield Case("png with a text of 80 MB", lambda: png(RGB, 2, (b"zTXt", bomb)), RGB)
    xmp = b"XML:com.adobe.xmp\0\0\0\0\0" + b'<x tiff:Orientation="6"/>'
    yield Case("png xmp orientation", lambda: png(RGB, 2, (b"iTXt", xmp)), RGB)


def png_keys() -> Iterator[Case]:
    for bits in (1, 2, 4, 8, 16):
        most = (1 << bits) - 1
        values = GREY.astype(np.int64) * most // 255
        key = int(values[4, 5, 0])
        wanted = np.where(values == key, 255, values * 255 // most)
        yield Case(
            f"png grey {bits} bits with a key",
            lambda v=values, k=key, b=bits: png(v, 0, (b"tRNS", struct.pack(">H", k)), bits=b),
            grey(wanted),
        )
    for bits, factor in ((8, 1), (16, 257)):
        colours = RGB.astype(np.int64) * factor
        wanted = RGB.copy()
        wanted[4, 5] = 255
        yield Case(
            f"png rgb {bits} bits with a key",
            lambda c=colours, b=bits: png(c, 2, (b"tRNS", struct.pack(">3H", *c[4, 5])), bits=b),
            wanted,
        )
    palette = generator.integers(0, 256, (256, 3), dtype=np.uint8)
    alphas = generator.integers(0, 256, 256, dtype=np.uint8)
    index = GREY[..., 0]
    wanted = over_white(palette[index], alphas[index][..., None])
    yield Case(
        "png palette with alphas",
        lambda: png(GREY, 3, (b"PLTE", palette.tobytes()), (b"tRNS", alphas.tobytes())),
        wanted,
        1,
    )
    yield Case("png palette", lambda: png(GREY, 3, (b"PLTE", palette.tobytes())), palette[index])


def png_colours() -> Iterator[Case]:
    def gamma(number: int) -> tuple[bytes, bytes]:
        return b"gAMA", struct.pack(">L", number)

    p3 = b"cHRM", struct.pack(">8L", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
    flat = png_with(FLAT, 2)
    linear = np.rint(srgb(RGB / 255.0))
    icc = b"iCCP", b"x\0\0" + zlib.compress(made.profile(b"RGB ", 1.0, SRGB_PRIMARIES))
    grey_icc = b"iCCP", b"x\0\0" + zlib.compress(LINEAR)
    # Little CMS is coarse in the darkest greys of a linear profile.
    bright = np.maximum(GREY, 64)
    greys = np.concatenate([bright, np.full_like(GREY, 255)], 2)
    yield Case("png gAMA 1.0", png_with(RGB, 2, gamma(100000)), linear, 1)
    yield Case("png gAMA 1.0 grey", png_with(GREY, 0, gamma(100000)), grey(srgb(GREY / 255.0)), 1)
    yield Case("png gAMA 1/1.8", png_with(RGB, 2, gamma(55556)), srgb((RGB / 255.0) ** 1.8), 1)
    yield Case("png gAMA 1/2.2 is sRGB", png_with(RGB, 2, gamma(45455)), RGB)
    yield Case("png gAMA 0 is none", png_with(RGB, 2, gamma(0)), RGB)
    yield Case("png sRGB before gAMA", png_with(RGB, 2, gamma(100000), (b"sRGB", b"\0")), RGB)
    yield Case("png iCCP before sRGB", png_with(RGB, 2, icc, (b"sRGB", b"\0")), linear, 1)
    yield Case("png cICP before iCCP", png_with(RGB, 2, icc, (b"cICP", bytes([1, 13, 0, 1]))), RGB)
    yield Case("png cICP linear", png_with(RGB, 2, (b"cICP", bytes([1, 8, 0, 1]))), linear, 1)
    yield Case(
        "png cICP Display P3", png_with(FLAT, 2, (b"cICP", bytes([12, 13, 0, 1]))), from_p3(FLAT), 2
    )
    yield Case("png cHRM Display P3", png_with(FLAT, 2, p3), from_p3(FLAT), 2)
    yield Case("png cICP unspecified", png_with(RGB, 2, (b"cICP", bytes([2, 2, 0, 1]))), RGB)
    yield Case("png cICP BT.709", png_with(RGB, 2, (b"cICP", bytes([1, 1, 0, 1]))), RGB)
    yield Case(
        "png cICP PQ white of 203 cd/m²",
        png_with(np.full_like(FLAT, 148), 2, (b"cICP", bytes([1, 16, 0, 1]))),
        np.full_like(FLAT, 255),
        3,
    )
    yield Case("png grey profile", png_with(bright, 0, grey_icc), grey(srgb(bright / 255.0)), 1)
    yield Case(
        "png grey alpha, grey profile", png_with(greys, 4, grey_icc), grey(srgb(bright / 255.0)), 1
    )
    yield Case("png rgb, grey profile", png_with(RGB, 2, grey_icc), RGB)
    yield Case("png grey, rgb profile", png_with(GREY, 0, icc), grey(GREY))
    yield Case(
        "png broken profile", png_with(RGB, 2, (b"iCCP", b"x\0\0" + zlib.compress(b"none"))), RGB
    )
    yield Case("png profile not inflated", png_with(RGB, 2, (b"iCCP", b"x\0\0none")), RGB)
    yield Case("png flat", flat, FLAT)


def png_with(samples: Array, kind: int, *chunks: tuple[bytes, bytes]) -> Callable[[], bytes]:
    return lambda: png(samples, kind, *chunks)
