"""Base of every file format: strict pydantic models with a schema version and clear errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from mobile_assets.errors import DamagedError
from mobile_assets.files import json_text, write_text

SCHEMA_VERSION = 1
"""Version of the run, bundle and results formats; raised when a reader would misread a file."""


class Record(BaseModel):
    """An immutable record that refuses unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Document(Record):
    """A record that is a JSON file of its own and says which schema it was written to."""

    schema_version: int = SCHEMA_VERSION

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads and validates the file.

        Raises:
            DamagedError: The file is missing, not JSON, of another schema version or incomplete.
        """
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DamagedError(
                f"{path} is missing, so {path.parent} is not complete. "
                "Check the path, or write it again with the command that made it."
            ) from None
        except (UnicodeDecodeError, json.JSONDecodeError, OSError) as error:
            raise DamagedError(
                f"{path} cannot be read ({error}). It is damaged: restore or write it again."
            ) from None
        found = value.get("schema_version") if isinstance(value, dict) else None
        if found != SCHEMA_VERSION:
            raise DamagedError(
                f"{path} has schema version {found}; this release reads version {SCHEMA_VERSION}. "
                "Use the release that wrote it, or write it again."
            )
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the top level"
            raise DamagedError(
                f"{path} is not a valid {cls.__name__} file: {first['msg']} (at {where}). "
                "It is damaged or was edited: restore or write it again."
            ) from None

    def write(self, path: Path) -> None:
        """Writes the document as JSON by an atomic rename."""
        write_text(path, json_text(self.model_dump(mode="json")))
