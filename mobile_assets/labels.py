"""The label map: which class index is which museum object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field, TypeAdapter, ValidationError, field_validator

from mobile_assets.errors import DamagedError, InputError
from mobile_assets.files import json_text, sha256_bytes, write_text
from mobile_assets.object_ids import unfit_object_id
from mobile_assets.object_record import ObjectRecord
from mobile_assets.regular_files import read_regular
from mobile_assets.schema import Record
from mobile_assets.strict_json import parse_json


class Label(Record):
    """One museum object, one class.

    Attributes:
        index: Position in the model's output, from 0.
        object_id: The register's identifier, such as an accession number; unique.
        collection: Subdivision of the register; empty where there is none.
        title: What a person reads beside the identifier; empty where unknown.
        photos: How many photos of the object the register holds.
        record: Descriptive fields for a person to compare; None where there are none.
    """

    index: int = Field(ge=0)
    object_id: str = Field(min_length=1)
    collection: str = ""
    title: str = ""
    photos: int = Field(ge=0, default=0)
    record: ObjectRecord | None = None

    def as_json(self) -> dict[str, Any]:
        """The entry in `labels.json`; without a record it is the same as before there were any."""
        entry = self.model_dump(exclude={"record"})
        fields = self.record.as_json() if self.record is not None else {}
        return entry | ({"record": fields} if fields else {})

    @field_validator("object_id")
    @classmethod
    def _on_one_line(cls, object_id: str) -> str:
        """Refuses an id that would not be exactly one line of `labels.txt` on every platform."""
        if (why := unfit_object_id(object_id)) is not None:
            raise ValueError(why)
        return object_id


MOST_BYTES = 128 * 2**20
"""No label map is larger: 50,000 objects with 2,500 bytes each."""

_ADAPTER = TypeAdapter(tuple[Label, ...])


@dataclass(frozen=True)
class LabelMap:
    """All labels in class order."""

    labels: tuple[Label, ...]

    def __post_init__(self) -> None:
        """Checks that indices run 0, 1, 2 … and that no object is there twice."""
        if [label.index for label in self.labels] != list(range(len(self.labels))):
            raise DamagedError(
                "The label map's indices are not 0, 1, 2 … in order. "
                "It was edited or damaged: write the run or bundle again."
            )
        if len({label.object_id for label in self.labels}) != len(self.labels):
            raise DamagedError(
                "The label map names an object twice. Write the run or bundle again."
            )

    def __len__(self) -> int:
        """Number of objects."""
        return len(self.labels)

    def __getitem__(self, index: int) -> Label:
        """The label of a class index."""
        return self.labels[index]

    @property
    def object_ids(self) -> tuple[str, ...]:
        """Object ids in class order."""
        return tuple(label.object_id for label in self.labels)

    @cached_property
    def index_of(self) -> dict[str, int]:
        """Class index by object id."""
        return {label.object_id: label.index for label in self.labels}

    @property
    def text(self) -> str:
        """The content of `labels.txt`: one object id a line, class order.

        Whatever a platform takes for the end of a line, there are as many lines as classes.
        """
        return "".join(f"{object_id}\n" for object_id in self.object_ids)

    @property
    def json(self) -> str:
        """The content of `labels.json`."""
        return json_text([label.as_json() for label in self.labels])

    @property
    def sha256(self) -> str:
        """Hash of `labels.json`, as it stands in a bundle."""
        return sha256_bytes(self.json.encode("utf-8"))

    def write(self, folder: Path, *, text: bool = True) -> None:
        """Writes `labels.json` and, if `text`, `labels.txt`."""
        write_text(folder / "labels.json", self.json)
        if text:
            write_text(folder / "labels.txt", self.text)

    @classmethod
    def read(cls, path: Path) -> LabelMap:
        """Reads a `labels.json`.

        Raises:
            DamagedError: The file is missing, is not JSON, or its entries do not fit together.
        """
        try:
            content = read_regular(path, most=MOST_BYTES, links=True)
        except FileNotFoundError:
            raise DamagedError(f"{path} is missing: restore or write it again.") from None
        return cls.parse(content, path)

    @classmethod
    def parse(cls, content: bytes, path: Path) -> LabelMap:
        """As `read`, of the bytes that were read from `path`.

        Raises:
            DamagedError: They are not JSON, or the entries do not fit together.
        """
        value = parse_json(content, path)
        try:
            return cls(_ADAPTER.validate_python(value, strict=True))
        except ValidationError as error:
            first_error = error.errors()[0]
            where = ".".join(str(part) for part in first_error["loc"])
            first = f"entry {where}: {first_error['msg']}" if where else first_error["msg"]
            raise DamagedError(
                f"{path} is not a label map ({first}). It is damaged: write it again."
            ) from None

    @classmethod
    def of(
        cls,
        entries: Sequence[tuple[str, str, str, int]],
        records: Mapping[str, ObjectRecord] | None = None,
    ) -> LabelMap:
        """Numbers `(object_id, collection, title, photos)` entries in the order given.

        Args:
            entries: One per object.
            records: Descriptive fields by object id, of any objects.

        Raises:
            InputError: An id cannot be a line of `labels.txt`.
        """
        for object_id, *_ in entries:
            if (why := unfit_object_id(object_id)) is not None:
                raise InputError(
                    f"The object id {object_id!r} {why}. Rename the object in the register."
                )
        known = records or {}
        return cls(
            tuple(
                Label(
                    index=index,
                    object_id=object_id,
                    collection=collection,
                    title=title,
                    photos=n,
                    record=known.get(object_id),
                )
                for index, (object_id, collection, title, n) in enumerate(entries)
            )
        )
