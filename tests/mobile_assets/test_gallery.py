"""The gallery's files: what is written is read back, and nothing else is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gallery_files import random_gallery, unit_rows
from tiny_run import CONTRACT, describe_bundle

from mobile_assets.bundle import Bundle, hash_files
from mobile_assets.bundle_contents import BundleContents
from mobile_assets.errors import DamagedError
from mobile_assets.identification.gallery import Gallery, QuantisedRows, read_gallery
from mobile_assets.labels import LabelMap

OBJECTS, PHOTOS, SIZE = 7, 3, 32
LABELS = LabelMap.of([(f"o{n}", "", "", PHOTOS) for n in range(OBJECTS)])


def opened(folder: Path, labels: LabelMap = LABELS) -> Bundle:
    """A bundle of just the files in a folder, all of them listed."""
    contents = BundleContents(folder, hash_files(folder))
    return Bundle(folder, describe_bundle(labels, CONTRACT), labels, contents)


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    made = random_gallery(OBJECTS, PHOTOS, SIZE, unseen=2)
    made.write(tmp_path)
    return made


def test_round_trip(gallery: Gallery, tmp_path: Path) -> None:
    read = read_gallery(opened(tmp_path))
    assert read is not None and read.info == gallery.info
    for ours, theirs in (
        (gallery.embeddings.values, read.embeddings.values),
        (gallery.embeddings.scales, read.embeddings.scales),
        (gallery.row_objects, read.row_objects),
        (gallery.row_photos, read.row_photos),
        (gallery.directions.values, read.directions.values),
        (gallery.directions.scales, read.directions.scales),
    ):
        assert ours.dtype == theirs.dtype and np.array_equal(ours, theirs)
    first = {path.name: path.read_bytes() for path in (tmp_path / "gallery").iterdir()}
    read.write(tmp_path)
    assert first == {path.name: path.read_bytes() for path in (tmp_path / "gallery").iterdir()}


def test_the_arrays_are_what_the_description_says(gallery: Gallery, tmp_path: Path) -> None:
    folder = tmp_path / "gallery"
    values = np.fromfile(folder / "embeddings.bin", "<i1").reshape(-1, SIZE)
    scales = np.fromfile(folder / "embedding_scales.bin", "<f4")
    assert np.linalg.norm(values * scales[:, None], axis=1) == pytest.approx(1, abs=0.02)
    assert np.fromfile(folder / "row_objects.bin", "<i4").tolist() == [0, 0, 0, 1, 1, 1] + [
        n for n in range(2, OBJECTS) for _ in range(PHOTOS)
    ]


def test_no_gallery_and_directions_alone(tmp_path: Path) -> None:
    assert read_gallery(opened(tmp_path)) is None
    rows = QuantisedRows(np.zeros((0, SIZE), dtype=np.int8), np.zeros(0, dtype=np.float32))
    Gallery(
        embeddings=rows,
        row_objects=np.zeros(0, dtype=np.int32),
        row_photos=np.zeros((0, 32), dtype=np.uint8),
        directions=QuantisedRows.of(unit_rows(OBJECTS, SIZE)),
    ).write(tmp_path)
    read = read_gallery(opened(tmp_path))
    assert read is not None and (read.objects, read.info.rows) == (OBJECTS, 0)


def test_rounding_keeps_cosines() -> None:
    rows = unit_rows(200, 256)
    rounded = QuantisedRows.of(rows).dequantised()
    assert np.abs(rows @ rows.T - rounded @ rounded.T).max() < 3e-3
    with pytest.raises(ValueError, match="length 1"):
        QuantisedRows.of(1.1 * rows)
    with pytest.raises(ValueError, match="length 1"):
        QuantisedRows.of(rows * np.float32(np.nan))


def changed(name: str, dtype: str, index: int, value: float) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        array = np.fromfile(folder / name, dtype)
        array[index] = value
        (folder / name).write_bytes(array.tobytes())

    return change


def header(**values: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "gallery.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return change


def shortened(folder: Path) -> None:
    path = folder / "embeddings.bin"
    path.write_bytes(path.read_bytes()[:-1])


def without(folder: Path) -> None:
    (folder / "directions.bin").unlink()


def one_object_without_rows(folder: Path) -> None:
    changed("row_objects.bin", "<i4", 0, 1)(folder)
    changed("row_objects.bin", "<i4", 1, 1)(folder)
    changed("row_objects.bin", "<i4", 2, 1)(folder)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (changed("embedding_scales.bin", "<f4", 3, float("nan")), "scale"),
        (changed("embedding_scales.bin", "<f4", 3, float("inf")), "scale"),
        (changed("embedding_scales.bin", "<f4", 3, 3e38), "scale"),
        (changed("embedding_scales.bin", "<f4", 3, 0), "scale"),
        (changed("direction_scales.bin", "<f4", 0, -0.01), "scale"),
        (changed("direction_scales.bin", "<f4", 0, 0.5), "length 1"),
        (changed("embedding_scales.bin", "<f4", 3, 0.5), "length 1"),
        (changed("row_objects.bin", "<i4", -1, OBJECTS), "outside 0 to 6"),
        (changed("row_objects.bin", "<i4", 0, -1), "outside 0 to 6"),
        (changed("row_objects.bin", "<i4", 0, 4), "order"),
        (one_object_without_rows, "some have none"),
        (shortened, "671 bytes instead of 672"),
        (without, "not among the files"),
        (header(rows=10**18), "less than or equal"),
        (header(dimensions=10**9), "less than or equal"),
        (header(rows=20), "instead of 640"),
        (header(rows=-1), "greater than"),
        (header(objects=8), "8 objects, not of 7"),
        (header(unseen_objects=[5, 7]), "unseen_objects"),
        (header(unseen_objects=[5, 5]), "unseen_objects"),
        (header(unseen_objects=[10**19]), "unseen_objects"),
        (header(schema_version=2), "schema version"),
        (header(more=1), "Extra"),
    ],
)
@pytest.mark.usefixtures("gallery")
def test_damage_is_refused(damage: Callable[[Path], None], reason: str, tmp_path: Path) -> None:
    damage(tmp_path / "gallery")
    with pytest.raises(DamagedError, match=reason):
        read_gallery(opened(tmp_path))


@pytest.mark.usefixtures("gallery")
def test_a_file_that_is_not_the_listed_one_is_not_read(tmp_path: Path) -> None:
    bundle = opened(tmp_path)
    changed("embeddings.bin", "<i1", 0, 5)(tmp_path / "gallery")
    with pytest.raises(DamagedError, match="SHA-256"):
        read_gallery(bundle)
