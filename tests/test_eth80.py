"""The ETH-80 benchmark: the draw, and that the published page is what its raw rows say."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.eth80 import OBJECTS_BY_PHOTOS, Published, draw, page
from benchmarks.results import REFERENCE_VARIANT
from train.register import Photo

ROOT = Path(__file__).parent.parent / "benchmarks"
VIEWS = [Photo(f"o{n:03}", f"o{n:03}/{v:02}.jpg") for n in range(400) for v in range(20)]


def test_draw_follows_table_2a_and_leaves_the_rest() -> None:
    drawn, left = draw(VIEWS, seed=0)
    assert sorted((*drawn, *left)) == sorted(VIEWS)
    sizes = Counter(Counter(photo.object_id for photo in drawn).values())
    total = sum(OBJECTS_BY_PHOTOS.values())
    for count, objects in OBJECTS_BY_PHOTOS.items():
        assert sizes[count] / 400 == pytest.approx(objects / total, abs=0.07)
    assert draw(VIEWS, seed=0) == (drawn, left)
    assert draw(VIEWS, seed=1) != (drawn, left)


def test_numbers_are_the_papers() -> None:
    table = Path(__file__).parent.parent.parent / "shared/paper/table2a_photos_per_object.csv"
    if not table.is_file():
        pytest.skip("the paper's tables are not beside the project")
    rows = [int(row["objects"]) for row in csv.DictReader(table.open())]
    assert list(OBJECTS_BY_PHOTOS.values()) == rows


def test_published_page_is_regenerated_from_its_rows() -> None:
    published = Published.read(ROOT / "eth80.json")
    assert page(published) == (ROOT / "eth80.md").read_text(encoding="utf-8")
    reference = [r for r in published.results.rows if r.variant == REFERENCE_VARIANT]
    assert [row.min_photos for row in reference] == [3, 4, 5, 6]
    # A number that is changed by hand would be seen.
    row = reference[0].model_copy(update={"top1": 0.123})
    results = published.results.model_copy(update={"rows": (row, *published.results.rows[1:])})
    assert page(published.model_copy(update={"results": results})) != page(published)
