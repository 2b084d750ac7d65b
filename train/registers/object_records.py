"""Descriptive fields of objects, gathered from the rows of a manifest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from mobile_assets.object_record import MAX_FIELD_CHARACTERS, RECORD_FIELDS, ObjectRecord
from train.registers.register import Problem

SOURCE_PREFIX = "source:"
"""Columns with this prefix hold what an importer did not know. They stay in the manifest: a
museum's own columns, such as insurance values, do not belong on phones."""

PROVENANCE_COLUMN = f"{SOURCE_PREFIX}row"
"""Where an importer took a row from: the file with its line, sheet and row, or element."""


def is_source_column(name: str) -> bool:
    """Whether a manifest's column is kept there and read by nothing else."""
    return name.startswith(SOURCE_PREFIX)


class RecordCollector:
    """Makes one record per object of rows that each describe a photo of it."""

    def __init__(self) -> None:
        """Holds nothing yet."""
        self._fields: dict[str, dict[str, str]] = defaultdict(dict)
        self.problems: list[Problem] = []

    def add(self, photo: str, object_id: str, row: Mapping[str, str]) -> None:
        """Takes the fields of one row; the first text that an object has for a field counts.

        Args:
            photo: Path of the row's photo, for problems.
            object_id: The object that the row describes.
            row: Text by column name; columns that are no record field are passed over.
        """
        known = self._fields[object_id]
        for name in RECORD_FIELDS:
            text = " ".join(row.get(name, "").split())
            if len(text) > MAX_FIELD_CHARACTERS:
                text = text[: MAX_FIELD_CHARACTERS - 1] + "…"
                reason = f"{name} has more than {MAX_FIELD_CHARACTERS} characters: the rest is cut"
                self.problems.append(Problem("warning", photo, reason))
            if text and known.setdefault(name, text) != text:
                reason = f"{name} of {object_id} is another one in an earlier row, which counts"
                self.problems.append(Problem("warning", photo, reason))

    def records(self) -> dict[str, ObjectRecord]:
        """The records of all objects that have at least one field."""
        return {
            object_id: ObjectRecord(**fields)
            for object_id, fields in sorted(self._fields.items())
            if fields
        }
