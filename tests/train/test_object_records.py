"""Object ID fields on their way from a manifest through run and bundle to an answer."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import alternately, apart, object_picture
from tiny_run import write_tiny_run

from artefact_id.main import main
from mobile_assets.bundle import read_bundle
from mobile_assets.errors import DamagedError
from mobile_assets.labels import LabelMap
from mobile_assets.object_record import MAX_FIELD_CHARACTERS, RECORD_FIELDS, ObjectRecord
from train.registers.readers import read_register

COLUMNS = (
    "path,object_id,collection,title,type,materials,measurements,inscriptions,"
    "distinguishing_features,subject,date,maker,inventory_number,place_of_origin,source:Value"
)
JUG = (
    'Jug,Castle,jug,stoneware,"H 20 cm, W 12 cm",WR,chip at the foot,beasts,17th century,'
    "Frechen workshop,CAS-7,Frechen,£4000"
)
FIELDS = {
    "type": "jug", "materials": "stoneware", "measurements": "H 20 cm, W 12 cm",
    "inscriptions": "WR", "distinguishing_features": "chip at the foot", "subject": "beasts",
    "date": "17th century", "maker": "Frechen workshop", "inventory_number": "CAS-7",
    "place_of_origin": "Frechen",
}  # fmt: skip


def manifest(folder: Path, *rows: str) -> Path:
    path = folder / "manifest.csv"
    path.write_text("\n".join((COLUMNS, *rows)) + "\n", encoding="utf-8")
    return path


def test_fields_of_object_id_are_all_there() -> None:
    assert tuple(FIELDS) == RECORD_FIELDS
    assert all(name in COLUMNS.split(",") for name in RECORD_FIELDS)


def test_manifest_gives_each_object_its_record(tmp_path: Path) -> None:
    register = read_register(manifest(tmp_path, f"a/1.png,A,{JUG}", "b/1.png,B" + "," * 13))
    assert register.records == {"A": ObjectRecord(**FIELDS)}
    first, second = register.label_map().labels
    assert first.record == ObjectRecord(**FIELDS)
    assert second.record is None
    assert register.threshold(1).label_map()[0].record is not None
    assert "4000" not in register.label_map().json, "what the museum keeps to itself"


def test_json_lines_give_records_too(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    path.write_text('{"path": "1.png", "object_id": "A", "maker": "Iznik"}\n', encoding="utf-8")
    assert read_register(path).records == {"A": ObjectRecord(maker="Iznik")}


def test_first_row_counts_and_others_are_reported(tmp_path: Path) -> None:
    one, other = "," * 10 + "Iznik,,,", "," * 10 + "Kütahya,,,"
    register = read_register(manifest(tmp_path, f"1.png,A{one}", f"2.png,A{other}"))
    assert register.records["A"].maker == "Iznik"
    (problem,) = register.problems
    assert (problem.kind, problem.path) == ("warning", "2.png")
    assert "maker of A is another one" in problem.reason


def test_too_long_a_text_is_cut_and_reported(tmp_path: Path) -> None:
    long = "x" * (MAX_FIELD_CHARACTERS + 1)
    register = read_register(manifest(tmp_path, "1.png,A" + "," * 10 + f"{long},,,"))
    assert register.records["A"].maker == "x" * (MAX_FIELD_CHARACTERS - 1) + "…"
    (problem,) = register.problems
    assert "the rest is cut" in problem.reason
    fits = "y" * MAX_FIELD_CHARACTERS
    register = read_register(manifest(tmp_path, "1.png,A" + "," * 10 + f"{fits},,,"))
    assert register.records["A"].maker == fits
    assert not register.problems


def test_label_maps_without_records_stay_as_they_were() -> None:
    labels = LabelMap.of([("A", "Castle", "Jug", 3)])
    entry = {"index": 0, "object_id": "A", "collection": "Castle", "title": "Jug", "photos": 3}
    assert labels.json == json.dumps([entry], indent=2) + "\n"
    with_record = LabelMap.of([("A", "Castle", "Jug", 3)], {"A": ObjectRecord(date="1600")})
    assert json.loads(with_record.json) == [entry | {"record": {"date": "1600"}}]
    assert with_record.text == labels.text
    assert with_record.object_ids == labels.object_ids


def test_label_map_with_records_is_read_back(tmp_path: Path) -> None:
    labels = LabelMap.of([("A", "", "", 1), ("B", "", "", 2)], {"B": ObjectRecord(maker="Iznik")})
    labels.write(tmp_path)
    assert LabelMap.read(tmp_path / "labels.json") == labels
    assert LabelMap.read(tmp_path / "labels.json").sha256 == labels.sha256


@pytest.mark.parametrize(
    "record", [{"owner": "x"}, {"maker": "x" * (MAX_FIELD_CHARACTERS + 1)}, {"maker": 5}, "jug"]
)
def test_records_of_another_form_are_refused(tmp_path: Path, record: object) -> None:
    entry = {"index": 0, "object_id": "A", "record": record}
    (tmp_path / "labels.json").write_text(json.dumps([entry]), encoding="utf-8")
    with pytest.raises(DamagedError, match="not a label map"):
        LabelMap.read(tmp_path / "labels.json")


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two objects with photos and manifest, a run and a bundle of them."""
    from export import ExportOptions, export_bundle

    root = tmp_path_factory.mktemp("described")
    rows = []
    for number, object_id in enumerate("AB"):
        for view in range(3):
            path = root / f"{object_id}{view}.png"
            object_picture(number, view).save(path)
            evil = JUG.replace("Frechen workshop", "\x1b[31mevil\u202e")
            rows.append(f"{path.name},{object_id},{evil if object_id == 'A' else ',' * 12}")
    manifest(root, *rows)
    side = alternately()
    run = write_tiny_run(root, root / "run", side=side, scale=None, change=apart)
    assert run.labels[0].record is not None
    options = ExportOptions(variants=("tflite-float32",), calibration_photos=4)
    export_bundle(run, root / "bundle", options=options, photos=root)
    return root


