"""Importing a source: which columns are meant, and then the register."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mobile_assets.errors import InputError
from mobile_assets.files import check_output
from train.registers.importers.assemble import assemble
from train.registers.importers.iiif import read_iiif
from train.registers.importers.imported import Imported
from train.registers.importers.lido import read_lido
from train.registers.importers.mapping import (
    ColumnMapping,
    Columns,
    SavedMapping,
    guess_columns,
    guess_media,
    parse_map,
    read_saved,
    saved_path,
    with_names,
    write_saved,
)
from train.registers.importers.output import check_name, list_path, write_list, write_register
from train.registers.importers.photo_index import PhotoIndex
from train.registers.importers.source import SourceTable
from train.registers.importers.text_table import read_text_table
from train.registers.importers.workbook import read_workbook

SAVED_OPTIONS = ("sheet", "media_sheet", "encoding", "separator", "language")
"""Options that are kept with the mapping."""

_HELP = (
    "A source is a table (.csv, .tsv, .xlsx), LIDO XML, an IIIF manifest (.json), "
    "or a folder of LIDO files or manifests."
)


@dataclass(frozen=True)
class ImportOptions:
    """What is to be imported, and how it is to be read.

    Attributes:
        source: A table, a workbook, LIDO XML, a IIIF manifest, or a folder of the last two.
        photos: The folder of the photos.
        out: The register to write, `.csv` or `.jsonl`.
        map: Words such as `title=Object Title,path=Image`; see `mapping.parse_map`.
        media: A table that says which photo is of which object.
        sheet: Sheet of the workbook.
        media_sheet: Sheet of the media table; without `media`, in the source itself.
        encoding: Of text tables; None for what they show.
        separator: Between several paths in one cell.
        language: Of texts that stand in several, such as `en`.
        force: Whether a register that is there is replaced.
    """

    source: Path
    photos: Path
    out: Path
    map: tuple[str, ...] = ()
    media: Path | None = None
    sheet: str | None = None
    media_sheet: str | None = None
    encoding: str | None = None
    separator: str | None = None
    language: str | None = None
    force: bool = False


@dataclass(frozen=True)
class ImportPlan:
    """A source as read, and which of its columns is which field.

    Attributes:
        options: What was asked for, completed by what was saved.
        table: The objects.
        media: The media table, if there is one.
        mapping: Columns by field.
        guessed: Fields whose columns were guessed, and which a person should look at; those of the
            media table begin with `media.`.
        saved: Where the mapping was read from; None if it was not.
    """

    options: ImportOptions
    table: SourceTable
    media: SourceTable | None
    mapping: ColumnMapping
    guessed: frozenset[str] = field(default_factory=frozenset)
    saved: Path | None = None

    def example(self, column: str) -> str:
        """The first text of a column of the objects' table."""
        return _example(self.table, column)

    def media_example(self, column: str) -> str:
        """The first text of a column of the media table."""
        return _example(self.media, column) if self.media else ""

    @property
    def kept(self) -> tuple[str, ...]:
        """Columns that are no field: they stay in the register and go no further."""
        used = {name for columns in self.mapping.columns.values() for name in columns}
        return tuple(name for name in self.table.columns if name not in used)

    @property
    def map_words(self) -> str:
        """The mapping as the value of `--map`."""
        pairs = [f"{name}={one}" for name, names in self.mapping.columns.items() for one in names]
        media = self.mapping.media.items()
        return ",".join(
            [*pairs, *(f"media.{name}={one}" for name, names in media for one in names)]
        )


def plan_import(options: ImportOptions) -> ImportPlan:
    """Reads a source and finds out which column is which field.

    `--map` decides, then the mapping that was saved beside the register, and only where there is
    none are columns guessed.

    Raises:
        InputError: The source cannot be read, a column that is wanted is not there, or no column
            can be the object id or the photo.
    """
    import tomli_w  # noqa: F401 - to say that it is missing before anything is asked

    check_name(options.out)
    check_output(options.out, force=options.force, what="register")
    for given in (options.source, options.media):
        if given is not None and given.exists() and _is_same(given, options.out):
            raise InputError(f"--out {options.out} is the source itself. Give another name.")
    given_map = parse_map(options.map)
    path = saved_path(options.out)
    saved = read_saved(path) if path.is_file() else None
    options = _completed(options, saved)
    columns = (saved.columns if saved else {}) | given_map.columns
    media_columns = (saved.media if saved else {}) | given_map.media
    table = _read(options.source, options, _names(columns), options.sheet)
    media = _read_media(options, _names(media_columns))
    mapping, guessed = _mapped(table, media, ColumnMapping(columns, media_columns), saved)
    plan = ImportPlan(options, table, media, mapping, guessed, path if saved else None)
    _check_complete(plan)
    return plan


