"""What runs a variant, in words: long for the report, short for a narrow table."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.results.schema import REFERENCE_RUNTIME, REFERENCE_VARIANT, Row

NAMES: dict[str, str] = {
    "torch": "PyTorch",
    "litert": "LiteRT",
    "tensorflow": "TensorFlow’s interpreter",
    "litert-arm64": "LiteRT for Arm64, emulated",
    "coreml": "Core ML",
    "coreml-reference": "reference execution, not Core ML",
    "android": "Android phone",
}
"""Names of runtimes for the report."""

SHORT: dict[str, str] = {"coreml-reference": "reference", "litert-arm64": "arm64"}
"""Names that differ from the runtime's own where there is little room."""

DESCRIPTIONS: dict[str, tuple[str, str]] = {
    "litert": (
        "LiteRT",
        "the interpreter that an app carries, here in its build for this computer.",
    ),
    "tensorflow": ("TensorFlow’s interpreter", "a second opinion on the same TFLite files."),
    "litert-arm64": (
        "LiteRT for Arm64, emulated",
        "the phone’s kernels on an emulated processor; accuracy only, its times mean nothing and "
        "are not reported.",
    ),
    "coreml": (
        "Core ML",
        "Apple’s own, on a Mac; the row names the compute units it was allowed.",
    ),
    "coreml-reference": (
        "Reference execution",
        "a reference execution of the Core ML program by its documented rules, not Core ML itself; "
        "accuracy only.",
    ),
    "android": ("Android phone", "measured on the phone that the row names, over adb."),
}
"""Name at the start of a sentence, and what each runtime is."""

_UNITS: dict[str, str] = {
    "all": "all units",
    "cpu": "CPU",
    "cpu-gpu": "CPU and GPU",
    "cpu-ne": "CPU and Neural Engine",
}
"""What the units of Core ML are called."""


def runtime_name(runtime: str, unit: str = "") -> str:
    """Such as `LiteRT`, or `Core ML, CPU and GPU`."""
    name = NAMES.get(runtime, runtime)
    if not unit:
        return name
    return f"{name}, {_UNITS.get(unit, unit)}"


def short_runtime(runtime: str, unit: str = "") -> str:
    """For narrow tables, such as `reference`."""
    name = SHORT.get(runtime, runtime)
    return f"{name} {unit}" if unit else name


def several_runtimes(rows: Iterable[Row]) -> bool:
    """Whether exported variants ran on more than one runtime or unit, so that rows must say which.

    A single runtime that is not what a phone runs must be named too.
    """
    runtimes = {
        (row.runtime, row.unit)
        for row in rows
        if row.status == "measured" and row.runtime != REFERENCE_RUNTIME
    }
    return len(runtimes) > 1 or any(runtime != "litert" for runtime, _ in runtimes)


def runtime_descriptions(rows: Iterable[Row]) -> list[tuple[str, str]]:
    """(name, description) of each runtime that measured something."""
    measured = {row.runtime for row in rows if row.status == "measured"}
    return [words for runtime, words in DESCRIPTIONS.items() if runtime in measured]


def short_name(variant: str) -> str:
    """A variant's name in prose: `tflite-int8` is "int8", `coreml-float16` "Core ML float16"."""
    if variant == REFERENCE_VARIANT:
        return "full precision"
    plain = variant.removeprefix("tflite-").replace("-", " ")
    return plain.replace("coreml ", "Core ML ", 1) if plain.startswith("coreml ") else plain
