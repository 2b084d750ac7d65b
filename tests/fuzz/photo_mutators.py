"""Photos of every format that the toolkit reads, and how they are damaged."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from byte_mutators import BYTE_MUTATORS, EXTREMES, be32, chunks_mutated, splice, truncate
from PIL import Image, ImageCms, features

SIZE = (97, 73)
DIMENSIONS = (0, 1, 2, 255, 32767, 65535, 65536, 178_956_970, 2**31 - 1, 2**32 - 1)


def _pictures() -> Iterator[tuple[str, str, dict[str, object]]]:
    """Ending, mode and what is handed to `Image.save`."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x011A] = 6, "Maker", 72.0
    exif.get_ifd(0x8825)[1] = "N"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    yield "jpg", "RGB", {"exif": exif, "icc_profile": profile, "quality": 80}
    yield "jpg", "RGB", {"progressive": True, "subsampling": 0}
    yield "jpg", "L", {"restart_marker_rows": 1}
    yield "jpg", "CMYK", {}
    yield "png", "RGB", {"exif": exif, "icc_profile": profile}
    yield "png", "P", {"transparency": 3}
    yield "png", "LA", {}
    yield "png", "I;16", {}
    yield "tif", "RGB", {"exif": exif}
    yield "tif", "RGB", {"compression": "tiff_lzw"}
    yield "tif", "RGB", {"compression": "jpeg"}
    yield "tif", "L", {"compression": "tiff_adobe_deflate"}
    yield "tif", "I;16", {}
    yield "tif", "F", {}
    yield "tif", "1", {"compression": "group4"}
    yield "webp", "RGB", {"exif": exif, "quality": 70}
    yield "webp", "RGBA", {"lossless": True}
    yield "gif", "P", {}
    yield "bmp", "RGB", {}
    yield "bmp", "P", {}
    if features.check("avif"):
        yield "avif", "RGB", {"exif": exif, "speed": 10}
    if ".heic" in Image.registered_extensions():
        yield "heic", "RGB", {"exif": exif}


def base_photos() -> list[tuple[str, bytes]]:
    """Small whole photos, (ending, content), the same in every process."""
    generator = np.random.default_rng(5)
    cells = generator.integers(0, 256, (5, 5, 3), dtype=np.uint8)
    picture = Image.fromarray(cells).resize(SIZE, Image.Resampling.BICUBIC)
    wide = np.asarray(picture.convert("L")).astype(np.uint16) * 257
    made = []
    for ending, mode, options in _pictures():
        if mode == "I;16":
            photo = Image.fromarray(wide)
        elif mode == "LA":
            photo = picture.convert("RGBA").convert("LA")
        else:
            photo = picture.convert(mode)
        file = io.BytesIO()
        photo.save(file, Image.registered_extensions()[f".{ending}"], **options)
        made.append((ending, file.getvalue()))
    for ending in ("gif", "webp", "tif"):  # several pictures in one file
        file = io.BytesIO()
        frames = [picture.rotate(90 * n).convert("P" if ending == "gif" else "RGB") for n in (0, 2)]
        kind = Image.registered_extensions()[f".{ending}"]
        frames[0].save(file, kind, save_all=True, append_images=frames[1:])
        made.append((ending, file.getvalue()))
    return made


def mutated_photo(rng: random.Random, photos: list[tuple[str, bytes]]) -> tuple[str, bytes, str]:
    """One damaged photo: its ending, its content, and what was done, `whole:N+…` if it was cut."""
    number = rng.randrange(len(photos))
    ending, data = photos[number]
    kind = rng.random()
    if kind < 0.006:
        return "png", bomb(rng), "bomb"
    if kind < 0.13:
        other, head = rng.choice(photos)
        return rng.choice((ending, other)), splice(rng, head, data), f"{other} header on {ending}"
    if kind < 0.2:
        return ending, truncate(rng, data), f"cut:{number}"
    if kind < 0.6:
        words = [ending]
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            mutator = rng.choice(BYTE_MUTATORS)
            data = mutator(rng, data)
            words.append(mutator.__name__)
        return ending, data, " ".join(words)
    if kind < 0.8:
        return ending, with_dimensions(rng, ending, data), f"{ending} dimensions"
    return ending, with_chunks(rng, ending, data), f"{ending} chunks"


