"""Base of every file format: strict pydantic models with a schema version and clear errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from mobile_assets.errors import DamagedError
from mobile_assets.files import json_text, write_text
from mobile_assets.regular_files import read_regular
from mobile_assets.strict_json import MOST_BYTES, MOST_VALUES, parse_json

SCHEMA_VERSION = 1
"""Version of the run, bundle and results formats; raised when a reader would misread a file."""


class Record(BaseModel):
    """An immutable record that refuses unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def without_key(value: Any, key: str) -> Any:
    """A JSON object without a key that is no longer written; anything else as it is."""
    return {k: v for k, v in value.items() if k != key} if isinstance(value, dict) else value


R = TypeVar("R", bound=Record)


def read_record(
    kind: type[R], path: Path, *, key: str, version: int, most_bytes: int = MOST_BYTES
) -> R:
    """Reads and validates a JSON file that says which schema it was written to.

    Args:
        kind: The record that the file holds.
        path: The file.
        key: Name of the field with the schema version.
        version: The version that this release reads.
        most_bytes: How large the file may be.

    Raises:
        DamagedError: The file is missing, not JSON, of another schema version or incomplete.
    """
    try:
        content = read_regular(path, most=most_bytes, links=True)
    except FileNotFoundError:
        raise DamagedError(
            f"{path} is missing, so {path.parent} is not complete. "
            "Check the path, or write it again with the command that made it."
        ) from None
    return parse_record(kind, content, path, key=key, version=version)


def parse_record(
    kind: type[R],
    content: bytes,
    path: Path,
    *,
    key: str,
    version: int,
    most_values: int = MOST_VALUES,
) -> R:
    """As `read_record`, of the bytes that were read from `path`.

    Types are strict: `true` and `1.0` are no integers, and `"1"` is no number.

    Raises:
        DamagedError: They are not JSON, of another schema version or incomplete.
    """
    value = parse_json(content, path, most_values=most_values)
    stated = value.get(key) if isinstance(value, dict) else None
    if type(stated) is not int or stated != version:  # True == 1 == 1.0
        shown = json.dumps(stated, ensure_ascii=False)[:40]
        raise DamagedError(
            f"{path} has schema version {shown}; this release reads version {version}. "
            "Use the release that wrote it, or write it again."
        )
    try:
        return kind.model_validate(value, strict=True)
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

    @classmethod
    def parse(cls, content: bytes, path: Path, *, most_values: int = MOST_VALUES) -> Self:
        """As `read`, of the bytes that were read from `path`, with no more values than stated.

        Raises:
            DamagedError: They are not JSON, of another schema version or incomplete.
        """
        return parse_record(
            cls,
            content,
            path,
            key="schema_version",
            version=SCHEMA_VERSION,
            most_values=most_values,
        )

    def write(self, path: Path) -> None:
        """Writes the document as JSON by an atomic rename."""
        write_text(path, json_text(self.model_dump(mode="json", by_alias=True)))
