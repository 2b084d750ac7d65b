"""The interface of a runtime, and the registry. Heavy imports happen in the runtimes only."""

from __future__ import annotations

import importlib
from types import TracebackType
from typing import Protocol, Self, cast

import numpy as np
from numpy.typing import NDArray

from benchmarks.results import Placement
from mobile_assets.bundle import Bundle, Variant
from mobile_assets.errors import InputError

Pixels = NDArray[np.uint8]
Probabilities = NDArray[np.float32]


class Session(Protocol):
    """One opened model. A context manager that frees it."""

    def predict(self, batch: Pixels) -> Probabilities:
        """`[N, H, W, 3]` uint8 RGB 0–255 → `[N, objects]` float32 probabilities, 0–1."""
        ...

    def placement(self) -> Placement | None:
        """Which operations an accelerator library executes; None where it cannot be found."""
        ...

    def close(self) -> None:
        """Frees the model; the session cannot be used afterwards."""
        ...

    def __enter__(self) -> Self:
        """The session itself."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the session."""
        ...


class Runtime(Protocol):
    """Something that executes variants of a format."""

    @property
    def name(self) -> str:
        """The name that stands in the results."""
        ...

    def open(self, bundle: Bundle, variant: Variant, threads: int = 1) -> Session:
        """Opens a variant of the bundle.

        Raises:
            DamagedError: The file cannot be opened, or its tensors are not as the bundle says.
            MissingDependencyError: The runtime's package is not installed.
        """
        ...


_MODULES = {"litert": "benchmarks.runtimes.litert_runtime"}
_FORMATS = {"tflite": "litert"}


def runtime(name: str) -> Runtime:
    """The runtime of that name, its module imported now.

    Raises:
        InputError: There is none; the message lists those there are.
    """
    if name not in _MODULES:
        raise InputError(f"There is no runtime {name!r}. Choose one of: {', '.join(_MODULES)}.")
    return cast("Runtime", importlib.import_module(_MODULES[name]).RUNTIME)


def runtime_for(variant: Variant) -> Runtime | None:
    """The runtime that executes the variant on this machine, or None where none does."""
    name = _FORMATS.get(variant.format)
    return runtime(name) if name else None
