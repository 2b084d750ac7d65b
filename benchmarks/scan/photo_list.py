"""The photos that a scan goes through: of a folder, or of a table with a column of paths."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.scan.photo_store import ListedPhoto
from mobile_assets.errors import InputError
from mobile_assets.photos import PHOTO_SUFFIXES, is_photo_file
from mobile_assets.visible_text import visible
from train.registers.folder_scan import scan_folder
from train.registers.importers.text_table import SUFFIXES, read_text_table

PATH_COLUMNS = ("path", "photo", "file", "filename", "image")
"""Names of the column with the paths, the first that is there."""

MOST_TEXT = 200
"""Characters of a cell that are kept."""


def list_photos(source: Path) -> Iterator[ListedPhoto]:
    """Yields the photos of a folder, or of a table, in an order of their own.

    What lies in a folder and is no photo by its name and content is passed over. A row of a table
    is never: one without a file has an error.

    Raises:
        InputError: There is nothing at `source`, or a table has no column of paths.
    """
    if source.is_dir():
        yield from _of_folder(source)
    elif source.is_file() and source.suffix.lower() in SUFFIXES:
        yield from _of_table(source)
    elif source.exists():
        raise InputError(f"{source} is neither a folder nor a table (.csv, .tsv). Give one.")
    else:
        raise InputError(f"{source} does not exist. Give a folder of photos, or a CSV of paths.")


def root_of(source: Path) -> Path:
    """The folder to which a listing's paths are relative."""
    return source if source.is_dir() else source.parent


def _of_folder(folder: Path) -> Iterator[ListedPhoto]:
    for parts, name in scan_folder(folder).files:
        path = folder.joinpath(*parts, name)
        relative = "/".join((*parts, name))
        if Path(name).suffix.lower() not in PHOTO_SUFFIXES and not is_photo_file(path):
            continue
        if not _is_unicode(relative):
            error = "its name is not UTF-8: rename the file"
            yield ListedPhoto(visible(relative), {}, -1, 0, error)
        else:
            yield _found(folder, relative, {})


def _of_table(table: Path) -> Iterator[ListedPhoto]:
    source = read_text_table(table, wanted=PATH_COLUMNS, encoding=None)
    names = {column.strip().lower(): column for column in reversed(source.columns)}
    column = next((names[name] for name in PATH_COLUMNS if name in names), None)
    if column is None:
        raise InputError(
            f"{table} has no column of paths: it has {', '.join(map(visible, source.columns))}. "
            f"Name one of them {PATH_COLUMNS[0]}."
        )
    seen: set[str] = set()
    for row in source.rows:
        path = row.values.get(column, ("",))[0].strip()
        if not path or path in seen:
            continue
        seen.add(path)
        others = {name: text[0][:MOST_TEXT] for name, text in row.values.items() if name != column}
        yield _found(table.parent, path, others)


def _found(root: Path, path: str, columns: dict[str, str]) -> ListedPhoto:
    try:
        status = (root / path).stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return ListedPhoto(path, columns, -1, 0, f"cannot be read ({reason})")
    return ListedPhoto(path, columns, status.st_size, status.st_mtime_ns)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