def test_record_reaches_the_bundle_and_changes_no_label(described: Path) -> None:
    bundle = read_bundle(described / "bundle")
    record = bundle.labels[0].record
    assert record is not None
    assert record.as_json() == FIELDS | {"maker": "\x1b[31mevil\u202e"}
    assert bundle.labels[1].record is None
    assert (described / "bundle/labels.txt").read_text(encoding="utf-8") == "A\nB\n"


def test_bundle_of_before_there_were_records_is_read(described: Path) -> None:
    plain = [
        replace_record(label.as_json()) for label in read_bundle(described / "bundle").labels.labels
    ]
    path = described / "old.json"
    path.write_text(json.dumps(plain), encoding="utf-8")
    assert all(label.record is None for label in LabelMap.read(path).labels)


def replace_record(entry: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in entry.items() if key != "record"}


def test_identify_shows_the_record(described: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["identify", str(described / "bundle"), str(described / "A0.png"), "--top", "2"]
    words += ["--variant", "tflite-float32"]
    assert main([*words, "--json"]) == 0
    shown = capsys.readouterr().out
    assert r"\u202e" in shown
    assert "\u202e" not in shown
    (answer,) = json.loads(shown)
    records = {c["object_id"]: c.get("record") for c in answer["candidates"]}
    assert records == {"A": FIELDS | {"maker": "\x1b[31mevil\u202e"}, "B": None}

    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "A: type: jug; materials: stoneware; measurements: H 20 cm, W 12 cm;" in shown
    assert r"maker: \u001b[31mevil\u202e" in shown
    assert "distinguishing features: chip at the foot" in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def test_records_survive_a_change_of_photos(tmp_path: Path) -> None:
    register = read_register(manifest(tmp_path, f"a/1.png,A,{JUG}", f"a/2.png,A,{JUG}"))
    assert register.without(["a/1.png"]).records == register.records
    assert replace(register, photos=()).records == register.records
