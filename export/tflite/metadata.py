"""TFLite metadata: what makes MediaPipe's ImageClassifier open a model file as it is.

The metadata are a FlatBuffer with the identifier `M001` in a buffer named `TFLITE_METADATA`. Files
that go with it, here the labels, are a ZIP archive appended to the model. The numbers of the
tables' fields below are those of the public schema, version 1.5.0.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from export.network.description import ModelDescription
from export.tflite.flatbuffer import add_metadata_buffer, metadata_buffer
from mobile_assets.bundle import INPUT_NAME, OUTPUT_NAME
from mobile_assets.errors import DamagedError, first_line
from mobile_assets.labels import LabelMap

METADATA_NAME = "TFLITE_METADATA"
IDENTIFIER = b"M001"
LABELS_FILE = "labels.txt"
MIN_PARSER_VERSION = "1.0.0"
"""Labels, image properties and normalisation are in the schema since its first version."""

_TENSOR_AXIS_LABELS = 2
_RGB = 1
_CONTENT_IMAGE, _CONTENT_FEATURE = 2, 1
_UNIT_NORMALISATION = 1
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class TensorDescription:
    """What the metadata say of one tensor; `mean`, `std`, `minimum`, `maximum` empty if absent."""

    name: str
    description: str
    is_rgb_image: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]
    minimum: tuple[float, ...]
    maximum: tuple[float, ...]
    files: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Metadata:
    """Metadata as read back from a model file.

    Attributes:
        inputs: Its inputs.
        outputs: Its outputs.
        labels: The lines of the appended `labels.txt`.
    """

    model: ModelDescription
    min_parser_version: str
    inputs: tuple[TensorDescription, ...]
    outputs: tuple[TensorDescription, ...]
    labels: tuple[str, ...]


def embed(content: bytes, labels: LabelMap, description: ModelDescription) -> bytes:
    """Puts the metadata and the labels into a TFLite file.

    Args:
        content: A TFLite file with one RGB image input and one output.

    Returns:
        The file with the metadata buffer inside and the labels appended as an uncompressed ZIP.
    """
    model = add_metadata_buffer(content, name=METADATA_NAME, data=_build(description))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
        # Fixed time and mode: the same labels make the same bytes.
        entry = zipfile.ZipInfo(LABELS_FILE, _ZIP_TIME)
        entry.external_attr = 0o644 << 16
        file.writestr(entry, labels.text.encode("utf-8"))
    return model + archive.getvalue()


def _build(description: ModelDescription) -> bytes:
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    tensors_in = _vector(builder, [_input_tensor(builder)])
    tensors_out = _vector(builder, [_output_tensor(builder)])
    graph = _table(builder, 10, {2: tensors_in, 3: tensors_out})
    words = [
        builder.CreateString(text)
        for text in (
            description.name,
            description.description,
            description.version,
            description.author,
            description.licence,
            MIN_PARSER_VERSION,
        )
    ]
    fields = dict(zip((0, 1, 2, 4, 5, 7), words, strict=True))
    fields[3] = _vector(builder, [graph])
    builder.Finish(_table(builder, 8, fields), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def _input_tensor(builder: Any) -> int:
    """The photo: RGB, raw 0–255, so "normalised" by mean 0 and standard deviation 1."""
    name = builder.CreateString(INPUT_NAME)
    text = builder.CreateString("Photo squashed to the input size, RGB, values 0 to 255.")
    builder.StartObject(2)
    builder.PrependInt8Slot(0, _RGB, 0)
    image = builder.EndObject()
    content = _content(builder, _CONTENT_IMAGE, image)
    options = _table(builder, 2, {0: _floats(builder, [0.0]), 1: _floats(builder, [1.0])})
    unit = _union(builder, _UNIT_NORMALISATION, options, fields=2)
    units = _vector(builder, [unit])
    stats = _table(builder, 2, {0: _floats(builder, [255.0] * 3), 1: _floats(builder, [0.0] * 3)})
    return _table(builder, 7, {0: name, 1: text, 3: content, 4: units, 5: stats})


def _output_tensor(builder: Any) -> int:
    """The probabilities, with the labels of their axis."""
    name = builder.CreateString(OUTPUT_NAME)
    text = builder.CreateString("Probability of each museum object; they sum to 1.")
    content = _content(builder, _CONTENT_FEATURE, _table(builder, 0, {}))
    stats = _table(builder, 2, {0: _floats(builder, [1.0]), 1: _floats(builder, [0.0])})
    file_name = builder.CreateString(LABELS_FILE)
    file_text = builder.CreateString("Object identifiers, one a line, in the output's order.")
    builder.StartObject(5)
    builder.PrependUOffsetTRelativeSlot(0, file_name, 0)
    builder.PrependUOffsetTRelativeSlot(1, file_text, 0)
    builder.PrependInt8Slot(2, _TENSOR_AXIS_LABELS, 0)
    files = _vector(builder, [builder.EndObject()])
    return _table(builder, 7, {0: name, 1: text, 3: content, 5: stats, 6: files})


def _content(builder: Any, kind: int, properties: int) -> int:
    return _union(builder, kind, properties, fields=3)


def _union(builder: Any, kind: int, value: int, *, fields: int) -> int:
    """A table whose fields 0 and 1 are a union's type and value."""
    builder.StartObject(fields)
    builder.PrependUint8Slot(0, kind, 0)
    builder.PrependUOffsetTRelativeSlot(1, value, 0)
    return int(builder.EndObject())


