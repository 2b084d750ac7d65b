"""Which column of a source is which field of the register: guessed, given, saved, applied."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mobile_assets.errors import InputError
from mobile_assets.files import write_text
from mobile_assets.object_record import RECORD_FIELDS
from train.registers.importers.columns import guess_field, known_names, normalised

Columns = dict[str, tuple[str, ...]]

FIELDS = ("object_id", "path", "collection", "title", "split", *RECORD_FIELDS, "key")
"""Fields of the object table. `key` is what a media table refers to; else the object id is."""

MEDIA_FIELDS = ("key", "path")
MEDIA = "media."
SINGLE = frozenset({"object_id", "collection", "title", "split", "key"})
"""Fields that have one column; the others may join several."""

_GUESSED_TOGETHER = frozenset({"path", "materials", "inscriptions"})


@dataclass(frozen=True)
class ColumnMapping:
    """Columns by field, each field's in the order in which their texts are joined."""

    columns: Columns = field(default_factory=dict)
    media: Columns = field(default_factory=dict)


@dataclass(frozen=True)
class SavedMapping:
    """The content of a mapping file."""

    columns: Columns
    media: Columns
    options: Mapping[str, str]


def parse_map(words: Sequence[str]) -> ColumnMapping:
    """Reads the values of `--map`.

    Args:
        words: Each `field=Column,field=Column`. A field given twice has both columns, one without
            a column has none, and `media.path` is a column of the media table. A column's name may
            hold commas.

    Raises:
        InputError: A field is unknown or has more columns than it may.
    """
    columns: Columns = {}
    media: Columns = {}
    for name, column in _pairs(words):
        target, known = (media, MEDIA_FIELDS) if name.startswith(MEDIA) else (columns, FIELDS)
        bare = name.removeprefix(MEDIA)
        if bare not in known:
            fields = ", ".join((*FIELDS, *(MEDIA + name for name in MEDIA_FIELDS)))
            raise InputError(
                f"--map {name}={column}: there is no field {name!r}. Fields: {fields}."
            )
        before = target.get(bare, ())
        target[bare] = (*before, column) if column else before
        if bare in SINGLE and len(target[bare]) > 1:
            raise InputError(
                f"--map gives {name} the columns {' and '.join(target[bare])}. Give it one."
            )
    return ColumnMapping(columns, media)


