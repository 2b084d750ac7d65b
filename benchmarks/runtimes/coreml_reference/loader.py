"""Reads a Core ML package into a program for torch. A reference, never Core ML itself."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from benchmarks.runtimes.coreml_reference.constants import CONSTEXPR, Constants, as_argument
from benchmarks.runtimes.coreml_reference.operations import CLASSIFY, OPERATIONS
from benchmarks.runtimes.coreml_reference.program import Program, Step
from export.coreml.structure import operations_of, specification_of
from mobile_assets.errors import DamagedError, UnsupportedError
from mobile_assets.files import size_of
from mobile_assets.log_suppression import quiet

_KNOWN = frozenset({"const", CLASSIFY, *CONSTEXPR, *OPERATIONS})
_AGAIN = "Export the bundle again."
_MOST_VALUES = 2**28
"""No result of an operation is larger: 1 GiB as float32."""

_COLOURS = {"RGB": False, "BGR": True}

_UNREADABLE = (
    AssertionError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What coremltools raises at a damaged program."""

Sources = dict[str, str | tuple[str | Tensor, ...]]


def load_package(package: Path, *, classifier: bool = True) -> Program:
    """Reads a package and prepares its program.

    Args:
        package: A `.mlpackage` folder that holds an ML Program which takes an image.
        classifier: Whether it answers with the probabilities of labels; else with arrays.

    Raises:
        UnsupportedError: The program has an operation that the reference does not know; the message
            names each with what it makes. Nothing was executed.
        DamagedError: The package cannot be read, or is of the other kind.
    """
    specification = specification_of(package)
    if list(specification.mlProgram.functions) != ["main"]:
        raise DamagedError(f"{package} is not an ML Program with one function. {_AGAIN}")
    _refuse_unknown(package, specification)
    _refuse_huge(package, specification)
    name, height, width, swapped = _image(package, specification)
    function = _function(package, specification)
    shape = function.inputs[name].shape
    if tuple(shape) != (1, 3, height, width):
        raise DamagedError(
            f"The program of {package} takes {tuple(shape)} instead of one photo "
            f"(1, 3, {height}, {width}). {_AGAIN}"
        )
    results, labels = _answers(package, function, classifier)
    return Program(
        image=name,
        size=(height, width),
        swapped=swapped,
        labels=labels,
        steps=_steps([op for op in function.operations if op.op_type in OPERATIONS], results),
        results=results,
        peak=_peak(function),
    )


def _function(package: Path, specification: Any) -> Any:
    """The package's function as coremltools reads it."""
    # coremltools complains on import that it cannot execute models off macOS.
    with quiet():
        from coremltools.converters.mil.frontend.milproto.load import load
    (file,) = package.rglob("*.mlmodel")
    weights = str(file.parent / "weights")
    try:
        with quiet():
            loaded = load(specification, specification.specificationVersion, weights)
    except (AssertionError, AttributeError, KeyError, OSError, RuntimeError, TypeError, ValueError):
        raise DamagedError(f"{package} cannot be read by coremltools. {_AGAIN}") from None
    return loaded.functions["main"]


def _refuse_unknown(package: Path, specification: Any) -> None:
    """Names every operation that is not known, before anything is read or executed."""
    unknown = [
        f"{operation.type} (makes {', '.join(output.name for output in operation.outputs)})"
        for operation in operations_of(specification)
        if operation.type not in _KNOWN
    ]
    if unknown:
        raise UnsupportedError(
            f"{package} has operations that coreml-reference does not know: {'; '.join(unknown)}. "
            "Measure this variant with the runtime coreml on a Mac, or leave coreml-reference out."
        )


def _refuse_huge(package: Path, specification: Any) -> None:
    """Refuses a small package whose constants or results would fill the memory."""
    # Of 1-bit palettes, each byte makes 8 values; programs for phones make far smaller tensors.
    most_constant = 8 * size_of(package)
    for operation in operations_of(specification):
        constant = operation.type == "const" or operation.type in CONSTEXPR
        for output in operation.outputs:
            dimensions = output.type.tensorType.dimensions
            count = math.prod(int(dimension.constant.size) for dimension in dimensions)
            if count > (most_constant if constant else _MOST_VALUES):
                raise DamagedError(
                    f"{output.name} in {package} has {count:,} values, more than a program of this "
                    f"toolkit makes of so small a file. {_AGAIN}"
                )


