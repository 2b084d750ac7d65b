"""Reading a register from folders or from a manifest."""

from __future__ import annotations

import csv
import json
import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from mobile_assets.csv_table import plain
from mobile_assets.errors import InputError
from mobile_assets.photos import PHOTO_SUFFIXES
from train.durham import durham_photos, is_durham
from train.register import Photo, Problem, Register, make_register

Layout = Literal["auto", "object", "collection", "manifest", "durham"]
LAYOUTS: tuple[Layout, ...] = ("auto", "object", "collection", "manifest", "durham")

MANIFEST_NAMES = ("manifest.csv", "manifest.jsonl")
_COLUMNS = ("path", "object_id", "collection", "title", "split")
_SPLITS = ("train", "val", "test")
_HELP = (
    "A register is a folder ROOT/<object>/<photo> or ROOT/<collection>/<object>/<photo>, "
    "a manifest (.csv or .jsonl) with the columns path and object_id, "
    "or images/<collection>/<year or group>/<accession number>.jpg (--layout durham)."
)


def read_register(source: Path, *, layout: Layout = "auto") -> Register:
    """Reads the register's objects and photo paths, without decoding a photo.

    A folder that holds a `manifest.csv` or `manifest.jsonl` is read by it, unless `layout` names a
    folder layout. The result never depends on the order in which the file system lists files.

    Args:
        source: A folder of photos, or a manifest file.
        layout: How folders are meant, where it is ambiguous.

    Raises:
        InputError: There is nothing at `source`, no photo in it, or its layout is ambiguous.
    """
    if not source.exists():
        raise InputError(f"{source} does not exist. {_HELP}")
    if source.is_file():
        register = _read_manifest(source)
    elif (manifest := _manifest_in(source)) is not None and layout in ("auto", "manifest"):
        register = _read_manifest(manifest)
    elif layout == "manifest":
        raise InputError(f"{source} holds no {' or '.join(MANIFEST_NAMES)}. {_HELP}")
    else:
        register = _read_folders(source, layout)
    if not register.photos:
        raise InputError(f"{source} holds no photos. {_HELP}")
    return register


def register_root(source: Path) -> Path:
    """The folder to which photo paths are relative: that of a manifest, or the source itself."""
    return source.parent if source.is_file() else source


def _manifest_in(folder: Path) -> Path | None:
    return next((folder / name for name in MANIFEST_NAMES if (folder / name).is_file()), None)


