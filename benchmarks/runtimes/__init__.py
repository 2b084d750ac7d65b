"""What executes a variant, behind one interface. Importing this loads no runtime."""

from __future__ import annotations

from benchmarks.runtimes.interface import (
    DEFAULT,
    Pixels,
    Probabilities,
    Runtime,
    Session,
    runtime_names,
    runtimes,
    runtimes_for,
)

__all__ = [
    "DEFAULT",
    "Pixels",
    "Probabilities",
    "Runtime",
    "Session",
    "runtime_names",
    "runtimes",
    "runtimes_for",
]
