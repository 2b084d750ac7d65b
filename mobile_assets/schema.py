"""Base of every file format: strict pydantic models with a schema version and clear errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from mobile_assets.errors import DamagedError
from mobile_assets.files import json_text, write_text

SCHEMA_VERSION = 1
"""Version of the run, bundle and results formats; raised when a reader would misread a file."""


class Record(BaseModel):
    """An immutable record that refuses unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def without_key(value: Any, key: str) -> Any:
    """A JSON object without a key that is no longer written; anything else as it is."""
    return {k: v for k, v in value.items() if k != key} if isinstance(value, dict) else value


R = TypeVar("R", bound=Record)


def read_record(kind: type[R], path: Path, *, key: str, version: int) -> R:
    """Reads and validates a JSON file that says which schema it was written to.

    Args:
        kind: The record that the file holds.
        path: The file.
        key: Name of the field with the schema version.
        version: The version that this release reads.

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
    found = value.get(key) if isinstance(value, dict) else None
    if found != version:
        raise DamagedError(
            f"{path} has schema version {found}; this release reads version {version}. "
            "Use the release that wrote it, or write it again."
        )
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the top level"
        raise DamagedError(
            f"{path} is not a valid {kind.__name__} file: {first['msg']} (at {where}). "
            "It is damaged or was edited: restore or write it again."
        ) from None


class Document(Record):
    """A record that is a JSON file of its own and says which schema it was written to."""

    schema_version: int = SCHEMA_VERSION

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads and validates the file.

        Raises:
            DamagedError: The file is missing, not JSON, of another schema version or incomplete.
        """
        return read_record(cls, path, key="schema_version", version=SCHEMA_VERSION)

    def write(self, path: Path) -> None:
        """Writes the document as JSON by an atomic rename."""
        write_text(path, json_text(self.model_dump(mode="json", by_alias=True)))
