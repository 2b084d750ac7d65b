"""What a scan remembers, and the processes that it maps over."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.scan.executors import in_processes
from benchmarks.scan.photo_list import list_photos
from benchmarks.scan.photo_store import (
    Answer,
    EmbeddedPhoto,
    ListedPhoto,
    PhotoStore,
    WaitingPhoto,
)
from benchmarks.scan.shards import Shard
from mobile_assets.errors import DamagedError, InputError


def listed(name: str, modified: int = 1) -> ListedPhoto:
    return ListedPhoto(name, {"lot": name[0]}, 10, modified)


def embedded(photo: WaitingPhoto, value: float = 1.0) -> EmbeddedPhoto:
    vector = np.array([value, 0, 0], dtype=np.float32)
    return EmbeddedPhoto(photo.id, "ab", None, None, vector)


def names(store: PhotoStore) -> list[str]:
    return [photo.path for photo in store.waiting()]


def test_changed_photos_wait_again_and_missing_ones_are_left_out(tmp_path: Path) -> None:
    with PhotoStore(tmp_path / "s") as store:
        assert store.list_photos(map(listed, "abc")) == 3
        store.keep([embedded(photo) for photo in store.waiting()])
        assert names(store) == []
        assert store.list_photos([listed("a"), listed("b", modified=2), listed("d")]) == 3
        assert names(store) == ["b", "d"]
        assert store.embedded_photos() == 1
        # What was left out is known still.
        store.list_photos(map(listed, "ac"))
        assert names(store) == [] and store.embedded_photos() == 2


def test_a_shard_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    with PhotoStore(tmp_path / "s") as store:
        store.list_photos(map(listed, "abcd"))
        first, *others = store.waiting()
        store.keep([embedded(first)])

        def broken_off() -> Iterator[EmbeddedPhoto]:
            yield embedded(others[0])
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            store.keep(broken_off())
    with PhotoStore(tmp_path / "s") as store:
        assert names(store) == ["b", "c", "d"]
        ((photos, rows),) = store.embedded(10)
        assert [photo.id for photo in photos] == [first.id] and rows.tolist() == [[1, 0, 0]]


def test_answers_come_best_first_and_errors_last(tmp_path: Path) -> None:
    with PhotoStore(tmp_path / "s") as store:
        unreadable = ListedPhoto("x", {}, -1, 0, "cannot be read (No such file)")
        store.list_photos([unreadable, *map(listed, "abc")])
        a, b, c = store.waiting()
        store.keep([embedded(photo) for photo in (a, b, c)])
        found = (("O1", 0.9), ("O2", 0.5))
        answers = [
            Answer(a.id, "shortlist", 1, 0.6, 2, found),
            Answer(b.id, "match", 0, 0.7, 1, found),
            Answer(c.id, "shortlist", 1, 0.8, 1, found),
        ]
        store.answer([answers[:1], answers[1:]])
        rows = list(store.results())
        assert [row.path for row in rows] == ["b", "c", "a", "x"]
        assert rows[0].shortlist == ("O1",) and rows[2].shortlist == ("O1", "O2")
        assert rows[3].answer == "unreadable" and rows[3].error == unreadable.error
        assert store.counts() == {"match": 1, "shortlist": 2, "unreadable": 1}


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(b"no database" * 100)
    with pytest.raises(DamagedError, match="Delete it"), PhotoStore(tmp_path / "s"):
        pass
    with sqlite3.connect(tmp_path / "t") as other:
        other.execute("PRAGMA user_version = 9")
    with pytest.raises(DamagedError, match="another version"), PhotoStore(tmp_path / "t"):
        pass


def test_rows_of_a_table_come_back_and_none_is_lost(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"1")
    table = tmp_path / "lots.csv"
    table.write_text("Lot;Path\n7;a.jpg\n8;gone.jpg\n9;\n7;a.jpg\n")
    photos = list(list_photos(table))
    assert [(photo.path, photo.columns, bool(photo.error)) for photo in photos] == [
        ("a.jpg", {"Lot": "7"}, False),
        ("gone.jpg", {"Lot": "8"}, True),
    ]
    table.write_text("lot,where\n7,a.jpg\n")
    with pytest.raises(InputError, match="no column of paths"):
        list(list_photos(table))
    with pytest.raises(InputError, match="does not exist"):
        list(list_photos(tmp_path / "nothing"))


def dies_of_three(shard: Shard) -> list[EmbeddedPhoto]:
    """Stands for a decoder that takes its process down."""
    if any(photo.id == 3 for photo in shard.photos):
        os._exit(1)
    return [embedded(photo) for photo in shard.photos]


@pytest.mark.slow
def test_a_photo_that_takes_its_process_down_costs_itself_alone() -> None:
    shards = [
        Shard("", tuple(WaitingPhoto(n, str(n)) for n in range(start, start + 2)))
        for start in range(0, 12, 2)
    ]
    photos = [photo for done in in_processes(dies_of_three, shards, 2) for photo in done]
    assert sorted(photo.id for photo in photos) == list(range(12))
    assert [photo.id for photo in photos if photo.error] == [3]
