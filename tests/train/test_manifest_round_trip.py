"""A manifest that the toolkit writes is read back to the same words, formulas among them."""

from __future__ import annotations

from pathlib import Path

from conftest import picture

from mobile_assets.csv_table import csv_text
from train.registers.readers import read_register

IDS = ["=1+1", "-5", "@x", "'=1", "'tis", "+44 20", "a;=b"]


def test_every_word_comes_back(tmp_path: Path) -> None:
    rows = []
    for number, object_id in enumerate(IDS):
        path = f"={number}.png"
        picture(number).save(tmp_path / path)
        rows.append({"path": path, "object_id": object_id, "title": f"-{object_id}"})
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(csv_text(rows), encoding="utf-8")
    assert ",=" not in manifest.read_text() and "\n=" not in manifest.read_text()
    register = read_register(manifest)
    assert sorted((p.path, p.object_id) for p in register.photos) == sorted(
        (row["path"], row["object_id"]) for row in rows
    )
    titles = {label.object_id: label.title for label in register.label_map().labels}
    assert titles == {row["object_id"]: row["title"] for row in rows}
