"""Writing an import: the register as a manifest, and the list of what is not in it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from mobile_assets.csv_table import csv_text
from mobile_assets.errors import InputError
from mobile_assets.files import write_text
from train.registers.importers.assemble import OBJECT_FIELDS
from train.registers.importers.imported import Imported, ImportedPhoto
from train.registers.importers.source import Finding, one_line
from train.registers.object_records import PROVENANCE_COLUMN, SOURCE_PREFIX

SUFFIXES = (".csv", ".jsonl")
LIST_COLUMNS = ("kind", "place", "object_id", "value", "reason")


def list_path(register: Path) -> Path:
    """Where what was not imported is listed: beside `photos.csv`, `photos.not-imported.csv`."""
    return register.with_name(f"{register.stem}.not-imported.csv")


def write_register(path: Path, imported: Imported, photos: Path) -> None:
    """Writes the register as CSV or JSON Lines by an atomic rename.

    Args:
        path: The file; its ending says which.
        imported: The register's rows.
        photos: The folder of the photos. Their paths are written relative to the register's, or in
            full where there is no such path, as from one Windows drive to another.
    """
    rows = [_row(path, photos, photo) for photo in imported.photos]
    known = ("path", "object_id", *OBJECT_FIELDS)
    others = [name for name in dict.fromkeys(n for row in rows for n in row) if name not in known]
    fields = ("collection", "title", *(f for f in OBJECT_FIELDS if any(f in row for row in rows)))
    columns = list(dict.fromkeys(("path", "object_id", *fields, *others)))
    if path.suffix.lower() == ".jsonl":
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        write_text(path, "".join(lines))
    else:
        write_text(path, csv_text(rows, columns))


def _row(register: Path, photos: Path, photo: ImportedPhoto) -> dict[str, str]:
    others = {f"{SOURCE_PREFIX}{name}": text for name, text in photo.others.items()}
    return {
        "path": _relative(photos / photo.path, register.parent),
        "object_id": photo.object_id,
        **photo.fields,
        PROVENANCE_COLUMN: one_line(photo.place),
        **others,
    }


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive
        return path.resolve().as_posix()


def write_list(path: Path, findings: Sequence[Finding]) -> None:
    """Writes what was not imported, or not as it stood, as CSV that a spreadsheet opens safely."""
    ordered = sorted(findings, key=lambda finding: "row unread photo note".find(finding.kind))
    rows = [{name: getattr(finding, name) for name in LIST_COLUMNS} for finding in ordered]
    text = csv_text(rows, LIST_COLUMNS)
    write_text(path, text.encode("utf-8", "replace").decode("utf-8"))  # names of files may be odd


def check_name(path: Path) -> None:
    """Refuses a register of another kind.

    Raises:
        InputError: The ending is neither `.csv` nor `.jsonl`.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"--out {path}: end the name in {' or '.join(SUFFIXES)}.")
