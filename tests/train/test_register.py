"""Reading registers, threshold data sets and splits."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import picture
from PIL import Image

from mobile_assets.errors import InputError
from mobile_assets.preprocessing import Preprocessing
from train.near_duplicates import alike, perceptual_hash
from train.prepare import prepare
from train.registers.inspection import inspect
from train.registers.readers import read_register
from train.registers.register import Photo, Register
from train.split import PAPER_SEED, make_split

CONTRACT = Preprocessing(height=32, width=32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def put(root: Path, *names: str) -> None:
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(path)


def textured(seed: int) -> Image.Image:
    """640 × 480 pixels with detail, as photos have and `picture` does not."""
    cells = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize((640, 480), Image.Resampling.BICUBIC)


def far_apart(path: str) -> int:
    """A 256-bit number of its own for every path, as different pictures have."""
    return int.from_bytes(hashlib.sha256(path.encode()).digest(), "big")


def split_of(register: Register, **options: object) -> dict[str, str]:
    digests = {photo.path: photo.path for photo in register.photos}
    hashes = {photo.path: far_apart(photo.path) for photo in register.photos}
    chosen: dict[str, object] = {
        "strategy": "stratified",
        "seed": 0,
        "min_photos": 3,
        "digests": digests,
        "hashes": hashes,
    }
    split = make_split(register, **(chosen | options))  # type: ignore[arg-type]
    return {photo.path: photo.split for photo in split.photos}


def synthetic(counts: dict[str, int]) -> Register:
    photos = tuple(Photo(o, f"{o}/{i}.jpg") for o, n in counts.items() for i in range(n))
    return Register(Path(), photos)


def test_collection_layout(register_folder: Path) -> None:
    register = read_register(register_folder)
    assert register.object_ids == tuple(f"OBJ-{n}" for n in range(6))
    assert {p.collection for p in register.photos} == {"Egyptian", "Oriental"}
    assert list(register.photos_per_object.values()) == [3, 4, 5, 6, 7, 8]


def test_object_layout_and_same_file_name_in_two_objects(tmp_path: Path) -> None:
    put(tmp_path, "a/front.jpg", "a/back.jpg", "b/front.jpg")
    register = read_register(tmp_path)
    assert [p.path for p in register.photos] == ["a/back.jpg", "a/front.jpg", "b/front.jpg"]
    assert register.photos_per_object == {"a": 2, "b": 1}


def test_ambiguous_layout_must_be_said(tmp_path: Path) -> None:
    put(tmp_path, "a/1.jpg", "c/b/1.jpg")
    with pytest.raises(InputError, match="--layout object"):
        read_register(tmp_path)
    assert read_register(tmp_path, layout="object").object_ids == ("a",)
    register = read_register(tmp_path, layout="collection")
    assert register.object_ids == ("b",)
    assert [(p.kind, p.path) for p in register.problems] == [("ignored", "a/1.jpg")]


def test_same_object_name_in_two_collections_stays_two_objects(tmp_path: Path) -> None:
    put(tmp_path, "east/vase/1.jpg", "west/vase/1.jpg", "west/cup/1.jpg")
    register = read_register(tmp_path)
    assert register.object_ids == ("cup", "east/vase", "west/vase")
    assert any(p.kind == "warning" for p in register.problems)


def test_order_does_not_depend_on_the_file_system(
    register_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = read_register(register_folder)
    real = os.scandir
    shuffler = random.Random(1)

    @contextlib.contextmanager
    def shuffled(path: str) -> Iterator[list[os.DirEntry[str]]]:
        with real(path) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
        shuffler.shuffle(listed)
        yield listed

    monkeypatch.setattr(os, "scandir", shuffled)
    assert read_register(register_folder) == expected


def test_csv_and_json_lines_manifests_agree(tmp_path: Path) -> None:
    put(tmp_path, "x/1.jpg", "x/2.jpg", "y/1.jpg")
    rows = [
        {"path": "x/1.jpg", "object_id": "Ö 1", "collection": "C", "title": "Ein Krug, alt"},
        {"path": "x/2.jpg", "object_id": "Ö 1", "collection": "C", "title": ""},
        {"path": "y/1.jpg", "object_id": "B", "collection": "C", "title": ""},
    ]
    (tmp_path / "m.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    lines = ["path,object_id,collection,title", 'x/1.jpg,Ö 1,C,"Ein Krug, alt"']
    lines += ["x/2.jpg,Ö 1,C,", "y/1.jpg,B,C,"]
    (tmp_path / "m.csv").write_text("\n".join(lines), encoding="utf-8-sig")  # as Excel writes it
    from_csv, from_json = (read_register(tmp_path / name) for name in ("m.csv", "m.jsonl"))
    assert from_csv == from_json
    assert from_csv.label_map()[1].title == "Ein Krug, alt"
    assert from_csv.label_map().object_ids == ("B", "Ö 1")


def test_a_folder_with_a_manifest_is_read_by_it(tmp_path: Path) -> None:
    put(tmp_path, "x/1.jpg", "x/2.jpg")
    (tmp_path / "manifest.csv").write_text("path,object_id,title\nx/1.jpg,x,Lamp\n")
    assert [p.title for p in read_register(tmp_path).photos] == ["Lamp"]
    assert len(read_register(tmp_path, layout="object").photos) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path,title\na.jpg,x\n", "object_id"),
        ("path,object_id\n,x\n", "line 2"),
        ("path,object_id,split\na.jpg,x,holdout\n", "'holdout'"),
        ("path,object_id,colour\na.jpg,x,red\n", "colour"),
        ("path,object_id\na.jpg,x\na.jpg,y\n", "given to y and to x"),
        ("path,object_id\n", "no photos"),
    ],
)
def test_wrong_manifests_say_what_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(InputError, match=words):
        read_register(tmp_path / "m.csv")


def test_nothing_there_and_nothing_in_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_register(tmp_path / "none")
    with pytest.raises(InputError, match="holds no photos"):
        read_register(tmp_path)
    put(tmp_path, "loose.jpg")
    with pytest.raises(InputError, match="none in ROOT"):
        read_register(tmp_path)


def test_names_of_all_scripts_and_lengths(tmp_path: Path) -> None:
    long = "x" * 200
    put(tmp_path, f"青花瓷 Μήτρα/{long}.jpg", "ü/ n:o*?.png", "u\u0308/2.png")
    register = read_register(tmp_path)
    # Composed and decomposed spellings of one name are one object.
    assert register.photos_per_object == {"ü": 2, "青花瓷 Μήτρα": 1}
    assert all(register.path(photo).is_file() for photo in register.photos)


def test_inspection_counts_and_lists(register_folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    shutil.copytree(register_folder, root)
    (root / "Oriental/OBJ-0/000.png").write_bytes(b"")
    (root / "Oriental/OBJ-0/notes.txt").write_text("not a photo")
    shutil.copy(root / "Oriental/OBJ-2/001.png", root / "Egyptian/OBJ-1/copy.png")
    found = inspect(root)
    assert [(r.name, r.objects, r.photos) for r in found.per_object] == [
        ("2", 1, 2), ("5", 2, 10), ("6", 1, 6), ("7", 1, 7), ("8", 1, 8),
    ]  # fmt: skip
    assert [(r.name, r.objects, r.photos) for r in found.thresholds] == [
        ("at least 3", 5, 31), ("at least 4", 5, 31), ("at least 5", 5, 31), ("at least 6", 3, 21),
    ]  # fmt: skip
    assert {(p.kind, Path(p.path).name) for p in found.problems} == {
        ("unreadable", "000.png"),
        ("ignored", "notes.txt"),
        ("duplicate", "001.png"),
    }
    twice = next(p for p in found.problems if p.kind == "duplicate")
    assert "another object, OBJ-1" in twice.reason
    assert "copy.png" in twice.reason
    assert found.kinds == {"format PNG": 33, "under 224 pixels": 33}


def test_inspection_finds_the_same_picture_in_other_files(tmp_path: Path) -> None:
    put(tmp_path, "a/2.png", "b/3.png")
    large = textured(0)
    large.save(tmp_path / "a/1.png")
    large.resize((320, 240)).save(tmp_path / "a/smaller.jpg", quality=50)
    large.save(tmp_path / "b/same.jpg", quality=70)
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(9, 300, 300).convert("CMYK").save(tmp_path / "b/print.jpg", exif=exif)
    found = inspect(tmp_path)
    reasons = {p.path: p.reason for p in found.problems}
    assert reasons["a/smaller.jpg"] == "nearly the same picture as a/1.png"
    assert "a/1.png of another object, a" in reasons["b/same.jpg"]
    assert len(reasons) == 2
    assert found.kinds["colours stored as CMYK"] == found.kinds["turned by EXIF"] == 1
    assert found.kinds["under 224 pixels"] == 2


def test_threshold_data_sets(register_folder: Path) -> None:
    register = read_register(register_folder)
    assert [len(register.threshold(n).object_ids) for n in (3, 4, 5, 6, 9)] == [6, 5, 4, 3, 0]


def test_stratified_split_holds_out_of_every_object() -> None:
    register = synthetic({f"o{n:02}": 3 + n % 9 for n in range(40)})
    sides = split_of(register)
    for object_id in register.object_ids:
        own = [side for path, side in sides.items() if path.startswith(object_id + "/")]
        assert own.count("train") >= 2
        assert 1 <= len(own) - own.count("train") <= max(1, round(0.2 * len(own)))
    held = [side for side in sides.values() if side != "train"]
    assert abs(held.count("val") - held.count("test")) <= 2
    assert split_of(register) == sides
    assert split_of(register, seed=1) != sides
    assert "test" not in split_of(register, hold_out_test=False).values()


def test_adding_an_object_does_not_resplit_the_others() -> None:
    few = synthetic({"b": 6, "d": 6})
    more = synthetic({"a": 6, "b": 6, "c": 6, "d": 6})
    held_few = {p for p, side in split_of(few).items() if side != "train"}
    held_more = {p for p, side in split_of(more).items() if side != "train"}
    assert held_few == {path for path in held_more if path[0] in "bd"}


def test_near_duplicates_stay_on_one_side() -> None:
    register = synthetic({f"o{n}": 6 for n in range(30)})
    # Photos 0 and 1 of each object differ in one bit of their hash, the others in many.
    hashes = {p.path: far_apart(p.path) for p in register.photos}
    for object_id in register.object_ids:
        hashes[f"{object_id}/1.jpg"] = hashes[f"{object_id}/0.jpg"] ^ 1
    sides = split_of(register, hashes=hashes)
    assert all(sides[f"{o}/0.jpg"] == sides[f"{o}/1.jpg"] for o in register.object_ids)
    apart = split_of(register)
    assert any(apart[f"{o}/0.jpg"] != apart[f"{o}/1.jpg"] for o in register.object_ids)


def test_an_object_of_one_picture_is_never_held_out() -> None:
    register = synthetic({"a": 4, "b": 4})
    sides = split_of(register, hashes={p.path: 7 for p in register.photos})
    assert set(sides.values()) == {"train"}


def test_a_picture_under_two_objects_is_never_held_out() -> None:
    register = synthetic({f"o{n}": 5 for n in range(12)})
    shared = [[p for p in register.photos if p.path in ("o1/0.jpg", "o2/0.jpg")]]
    held = {seed: split_of(register, seed=seed, shared=shared) for seed in range(8)}
    assert all(s["o1/0.jpg"] == s["o2/0.jpg"] == "train" for s in held.values())
    free = {seed: split_of(register, seed=seed) for seed in range(8)}
    assert any(s[p] != "train" for s in free.values() for p in ("o1/0.jpg", "o2/0.jpg"))
    # An object that is not in the data set does not matter.
    alone = register.without(p.path for p in register.photos if p.object_id == "o2")
    assert split_of(alone, shared=shared) == split_of(alone)


def test_the_hash_finds_a_picture_again(tmp_path: Path) -> None:
    one, other = textured(1), textured(2)
    one.save(tmp_path / "one.jpg", quality=40)
    brighter = Image.fromarray((np.asarray(one) * 0.9).astype(np.uint8))
    own = perceptual_hash(np.asarray(one))
    for again in (Image.open(tmp_path / "one.jpg"), brighter, one.resize((320, 240))):
        assert (own ^ perceptual_hash(np.asarray(again))).bit_count() <= 24
    assert (own ^ perceptual_hash(np.asarray(one.crop((4, 4, 636, 478))))).bit_count() <= 36
    assert (own ^ perceptual_hash(np.asarray(other))).bit_count() > 60
    plain = [perceptual_hash(np.full((32, 32, 3), grey, np.uint8)) for grey in (128, 90)]
    assert plain[0] == plain[1]


def test_groups_are_those_of_all_pairs() -> None:
    chosen = random.Random(0)
    seeds = [chosen.getrandbits(256) for _ in range(150)]
    hashes = [seeds[chosen.randrange(150)] ^ sum(1 << chosen.randrange(256) for _ in range(9))
              for _ in range(600)]  # fmt: skip
    groups = alike(hashes, 24)
    of = {position: number for number, group in enumerate(groups) for position in group}
    assert sorted(of) == list(range(600))
    assert [g[0] for g in groups] == sorted(g[0] for g in groups)
    for i in range(600):
        for j in range(i):
            if (hashes[i] ^ hashes[j]).bit_count() <= 24:
                assert of[i] == of[j]
    assert 100 < len(groups) <= 150
    assert alike([], 24) == []


def test_paper_split_is_eight_one_one_by_photo() -> None:
    register = synthetic({f"o{n:03}": 3 for n in range(100)})
    sides = list(split_of(register, strategy="paper").values())
    assert [sides.count(s) for s in ("train", "val", "test")] == [240, 30, 30]
    order = np.random.Generator(np.random.PCG64(PAPER_SEED)).permutation(300)
    assert [sides[i] for i in order[:240]] == ["train"] * 240


def test_paper_split_marks_objects_unseen_in_training() -> None:
    register = synthetic({f"o{n:03}": 1 for n in range(50)})
    digests = {p.path: p.path for p in register.photos}
    split = make_split(register, strategy="paper", seed=0, min_photos=1, digests=digests, hashes={})
    assert all(photo.seen == (photo.split == "train") for photo in split.photos)


def test_manifest_split_is_obeyed(tmp_path: Path) -> None:
    photos = tuple(
        Photo(o, f"{o}/{i}.jpg", split=s)
        for o in "ab"
        for i, s in enumerate(["train", "train", "test", "val", None, None])
    )
    sides = split_of(Register(tmp_path, photos), strategy="manifest")
    assert [sides[f"a/{i}.jpg"] for i in range(4)] == ["train", "train", "test", "val"]
    assert sorted(sides[f"a/{i}.jpg"] for i in (4, 5)) == ["train", "val"]
    with pytest.raises(InputError, match="split column"):
        split_of(synthetic({"a": 3, "b": 3}), strategy="manifest")


def test_damaged_cache_is_rebuilt(register_folder: Path, tmp_path: Path) -> None:
    first = prepare(read_register(register_folder), CONTRACT, tmp_path)
    index = next(tmp_path.rglob("index.json"))
    index.write_text(index.read_text()[:100])
    again = prepare(read_register(register_folder), CONTRACT, tmp_path)
    assert again.digests == first.digests


def test_unreadable_photos_are_left_out_and_named(register_folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    shutil.copytree(register_folder, root)
    (root / "Egyptian/OBJ-1/001.png").write_bytes(b"nonsense")
    prepared = prepare(read_register(root), CONTRACT, tmp_path / "cache")
    assert len(prepared.register.photos) == 32
    problem = next(p for p in prepared.register.problems if p.kind == "unreadable")
    assert problem.path == "Egyptian/OBJ-1/001.png"
