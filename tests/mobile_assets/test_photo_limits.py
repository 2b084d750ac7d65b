"""What is refused, and that nothing a photo does costs more than the photo."""

from __future__ import annotations

import ast
import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import photo_files as made
import pytest
from conftest import picture
from PIL import Image

from mobile_assets.photo_decoding import limits
from mobile_assets.photo_decoding.reading import takes_bounded_time
from mobile_assets.photos import PhotoError, decode, is_photo_file

ROOT = Path(__file__).parents[2]


def reason(path: Path) -> str:
    with pytest.raises(PhotoError) as caught:
        decode(path)
    return caught.value.reason


def jpeg(**how: object) -> bytes:
    data = io.BytesIO()
    picture(3, 160, 120).save(data, "JPEG", **how)
    return data.getvalue()


EPS = (
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 300 300\n%%EndComments\n"
    b"1 0 0 setrgbcolor 0 0 300 300 rectfill showpage\n%%EOF\n"
)
RAW = made.tiff(np.zeros((8, 8, 3), np.uint8), 2, more=[(50706, 1, 4, bytes([1, 4, 0, 0]))])
OTHERS = {
    "PostScript": EPS,
    "PostScript for DOS": struct.pack("<4B7L", *b"\xc5\xd0\xd3\xc6", 32, len(EPS), *[0] * 5) + EPS,
    "PDF": b"%PDF-1.7\n",
    "Photoshop": b"8BPS\0\1" + bytes(60),
    "icons": b"icns" + struct.pack(">L", 8),
    "metafile": b"\xd7\xcd\xc6\x9a" + bytes(80),
    "texture": b"DDS " + struct.pack("<L", 124) + bytes(120),
    "FITS": b"SIMPLE  =                    T".ljust(80) + b"END".ljust(2800),
    "drawing": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "page": b"\n<!doctype html><html>",
    "camera's raw file": RAW,
    "Portable pixmap": b"P6\n1 1\n255\n\1\2\3",
    "Targa": bytes([0, 0, 2]) + bytes(9) + struct.pack("<HHBB", 1, 1, 24, 0) + bytes(3),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("ending", ["jpg", "tif", "eps"])
def test_only_photos_are_decoded(
    name: str, ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A Ghostscript of our own would leave a trace if anything called it.
    gs = tmp_path / "gs"
    gs.write_text(f"#!/bin/sh\ntouch {tmp_path}/executed\n")
    gs.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    (tmp_path / f"photo.{ending}").write_bytes(OTHERS[name])
    assert "not " in reason(tmp_path / f"photo.{ending}")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "ending", ["", ".jpg", ".jfif", ".jpe", ".hif", ".dat", ".bak", ".JPG_", ".png"]
)
def test_photos_are_known_by_their_content(ending: str, tmp_path: Path) -> None:
    (tmp_path / f"photo{ending}").write_bytes(jpeg())
    assert is_photo_file(tmp_path / f"photo{ending}")
    assert decode(tmp_path / f"photo{ending}").size == (160, 120)


def test_what_is_no_photo_is_known_too(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("BM is how a bitmap begins, GIF another")
    (tmp_path / "film.mov").write_bytes(b"\0\0\0\x14ftypqt  " + bytes(40))
    os.mkfifo(tmp_path / "pipe")
    for name in ("notes.txt", "film.mov", "pipe", "none", "."):
        assert not is_photo_file(tmp_path / name)
    assert is_photo_file(tmp_path / "missing.jpg")  # to be reported, not passed over


def test_pipes_and_devices_are_refused_unread(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    assert "pipe" in reason(tmp_path / "pipe.jpg")
    assert "device" in reason(tmp_path / "zero.png")


@pytest.mark.parametrize("how", [{}, {"progressive": True}, {"optimize": True}])
@pytest.mark.parametrize("fill", [b"", b"\0", b"\xff"], ids=["cut", "zeros", "ones"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_jpeg_whose_end_is_missing_is_refused(
    how: dict[str, object], fill: bytes, share: float, tmp_path: Path
) -> None:
    whole = jpeg(quality=95, **how)
    kept = round(len(whole) * share)
    (tmp_path / "photo.jpg").write_bytes(whole[:kept] + fill * max(200, len(whole) - kept))
    assert "truncated" in reason(tmp_path / "photo.jpg")


def test_zeros_behind_a_whole_jpeg_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "flat.jpg").write_bytes(jpeg() + bytes(100_000))
    assert decode(tmp_path / "flat.jpg").size == (160, 120)


@pytest.mark.parametrize("kind", ["WEBP", "HEIF", "AVIF", "PNG", "GIF"])
@pytest.mark.parametrize("fill", [b"\0", b"\xff"], ids=["zeros", "ones"])
def test_files_that_were_filled_up_are_refused(kind: str, fill: bytes, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (192, 256, 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(noise).save(data, kind, quality=90)
    whole = data.getvalue()
    assert len(whole) > 20_000
    (tmp_path / "photo").write_bytes(whole[:-10_000] + fill * 10_000)
    assert reason(tmp_path / "photo")


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "GIF", "BMP", "HEIF", "AVIF"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_truncated_files_of_every_format_are_refused(
    kind: str, share: float, tmp_path: Path
) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(noise).save(
        data, kind, **({"compression": "tiff_lzw"} if kind == "TIFF" else {})
    )
    whole = data.getvalue()
    (tmp_path / "photo").write_bytes(whole[: round(len(whole) * share)])
    assert reason(tmp_path / "photo")


@pytest.mark.parametrize("missing", [1, 6, 30, 140])
def test_a_tiff_without_the_end_of_its_tags_is_refused(missing: int, tmp_path: Path) -> None:
    """Where the depth of the colours is cut off, its default would make another picture."""
    data = io.BytesIO()
    Image.new("RGB", (97, 73), "olive").save(data, "TIFF", compression="tiff_lzw")
    assert data.getvalue()[-6:] == b"\x08\0" * 3  # bits of each colour
    (tmp_path / "cut.tif").write_bytes(data.getvalue()[:-missing])
    assert "truncated" in reason(tmp_path / "cut.tif")


def test_a_jpeg_whose_scan_header_is_empty_is_refused(tmp_path: Path) -> None:
    data = io.BytesIO()
    Image.new("RGB", (64, 64), "olive").save(data, "JPEG")
    whole, scan = data.getvalue(), data.getvalue().index(b"\xff\xda")
    (tmp_path / "photo.jpg").write_bytes(whole[: scan + 2] + b"\0\2" + whole[scan + 4 :])
    assert takes_bounded_time(tmp_path / "photo.jpg")
    assert reason(tmp_path / "photo.jpg") == "damaged (a JPEG's scan header is cut off)"


def damaged_avif() -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (300, 300), "olive").save(data, "AVIF")
    start = data.getvalue().find(b"mdat") + 4
    return data.getvalue()[:start] + b"\xff" * (len(data.getvalue()) - start)


def test_whatever_a_decoder_raises_is_the_photos_error(tmp_path: Path) -> None:
    (tmp_path / "damaged.avif").write_bytes(damaged_avif())
    assert "damaged" in reason(tmp_path / "damaged.avif")


def big_png(
    width: int, height: int, kind: int, *chunks: tuple[bytes, bytes], bits: int = 8
) -> bytes:
    """A PNG of zeros, whose rows are compressed without being held."""
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind]
    row = bytes(1 + width * samples * bits // 8)
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = struct.pack(">LLBBBBB", width, height, bits, kind, 0, 0, 0)
    made_of = [(b"IHDR", head), *chunks, (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(made.chunk(*one) for one in made_of)


def big_tiff(shape: tuple[int, int, int], dtype: type, rows: int) -> bytes:
    """A TIFF of zeros, compressed in strips of some rows."""
    photometric = 2 if shape[2] == 3 else 1
    return made.tiff(np.zeros(shape, dtype), photometric, compression=made.DEFLATE, rows=rows)


def big_fax(width: int, height: int) -> bytes:
    data = io.BytesIO()
    Image.new("1", (width, height), 1).save(data, "TIFF", compression="group4")
    return data.getvalue()


def measured(path: Path) -> tuple[str, int]:
    """What a process of its own makes of a photo, and the most memory that it took, in bytes."""
    script = (
        "import resource, sys, contextlib\n"
        "with contextlib.suppress(ImportError):\n"
        "    import pillow_heif; pillow_heif.register_heif_opener()\n"
        "from mobile_assets.photos import load, PhotoError\n"
        "from mobile_assets.preprocessing import Preprocessing\n"
        "c = Preprocessing(height=224, width=224, mean=(0.5,)*3, std=(0.5,)*3)\n"
        "try: print(load(sys.argv[1], c).shape)\n"
        "except PhotoError as error: print(error.reason)\n"
        # For `getrusage` a child begins with the memory of its parent; Linux knows better.
        "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024\n"
        "with contextlib.suppress(OSError):\n"
        "    status = open('/proc/self/status').read()\n"
        "    peak = int(status.split('VmHWM:')[1].split()[0]) * 1024\n"
        "print(peak)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    answer, memory = done.stdout.strip().splitlines()
    return answer, int(memory)


BOMBS = {
    "grey with alpha": lambda: big_png(16000, 12000, 4),
    "palette with alphas": lambda: big_png(
        16000, 12000, 3, (b"PLTE", bytes(6)), (b"tRNS", b"\0\1")
    ),
    "RGBA of 16 bits": lambda: big_png(16000, 12000, 6, bits=16),
    "grey of 16 bits": lambda: big_png(16000, 12000, 0, bits=16),
    "RGB, linear": lambda: big_png(16000, 12000, 2, (b"gAMA", struct.pack(">L", 100000))),
    "lines of 65,535 pixels": lambda: big_png(65535, 3000, 2),
    "TIFF in one strip": lambda: big_tiff((12000, 16000, 1), np.uint8, 12000),
    "TIFF of floating point": lambda: big_tiff((8000, 12000, 1), np.float32, 50),
    "TIFF of 16 bits a colour": lambda: big_tiff((8000, 12000, 3), np.uint16, 50),
    "fax of 190 megapixels": lambda: big_fax(19000, 10000),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_the_largest_photos_take_bounded_memory(name: str, tmp_path: Path) -> None:
    (tmp_path / "photo").write_bytes(BOMBS[name]())
    answer, memory = measured(tmp_path / "photo")
    assert answer == "(224, 224, 3)"
    assert memory < 1_500_000_000


@pytest.mark.parametrize("size", [(20001, 10000), (70000, 10), (100_000, 100_000)])
def test_one_limit_for_every_format(size: tuple[int, int], tmp_path: Path) -> None:
    png = bytearray(made.png(np.zeros((1, 1, 1), np.uint8), 0))
    png[16:24] = struct.pack(">LL", *size)
    png[29:33] = zlib.crc32(png[12:29]).to_bytes(4, "big")
    gif = made.gif(
        [(np.zeros((1, 1), np.uint8), (0, 0))], (min(65535, size[0]), min(65535, size[1]))
    )
    bmp = bytearray(made.bmp(np.zeros((1, 1, 3), np.uint8)))
    bmp[18:26] = struct.pack("<ll", *size)
    tiff = made.tiff(np.zeros((1, 1, 1), np.uint8), 1)
    for tag, side in ((256, size[0]), (257, size[1])):
        head = struct.pack("<HHL", tag, 4, 1)
        at = tiff.index(head) + len(head)
        tiff = tiff[:at] + struct.pack("<L", side) + tiff[at + 4 :]
    for name, content in {"png": png, "bmp": bmp, "tiff": tiff, "gif": gif}.items():
        if name == "gif" and size == (70000, 10):
            continue
        (tmp_path / name).write_bytes(content)
        assert "megapixels" in reason(tmp_path / name) or "65535" in reason(tmp_path / name)


def test_photos_are_halved_above_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (60, 82, 3), dtype=np.uint8)
    (tmp_path / "photo.png").write_bytes(made.png(pixels, 2, (b"eXIf", made.exif())))
    (tmp_path / "photo.tif").write_bytes(made.tiff(pixels, 2, orientation=6, rows=7))
    full = made.turned(pixels, 6)
    monkeypatch.setattr(limits, "FULL_PIXELS", 1000)
    monkeypatch.setattr("mobile_assets.photo_decoding.reading.LARGE_PIXELS", 1000)
    monkeypatch.setattr("mobile_assets.photo_decoding.reading.BAND_PIXELS", 700)
    monkeypatch.setattr("mobile_assets.photo_decoding.tiff_blocks.BAND_BYTES", 9000)
    mean = full.reshape(41, 2, 30, 2, 3).mean(axis=(1, 3))
    for name in ("photo.png", "photo.tif"):
        assert np.abs(np.asarray(decode(tmp_path / name)) - mean).max() <= 1


def test_nothing_is_left_of_pillows_limit_when_threads_decode_at_once(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    (tmp_path / "photo.jpg").write_bytes(jpeg())
    before = Image.MAX_IMAGE_PIXELS
    with ThreadPoolExecutor(4) as pool:
        assert len(list(pool.map(decode, [tmp_path / "photo.jpg"] * 200))) == 200
    assert before == Image.MAX_IMAGE_PIXELS


def opens_any_format(path: Path) -> list[int]:
    """Lines on which a picture is opened without a list of formats."""
    calls = [n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Call)]
    return [
        call.lineno
        for call in calls
        if ast.unparse(call.func) in ("Image.open", "PIL.Image.open")
        and "formats" not in [keyword.arg for keyword in call.keywords]
    ]


def test_no_picture_is_opened_as_whatever_it_may_be() -> None:
    rooms = ("artefact_id", "mobile_assets", "train", "export", "benchmarks")
    files = [file for room in rooms for file in (ROOT / room).rglob("*.py")]
    assert len(files) > 200
    assert {str(file): lines for file in files if (lines := opens_any_format(file))} == {}