def bomb(rng: random.Random) -> bytes:
    """A valid PNG of very many equal pixels in few bytes."""
    colours, bits, channels = rng.choice(((0, 1, 1), (0, 8, 1), (3, 8, 1), (4, 8, 2), (6, 16, 4)))
    side = rng.choice((3000, 9000, 13300, 14100, 20000))
    row = 1 + (side * channels * bits + 7) // 8
    rows = min(side, 600_000_000 // row)  # some promise more than they hold
    packer = zlib.compressobj(1)
    data = b"".join(packer.compress(bytes(row)) for _ in range(rows)) + packer.flush()
    palette = [_png_chunk(b"PLTE", bytes(range(30)))] if colours == 3 else []
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            _png_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, bits, colours, 0, 0, 0)),
            *palette,
            _png_chunk(b"IDAT", data),
            _png_chunk(b"IEND", b""),
        ]
    )


def _png_chunk(name: bytes, content: bytes) -> bytes:
    return be32(len(content)) + name + content + be32(zlib.crc32(name + content))


def with_dimensions(rng: random.Random, ending: str, data: bytes) -> bytes:
    """Width or height, where the format's header has them, become extreme."""
    changed = bytearray(data)
    size = rng.choice(DIMENSIONS)
    for position, width, order in _dimension_fields(ending, data):
        if rng.random() < 0.6:
            value = (size & ((1 << 8 * width) - 1)).to_bytes(width, order)  # type: ignore[arg-type]
            changed[position : position + width] = value
    if ending == "png":
        changed[29:33] = be32(zlib.crc32(bytes(changed[12:29])))
    return bytes(changed)


def _dimension_fields(ending: str, data: bytes) -> Iterator[tuple[int, int, str]]:
    """(position, bytes, byte order) of the numbers that say how large a photo is."""
    if ending == "png":
        yield from ((16, 4, "big"), (20, 4, "big"))
    elif ending == "gif":
        yield from ((6, 2, "little"), (8, 2, "little"))
        image = data.find(b"\x2c")
        yield from ((image + 5, 2, "little"), (image + 7, 2, "little"))
    elif ending == "bmp":
        yield from ((18, 4, "little"), (22, 4, "little"), (10, 4, "little"), (46, 4, "little"))
    elif ending == "jpg":
        for marker in (b"\xff\xc0", b"\xff\xc2"):
            frame = data.find(marker)
            if frame >= 0:
                yield from ((frame + 5, 2, "big"), (frame + 7, 2, "big"))
    elif ending == "webp":
        yield from ((24, 3, "little"), (27, 3, "little"), (21, 4, "little"), (16, 4, "little"))
    elif ending == "tif":
        order = "little" if data[:2] == b"II" else "big"
        directory = int.from_bytes(data[4:8], order)  # type: ignore[arg-type]
        for entry in range(int.from_bytes(data[directory : directory + 2], order)):  # type: ignore[arg-type]
            start = directory + 2 + 12 * entry
            yield from ((start + 8, 4, order), (start + 4, 4, order))
    else:  # boxes of HEIC and AVIF: `ispe` holds width and height
        spatial = data.find(b"ispe")
        yield from ((spatial + 8, 4, "big"), (spatial + 12, 4, "big"))


def with_chunks(rng: random.Random, ending: str, data: bytes) -> bytes:
    """The format's own pieces are swapped, repeated, left out, or say a wrong length."""
    head, chunks = _split(ending, data)
    changed = chunks_mutated(rng, chunks)
    if changed and rng.random() < 0.3:
        victim = rng.randrange(len(changed))
        changed[victim] = be32(rng.choice(EXTREMES)) + changed[victim][4:]
    return head + b"".join(changed)


def _split(ending: str, data: bytes) -> tuple[bytes, list[bytes]]:
    """The file's signature and its chunks, segments, boxes or blocks."""
    if ending == "png":
        return data[:8], list(_lengths(data, 8, lambda at: 12 + _number(data, at, ">I")))
    if ending == "webp":
        return data[:12], list(_lengths(data, 12, lambda at: 8 + _number(data, at + 4, "<I")))
    if ending in ("avif", "heic"):
        return b"", list(_lengths(data, 0, lambda at: max(8, _number(data, at, ">I"))))
    if ending == "jpg":
        scan = data.find(b"\xff\xda")
        segments = list(_lengths(data[:scan], 2, lambda at: 2 + _number(data, at + 2, ">H")))
        return data[:2], [*segments, data[scan:]]
    return data[:8], [data[at : at + 32] for at in range(8, len(data), 32)]


def _number(data: bytes, position: int, form: str) -> int:
    piece = data[position : position + struct.calcsize(form)]
    return int(struct.unpack(form, piece)[0]) if len(piece) == struct.calcsize(form) else 1


def _lengths(data: bytes, begin: int, length) -> Iterator[bytes]:  # type: ignore[no-untyped-def]
    while begin < len(data):
        end = begin + max(1, length(begin))
        yield data[begin:end]
        begin = end
