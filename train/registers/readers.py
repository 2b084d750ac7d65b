"""Reading a register from folders or from a manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from mobile_assets.errors import InputError
from train.registers.folders import read_folders
from train.registers.manifest import MANIFEST_NAMES, read_manifest
from train.registers.manifest_text import JSON_LINES_SUFFIXES, TABLE_SUFFIXES
from train.registers.object_ids import look_alikes
from train.registers.register import Problem, Register

Layout = Literal["auto", "object", "collection", "manifest", "durham"]
LAYOUTS: tuple[Layout, ...] = ("auto", "object", "collection", "manifest", "durham")

_HELP = (
    "A register is a folder ROOT/<object>/<photo> or ROOT/<collection>/<object>/<photo>, "
    "a manifest (.csv or .jsonl) with the columns path and object_id, "
    "or images/<collection>/<year or group>/<accession number>.jpg (--layout durham)."
)


def read_register(source: Path, *, layout: Layout = "auto") -> Register:
    """Reads the register's objects and photo paths, without decoding a photo.

    A folder that holds a `manifest.csv`, `.jsonl` or `.tsv` is read by it, unless `layout` names a
    folder layout. The result never depends on the order in which the file system lists files.
    Every command reads registers here, so that `inspect` refuses what `train` would.

    Args:
        source: A folder of photos, or a manifest file.
        layout: How folders are meant, where it is ambiguous.

    Raises:
        InputError: There is nothing at `source`, no photo in it, or its layout is ambiguous; or
            ids, names or rows cannot be used, each of them listed with what to do.
    """
    if not source.exists():
        raise InputError(f"{source} does not exist. {_HELP}")
    _check_name(source)
    manifests = _manifests_in(source) if layout in ("auto", "manifest") else []
    if source.is_file():
        register = _read_file(source)
    elif manifests:
        register = read_manifest(manifests[0])
        others = [
            Problem("ignored", other.name, f"the register is read from {manifests[0].name}")
            for other in manifests[1:]
        ]
        register = register.without((), others)
    elif layout == "manifest":
        raise InputError(f"{source} holds no {' or '.join(MANIFEST_NAMES)}. {_HELP}")
    elif source.is_dir():
        register = read_folders(source, layout=layout, help_=_HELP)
    else:
        raise InputError(f"{source} is neither a folder nor a file. {_HELP}")
    if not register.photos:
        raise InputError(f"{source} holds no photos. {_HELP}{_first_problem(register)}")
    return register.without((), look_alikes(register.object_ids))


def register_root(source: Path) -> Path:
    """The folder to which photo paths are relative: that of a manifest, or the source itself."""
    return source.parent if source.is_file() else source


def _manifests_in(folder: Path) -> list[Path]:
    """The folder's manifests, their names in any case, in the order of `MANIFEST_NAMES`."""
    if not folder.is_dir():
        return []
    named = [path for path in folder.iterdir() if path.name.casefold() in MANIFEST_NAMES]
    order = sorted(named, key=lambda path: (MANIFEST_NAMES.index(path.name.casefold()), path.name))
    return [path for path in order if path.is_file()]


def _read_file(source: Path) -> Register:
    if source.suffix.lower() not in (*TABLE_SUFFIXES, *JSON_LINES_SUFFIXES):
        raise InputError(f"{source} is neither a folder nor a manifest. {_HELP}")
    return read_manifest(source)


def _check_name(source: Path) -> None:
    """Refuses a folder whose path cannot be written into a run."""
    try:
        str(source.resolve()).encode("utf-8")
    except UnicodeEncodeError:
        shown = str(source.resolve()).encode("utf-8", "backslashreplace").decode()
        raise InputError(
            f"{shown}: the name of this folder, or of one above it, is not UTF-8. Rename it."
        ) from None


def _first_problem(register: Register) -> str:
    """Why nothing is left of a register that did hold something."""
    if not register.problems:
        return ""
    first = register.problems[0]
    return f" {len(register.problems)} things were left out, first {first.path}: {first.reason}."