def _image(package: Path, specification: Any) -> tuple[str, int, int, bool]:
    """Name, height and width of the image input, and whether its channels are swapped.

    An ML Program has scale and bias of the image among its operations, if it has any: what it is
    handed is the pixels, 0–255.
    """
    inputs = specification.description.input
    if len(inputs) == 1 and inputs[0].type.WhichOneof("Type") == "imageType":
        image = inputs[0].type.imageType
        spaces = image.DESCRIPTOR.enum_types_by_name["ColorSpace"].values_by_number
        swapped = _COLOURS.get(spaces[image.colorSpace].name)
        if swapped is not None:
            return inputs[0].name, int(image.height), int(image.width), swapped
    raise DamagedError(f"{package} does not take one RGB or BGR image. {_AGAIN}")


def _answers(
    package: Path, function: Any, classifier: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of what the program answers with, and a classifier's labels."""
    classifiers = [operation for operation in function.operations if operation.op_type == CLASSIFY]
    if not classifier:
        if classifiers:
            raise DamagedError(f"{package} is a classifier and answers with labels. {_AGAIN}")
        return tuple(str(variable.name) for variable in function.outputs), ()
    if len(classifiers) != 1:
        raise DamagedError(f"{package} is not a classifier. {_AGAIN}")
    inputs = classifiers[0].inputs
    labels = tuple(str(getattr(item, "val", item)) for item in inputs["classes"].val)
    return (inputs["probabilities"].name,), labels


def _steps(operations: list[Any], results: tuple[str, ...]) -> tuple[Step, ...]:
    constants = Constants()
    last = {
        variable.name: operation.outputs[-1].name
        for operation in operations
        for variable in _variables(operation)
    }
    last |= dict.fromkeys(results, "")
    steps: list[Step] = []
    for operation in operations:
        fixed, sources = _inputs(operation, constants)
        used = {v.name for v in _variables(operation) if constants.find(v) is None}
        known = OPERATIONS[operation.op_type]
        # An operation with several results is computed once for each: it is always a small one.
        for index, output in enumerate(operation.outputs):
            done = tuple(sorted(name for name in used if last[name] == output.name))
            steps.append(
                Step(
                    name=output.name,
                    operation=known if len(operation.outputs) == 1 else known.only(index),
                    constants=fixed,
                    sources=sources,
                    half=_is_half(output),
                    done=done,
                )
            )
    return tuple(steps)


def _variables(operation: Any) -> Iterator[Any]:
    for value in operation.inputs.values():
        if value is not None:
            yield from value if isinstance(value, list | tuple) else (value,)


def _inputs(operation: Any, constants: Constants) -> tuple[dict[str, Any], Sources]:
    """What never changes, and the names of what is computed."""
    fixed: dict[str, Any] = {}
    sources: Sources = {}
    for name, source in operation.inputs.items():
        if isinstance(source, list | tuple):
            sources[name] = tuple(_item(variable, constants) for variable in source)
        elif source is not None:
            value = constants.find(source)
            if value is None:
                sources[name] = source.name
            else:
                fixed[name] = as_argument(value, half=_is_half(source))
    return fixed, sources


def _item(variable: Any, constants: Constants) -> str | Tensor:
    value = constants.find(variable)
    if value is None:
        return str(variable.name)
    argument = as_argument(value, half=_is_half(variable))
    if not isinstance(argument, Tensor):
        raise DamagedError(f"A Core ML program lists {variable.name} among tensors. {_AGAIN}")
    return argument


def _is_half(variable: Any) -> bool:
    from coremltools.converters.mil.mil import types

    return bool(variable.dtype == types.fp16)


def _peak(function: Any) -> int:
    """Most values that an operation reads and writes, per photo."""
    return max(
        (
            sum(math.prod(v.shape) for v in (*_variables(op), *op.outputs) if not _is_const(v))
            for op in function.operations
            if op.op_type in OPERATIONS
        ),
        default=0,
    )


def _is_const(variable: Any) -> bool:
    made_by = getattr(variable.op, "op_type", "")
    return made_by == "const" or made_by in CONSTEXPR
