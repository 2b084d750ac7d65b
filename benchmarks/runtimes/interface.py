"""The interface of a runtime, and the registry. Heavy imports happen in the runtimes only."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from types import TracebackType
from typing import Literal, Protocol, Self, cast

import numpy as np
from numpy.typing import NDArray

from benchmarks.results.row_fields import Placement
from mobile_assets.bundle import Bundle, Variant
from mobile_assets.errors import InputError

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
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

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class ClosingSession:
    """What is alike in every session: it is a context manager that closes itself."""

    def placement(self) -> Placement | None:
        """None: which operations an accelerator library took cannot be found."""
        return None

    def close(self) -> None:
        """Frees the model; the session cannot be used afterwards."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Runtime(Protocol):
    """Something that executes variants of a format.

    Attributes:
        unit: What it computes on, where it can be asked for: Core ML's compute unit, the name of a
            phone; empty otherwise.
        timed: Whether its times say anything about a phone or this machine. An emulator's and a
            reference implementation's do not, and are never reported.
        limit: Most test photos that it is asked, because it is slow; None for all. A drawn part.
    """

    @property
    def name(self) -> str: ...  # noqa: D102  # described above

    @property
    def unit(self) -> str: ...  # noqa: D102

    @property
    def format(self) -> Literal["tflite", "coreml"]: ...  # noqa: D102

    @property
    def timed(self) -> bool: ...  # noqa: D102

    @property
    def limit(self) -> int | None: ...  # noqa: D102

    def missing(self) -> str | None:
        """What this machine lacks to execute anything, and how to get it; None if it can."""
        ...

    def open(self, bundle: Bundle, variant: Variant, threads: int = 1) -> Session:
        """Opens a variant of the bundle.

        Raises:
            InputError: The variant is of another format.
            DamagedError: The file cannot be opened, or its tensors are not as the bundle says.
            MissingDependencyError: What it needs is not installed.
        """
        ...


_MODULES = {
    "litert": "benchmarks.runtimes.litert_runtime",
    "coreml": "benchmarks.runtimes.coreml_runtime",
    "coreml-reference": "benchmarks.runtimes.coreml_reference",
    "litert-arm64": "benchmarks.runtimes.arm64.runtime",
    "tensorflow": "benchmarks.runtimes.tensorflow_runtime",
    "android": "benchmarks.runtimes.android.runtime",
}
"""Module of each runtime by name; it holds `RUNTIMES`, one or several (one per compute unit)."""

DEFAULT = ("litert", "coreml", "coreml-reference")
"""What is used unless other runtimes are named: those that are quick and need no preparation."""


def runtime_names() -> tuple[str, ...]:
    """The names of all runtimes."""
    return tuple(_MODULES)


def runtimes(name: str) -> tuple[Runtime, ...]:
    """The runtimes of that name, one per unit that it computes on; its module is imported now.

    Raises:
        InputError: There is none; the message lists those there are.
    """
    if name not in _MODULES:
        raise InputError(f"There is no runtime {name!r}. Choose among: {', '.join(_MODULES)}.")
    return cast("tuple[Runtime, ...]", importlib.import_module(_MODULES[name]).RUNTIMES)


def runtimes_for(variant: Variant, chosen: Sequence[str] = DEFAULT) -> tuple[Runtime, ...]:
    """Those of the chosen runtimes that execute the variant on this machine."""
    return tuple(
        runtime
        for name in chosen
        for runtime in runtimes(name)
        if runtime.format == variant.format and runtime.missing() is None
    )
