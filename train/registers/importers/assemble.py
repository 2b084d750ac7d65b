"""Making a register of rows and photos: every row is used or listed, every photo too."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mobile_assets.object_record import MAX_FIELD_CHARACTERS, RECORD_FIELDS
from train.registers.importers.identifiers import Identifier, identifiers
from train.registers.importers.imported import Imported, ImportedPhoto
from train.registers.importers.mapping import ColumnMapping
from train.registers.importers.photo_index import PhotoIndex
from train.registers.importers.source import (
    ALTERNATIVE,
    Finding,
    SourceRow,
    SourceTable,
    one_line,
    shortened,
)

OBJECT_FIELDS = ("collection", "title", "split", *RECORD_FIELDS)
"""Fields of an object: the first row that has one counts."""

SPLITS = {"train": "train", "val": "val", "validation": "val", "test": "test"}

_SEPARATORS = re.compile(r"[;|\r\n]+")
_COMMAS = re.compile(r"\s*,\s*")


@dataclass
class _Object:
    """An object and the rows that describe it."""

    object_id: str
    fields: dict[str, str] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Reference:
    """A photo that a row refers to.

    Attributes:
        row: The object's row.
        media: The media table's row, if the reference is from there.
    """

    object_id: str
    text: str
    row: SourceRow
    media: SourceRow | None = None

    @property
    def origin(self) -> SourceRow:
        """The row where the reference stands."""
        return self.media or self.row


def assemble(
    table: SourceTable,
    media: SourceTable | None,
    mapping: ColumnMapping,
    photos: PhotoIndex,
    *,
    separator: str | None = None,
) -> Imported:
    """Matches rows with photos.

    Args:
        table: The objects.
        media: The table that says which photo is of which object, if the objects' does not.
        mapping: Columns by field, of both tables.
        photos: The photos on disk.
        separator: Between several paths in one cell; None for semicolons, bars and line breaks, and
            commas where the whole is no photo.
    """
    return _Assembly(table, media, mapping, photos, separator).result()


class _Assembly:
    """The state of one import."""

    def __init__(
        self,
        table: SourceTable,
        media: SourceTable | None,
        mapping: ColumnMapping,
        photos: PhotoIndex,
        separator: str | None,
    ) -> None:
        self._table = table
        self._media = media
        self._mapping = mapping
        self._photos = photos
        self._separator = separator
        self._findings = [*table.findings, *(media.findings if media else ())]
        self._objects: dict[str, _Object] = {}
        self._reasons: dict[str, list[str]] = defaultdict(list)
        self._ids = identifiers(table, mapping.columns.get("object_id", ()))

    def result(self) -> Imported:
        identified = list(self._identified())
        references = [
            *(reference for one in identified for reference in self._own_references(*one)),
            *self._media_references(identified),
        ]
        photos = self._claims(references)
        used = {photo.place for photo in photos}
        media_used = {row.place for row in self._media_used}
        self._list_rows(self._table, used)
        if self._media is not None:
            self._list_rows(self._media, media_used)
        self._list_photos({photo.path for photo in photos})
        return Imported(
            tuple(sorted(photos, key=lambda photo: (photo.object_id, photo.path))),
            tuple(self._findings),
            rows=_rows_of(self._table),
            rows_used=len(used),
            media_rows=_rows_of(self._media) if self._media else 0,
            media_rows_used=len(media_used),
        )

    def _identified(self) -> Iterator[tuple[SourceRow, str]]:
        """Yields rows with their object ids; the others are listed."""
        for row in self._table.rows:
            found = self._ids[row.place]
            if not found.text:
                self._reasons[row.place].append(found.reason)
                continue
            if found.reason:
                self._note(row, found.text, found.reason)
            self._describe(row, found.text)
            yield row, found.text

    def _describe(self, row: SourceRow, object_id: str) -> None:
        """Takes a row's fields of an object; what differs from earlier rows is noted."""
        known = self._objects.setdefault(object_id, _Object(object_id))
        for name in OBJECT_FIELDS:
            columns = self._mapping.columns.get(name, ())
            for column in columns:
                if column in row.errors:
                    reason = f"{column} is left out: {row.errors[column]}"
                    self._note(row, object_id, reason)
            text = self._field(row, object_id, name, columns)
            if not text:
                continue
            first = known.places.setdefault(name, row.place)
            if known.fields.setdefault(name, text) != text:
                reason = f"{name} is another one than in {first}, which counts"
                self._note(row, object_id, reason, text)

    def _field(self, row: SourceRow, object_id: str, name: str, columns: Sequence[str]) -> str:
        texts = {
            column: text
            for column in columns
            if (text := "; ".join(filter(None, map(one_line, row.values.get(column, ())))))
        }
        if name == "measurements" and len(columns) > 1:
            texts = {column: f"{column} {text}" for column, text in texts.items()}
        text = "; ".join(dict.fromkeys(texts.values()))
        if name == "split" and text:
            if text.casefold() not in SPLITS:
                self._note(row, object_id, "split is left out: train, val or test", text)
            return SPLITS.get(text.casefold(), "")
        if len(text) > MAX_FIELD_CHARACTERS:
            reason = f"{name} has more than {MAX_FIELD_CHARACTERS} characters: the rest is cut"
            self._note(row, object_id, reason)
            return text[: MAX_FIELD_CHARACTERS - 1] + "…"
        return text

    def _own_references(self, row: SourceRow, object_id: str) -> Iterator[_Reference]:
        columns = self._mapping.columns.get("path", ())
        for text in self._paths(row, columns):
            yield _Reference(object_id, text, row)
        if self._media is None and not any(column in row.values for column in columns):
            errors = [row.errors[column] for column in columns if column in row.errors]
            self._reasons[row.place].append("; ".join(errors) or "names no photo")

    def _media_references(
        self, identified: Sequence[tuple[SourceRow, str]]
    ) -> Iterator[_Reference]:
        """References of the media table, whose keys say which object each is of."""
        if self._media is None:
            return
        keys = self._mapping.columns.get("key") or self._mapping.columns.get("object_id", ())
        owners = self._owners(identified, identifiers(self._table, keys))
        media_keys = identifiers(self._media, self._mapping.media.get("key", ()))
        referred: set[str] = set()
        for media in self._media.rows:
            key = media_keys[media.place]
            rows = owners.get(key.text, {})
            if len(rows) != 1:
                several = "several objects" if rows else "no object"
                reason = f"{key.text} is the key of {several}" if key.text else key.reason
                self._reasons[media.place].append(reason)
                continue
            ((object_id, row),) = rows.items()
            referred.add(row.place)
            paths = list(self._paths(media, self._mapping.media.get("path", ())))
            for text in paths:
                yield _Reference(object_id, text, row, media)
            if not paths:
                self._reasons[media.place].append("names no photo")
        for row, _ in identified:
            if row.place not in referred:
                self._reasons[row.place].append("the media table has no photo of it")

    def _owners(
        self, identified: Sequence[tuple[SourceRow, str]], keys: Mapping[str, Identifier]
    ) -> dict[str, dict[str, SourceRow]]:
        """The first row of each object that has a key, by key and object id."""
        owners: dict[str, dict[str, SourceRow]] = defaultdict(dict)
        for row, object_id in identified:
            key = keys[row.place]
            if not key.text:
                self._reasons[row.place].append(key.reason)
                continue
            first = owners[key.text].setdefault(object_id, row)
            if first is not row:
                self._reasons[row.place].append(f"describes {object_id} again, after {first.place}")
        return owners

    def _paths(self, row: SourceRow, columns: Sequence[str]) -> Iterator[str]:
        """The references in a row's cells: a cell may hold several."""
        for column in columns:
            for cell in row.values.get(column, ()):
                yield from self._parts(cell)

    def _parts(self, cell: str) -> Iterator[str]:
        if ALTERNATIVE in cell or self._photos.resolve(cell).path is not None:
            yield cell
            return
        if self._separator is not None:
            parts = cell.split(self._separator)
        else:
            parts = _SEPARATORS.split(cell)
            if len(parts) == 1 and any(
                self._photos.resolve(part).path is not None for part in _COMMAS.split(cell)
            ):
                parts = _COMMAS.split(cell)
        yield from (part.strip() for part in parts if part.strip())

    def _claims(self, references: Sequence[_Reference]) -> list[ImportedPhoto]:
        """The photos that exactly one object claims, each once."""
        claims: dict[str, list[_Reference]] = defaultdict(list)
        for reference in references:
            path = self._resolve(reference)
            if path is not None:
                claims[path].append(reference)
        photos = []
        self._media_used: list[SourceRow] = []
        for path, found in claims.items():
            owners = list(dict.fromkeys(reference.object_id for reference in found))
            if len(owners) > 1:
                for reference in found:
                    others = ", ".join(owner for owner in owners if owner != reference.object_id)
                    self._leave_out(reference, f"the same photo is given to {others}")
                continue
            first = found[0]
            for again in found[1:]:
                self._leave_out(again, f"{first.origin.place} names the same photo already")
            if first.media is not None:
                self._media_used.append(first.media)
            fields = self._objects[first.object_id].fields
            photos.append(
                ImportedPhoto(path, first.object_id, fields, self._others(first), first.row.place)
            )
        return photos

    def _resolve(self, reference: _Reference) -> str | None:
        """The photo on disk that a reference means."""
        reasons = []
        for text in reference.text.split(ALTERNATIVE):
            resolution = self._photos.resolve(text)
            if resolution.path is not None:
                if resolution.reason:
                    self._note(reference.origin, reference.object_id, resolution.reason, text)
                return resolution.path
            reasons.append(resolution.reason)
        self._leave_out(reference, reasons[0])
        return None

    def _others(self, reference: _Reference) -> dict[str, str]:
        """The texts of columns that are no field, kept as they are."""
        named = {name for columns in self._mapping.columns.values() for name in columns}
        others = _texts(reference.row, named)
        if reference.media is not None:
            named = {name for columns in self._mapping.media.values() for name in columns}
            more = _texts(reference.media, named)
            others |= {f"media:{name}": text for name, text in more.items()}
        return others

    def _leave_out(self, reference: _Reference, reason: str) -> None:
        shown = shortened(reference.text.replace(ALTERNATIVE, " or "))
        place = reference.origin.place
        self._findings.append(Finding("photo", place, reason, reference.object_id, shown))
        self._reasons[place].append(f"{shown}: {reason}")
        if reference.media is not None:
            self._reasons[reference.row.place].append(f"{shown}: {reason}")

    def _note(self, row: SourceRow, object_id: str, reason: str, value: str = "") -> None:
        self._findings.append(Finding("note", row.place, reason, object_id, shortened(value)))

    def _list_rows(self, table: SourceTable, used: set[str]) -> None:
        """Lists the rows that gave no photo, with everything that was against it."""
        for row in table.rows:
            if row.place not in used:
                reasons = self._reasons.get(row.place) or ["names no photo"]
                reason = shortened("; ".join(dict.fromkeys(reasons)), 500)
                found = self._ids.get(row.place)  # a row of the media table has no object id
                object_id = found.text if found else ""
                self._findings.append(Finding("row", row.place, reason, object_id))

    def _list_photos(self, used: set[str]) -> None:
        """Lists the photos that nothing refers to."""
        for path in self._photos.paths:
            if path not in used:
                self._findings.append(Finding("photo", path, "no row that is used names it"))
        for path in self._photos.unnamable:
            shown = path.encode("utf-8", "replace").decode("utf-8")
            self._findings.append(Finding("photo", shown, "its name is not UTF-8: rename it"))


def _texts(row: SourceRow, named: set[str]) -> dict[str, str]:
    found = {
        name: "; ".join(map(one_line, texts))
        for name, texts in row.values.items()
        if name not in named
    }
    return {name: text for name, text in found.items() if text}


def _rows_of(table: SourceTable) -> int:
    """All rows, those that could not be read included."""
    return len(table.rows) + sum(finding.kind == "row" for finding in table.findings)
