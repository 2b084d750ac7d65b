"""Pixels for calibration, thresholds and accuracy: those of a phone, from the cache or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import picture
from PIL import Image

from benchmarks.measure.evaluation_set import CHUNK, decode_chunks
from benchmarks.results.measurement import Skipped, TestPhoto
from mobile_assets.files import sha256_file
from mobile_assets.photos import PhotoError, load
from mobile_assets.preprocessing import Preprocessing
from train.photo_pixels import AHEAD, PhotoPixels
from train.prepare import prepare
from train.registers.readers import read_register

CONTRACT = Preprocessing(height=32, width=40, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
EXACT = ("turned.jpg", "small.jpg", "clear.png", "wide.tif")
"""Photos that training decodes in full, at the contract's size; `large.jpg` it does not."""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A register of one object whose photos are stored in every way that matters."""
    folder = tmp_path / "photos" / "OBJ-0"
    folder.mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    noise = np.random.default_rng(0).integers(0, 256, (900, 1200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "large.jpg", quality=90)
    picture(1, 150, 90).save(folder / "turned.jpg", quality=85, exif=exif, progressive=True)
    picture(2, 99, 77).save(folder / "small.jpg", quality=70, subsampling=2)
    clear = picture(3, 300, 200).convert("RGBA")
    clear.putalpha(120)
    clear.save(folder / "clear.png")
    Image.fromarray(np.arange(60 * 70, dtype=np.uint16).reshape(60, 70) * 15).save(
        folder / "wide.tif"
    )
    return folder.parent


def files(photos: Path) -> list[tuple[Path, str]]:
    paths = sorted(photos.rglob("*.*"))
    return [(path, sha256_file(path)) for path in paths]


def test_pixels_are_those_of_a_phone_from_the_cache_too(photos: Path, tmp_path: Path) -> None:
    wanted = files(photos)
    expected = [load(path, CONTRACT) for path, _ in wanted]
    prepare(read_register(photos), CONTRACT, tmp_path / "cache")
    for root in (None, None, photos):  # decoded, kept, and kept by training as well
        source = PhotoPixels(CONTRACT, root=root, cache=tmp_path / "cache")
        for pixels, exact in zip(source.read(wanted), expected, strict=True):
            assert not isinstance(pixels, PhotoError)
            assert pixels.dtype == np.uint8
            assert np.array_equal(pixels, exact)


def test_a_photo_is_decoded_once_and_known_by_its_content(photos: Path, tmp_path: Path) -> None:
    wanted = files(photos)
    first = list(PhotoPixels(CONTRACT, cache=tmp_path / "cache").read(wanted))
    for path, _ in wanted:
        path.write_bytes(b"no picture any more")
    again = list(PhotoPixels(CONTRACT, cache=tmp_path / "cache").read(wanted))
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    # Other content has another hash, and one that is not known passes the cache by.
    for sha256 in (sha256_file(wanted[0][0]), ""):
        (error,) = PhotoPixels(CONTRACT, cache=tmp_path / "cache").read([(wanted[0][0], sha256)])
        assert isinstance(error, PhotoError)


def test_what_training_decoded_in_full_is_not_decoded_again(photos: Path, tmp_path: Path) -> None:
    wanted = files(photos)
    prepare(read_register(photos), CONTRACT, tmp_path / "cache")
    for path, _ in wanted:
        path.write_bytes(b"no picture any more")
    source = PhotoPixels(CONTRACT, root=photos, cache=tmp_path / "cache")
    decoded = zip(wanted, source.read(wanted), strict=True)
    there = [path.name for (path, _), pixels in decoded if not isinstance(pixels, PhotoError)]
    # A JPEG that training read at a reduced scale is not what a phone sees.
    assert sorted(there) == sorted(EXACT)


def test_no_room_for_a_cache_stops_nothing(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    wanted = files(photos)
    for pixels, (path, _) in zip(
        PhotoPixels(CONTRACT, root=photos, cache=tmp_path / "file" / "cache").read(wanted),
        wanted,
        strict=True,
    ):
        assert np.array_equal(pixels, load(path, CONTRACT))


def test_a_damaged_cache_is_replaced(photos: Path, tmp_path: Path) -> None:
    wanted = files(photos)
    list(PhotoPixels(CONTRACT, cache=tmp_path / "cache").read(wanted))
    kept = sorted((tmp_path / "cache").rglob("*.rgb"))
    assert len(kept) == len(wanted)
    for number, file in enumerate(kept):
        file.write_bytes(file.read_bytes()[: 100 * number])
    for pixels, (path, _) in zip(
        PhotoPixels(CONTRACT, cache=tmp_path / "cache").read(wanted), wanted, strict=True
    ):
        assert np.array_equal(pixels, load(path, CONTRACT))


def test_chunks_keep_order_and_name_what_cannot_be_read(tmp_path: Path) -> None:
    number = 2 * CHUNK + AHEAD + 5
    photos = []
    for index in range(number):
        path = tmp_path / f"{index}.png"
        picture(index, 41, 33).save(path)
        photos.append(TestPhoto(path, 0, "OBJ", "", True, sha256_file(path)))
    broken = photos[CHUNK + 3].path
    broken.write_bytes(broken.read_bytes()[:40])
    photos[CHUNK + 3] = TestPhoto(broken, 0, "OBJ", "", True, sha256_file(broken))
    unreadable: list[Skipped] = []
    chunks = list(decode_chunks(photos, CONTRACT, unreadable, cache=tmp_path / "cache"))
    assert [len(readable) for readable, _ in chunks] == [CHUNK, CHUNK - 1, CHUNK, 5]
    assert [skipped.path for skipped in unreadable] == [str(broken)]
    readable = [photo for part, _ in chunks for photo in part]
    assert readable == [photo for photo in photos if photo.path != broken]
    pixels = np.concatenate([part for _, part in chunks])
    assert all(np.array_equal(pixels[i], load(p.path, CONTRACT)) for i, p in enumerate(readable))
