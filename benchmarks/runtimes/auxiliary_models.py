"""Executes the models beside a bundle's variants: those that answer with arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.runtimes.interface import DEFAULT, Pixels, Runtime, runtimes
from mobile_assets.bundle import INPUT_NAME, AuxiliaryModel, Bundle
from mobile_assets.errors import DamagedError, first_line
from mobile_assets.log_suppression import quiet

Arrays = dict[str, NDArray[Any]]
"""Values of each output by its name, `[N, values]`."""

_AGAIN = "It is damaged: export the bundle again."


@dataclass(frozen=True)
class Executor:
    """Executes auxiliary models as a runtime executes variants of the same format."""

    runtime: Runtime

    @property
    def name(self) -> str:
        """The runtime's name, with its compute unit."""
        return f"{self.runtime.name} {self.runtime.unit}".strip()

    def run(self, path: Path, photos: Pixels) -> Arrays:
        """Answers photos `[N, H, W, 3]` uint8 with the file or package at a path."""
        return _RUN[self.runtime.name](path, photos, self.runtime.unit)


def executors(model: AuxiliaryModel) -> Iterator[Executor]:
    """What there is on this machine for an auxiliary model, quick runtimes only."""
    for name in DEFAULT:
        for runtime in runtimes(name):
            if runtime.format == model.format and runtime.missing() is None:
                yield Executor(runtime)


def run_auxiliary(
    bundle: Bundle, model: AuxiliaryModel, photos: Pixels, executor: Executor
) -> Arrays:
    """What an auxiliary model answers.

    Raises:
        DamagedError: It cannot be opened, or its answers are not of the shapes that the bundle
            says.
        InputError: Its program has an operation that the reference does not know.
    """
    path = bundle.path(model)
    outputs = executor.run(path, photos)
    shapes = {name: values.shape for name, values in outputs.items()}
    expected = {tensor.name: (len(photos), *tensor.shape[1:]) for tensor in model.outputs}
    if shapes != expected:
        raise DamagedError(f"{path} answers with {shapes} instead of {expected}. {_AGAIN}")
    return outputs


def _litert(path: Path, photos: Pixels, _unit: str) -> Arrays:
    from export.variants.auxiliary import run_arrays

    try:
        return run_arrays(path.read_bytes(), photos)
    except (ValueError, RuntimeError) as error:
        raise DamagedError(
            f"{path} cannot be opened by LiteRT ({first_line(error)}). {_AGAIN}"
        ) from None


def _reference(path: Path, photos: Pixels, _unit: str) -> Arrays:
    from benchmarks.runtimes.coreml_reference.session import run_package

    return run_package(path, photos)


def _coreml(path: Path, photos: Pixels, unit: str) -> Arrays:
    from PIL import Image

    from benchmarks.runtimes.coreml_runtime import open_package

    compiled = open_package(path, unit)
    rows: dict[str, list[NDArray[Any]]] = {}
    with quiet():
        for photo in photos:
            for name, value in compiled.predict({INPUT_NAME: Image.fromarray(photo)}).items():
                rows.setdefault(name, []).append(np.asarray(value).reshape(-1))
    return {name: np.stack(values) for name, values in rows.items()}


_RUN = {"litert": _litert, "coreml": _coreml, "coreml-reference": _reference}
