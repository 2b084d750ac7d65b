"""Importing IIIF Presentation manifests, versions 2 and 3, whose images are on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from museum_exports import (
    import_checked,
    listed,
    manifest2,
    manifest3,
    photos_of,
    put_photos,
    write_json,
    write_text,
)

from mobile_assets.errors import InputError
from mobile_assets.object_record import ObjectRecord
from train.registers.importers import iiif

SERVER = "https://images.example.org/iiif"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return put_photos(tmp_path / "photos", "EA1.jpg", "EA2.jpg", "EA3.jpg")


def entry3(label: str, *values: str) -> dict[str, Any]:
    return {"label": {"en": [label]}, "value": {"en": list(values)}}


def test_a_manifest_of_version_3(tmp_path: Path, photos: Path) -> None:
    manifest = manifest3(
        "obj-17",
        [
            f"{SERVER}/EA1/full/max/0/default.jpg",
            {"id": f"{SERVER}/x/full/max/0/default.jpg", "type": "Image",
             "service": [{"id": f"{SERVER}/EA2", "type": "ImageService3"}]},
        ],
        metadata=[
            entry3("Accession Number", "1889.1"), entry3("Medium", "stoneware", "salt glaze"),
            entry3("Dimensions", "H 21 cm"), entry3("Credit Line", "Given by the Friends"),
            entry3("Date", "<span>about 1600 &amp; later</span>"),
        ],
        summary={"en": ["A jug."]},
    )  # fmt: skip
    imported, register = import_checked(write_json(tmp_path / "m.json", manifest), photos)
    assert photos_of(imported) == {"1889.1": ["EA1.jpg", "EA2.jpg"]}
    assert register is not None
    (label,) = register.label_map().labels
    assert label.title == "Object obj-17"
    assert label.record == ObjectRecord(
        materials="stoneware; salt glaze", measurements="H 21 cm", date="about 1600 & later"
    )
    others = imported.photos[0].others
    assert others["Credit Line"] == "Given by the Friends"
    assert others["manifest"] == "obj-17"


def test_a_manifest_of_version_2(tmp_path: Path, photos: Path) -> None:
    manifest = manifest2(
        "1889.2",
        [
            "https://museum.example/res/EA1.jpg",
            {"@id": f"{SERVER}/EA2.tif/full/full/0/native.jpg", "@type": "dctypes:Image",
             "service": {"@id": f"{SERVER}/EA2.tif"}},
        ],
        metadata=[
            {"label": "Title", "value": "Bowl"},
            {"label": [{"@value": "Künstler", "@language": "de"},
                       {"@value": "Artist", "@language": "en"}],
             "value": [{"@value": "unbekannt", "@language": "de"},
                       {"@value": "unknown", "@language": "en"}]},
        ],
    )  # fmt: skip
    path = write_json(tmp_path / "m.json", manifest)
    imported, register = import_checked(path, photos, language="en")
    assert photos_of(imported) == {"1889.2": ["EA1.jpg", "EA2.jpg"]}
    assert register is not None
    (label,) = register.label_map().labels
    assert (label.title, label.record) == ("Bowl", ObjectRecord(maker="unknown"))
    _, register = import_checked(path, photos, force=True, out=tmp_path / "german.csv")
    assert register is not None
    assert register.records["1889.2"].maker == "unbekannt"


def test_choices_and_parts_of_images(tmp_path: Path, photos: Path) -> None:
    image = {"id": f"{SERVER}/gone/full/max/0/default.jpg", "type": "Image"}
    choice = {"type": "Choice", "items": [image, image | {"id": "https://x.example/EA2.jpg"}]}
    part = {"type": "SpecificResource", "source": image | {"id": "https://x.example/EA3.jpg"}}
    older = {
        "@type": "oa:Choice",
        "default": {"@id": "https://x.example/EA1.jpg", "@type": "dctypes:Image"},
        "item": [{"@id": "https://x.example/gone.jpg", "@type": "dctypes:Image"}],
    }
    path = tmp_path / "manifests"
    path.mkdir()
    write_json(path / "3.json", manifest3("A", [choice, part]))
    write_json(path / "2.json", manifest2("B", [older]))
    imported, _ = import_checked(path, photos)
    assert photos_of(imported) == {"A": ["EA2.jpg", "EA3.jpg"], "B": ["EA1.jpg"]}


@pytest.mark.parametrize("make", [manifest2, manifest3])
def test_images_that_are_not_on_disk_are_listed(tmp_path: Path, photos: Path, make: Any) -> None:
    path = write_json(tmp_path / "m.json", make("A", ["https://x/EA1.jpg", "https://x/gone.jpg"]))
    imported, _ = import_checked(path, photos)
    assert photos_of(imported) == {"A": ["EA1.jpg"]}
    (gone,) = [f for f in imported.findings if f.place == "m.json" and f.kind == "photo"]
    assert (gone.value, gone.reason) == ("https://x/gone.jpg", "no such photo")


def test_a_collection_that_holds_manifests_and_references(tmp_path: Path, photos: Path) -> None:
    collection = {
        "id": "https://example.org/c", "type": "Collection",
        "items": [manifest3("A", ["https://x/EA1.jpg"]), {"id": "https://x/b", "type": "Manifest"}],
    }  # fmt: skip
    imported, _ = import_checked(write_json(tmp_path / "c.json", collection), photos)
    assert photos_of(imported) == {"A": ["EA1.jpg"]}
    assert "only refers to it" in listed(imported, "row")["c.json, member 2"]


@pytest.mark.parametrize(
    "broken",
    [
        {"items": [None, 5, {"items": "x"}, {"items": [{"items": [3]}]}]},
        {"metadata": ["x", {"label": 5}, {"label": {"en": [None]}, "value": {}}, None]},
        {"label": None, "summary": 3},
        {"id": ["x"]},
        {"metadata": {"label": "Medium", "value": "clay"}},
    ],
)
def test_broken_parts_of_a_manifest_cost_no_other(
    tmp_path: Path, photos: Path, broken: dict[str, Any]
) -> None:
    good = manifest3("A", ["https://x/EA1.jpg"])
    if "items" in broken:
        broken = {"items": [*broken["items"], *good["items"]]}
    broken_one = good | {"metadata": [entry3("Object Number", "A")]} | broken
    if broken.get("metadata"):
        broken_one["id"] = "https://example.org/iiif/A/manifest"
    imported, _ = import_checked(write_json(tmp_path / "m.json", broken_one), photos)
    assert photos_of(imported) == {"A": ["EA1.jpg"]}


def test_half_characters_and_controls_become_something_that_files_can_hold(
    tmp_path: Path, photos: Path
) -> None:
    label, value = "Cre\ud800dit", "clay\x00\udfff\u2028wet"
    metadata = [entry3("Object Number", "A"), entry3(label, "x"), entry3("Material", value)]
    manifest = manifest3("A", ["https://x/EA1.jpg", "https://x/\ud800.jpg"], metadata=metadata)
    path = tmp_path / "m.json"
    path.write_text(json.dumps(manifest), encoding="ascii")
    imported, register = import_checked(path, photos)
    assert photos_of(imported) == {"A": ["EA1.jpg"]}
    assert register is not None
    assert register.records["A"].materials == "clay ? / wet"
    assert imported.photos[0].others["Cre?dit"] == "x"


def test_a_folder_of_manifests_some_of_them_broken(tmp_path: Path, photos: Path) -> None:
    folder = tmp_path / "manifests"
    folder.mkdir()
    write_json(folder / "1.json", manifest3("A", ["https://x/EA1.jpg"]))
    write_text(folder, '{"type": "Manifest", ', "2.json")
    write_text(folder, '{"type": "Annotation"}', "3.json")
    write_text(folder, "[" * 100_000, "4.json")
    write_text(folder, '{"type": "Manifest", "n": ' + "9" * 5000 + "}", "5.json")
    write_json(folder / "6.json", manifest2("B", ["https://x/EA2.jpg"]))
    imported, _ = import_checked(folder, photos)
    assert sorted(photos_of(imported)) == ["A", "B"]
    unread = listed(imported, "unread")
    assert sorted(unread) == ["2.json", "3.json", "4.json", "5.json"]
    assert "is no IIIF manifest" in unread["3.json"]


def test_what_is_no_manifest(tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="is no JSON"):
        import_checked(write_text(tmp_path, "{", "m.json"), photos)
    with pytest.raises(InputError, match="is no IIIF manifest"):
        import_checked(write_text(tmp_path, "{}", "m.json"), photos)
    monkeypatch.setattr(iiif, "MAX_BYTES", 10)
    with pytest.raises(InputError, match="at most 0 MB are read"):
        import_checked(write_json(tmp_path / "m.json", manifest3("A", [])), photos)
