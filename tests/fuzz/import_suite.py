"""Damaged exports of collections software: every row and every photo is used or listed."""

from __future__ import annotations

import io
import json
import random
import re
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from byte_mutators import BYTE_MUTATORS
from json_mutators import mutated_json
from manifest_suite import TEXT_CHANGES
from museum_exports import (
    lido_record,
    lido_wrap,
    manifest2,
    manifest3,
    put_photos,
    write_workbook,
)
from suite import Command, Finding, Outcome

PHOTOS = ("EA1.jpg", "more/EA1b.jpg", "EA2.jpg", "EA3.png")
TABLE = (
    "ObjectNumber,ObjectName,Title,Dated,Medium,Department,Image 1,Image 2\n"
    '1889.1,Jug,"Jug, with ""beasts""",17th century,Stoneware,Castle,EA1.jpg,EA1b.jpg\n'
    "1889.2,Bowl,Bowl,1600,Porcelain,Castle,EA2.jpg,\n"
    "1889.3,Cup,Tasse à café,1700,Porcelain,,EA3.png,\n"
)
LAUGHS = (
    '<!DOCTYPE x [<!ENTITY a "ha">'
    + "".join(
        f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefghi", "bcdefghij", strict=True)
    )
    + "]>"
)


def whole_sources(folder: Path) -> dict[str, bytes]:
    """Small sources by file name, all of the same four photos."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [line.split(",") for line in TABLE.replace('"Jug, with ""beasts"""', "Jug").splitlines()]
    media = [["ObjectNumber", "File"], ["1889.1", "EA1.jpg"], ["1889.2", "EA2.jpg"]]
    plain = write_workbook(folder / "a.xlsx", Objects=rows)
    double = write_workbook(folder / "b.xlsx", Objects=[r[:6] for r in rows], Media=media)
    lido = lido_wrap(
        lido_record("1889.1", "EA1.jpg", "https://example.org/i/EA1b.jpg"),
        lido_record("1889.2", "EA2.jpg", title="Tasse à café &amp; Milch"),
        lido_record("1889.3", "EA3.png"),
    )
    addresses = [f"https://example.org/{name}" for name in PHOTOS]
    return {
        "objects.csv": TABLE.encode("utf-8"),
        "objects.tsv": TABLE.replace(",", "\t").encode("utf-8"),
        "semicolons.csv": TABLE.replace(",", ";").encode("cp1252"),
        "objects.xlsx": plain.read_bytes(),
        "media.xlsx": double.read_bytes(),
        "lido.xml": lido.encode("utf-8"),
        "manifest3.json": json.dumps(manifest3("1889.1", addresses)).encode("utf-8"),
        "manifest2.json": json.dumps(manifest2("1889.2", addresses)).encode("utf-8"),
    }


def _text(rng: random.Random, data: bytes) -> bytes:
    return rng.choice(TEXT_CHANGES)(rng, data.decode("cp1252", "replace")).encode("utf-8")


def _xml(rng: random.Random, data: bytes) -> bytes:
    """Elements removed, repeated, nested deeply, or entities that grow."""
    text = data.decode("utf-8", "replace")
    elements = list(re.finditer(r"<(/?)([\w:]+)[^>]*>", text))
    spot = rng.choice(elements) if elements else re.match("", text)
    assert spot is not None
    action = rng.choice(("drop", "repeat", "deep", "entity", "many", "control", "rename"))
    begin, end = spot.span()
    if action == "drop":
        text = text[:begin] + text[end:]
    elif action == "repeat":
        text = text[:end] + spot.group() + text[end:]
    elif action == "deep":
        depth = rng.choice((300, 100_000))
        text = text[:end] + "<a>" * depth + "</a>" * depth + text[end:]
    elif action == "entity":
        text = text.replace("?>", "?>" + LAUGHS, 1).replace("Jug", "&j;")
    elif action == "many":
        text = text[:begin] + "<!-- x -->" * 200_000 + text[begin:]
    elif action == "control":
        text = text[:end] + rng.choice(("&#0;", "&#27;", "\x1b", "\x85", "&#xD800;")) + text[end:]
    else:
        text = text[:begin] + f"<x:{spot.group()[1:]}" + text[end:]
    return text.encode("utf-8")