def _walk(root: Path) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yields (folder names below the root, file name), hidden files and folders left out."""
    for folder, folders, files in os.walk(root, followlinks=True):
        folders[:] = sorted(f for f in folders if not f.startswith((".", "__MACOSX")))
        parts = Path(folder).relative_to(root).parts
        if len(parts) > 8:  # a link that leads back up would go on for ever
            folders.clear()
        for name in sorted(files):
            if not name.startswith(".") and name not in ("Thumbs.db", "desktop.ini"):
                yield parts, name


def _read_folders(root: Path, layout: Layout) -> Register:
    problems: list[Problem] = []
    found: dict[int, list[tuple[tuple[str, ...], str]]] = defaultdict(list)
    for parts, name in _walk(root):
        relative = "/".join((*parts, name))
        if Path(name).suffix.lower() not in PHOTO_SUFFIXES:
            if name not in (*MANIFEST_NAMES, "demo.json", "LICENSE"):
                problems.append(Problem("ignored", relative, "not a photo (by its ending)"))
        else:
            found[len(parts)].append((parts, name))
    everywhere = [file for files in found.values() for file in files]
    if layout == "durham" or (layout == "auto" and is_durham(everywhere)):
        read, noted = durham_photos(everywhere)
        if everywhere and not read:
            raise InputError(
                f"{root} holds {len(everywhere)} photos, but none in images/<collection>/<group>/ "
                f"with an accession number in its name. {_HELP}"
            )
        return make_register(root, *_unique_objects(read, problems + noted))
    depth = _depth(root, {level: len(files) for level, files in found.items()}, layout)
    for level, files in found.items():
        if level != depth:
            problems += [
                Problem(
                    "ignored", "/".join((*parts, name)), "not at the depth of an object's photo"
                )
                for parts, name in files
            ]
    photos = [
        Photo(
            object_id=_text(parts[-1]),
            path="/".join((*parts, name)),
            collection=_text(parts[0]) if depth == 2 else "",
        )
        for parts, name in found[depth]
    ]
    return make_register(root, *_unique_objects(photos, problems))


def _depth(root: Path, files: Mapping[int, int], layout: Layout) -> int:
    """How many folders lie between the root and a photo: 1 (object) or 2 (collection, object)."""
    if layout == "object":
        return 1
    if layout == "collection":
        return 2
    candidates = [level for level in (1, 2) if files.get(level)]
    if len(candidates) == 2:
        raise InputError(
            f"{root} is ambiguous: {files[1]} photos lie in ROOT/<folder>/ and {files[2]} in "
            "ROOT/<folder>/<folder>/. Say which are the objects with --layout object or "
            "--layout collection."
        )
    if not candidates:
        if files:
            raise InputError(
                f"{root} holds photos, but none in ROOT/<object>/ or ROOT/<collection>/<object>/. "
                f"{_HELP}"
            )
        return 1
    return candidates[0]


def _unique_objects(
    photos: list[Photo], problems: list[Problem]
) -> tuple[list[Photo], list[Problem]]:
    """Two collections may use the same object name: then the collection goes into the id."""
    collections: dict[str, set[str]] = defaultdict(set)
    for photo in photos:
        collections[photo.object_id].add(photo.collection)
    shared = {object_id for object_id, names in collections.items() if len(names) > 1}
    if not shared:
        return photos, problems
    notes = [
        Problem("warning", name, "in more than one collection: its id is now collection/object")
        for name in shared
    ]
    renamed = [
        Photo(f"{p.collection}/{p.object_id}", p.path, p.collection, p.title, p.split)
        if p.object_id in shared
        else p
        for p in photos
    ]
    return renamed, problems + notes


def _read_manifest(path: Path) -> Register:
    photos: list[Photo] = []
    problems: list[Problem] = []
    seen: dict[str, str] = {}
    for number, row in _rows(path):
        unknown = set(row) - set(_COLUMNS)
        if unknown:
            raise InputError(
                f"{path}, line {number}: unknown column {', '.join(sorted(unknown))}. "
                f"Known columns: {', '.join(_COLUMNS)}."
            )
        photo = _photo_of(path, number, row)
        if photo.path in seen:
            if seen[photo.path] != photo.object_id:
                raise InputError(
                    f"{path}, line {number}: {photo.path} is given to {photo.object_id} and to "
                    f"{seen[photo.path]}. Give each photo to one object."
                )
            problems.append(Problem("ignored", photo.path, "listed twice in the manifest"))
            continue
        seen[photo.path] = photo.object_id
        photos.append(photo)
    return make_register(register_root(path), photos, problems)


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Yields (line number, row) of a CSV or JSON Lines manifest."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text. Save the manifest as UTF-8.") from None
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip():
                yield number, _json_row(path, number, line)
        return
    if path.suffix.lower() != ".csv":
        raise InputError(f"{path} is neither a folder nor a manifest. {_HELP}")
    reader = csv.DictReader(text.splitlines())
    missing = {"path", "object_id"} - set(reader.fieldnames or ())
    if missing:
        raise InputError(
            f"{path} lacks the column {', '.join(sorted(missing))} in its first line. {_HELP}"
        )
    for number, row in enumerate(reader, start=2):
        if None in row or any(value is None for value in row.values()):
            raise InputError(f"{path}, line {number}: not as many fields as the first line names.")
        yield number, {name: plain(cell) for name, cell in row.items()}


def _json_row(path: Path, number: int, line: str) -> Mapping[str, str]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}, line {number}: not JSON ({error.msg}).") from None
    if not isinstance(row, dict) or not all(isinstance(v, str | None) for v in row.values()):
        raise InputError(f"{path}, line {number}: not an object whose values are strings.")
    return {key: value or "" for key, value in row.items()}


def _photo_of(manifest: Path, number: int, row: Mapping[str, str]) -> Photo:
    path = row.get("path", "").strip().replace("\\", "/")
    object_id = _text(row.get("object_id", ""))
    if not path or not object_id:
        raise InputError(f"{manifest}, line {number}: path and object_id must not be empty.")
    split = row.get("split", "").strip() or None
    if split is not None and split not in _SPLITS:
        raise InputError(
            f"{manifest}, line {number}: split {split!r} is not one of {', '.join(_SPLITS)}."
        )
    return Photo(
        object_id, path, _text(row.get("collection", "")), _text(row.get("title", "")), split
    )


def _text(value: str) -> str:
    """Trims and composes: file systems differ in how they spell an accented letter."""
    return unicodedata.normalize("NFC", value).strip()