def _table(builder: Any, size: int, fields: dict[int, int]) -> int:
    """A table of `size` fields of which these are offsets."""
    builder.StartObject(size)
    for number, offset in sorted(fields.items()):
        builder.PrependUOffsetTRelativeSlot(number, offset, 0)
    return int(builder.EndObject())


def _vector(builder: Any, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _floats(builder: Any, values: list[float]) -> int:
    return int(builder.CreateNumpyVector(np.array(values, dtype="<f4")))


class _Table:
    """Reads a FlatBuffer table by the numbers of its fields."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def _at(self, field: int) -> int:
        return int(self._table.Offset(4 + 2 * field))

    def text(self, field: int) -> str:
        at = self._at(field)
        return self._table.String(at + self._table.Pos).decode("utf-8") if at else ""

    def small(self, field: int) -> int:
        at = self._at(field)
        return int(self._table.Bytes[at + self._table.Pos]) if at else 0

    def child(self, field: int) -> _Table | None:
        from flatbuffers.table import Table

        at = self._at(field)
        if not at:
            return None
        return _Table(Table(self._table.Bytes, self._table.Indirect(at + self._table.Pos)))

    def children(self, field: int) -> list[_Table]:
        from flatbuffers.table import Table

        at = self._at(field)
        if not at:
            return []
        start = self._table.Vector(at)
        return [
            _Table(Table(self._table.Bytes, self._table.Indirect(start + 4 * i)))
            for i in range(self._table.VectorLen(at))
        ]

    def floats(self, field: int) -> tuple[float, ...]:
        at = self._at(field)
        if not at:
            return ()
        start, length = self._table.Vector(at), self._table.VectorLen(at)
        raw = bytes(self._table.Bytes[start : start + 4 * length])
        return tuple(float(value) for value in np.frombuffer(raw, dtype="<f4"))


def read_metadata(content: bytes) -> Metadata:
    """Reads the metadata and labels of a TFLite file.

    Raises:
        DamagedError: There are none, or they are damaged.
    """
    from flatbuffers.table import Table

    data = metadata_buffer(content, METADATA_NAME)
    if data is None or data[4:8] != IDENTIFIER:
        raise DamagedError("The TFLite file holds no metadata. Export the bundle again.")
    root = _Table(Table(data, int.from_bytes(data[:4], "little")))
    graph = root.children(3)[0]
    return Metadata(
        model=ModelDescription(
            root.text(0), root.text(1), root.text(2), root.text(4), root.text(5)
        ),
        min_parser_version=root.text(7),
        inputs=tuple(map(_read_tensor, graph.children(2))),
        outputs=tuple(map(_read_tensor, graph.children(3))),
        labels=_read_labels(content),
    )


def _read_tensor(tensor: _Table) -> TensorDescription:
    content, stats = tensor.child(3), tensor.child(5)
    image = content is not None and content.small(0) == _CONTENT_IMAGE
    properties = content.child(1) if content is not None and image else None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    for unit in tensor.children(4):
        options = unit.child(1)
        if unit.small(0) == _UNIT_NORMALISATION and options is not None:
            mean, std = options.floats(0), options.floats(1)
    return TensorDescription(
        name=tensor.text(0),
        description=tensor.text(1),
        is_rgb_image=properties is not None and properties.small(0) == _RGB,
        mean=mean,
        std=std,
        minimum=stats.floats(1) if stats else (),
        maximum=stats.floats(0) if stats else (),
        files=tuple((file.text(0), file.small(2)) for file in tensor.children(6)),
    )


def appended_labels(model: BinaryIO) -> tuple[str, ...] | None:
    """The lines of the labels that are appended to a TFLite file; None if none are.

    Archives that readers can take in two ways, or that grow when they are read, are refused.

    Args:
        model: The file, opened for reading; its end alone is read.

    Raises:
        DamagedError: The archive is none that `embed` writes.
    """
    if not zipfile.is_zipfile(model):
        return None
    try:
        with zipfile.ZipFile(model) as archive:
            entries = archive.infolist()
            if not any(entry.filename == LABELS_FILE for entry in entries):
                return None
            problem = _archive_problem(entries)
            text = "" if problem else archive.read(LABELS_FILE).decode("utf-8")
    # What a damaged archive can bring about: cut, encrypted, of an unknown kind, not UTF-8.
    except (zipfile.BadZipFile, EOFError, RuntimeError, ValueError, OSError) as error:
        problem = first_line(error)
    if problem:
        raise DamagedError(
            f"The archive of labels in the TFLite file cannot be used ({problem}). "
            "Export the bundle again."
        )
    return tuple(text.splitlines())


def _archive_problem(entries: Sequence[zipfile.ZipInfo]) -> str:
    if len(entries) != 1:
        return f"it holds {len(entries)} files"
    if entries[0].compress_type != zipfile.ZIP_STORED:
        return "its content is compressed"
    if entries[0].file_size != entries[0].compress_size:
        return "its content is of another size than it says"
    return ""


def _read_labels(content: bytes) -> tuple[str, ...]:
    labels = appended_labels(io.BytesIO(content))
    if labels is None:
        raise DamagedError(
            f"The TFLite file has no {LABELS_FILE} appended. Export the bundle again."
        )
    return labels
