"""Core ML itself, on macOS: Core ML packages on each compute unit that can be asked for."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.runtimes.coreml_reference.session import check_contract
from benchmarks.runtimes.interface import Floats, PhotoSession, Pixels, Probabilities, Runtime
from mobile_assets.bundle import INPUT_NAME, OUTPUT_NAME, Bundle, Variant
from mobile_assets.errors import DamagedError, first_line
from mobile_assets.log_suppression import quiet

_UNITS = {"all": "ALL", "cpu": "CPU_ONLY", "cpu-gpu": "CPU_AND_GPU", "cpu-ne": "CPU_AND_NE"}
"""What a row calls a compute unit, and what coremltools does."""


class CoreMLSession(PhotoSession):
    """One Core ML package opened by Core ML, one photo at a time as on the phone."""

    def __init__(self, package: Path, *, unit: str, labels: tuple[str, ...]) -> None:
        """Compiles and opens the package.

        Raises:
            DamagedError: Core ML cannot open it.
        """
        self._model = open_package(package, unit)
        self._labels = labels
        self.objects = len(labels)
        self._package = package

    def close(self) -> None:
        """Frees the model."""
        self._model = None

    def _answer(self, photo: Pixels | Floats) -> Probabilities:
        answer = self._model.predict({INPUT_NAME: Image.fromarray(photo)})
        return in_order(self._package, answer.get(OUTPUT_NAME), self._labels)


class CoreMLRuntime(Runtime):
    """Opens the Core ML variants of a bundle on one compute unit."""

    name = "coreml"
    format = "coreml"

    def __init__(self, unit: str) -> None:
        self.unit = unit

    def missing(self) -> str | None:
        """Core ML is a part of macOS; coremltools is the way to it."""
        if sys.platform != "darwin":
            return (
                "Core ML exists on Apple's systems only. Measure on a Mac, or use the runtime "
                "coreml-reference, which executes the package's program anywhere."
            )
        if find_spec("coremltools") is None:
            return "coreml needs coremltools. Install artefact-id with its `export` extra."
        return None

    def _open(self, bundle: Bundle, variant: Variant, threads: int) -> CoreMLSession:
        del threads  # Core ML chooses its threads itself
        package = bundle.path(variant)
        with quiet():
            from export.coreml.structure import read_structure

            structure = read_structure(package)
        check_contract(bundle, package, (structure.height, structure.width), structure.labels)
        return CoreMLSession(package, unit=self.unit, labels=bundle.labels.object_ids)


def open_package(package: Path, unit: str) -> Any:
    """A package as Core ML compiles it for a compute unit, with coremltools' `predict`.

    Raises:
        DamagedError: Core ML cannot open it.
    """
    import coremltools as ct

    try:
        with quiet():
            return ct.models.MLModel(
                str(package), compute_units=getattr(ct.ComputeUnit, _UNITS[unit])
            )
    except (RuntimeError, ValueError, OSError) as error:
        raise DamagedError(
            f"{package} cannot be opened by Core ML ({first_line(error)}). It is damaged: "
            "export the bundle again."
        ) from None


RUNTIMES = tuple(CoreMLRuntime(unit) for unit in _UNITS)


def in_order(package: Path, answer: object, labels: tuple[str, ...]) -> Probabilities:
    """A classifier's dictionary of probabilities in the bundle's class order, float32.

    Raises:
        DamagedError: Its labels are not the bundle's.
    """
    if not isinstance(answer, dict) or set(answer) != set(labels):
        raise DamagedError(
            f"{package} does not answer with one probability for each object of labels.json: "
            "export the bundle again."
        )
    return np.array([answer[label] for label in labels], dtype=np.float32)
