"""What became of a source: the register's rows, and everything that is not in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from train.registers.importers.source import Finding, Kind


@dataclass(frozen=True)
class ImportedPhoto:
    """One row of the register to be.

    Attributes:
        path: Relative to the photos' folder.
        object_id: The object in the picture.
        fields: Texts by field, of the object.
        others: Texts of columns that are no field, by the source's name.
        place: Where the row stands in the source.
    """

    path: str
    object_id: str
    fields: Mapping[str, str]
    others: Mapping[str, str]
    place: str


@dataclass(frozen=True)
class Imported:
    """What became of a source.

    Attributes:
        photos: The register's rows, sorted by object and path.
        findings: Everything that was not taken as it stood.
        rows: Rows of the objects' table, those that could not be read included.
        rows_used: Of them, those that gave at least one photo.
        media_rows: Rows of the media table; 0 without one.
        media_rows_used: Of them, those that gave a photo.
    """

    photos: tuple[ImportedPhoto, ...]
    findings: tuple[Finding, ...]
    rows: int
    rows_used: int
    media_rows: int = 0
    media_rows_used: int = 0

    @property
    def objects(self) -> int:
        """Number of objects."""
        return len({photo.object_id for photo in self.photos})

    def count(self, kind: Kind) -> int:
        """Number of findings of a kind."""
        return sum(finding.kind == kind for finding in self.findings)
