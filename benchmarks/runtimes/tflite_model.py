"""A TFLite file of this toolkit as every interpreter must find it: tensors, labels, placement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.results.row_fields import Placement
from benchmarks.runtimes.interface import Floats, Pixels, Probabilities
from mobile_assets.bundle import Bundle
from mobile_assets.errors import DamagedError, InputError

_DTYPES = ("float32", "uint8", "int8")


@dataclass(frozen=True)
class Tensor:
    """An input or output as an interpreter describes it.

    Attributes:
        scale: Of an integer tensor: `value = (integer - zero) * scale`.
        zero: The integer that stands for 0.
    """

    shape: tuple[int, ...]
    dtype: str
    scale: float = 0.0
    zero: int = 0

    @classmethod
    def of(cls, detail: Mapping[str, Any]) -> Tensor:
        """From one entry of `get_input_details()` or `get_output_details()`."""
        scale, zero = detail["quantization"]
        shape = tuple(int(side) for side in detail["shape"])
        return cls(shape, np.dtype(detail["dtype"]).name, float(scale), int(zero))


def check_tensors(
    path: Path, inputs: Sequence[Tensor], outputs: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """The file's one input and one output.

    Raises:
        DamagedError: It does not map one photo to one list of probabilities.
    """
    if len(inputs) == 1 and len(outputs) == 1:
        image, probabilities = inputs[0], outputs[0]
        photo = len(image.shape) == 4 and image.shape[0] == 1 and image.shape[3] == 3
        vector = len(probabilities.shape) == 2 and probabilities.shape[0] == 1
        if photo and vector and image.dtype in _DTYPES and probabilities.dtype in _DTYPES:
            return image, probabilities
    raise DamagedError(
        f"{path} does not take one photo [1, height, width, 3] and give one list of "
        "probabilities [1, objects]: it is not a file of this toolkit. Export the bundle again."
    )


def check_contract(bundle: Bundle, path: Path, image: Tensor, probabilities: Tensor) -> None:
    """Holds an opened file against its bundle.

    Raises:
        DamagedError: Its shapes, or the labels inside it, are not the bundle's.
    """
    contract = bundle.info.preprocessing
    expected = ((1, contract.height, contract.width, 3), (1, bundle.info.objects))
    shapes = (image.shape, probabilities.shape)
    if shapes != expected:
        raise DamagedError(
            f"{path} maps {shapes[0]} to {shapes[1]}, the bundle says {expected[0]} to "
            f"{expected[1]}: export the bundle again."
        )
    inside = embedded_labels(path)
    if inside is not None and inside != bundle.labels.object_ids:
        raise DamagedError(
            f"The labels inside {path} are not those of labels.json, so apps that read the one "
            "or the other give different answers: export the bundle again."
        )


def embedded_labels(path: Path) -> tuple[str, ...] | None:
    """The object ids that the exporter appended to the file; None if it appended none.

    Raises:
        DamagedError: The archive that is appended is none that an export writes.
    """
    from export.tflite.metadata import appended_labels

    with path.open("rb") as model:
        return appended_labels(model)


def as_input(photos: Pixels | Floats, tensor: Tensor) -> NDArray[Any]:
    """What an app hands over: raw bytes to a uint8 input, raw 0–255 floats to a float32 one.

    Raises:
        InputError: Floats for a file whose input takes integers.
    """
    if photos.dtype != np.uint8 and tensor.dtype != "float32":
        raise InputError(
            f"The file takes {tensor.dtype}, and was given {photos.dtype}. Give bytes."
        )
    if tensor.dtype == "uint8":
        return photos
    values = photos.astype(np.float32)
    if tensor.dtype == "float32":
        return values
    levels: NDArray[np.float32] = np.rint(values / tensor.scale) + tensor.zero
    return np.clip(levels, -128, 127).astype(np.int8)


def as_probabilities(values: NDArray[Any], tensor: Tensor) -> Probabilities:
    """The output as float32; integer outputs by the file's own scale and zero point."""
    if tensor.dtype == "float32":
        return np.array(values, dtype=np.float32)
    return np.asarray((values.astype(np.float32) - tensor.zero) * tensor.scale, dtype=np.float32)


def placement(operations: Sequence[Mapping[str, Any]]) -> Placement:
    """Counts the operations that a delegate took, of an interpreter's list of operations."""
    from export.bundle.delegates import delegated

    delegated_indices = delegated(operations)
    operators = [op for op in operations if op["op_name"] != "DELEGATE"]
    remaining = Counter(
        str(op["op_name"]) for index, op in enumerate(operators) if index not in delegated_indices
    )
    return Placement(
        delegate="XNNPACK",
        taken=len(delegated_indices),
        total=len(operators),
        left=dict(sorted(remaining.items())),
        partitions=len(operations) - len(operators),
    )
