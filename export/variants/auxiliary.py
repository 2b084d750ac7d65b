"""What is alike in the models beside the variants, which answer with numbers and name no object."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from export.coreml.structure import differences, enum_name, read_structure, specification_of
from export.tflite import flatbuffer
from export.tflite.interpreter import interpreter
from export.variants.operations import operations
from mobile_assets.bundle import INPUT_NAME, AuxiliaryModel, TensorInfo
from mobile_assets.errors import CheckFailedError
from mobile_assets.files import sha256_path, size_of
from mobile_assets.log_suppression import quiet
from mobile_assets.preprocessing import Preprocessing

Format = Literal["tflite", "coreml"]
Kind = Literal["embedding", "shortlist"]
Precision = Literal["", "float32", "float16", "int8"]
"""Of the weights, where there are several files of a kind; empty otherwise."""

LABELS_FACT = "artefact-id.labels_sha256"
"""The fact inside a file without labels that says of which label map its objects' order is."""

_SUFFIXES: dict[str, str] = {"tflite": "tflite", "coreml": "mlpackage"}


def auxiliary_file(kind: Kind, of: Format, precision: Precision = "") -> str:
    """Where a bundle has it, such as `models/artefact-id.shortlist.mlpackage`."""
    parts = ("artefact-id", kind, precision, _SUFFIXES[of])
    return f"models/{'.'.join(filter(None, parts))}"


def recorded(
    kind: Kind, of: Format, bundle: Path, notes: tuple[str, ...], *, precision: Precision = ""
) -> AuxiliaryModel:
    """The record of a file that was just written into a bundle.

    Raises:
        DamagedError: It is a package that cannot be read.
    """
    file = auxiliary_file(kind, of, precision)
    path = bundle / file
    inputs, outputs = declared_ends(path)
    return AuxiliaryModel(
        kind=kind,
        format=of,
        precision=precision,
        file=file,
        bytes=size_of(path),
        sha256=sha256_path(path),
        inputs=inputs,
        outputs=outputs,
        notes=notes,
    )


def declared_ends(path: Path) -> tuple[tuple[TensorInfo, ...], tuple[TensorInfo, ...]]:
    """Inputs and outputs as a file or package declares them; an image as `[1, H, W, 3]`.

    Raises:
        DamagedError: It is a package that cannot be read.
    """
    if not path.is_dir():
        return flatbuffer.inputs_and_outputs(path.read_bytes())
    structure = read_structure(path)
    size = (1, structure.height, structure.width, 3)
    image = TensorInfo(name=structure.input_name, dtype="image", shape=size)
    return (image,), tuple(map(_array, specification_of(path).description.output))


def _array(output: Any) -> TensorInfo:
    """An output of a package; one that is no array has no shape and is called a string."""
    if output.type.WhichOneof("Type") != "multiArrayType":
        return TensorInfo(name=output.name, dtype="string", shape=())
    array = output.type.multiArrayType
    return TensorInfo.model_validate(
        {
            "name": output.name,
            "dtype": enum_name(array, "dataType").lower(),
            "shape": tuple(map(int, array.shape)),
        }
    )


def labels_fact(path: Path) -> str:
    """The hash of the label map that a file was made for; empty if it says nothing."""
    if path.is_dir():
        return read_structure(path).user_defined.get(LABELS_FACT, "")
    return (flatbuffer.metadata_buffer(path.read_bytes(), LABELS_FACT) or b"").decode()


def package_problems(
    package: Path, contract: Preprocessing, exact: Mapping[str, tuple[str, ...]]
) -> list[str]:
    """What is wrong with a package beside its outputs.

    Args:
        package: A `.mlpackage` folder.
        exact: Types that the results of operations must have, by the operation's name; each must
            be in the program.

    Raises:
        DamagedError: It cannot be read.
    """
    structure = read_structure(package)
    types: dict[str, set[tuple[str, ...]]] = {name: set() for name in exact}
    for operation in operations(package):
        if operation.name in types:
            types[operation.name].add(operation.types)
    expected: dict[str, tuple[object, object]] = {
        "input": (structure.input_name, INPUT_NAME),
        "colour": (structure.colour, contract.colour),
        "size": ((structure.height, structure.width), (contract.height, contract.width)),
        "predicted label": (structure.predicted_label, ""),
        "layers' weights": (structure.layer_weights, ("float16",)),
    }
    expected |= {f"operation {name}": (types[name], {wanted}) for name, wanted in exact.items()}
    return differences(expected)


def refuse(name: str, problems: list[str]) -> None:
    """Ends an export whose file is not what it should be.

    Raises:
        CheckFailedError: There are problems.
    """
    if problems:
        raise CheckFailedError(
            f"{name} is not what was to be made: {'; '.join(problems)}. Nothing was written. The "
            "installed converter behaves in another way: install the pinned versions."
        )


def run_arrays(content: bytes, photos: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    """Every output `[N, ...]` by name, of a TFLite file for `[N, H, W, 3]` uint8 photos."""
    rows: dict[str, list[NDArray[Any]]] = {}
    with quiet():
        runner = interpreter(content)
        entry = runner.get_input_details()[0]
        for photo in photos:
            runner.set_tensor(entry["index"], photo[None].astype(entry["dtype"]))
            runner.invoke()
            for output in runner.get_output_details():
                rows.setdefault(output["name"], []).append(runner.get_tensor(output["index"])[0])
    return {name: np.stack(values) for name, values in rows.items()}
