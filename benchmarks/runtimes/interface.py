"""The interface of a runtime, and the registry. Heavy imports happen in the runtimes only."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal, Self, cast

import numpy as np
from numpy.typing import NDArray

from benchmarks.results.row_fields import Placement
from mobile_assets.bundle import Bundle, Variant
from mobile_assets.errors import InputError, MissingDependencyError

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Probabilities = NDArray[np.float32]


class Session(ABC):
    """One opened model; a context manager that frees it."""

    @abstractmethod
    def predict(self, batch: Pixels) -> Probabilities:
        """`[N, H, W, 3]` uint8 RGB 0–255 → `[N, objects]` float32 probabilities, 0–1."""

    def placement(self) -> Placement | None:
        """Which operations an accelerator library executes; None where it cannot be found."""
        return None

    def close(self) -> None:  # noqa: B027  # some sessions hold nothing but memory
        """Frees the model; the session cannot be used afterwards."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class PhotoSession(Session):
    """A session that answers one photo at a time, as on the phone.

    Attributes:
        objects: Number of probabilities per photo.
    """

    objects: int

    def predict(self, batch: Pixels | Floats) -> Probabilities:
        """`[N, H, W, 3]` RGB 0–255, uint8 or float32 → `[N, objects]` float32 probabilities.

        Floats go to the network as they are, whatever their range: what an app hands over.

        Raises:
            InputError: Floats for a file whose input takes integers.
            DamagedError: The file answers for other labels than the bundle's.
        """
        rows = [self._answer(photo) for photo in batch]
        return np.stack(rows) if rows else np.zeros((0, self.objects), dtype=np.float32)

    @abstractmethod
    def _answer(self, photo: Pixels | Floats) -> Probabilities:
        """`[H, W, 3]` → `[objects]`."""


class Runtime(ABC):
    """Something that executes variants of a format.

    Attributes:
        unit: What it computes on, where it can be asked for: Core ML's compute unit, the delegate
            of a phone; empty otherwise.
        timed: Whether its times say anything about a phone or this machine. An emulator's and a
            reference implementation's do not, and are never reported.
        limit: Most test photos that it is asked, because it is slow; None for all. A drawn part.
    """

    name: str
    unit: str = ""
    format: Literal["tflite", "coreml"]
    timed: bool = True
    limit: int | None = None

    def missing(self) -> str | None:
        """What this machine lacks to execute anything, and how to get it; None if it can."""
        return None

    def open(self, bundle: Bundle, variant: Variant, threads: int = 1) -> Session:
        """Opens a variant of the bundle.

        Raises:
            InputError: The variant is of another format, or has an unknown operation.
            DamagedError: The file cannot be opened, or its tensors are not as the bundle says.
            MissingDependencyError: What it needs is not installed.
        """
        check_format(variant, self.format, self.name)
        missing = self.missing()
        if missing is not None:
            raise MissingDependencyError(missing)
        return self._open(bundle, variant, threads)

    @abstractmethod
    def _open(self, bundle: Bundle, variant: Variant, threads: int) -> Session:
        """As `open`, of a variant of the right format."""


def check_format(variant: Variant, wanted: Literal["tflite", "coreml"], runtime: str) -> None:
    """Refuses a variant that a runtime does not execute.

    Raises:
        InputError: It is of another format.
    """
    if variant.format != wanted:
        raise InputError(
            f"{variant.name} is a {variant.format} variant, which {runtime} does not execute. "
            f"Give one whose name begins with {wanted}-."
        )


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
