"""What runs a variant, and the variant itself, in words."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from importlib import resources

from benchmarks.results.schema import REFERENCE_RUNTIME, REFERENCE_VARIANT, Row

_RUNTIMES: dict[str, dict[str, str]] = tomllib.loads(
    resources.files(__package__).joinpath("runtimes.toml").read_text(encoding="utf-8")
)
"""Name, name at the start of a sentence and description of each."""

_UNITS = {
    "all": "all units",
    "cpu": "CPU",
    "cpu-gpu": "CPU and GPU",
    "cpu-ne": "CPU and Neural Engine",
}
"""What the units of Core ML are called."""


def runtime_name(runtime: str, unit: str = "") -> str:
    """Such as `LiteRT`, or `Core ML, CPU and GPU`."""
    name = _RUNTIMES.get(runtime, {}).get("name", runtime)
    return f"{name}, {_UNITS.get(unit, unit)}" if unit else name


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
    return [
        (words["sentence"], words["description"])
        for runtime, words in _RUNTIMES.items()
        if runtime in measured and "description" in words
    ]


def short_name(variant: str) -> str:
    """A variant's name in prose: `tflite-int8` is "int8", `coreml-float16` "Core ML float16"."""
    if variant == REFERENCE_VARIANT:
        return "full precision"
    plain = variant.removeprefix("tflite-").replace("-", " ")
    return plain.replace("coreml ", "Core ML ", 1) if plain.startswith("coreml ") else plain