def _pairs(words: Iterable[str]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for word in words:
        pieces: list[str] = []
        for piece in word.split(","):
            if "=" in piece or not pieces:
                pieces.append(piece)
            else:  # a comma within a column's name
                pieces[-1] += f",{piece}"
        for piece in pieces:
            name, equals, column = piece.partition("=")
            if not equals:
                raise InputError(f"--map {word}: write FIELD=COLUMN, as in title=Object Title.")
            pairs.append((name.strip(), column.strip()))
    return pairs


def guess_columns(names: Sequence[str], given: Mapping[str, Sequence[str]]) -> Columns:
    """Gives each field the columns that it probably has.

    Args:
        names: The object table's columns.
        given: What was given already, by field: it stays, and its columns get no other field.
    """
    columns: Columns = {name: tuple(found) for name, found in given.items()}
    taken = {column for found in columns.values() for column in found}
    candidates: dict[str, list[tuple[int, int, str]]] = {}
    for position, name in enumerate(names):
        guess = guess_field(name) if name not in taken else None
        if guess is not None:
            candidates.setdefault(guess[0], []).append((guess[1], position, name))
    parts = candidates.pop("measurement_part", [])
    numbers = [name for _, _, name in sorted(candidates.get("object_id", []))]
    for target, found in candidates.items():
        if target in columns:
            continue
        if target in _GUESSED_TOGETHER:
            columns[target] = tuple(name for _, _, name in sorted(found, key=lambda one: one[1]))
        else:
            columns[target] = (min(found)[2],)
    if parts and "measurements" not in columns:
        columns["measurements"] = tuple(name for _, _, name in parts)
    chosen = columns.get("object_id", ())
    others = [name for name in numbers if name not in chosen and _is_inventory_number(name)]
    if others and "inventory_number" not in columns:
        columns["inventory_number"] = (others[0],)
    return {name: columns[name] for name in FIELDS if columns.get(name)}


def _is_inventory_number(name: str) -> bool:
    """Whether a column is a number on the object, and not one of the database."""
    return normalised(name) not in known_names()["key"]


def guess_media(
    names: Sequence[str],
    given: Mapping[str, Sequence[str]],
    objects: Sequence[str],
    columns: Columns,
) -> tuple[Columns, Columns]:
    """Gives the media table its columns, and the object table the key that it refers to.

    Args:
        names: The media table's columns.
        given: What was given of them already.
        objects: The object table's columns.
        columns: Of the object table, by field.

    Returns:
        The media table's columns by field; the object table's with `key` where it is another
        column than the object id.
    """
    media: Columns = {name: tuple(found) for name, found in given.items()}
    if "path" not in media:
        media["path"] = tuple(name for name in names if (guess_field(name) or ("",))[0] == "path")
    by_name = {normalised(name): name for name in names if name not in media["path"]}
    ids = [*columns.get("key", ()), *columns.get("object_id", ())]
    keys = [name for name in objects if normalised(name) in known_names()["key"]]
    if "key" not in media:
        shared = [name for name in (*ids, *keys) if normalised(name) in by_name]
        if shared:
            media["key"] = (by_name[normalised(shared[0])],)
            if not columns.get("key") and shared[0] not in columns.get("object_id", ()):
                columns = columns | {"key": (shared[0],)}
    return {name: found for name, found in media.items() if found}, columns


def with_names(given: Mapping[str, Sequence[str]], names: Sequence[str], what: str) -> Columns:
    """Given columns by the names that the table has for them: case and punctuation may differ.

    Raises:
        InputError: The table has no such column.
    """
    by_name: dict[str, str] = {}
    for name in reversed(names):
        by_name[normalised(name)] = name
    resolved: Columns = {}
    for target, columns in given.items():
        for column in columns:
            found = column if column in names else by_name.get(normalised(column))
            if found is None:
                raise InputError(
                    f"{what} has no column {column!r}, which {target} is to be taken from. "
                    f"It has: {', '.join(names)}."
                )
            resolved[target] = (*resolved.get(target, ()), found)
        resolved.setdefault(target, ())
    return resolved


def saved_path(register: Path) -> Path:
    """Where the mapping of a register is kept: `photos.csv` has `photos.map.toml` beside it."""
    return register.with_name(f"{register.stem}.map.toml")


def write_saved(path: Path, mapping: ColumnMapping, options: Mapping[str, str]) -> None:
    """Writes a mapping file by an atomic rename."""
    import tomli_w

    tables: dict[str, Any] = {"columns": _plain(mapping.columns)}
    if mapping.media:
        tables["media"] = _plain(mapping.media)
    if options:
        tables["options"] = dict(options)
    head = (
        "# Which column is which field: artefact-id import reads it again. Edit it as you like.\n"
    )
    write_text(path, head + tomli_w.dumps(tables))


def _plain(columns: Columns) -> dict[str, str | list[str]]:
    return {name: found[0] if len(found) == 1 else list(found) for name, found in columns.items()}


def read_saved(path: Path) -> SavedMapping:
    """Reads a mapping file.

    Raises:
        InputError: It is not TOML of this form.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} is not TOML ({error}). Mend it, or remove it to have columns guessed again."
        ) from None
    unknown = sorted(set(tables) - {"columns", "media", "options"})
    columns = _read_columns(path, tables.get("columns"), FIELDS)
    media = _read_columns(path, tables.get("media"), MEDIA_FIELDS)
    options = tables.get("options", {})
    texts = isinstance(options, dict) and all(isinstance(v, str) for v in options.values())
    if unknown or not texts:
        raise InputError(
            f"{path}: {unknown[0] if unknown else 'options'} is not as `import` writes it. "
            "Mend it, or remove the file to have columns guessed again."
        )
    return SavedMapping(columns, media, options)


def _read_columns(path: Path, table: Any, known: Sequence[str]) -> Columns:
    if table is None:
        return {}
    if not isinstance(table, dict):
        raise InputError(f'{path}: columns and media are tables of FIELD = "Column".')
    columns: Columns = {}
    for name, value in table.items():
        names = [value] if isinstance(value, str) else value
        if name not in known or not isinstance(names, list):
            raise InputError(f"{path}: {name} is no field. Fields: {', '.join(known)}.")
        if not all(isinstance(one, str) for one in names) or (name in SINGLE and len(names) > 1):
            raise InputError(f"{path}: {name} is to be the name of a column.")
        columns[name] = tuple(names)
    return columns