def _workbook(rng: random.Random, data: bytes) -> bytes:
    """One part of the archive is damaged, missing, twice there, or very large."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = [(name, archive.read(name)) for name in archive.namelist()]
    number = rng.randrange(len(parts))
    name, content = parts[number]
    action = rng.choice(("xml", "xml", "bytes", "missing", "twice", "bomb", "name"))
    if action == "xml":
        parts[number] = (name, _xml(rng, content))
    elif action == "bytes":
        parts[number] = (name, rng.choice(BYTE_MUTATORS)(rng, content))
    elif action == "missing":
        del parts[number]
    elif action == "twice":
        parts.append((name, content[: len(content) // 2]))
    elif action == "bomb":
        parts[number] = (name, content + b" " * 300_000_000)
    else:
        parts[number] = (rng.choice(("../x", "/x", "a\0b", name.upper())), content)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in parts:
            archive.writestr(name, content)
    return file.getvalue()


OWN: dict[str, Callable[[random.Random, bytes], bytes]] = {
    ".csv": _text, ".tsv": _text, ".xlsx": _workbook, ".xml": _xml, ".json": mutated_json,
}  # fmt: skip


class ImportSuite:
    """`import` of each source."""

    name = "imports"
    batch = 1

    def __init__(self) -> None:
        """Reads nothing yet."""
        self._sources: dict[str, bytes] = {}

    def open(self, materials: Path, command: Command) -> None:
        """Every whole source is imported."""
        whole = materials / "sources"
        self._sources = whole_sources(whole)
        for name, content in self._sources.items():
            folder = whole / name.replace(".", "-")
            folder.mkdir(exist_ok=True)
            outcome = self._imported(folder, name, content, command)
            assert outcome.code == 0, (name, outcome)

    def run(self, seeds: Sequence[int], folder: Path, command: Command) -> list[Finding]:
        """One source for each seed."""
        findings = []
        for seed in seeds:
            rng = random.Random(f"imports {seed}")
            name, content = rng.choice(sorted(self._sources.items()))
            mutators = [OWN[Path(name).suffix], rng.choice(BYTE_MUTATORS)]
            content = rng.choice((mutators[0], *mutators))(rng, content)
            case = folder / str(seed)
            case.mkdir()
            outcome = self._imported(case, name, content, command)
            findings += outcome.findings
            if outcome.code == 0:
                findings += _lost(outcome, case)
        return findings

    def _imported(self, folder: Path, name: str, content: bytes, command: Command) -> Outcome:
        put_photos(folder / "photos", *PHOTOS)
        (folder / name).write_bytes(content)
        media = ["--sheet", "Objects", "--media-sheet", "Media"] if name.startswith("media") else []
        return command(
            [
                "import", str(folder / name), "--photos", str(folder / "photos"),
                "--out", str(folder / "register.csv"), "--yes", "--force", "--json", *media,
            ]
        )  # fmt: skip


def _lost(outcome: Outcome, folder: Path) -> list[Finding]:
    """Rows and photos that are neither used nor listed, or not read again as they were written."""
    from train.registers.readers import read_register

    value = json.loads(outcome.out)
    listed = [finding["place"] for finding in value["findings"] if finding["kind"] == "row"]
    unused = value["rows"] - value["rows_used"] + value["media_rows"] - value["media_rows_used"]
    if unused != len(listed):
        return [Finding("lost", f"{unused} rows are not used, {len(listed)} are listed: {listed}")]
    register = read_register(folder / "register.csv")
    used = {(folder / photo.path).resolve() for photo in register.photos}
    if len(used) != value["photos"]:
        return [Finding("lost", f"{value['photos']} photos, {len(used)} are read again")]
    left_out = {f["place"] for f in value["findings"] if f["kind"] == "photo"}
    for name in PHOTOS:
        if (folder / "photos" / name).resolve() not in used and name not in left_out:
            return [Finding("lost", f"{name} is neither used nor listed")]
    return []
