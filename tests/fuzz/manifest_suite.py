"""Damaged manifests: every row is used or reported, and what is used can be trained on."""

from __future__ import annotations

import csv
import io
import json
import random
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from byte_mutators import BYTE_MUTATORS
from json_mutators import VALUES
from suite import Command, Finding

OBJECTS, VIEWS = 4, 3
COLUMNS = ("path", "object_id", "collection", "title", "split")
CELLS = (
    "", " ", '"', "'", "a,b", "a;b", "a\tb", "a\nb", "a\r\nb", "a\x85b", "a\u2028b", "a\x0bb",
    "=1+1", "@x", "-x", "\0", "\x1b[2J", "..", "../x.png", "/etc/passwd", "C:\\a.png", "a\\0.png",
    "é", "e\u0301", "\u200b", "\ufeff", "x" * 300, "OBJ-1 ", "obj-1", "OBJ-1\u00a0", "validation",
    "TRAIN", "0/0.png", "nowhere.png", ".", "\ud800",
)  # fmt: skip

Rows = list[dict[str, str]]


def whole_rows() -> Rows:
    """A small register, three photos of each object."""
    return [
        {
            "path": f"{number}/{view}.png",
            "object_id": f"OBJ-{number}",
            "collection": "north" if number % 2 else "",
            "title": f'Jar, "small" {number}',
            "split": ("train", "val", "test")[view],
        }
        for number in range(OBJECTS)
        for view in range(VIEWS)
    ]


def _change_cell(rng: random.Random, rows: Rows) -> None:
    row = rng.choice(rows)
    row[rng.choice(list(row))] = rng.choice(CELLS)


def _change_column(rng: random.Random, rows: Rows) -> None:
    old = rng.choice(list(rows[0]))
    new = rng.choice((old.upper(), f" {old} ", f"\ufeff{old}", "x", "", old[:-1]))
    for row in rows:
        if old in row:
            row[new] = row.pop(old)


def _drop_column(rng: random.Random, rows: Rows) -> None:
    name = rng.choice(list(rows[0]))
    for row in rows:
        row.pop(name, None)


def _repeat_row(rng: random.Random, rows: Rows) -> None:
    rows.insert(rng.randrange(len(rows)), dict(rng.choice(rows)))


def _shuffle(rng: random.Random, rows: Rows) -> None:
    rng.shuffle(rows)


ROW_CHANGES: tuple[Callable[[random.Random, Rows], None], ...] = (
    _change_cell, _change_cell, _change_cell, _change_column, _drop_column, _repeat_row, _shuffle,
)  # fmt: skip


def _quotes(rng: random.Random, text: str) -> str:
    position = rng.randrange(len(text) + 1)
    return text[:position] + rng.choice(('"', '""', "'", '","', '"\n"')) + text[position:]


def _separator(rng: random.Random, text: str) -> str:
    other = rng.choice((";", "\t", "|"))
    return rng.choice(("", f"sep={other}\n")) + text.replace(",", other)


def _line_ends(rng: random.Random, text: str) -> str:
    return text.replace("\n", rng.choice(("\r\n", "\r", "\n\n", "\n \n", "\u2028", "\x85")))


def _remove_letter(rng: random.Random, text: str) -> str:
    position = rng.randrange(max(1, len(text)))
    return text[:position] + text[position + rng.choice((1, 2, 20)) :]


TEXT_CHANGES: tuple[Callable[[random.Random, str], str], ...] = (
    _quotes, _quotes, _separator, _line_ends, _remove_letter,
)  # fmt: skip


def mutated_manifest(rng: random.Random) -> tuple[str, bytes, str]:
    """Ending, content, and what was done to it."""
    rows, words = whole_rows(), []
    for _ in range(rng.choice((0, 1, 1, 2))):
        change = rng.choice(ROW_CHANGES)
        change(rng, rows)
        words.append(change.__name__)
    ending = rng.choice(("csv", "csv", "csv", "jsonl"))
    text = (_as_csv if ending == "csv" else _as_json_lines)(rng, rows)
    if rng.random() < 0.5:
        spelling = rng.choice(TEXT_CHANGES)
        text = spelling(rng, text)
        words.append(spelling.__name__)
    coding = rng.choice(("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252"))
    data = text.encode(coding, "surrogatepass" if coding.startswith("utf") else "replace")
    if rng.random() < 0.3:
        mutator = rng.choice(BYTE_MUTATORS)
        data = mutator(rng, data)
        words.append(mutator.__name__)
    return ending, data, " ".join(words)


def _as_csv(rng: random.Random, rows: Rows) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    file = io.StringIO()
    quoting = rng.choice((csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
    writer = csv.DictWriter(file, names, lineterminator="\n", quoting=quoting)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _as_json_lines(rng: random.Random, rows: Rows) -> str:
    values: list[Any] = [dict(row) for row in rows]
    if rng.random() < 0.4:
        victim = rng.randrange(len(values))
        values[victim][rng.choice(COLUMNS)] = rng.choice(VALUES)
    return "".join(json.dumps(row, ensure_ascii=rng.random() < 0.5) + "\n" for row in values)


class ManifestSuite:
    """Each manifest is read as every command reads it; a tenth is inspected too."""

    name = "manifests"
    batch = 10

    def __init__(self) -> None:
        """Reads nothing yet."""
        self._photos: list[bytes] = []

    def open(self, materials: Path, command: Command) -> None:
        """Photos that the manifests name."""
        del command
        self._photos = [path.read_bytes() for path in sorted((materials / "photos").rglob("*.png"))]

    def run(self, seeds: Sequence[int], folder: Path, command: Command) -> list[Finding]:
        """One manifest for each seed."""
        findings = []
        for row, content in zip(whole_rows(), self._photos, strict=True):
            path = folder / row["path"]
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        for number, seed in enumerate(seeds):
            ending, data, what = mutated_manifest(random.Random(f"manifests {seed}"))
            path = folder / f"manifest-{seed}.{ending}"
            path.write_bytes(data)
            findings += [
                Finding(finding.kind, f"{what}: {finding.text}") for finding in _read(path)
            ]
            if number == 0:
                findings += command(["inspect", str(path), "--json"]).findings
        return findings


def _read(path: Path) -> list[Finding]:
    """Reads a manifest and asks where its photos have gone."""
    from mobile_assets.errors import ArtefactError
    from train.registers.readers import read_register

    try:
        register = read_register(path)
        labels = register.label_map()
    except (ArtefactError, OSError):
        return []
    except Exception:
        return [Finding("traceback", traceback.format_exc())]
    broken = [name for name in labels.object_ids if len(name.splitlines()) != 1]
    findings = [Finding("accepted", f"object id {name!r}") for name in broken]
    text = path.read_bytes().decode("utf-8-sig", "replace").replace("\\\\", "/")
    used = "\n".join(photo.path for photo in register.photos)  # in one may be a letter more
    noted = "\n".join(f"{problem.path} {problem.reason}" for problem in register.problems)
    titles = "\n".join(f"{photo.title} {photo.collection}" for photo in register.photos)
    for row in whole_rows():
        if row["path"] in text and row["path"] not in used and row["path"] not in noted:
            if row["path"] in titles and titles.count("\n") == text.count("\n"):
                continue  # the cell was moved there on purpose
            findings.append(Finding("lost", f"{row['path']} is named, not used, not reported"))
    return findings[:1]
