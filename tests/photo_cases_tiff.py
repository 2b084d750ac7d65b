"""TIFF by kind of samples, packing, order, orientation, depth, range and colours."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import photo_files as made
from photo_case import (
    ALPHA,
    GREY,
    HALVES,
    HEIGHT,
    LINEAR,
    RGB,
    SRGB_PRIMARIES,
    WIDE,
    WIDTH,
    Case,
    generator,
    grey,
    light,
    malformed_tags,
    over_white,
    saved,
    srgb,
)
from photo_files import DEFLATE, LZW, NONE, PACKBITS, Array, tiff, turned
from PIL import Image

# --- TIFF -----------------------------------------------------------------------------------------

PACKED = {"none": NONE, "lzw": LZW, "deflate": DEFLATE, "packbits": PACKBITS}
INK = np.concatenate([RGB, GREY], axis=2)
MODES: dict[str, tuple[Array, int, tuple[int, ...], Array, float]] = {
    "grey": (GREY, 1, (), grey(GREY), 0),
    "grey from white": (255 - GREY, 0, (), grey(GREY), 0),
    "grey16": (WIDE, 1, (), grey(GREY), 0),
    "grey16 from white": (65535 - WIDE, 0, (), grey(GREY), 1),
    "grey32": (GREY.astype(np.uint32) * 0x01010101, 1, (), grey(GREY), 0),
    "grey alpha": (np.concatenate([GREY, ALPHA], 2), 1, (2,), grey(over_white(GREY, ALPHA)), 1),
    "grey premultiplied": (
        np.concatenate([(GREY * (ALPHA / 255.0)).astype(np.uint8), ALPHA], 2), 1, (1,),
        grey(over_white((GREY * (ALPHA / 255.0)).astype(np.uint8) * 1.0, ALPHA * 0 + 255)
             + 255 - ALPHA), 2,
    ),
    "grey16 alpha": (
        np.concatenate([WIDE, ALPHA.astype(np.uint16) * 257], 2), 1, (2,),
        grey(over_white(GREY, ALPHA)), 1,
    ),
    "rgb": (RGB, 2, (), RGB, 0),
    "rgb16": (RGB.astype(np.uint16) * 257, 2, (), RGB, 0),
    "rgba": (np.concatenate([RGB, ALPHA], 2), 2, (2,), over_white(RGB, ALPHA), 1),
    "rgb and a spare": (np.concatenate([RGB, ALPHA], 2), 2, (0,), RGB, 0),
    "rgb float": (RGB.astype(np.float32) / 255, 2, (), RGB, 0),
    "grey float": (GREY.astype(np.float32) / 255, 1, (), grey(GREY), 0),
    "cmyk": (INK, 5, (), (255 - RGB.astype(float)) * (255 - GREY.astype(float)) / 255, 2),
    "cmyk16": (INK.astype(np.uint16) * 257, 5, (),
               (255 - RGB.astype(float)) * (255 - GREY.astype(float)) / 255, 2),
}  # fmt: skip


def tiff_case(
    name: str, samples: Array, photometric: int, wanted: Array, limit: float = 0, **how: Any
) -> Case:
    upright = turned(wanted, how.get("orientation") or 1)
    return Case(f"tiff {name}", lambda: tiff(samples, photometric, **how), upright, limit)


def tiff_cases() -> Iterator[Case]:
    for (mode, (samples, meaning, extra, wanted, limit)), packing in product(MODES.items(), PACKED):
        for number, orientation in enumerate(range(1, 9)):
            yield tiff_case(
                f"{mode} {packing} orientation {orientation}", samples, meaning, wanted, limit,
                compression=PACKED[packing], orientation=orientation, extra=extra,
                order="<>"[number % 2], planar=number % 4 == 2, tile=16 * (number % 3 == 1),
                rows=(5, 8, HEIGHT)[number % 3],
            )  # fmt: skip
        for predictor in (2, 3):
            if (predictor == 3) == (samples.dtype.kind == "f") and packing in ("lzw", "deflate"):
                for planar, tile, order in product((False, True), (0, 16), "<>"):
                    yield tiff_case(
                        f"{mode} {packing} predictor {predictor} {planar} {tile} {order}",
                        samples, meaning, wanted, limit, compression=PACKED[packing],
                        predictor=predictor, planar=planar, tile=tile, order=order, extra=extra,
                    )  # fmt: skip
    yield from tiff_depths()
    yield from tiff_ranges()
    yield from tiff_others()


def tiff_depths() -> Iterator[Case]:
    for bits in (1, 2, 4, 10, 12, 14):
        most = (1 << bits) - 1
        values = (GREY.astype(np.int64) * most // 255).astype(np.uint8 if bits < 8 else np.uint16)
        wanted = grey(values.astype(int) * 255 // most)
        for order, packing in product("<>", ("none", "deflate")):
            name = f"{bits} bits packed {packing} {order}"
            how: dict[str, Any] = {"bits": bits, "compression": PACKED[packing], "order": order}
            yield tiff_case(name, values, 1, wanted, **how)
            yield tiff_case(f"{name} from white", most - values, 0, wanted, 1, **how)
        if bits > 8:
            for order in "<>":
                yield tiff_case(f"{bits} bits in 16 {order}", values, 1, wanted, order=order)
            yield tiff_case(f"rgb {bits} bits in 16", np.repeat(values, 3, 2), 2, wanted)
    yield tiff_case("8 bits in 16", GREY.astype(np.uint16), 1, grey(GREY))
    yield tiff_case("dark 16 bits of 8", WIDE // 257 // 8 * 257, 1, grey(GREY // 8))
    palette = generator.integers(0, 256, (256, 3), dtype=np.uint8)
    for factor in (257, 1):
        table = (palette.T.astype(np.uint16) * factor).astype("<u2").tobytes()
        yield tiff_case(
            f"palette times {factor}", GREY, 3, palette[GREY[..., 0]], more=[(320, 3, 768, table)]
        )
    small = (palette[:16].T.astype(np.uint16) * 257).astype("<u2").tobytes()
    yield tiff_case(
        "palette of 16",
        GREY // 16,
        3,
        palette[GREY[..., 0] // 16],
        bits=4,
        more=[(320, 3, 48, small)],
    )


def tiff_ranges() -> Iterator[Case]:
    unit = GREY / 255.0
    for dtype, (name, scale) in product(
        (np.float16, np.float32, np.float64), {"1": 1, "255": 255, "65535": 65535}.items()
    ):
        if dtype is np.float16 and scale == 65535:
            continue
        values = (unit * scale).astype(dtype)
        yield tiff_case(f"{dtype.__name__} up to {name}", values, 1, grey(GREY), 1)
        for what, outlier in {
            "1.02": 1.02,
            "inf": np.inf,
            "-inf": -np.inf,
            "nan": np.nan,
            "9": 9,
        }.items():
            odd, wanted = values.copy(), GREY.copy()
            odd[3, 4] = outlier if not np.isfinite(outlier) else outlier * scale
            wanted[3, 4] = 0 if what in ("nan", "-inf") else 255
            yield tiff_case(f"{dtype.__name__} up to {name} with {what}", odd, 1, grey(wanted), 1)
    for dtype in (np.uint32, np.int32):
        most = int(np.iinfo(dtype).max)
        values = (unit * most).astype(dtype)
        yield tiff_case(f"{dtype.__name__}", values, 1, grey(GREY), 1)
        sixteen = WIDE.astype(dtype)
        yield tiff_case(f"16 bits in {dtype.__name__}", sixteen, 1, grey(GREY), 1)
        sixteen = sixteen.copy()
        sixteen[2, 2] = most
        wanted = GREY.copy()
        wanted[2, 2] = 255
        yield tiff_case(f"16 bits in {dtype.__name__} with an outlier", sixteen, 1, grey(wanted), 1)
    negative = (unit * 32767).astype(np.int16)
    negative[1, 1] = -5
    wanted = GREY.copy()
    wanted[1, 1] = 0
    yield tiff_case("int16 with a negative", negative, 1, grey(wanted), 1)


def lab_of(colour: tuple[int, int, int]) -> Array:
    """CIELAB under D50 of an sRGB colour."""
    xyz = SRGB_PRIMARIES @ light(np.array(colour, float)) / [0.9642, 1.0, 0.8249]
    root = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


def tiff_others() -> Iterator[Case]:
    """Kinds that Pillow decodes, tags that mean no harm, and colours of other kinds."""
    black = GREY[..., 0] > 127
    for orientation in range(1, 9):
        how = {"tiffinfo": {274: orientation}}
        for fax in ("group3", "group4", "tiff_ccitt"):
            yield Case(
                f"tiff {fax} orientation {orientation}",
                lambda f=fax, h=how: saved(black, "TIFF", compression=f, **h),
                turned(grey(black[..., None] * 255), orientation),
            )
        for name, pixels in {"rgb": HALVES, "grey": HALVES[..., 0]}.items():
            wanted = pixels if name == "rgb" else grey(pixels)
            yield Case(
                f"tiff jpeg {name} orientation {orientation}",
                lambda p=pixels, h=how: saved(p, "TIFF", compression="jpeg", quality=95, **h),
                turned(wanted, orientation),
                4,
            )
        yield Case(
            f"bigtiff orientation {orientation}",
            lambda h=how: saved(RGB, "TIFF", big_tiff=True, **h),
            turned(RGB, orientation),
        )
    pages = [Image.fromarray(255 - RGB)]
    yield Case("tiff pages", lambda: saved(RGB, "TIFF", save_all=True, append_images=pages), RGB)
    xmp = b'<x tiff:Orientation="6"/>'
    yield tiff_case("xmp orientation", RGB, 2, RGB, more=[(700, 1, len(xmp), xmp)])
    for name, tag in malformed_tags():
        yield tiff_case(f"malformed {name}", RGB, 2, RGB, orientation=6, more=[tag])
    for bits, flags in ((1, GREY // 128), (4, GREY // 16)):
        reverse = [(266, 3, 1, struct.pack("<H", 2))]
        yield Case(
            f"tiff {bits} bits, lowest first",
            lambda b=bits, f=flags, r=reverse: made.bits_reversed(tiff(f, 1, bits=b, more=r)),
            grey(flags * (255 // ((1 << bits) - 1))),
        )
    colour = (180, 90, 60)
    lab = lab_of(colour) * [255 / 100, 1, 1]
    wanted = np.full((HEIGHT, WIDTH, 3), colour)
    signed = np.broadcast_to(np.rint(lab).astype(np.int64) & 255, RGB.shape).astype(np.uint8)
    shifted = np.rint(np.add(lab, [0, 128, 128])).astype(np.uint8)
    deep = np.rint(lab_of(colour) * [655.35, 256, 256]).astype(np.int64) & 65535
    yield tiff_case("cielab", signed, 8, wanted, 3)
    yield tiff_case("icclab", np.broadcast_to(shifted, RGB.shape), 9, wanted, 3)
    yield tiff_case("cielab16", np.broadcast_to(deep, RGB.shape).astype(np.uint16), 8, wanted, 3)
    bright = np.maximum(GREY, 64)
    icc = [(34675, 7, len(LINEAR), LINEAR)]
    for orientation in (1, 6):
        yield tiff_case(
            f"grey profile {orientation}", bright, 1, grey(srgb(bright / 255.0)), 1,
            more=icc, orientation=orientation,
        )  # fmt: skip
