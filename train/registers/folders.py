"""From folders of photos to a register."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from mobile_assets.errors import InputError
from mobile_assets.object_ids import unfit_object_id
from mobile_assets.photos import is_photo_file
from train.registers.durham import durham_photos, is_durham
from train.registers.folder_scan import scan_folder
from train.registers.manifest import MANIFEST_NAMES
from train.registers.object_ids import composed_text, joined_spellings, one_line, visible
from train.registers.refusals import Refusals
from train.registers.register import Photo, Problem, Register, make_register

_BESIDE_PHOTOS = ("demo.json", "LICENSE")
"""Files that a register may hold besides a manifest, and that are not worth a word."""

File = tuple[tuple[str, ...], str]
"""Folder names below the register's root, and the file's name."""


def read_folders(root: Path, *, layout: str, help_: str) -> Register:
    """Reads the objects from the names of folders.

    Args:
        root: The register's folder.
        layout: `auto`, `object`, `collection` or `durham`.
        help_: What a register is, for messages.

    Raises:
        InputError: The layout is ambiguous, or a name cannot be an object's.
    """
    scan = scan_folder(root)
    problems = list(scan.problems)
    refusals = Refusals(root)
    everywhere: list[File] = []
    for parts, name in scan.files:
        if is_photo_file(root.joinpath(*parts, name)):
            everywhere.append((parts, name))
        elif name not in _BESIDE_PHOTOS and name.casefold() not in MANIFEST_NAMES:
            path = _shown("/".join((*parts, name)))
            problems.append(Problem("ignored", path, "not a photo (by its content)"))
    files = _with_unicode_names(everywhere, problems, refusals)
    refusals.check()
    if layout == "durham" or (layout == "auto" and is_durham(files)):
        photos, noted = durham_photos(files)
        if files and not photos:
            raise InputError(
                f"{root} holds {len(files)} photos, but none in images/<collection>/<group>/ "
                f"with an accession number in its name. {help_}"
            )
        spellings: Mapping[str, Iterable[str]] = {}
    else:
        photos, noted, spellings = _by_folder(root, files, layout, help_)
        _check_collections(root, photos, refusals)
    for object_id, photo in {photo.object_id: photo for photo in reversed(photos)}.items():
        if (why := unfit_object_id(object_id)) is not None:
            folder = visible("/".join(photo.path.split("/")[:-1]))
            refusals.add(
                str(root),
                f"the object id {visible(object_id)} of the photos in the folder {folder} {why}. "
                "Rename the folder.",
            )
    refusals.check()
    joined = [*problems, *noted, *joined_spellings(spellings)]
    return make_register(root, *_unique_objects(photos, joined))


def _with_unicode_names(
    files: list[File], problems: list[Problem], refusals: Refusals
) -> list[File]:
    """The files whose names can be written down; folders with other names are refused."""
    good: list[File] = []
    refused: set[str] = set()
    for parts, name in files:
        wrong = next((n for n, part in enumerate(parts) if not _is_unicode(part)), None)
        if wrong is not None:
            folder = _shown("/".join(parts[: wrong + 1]))
            if folder not in refused:
                refused.add(folder)
                refusals.add(folder, "the folder's name is not UTF-8. Rename it.")
        elif not _is_unicode(name):
            path = _shown("/".join((*parts, name)))
            problems.append(Problem("unreadable", path, "its name is not UTF-8: rename the file"))
        else:
            good.append((parts, name))
    return good


def _by_folder(
    root: Path, files: list[File], layout: str, help_: str
) -> tuple[list[Photo], list[Problem], dict[str, set[str]]]:
    """Photos of the folders at the objects' depth, what lies elsewhere, and spellings by id."""
    levels: dict[int, list[File]] = defaultdict(list)
    for parts, name in files:
        levels[len(parts)].append((parts, name))
    counts = {level: len(below) for level, below in levels.items()}
    depth = _depth(root, counts, layout, help_)
    problems = [
        Problem("ignored", "/".join((*parts, name)), "not at the depth of an object's photo")
        for level, below in levels.items()
        for parts, name in below
        if level != depth
    ]
    photos = []
    spellings: dict[str, set[str]] = defaultdict(set)
    for parts, name in levels[depth]:
        object_id = composed_text(parts[-1])
        collection = one_line(parts[0]) if depth == 2 else ""
        photos.append(Photo(object_id, "/".join((*parts, name)), collection))
        spellings[object_id].add(parts[-1])
    return photos, problems, spellings


def _check_collections(root: Path, photos: list[Photo], refusals: Refusals) -> None:
    """Refuses collections whose folders have names that nobody can read."""
    folders = {photo.path.split("/")[0] for photo in photos if photo.path.count("/") == 2}
    for folder in sorted(folders):
        if unfit_object_id(one_line(folder)) is not None:
            refusals.add(str(root), f"the folder {visible(folder)} has a blank name. Rename it.")


def _depth(root: Path, files: Mapping[int, int], layout: str, help_: str) -> int:
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
                f"{help_}"
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
        replace(photo, object_id=f"{photo.collection}/{photo.object_id}")
        if photo.object_id in shared
        else photo
        for photo in photos
    ]
    return renamed, problems + notes


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _shown(path: str) -> str:
    """A path whose bytes may not be UTF-8, for messages."""
    return path.encode("utf-8", "backslashreplace").decode()