def run_import(plan: ImportPlan) -> Imported:
    """Writes the register, the list of what is not in it, and the mapping.

    Raises:
        InputError: No row gives a photo; the list says why.
    """
    options = plan.options
    photos = PhotoIndex(options.photos)
    imported = assemble(plan.table, plan.media, plan.mapping, photos, separator=options.separator)
    write_list(list_path(options.out), imported.findings)
    if not imported.photos:
        raise InputError(
            f"None of the {imported.rows} rows of {plan.table.name} gives a photo. "
            f"{list_path(options.out)} says why. Are --photos and the columns the right ones?"
        )
    if not plan.table.standard or plan.options.map:
        chosen = {name: value for name in SAVED_OPTIONS if (value := getattr(options, name))}
        write_saved(saved_path(options.out), plan.mapping, chosen)
    write_register(options.out, imported, options.photos)
    return imported


def _completed(options: ImportOptions, saved: SavedMapping | None) -> ImportOptions:
    """The options with those in place that were saved and not given."""
    if saved is None:
        return options
    kept: dict[str, Any] = {
        name: value
        for name, value in saved.options.items()
        if name in SAVED_OPTIONS and getattr(options, name) is None
    }
    return replace(options, **kept)


def _names(columns: Columns) -> set[str]:
    return {name for names in columns.values() for name in names}


def _is_same(first: Path, second: Path) -> bool:
    return first.resolve() == second.resolve()


def _read(
    source: Path, options: ImportOptions, wanted: Collection[str], sheet: str | None
) -> SourceTable:
    """Reads a source by what it holds; its ending may be wrong."""
    if not source.exists():
        raise InputError(f"{source} does not exist. {_HELP}")
    if source.is_dir():
        return _read_folder(source, options)
    start = _start(source)
    if start.startswith(b"PK\x03\x04") or source.suffix.lower() in (".xlsx", ".xlsm", ".xls"):
        return read_workbook(source, wanted=wanted, sheet=sheet)
    if start.startswith(b"<"):
        return read_lido([source], language=options.language)
    if start.startswith(b"{") and source.suffix.lower() in (".json", ".jsonld"):
        return read_iiif([source], language=options.language)
    return read_text_table(source, wanted=wanted, encoding=options.encoding)


def _start(path: Path) -> bytes:
    """The first bytes that say something; UTF-16 less its zeros."""
    if not path.is_file():
        raise InputError(f"{path} is not a regular file. {_HELP}")
    with path.open("rb") as file:
        return file.read(256).lstrip(b"\xef\xbb\xbf\xfe\xff\0 \t\r\n")


def _read_folder(folder: Path, options: ImportOptions) -> SourceTable:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name[0] != ".")
    lido = [path for path in files if path.suffix.lower() in (".xml", ".lido")]
    iiif = [path for path in files if path.suffix.lower() in (".json", ".jsonld")]
    if bool(lido) == bool(iiif):
        what = "both .xml and .json files" if lido else "no .xml or .json file"
        raise InputError(f"{folder} holds {what}. {_HELP}")
    table = read_lido(lido, language=options.language) if lido else None
    return table or read_iiif(iiif, language=options.language)


def _read_media(options: ImportOptions, wanted: Collection[str]) -> SourceTable | None:
    if options.media is None and options.media_sheet is None:
        return None
    return _read(options.media or options.source, options, wanted, options.media_sheet)


def _mapped(
    table: SourceTable,
    media: SourceTable | None,
    wanted: ColumnMapping,
    saved: SavedMapping | None,
) -> tuple[ColumnMapping, frozenset[str]]:
    """The mapping by the tables' own column names, and the fields of it that were guessed."""
    given = with_names(wanted.columns, table.columns, table.name)
    columns = given if saved else guess_columns(table.columns, given)
    guessed = {name for name in columns if name not in given}
    if media is None:
        media_columns: Columns = {}
    else:
        known = with_names(wanted.media, media.columns, media.name)
        media_columns, columns = guess_media(media.columns, known, table.columns, columns)
        guessed |= {f"media.{name}" for name in media_columns if name not in known}
        guessed |= {name for name in columns if name not in given}
    if table.standard:  # its columns have one meaning
        guessed = {name for name in guessed if name.startswith("media.")}
    filled = {name: found for name, found in columns.items() if found}
    return ColumnMapping(filled, media_columns), frozenset(guessed)


def _check_complete(plan: ImportPlan) -> None:
    """Refuses a mapping without what a register needs."""
    mapping, media = plan.mapping, plan.media
    if not mapping.columns.get("object_id"):
        _refuse(plan.table, "object_id", "the number or name of the object")
    if media is None and not mapping.columns.get("path"):
        _refuse(plan.table, "path", "the photo's file name; or give the table of photos as --media")
    if media is not None:
        for name, meaning in (("key", "the number of the object"), ("path", "the file name")):
            if not mapping.media.get(name):
                _refuse(media, f"media.{name}", meaning)


def _refuse(table: SourceTable, name: str, meaning: str) -> None:
    raise InputError(
        f"{table.name}: which column is {meaning}? Say it with --map {name}=COLUMN. "
        f"The columns are: {', '.join(table.columns)}."
    )


def _example(table: SourceTable, column: str) -> str:
    texts: Sequence[str] = next(
        (row.values[column] for row in table.rows if column in row.values), ()
    )
    return texts[0] if texts else ""
