"""Opens Core ML packages with the reference. It is a reference, never Core ML itself."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.runtimes.interface import Pixels, Probabilities, Runtime, Session
from mobile_assets.bundle import Bundle, Variant
from mobile_assets.errors import DamagedError

if TYPE_CHECKING:
    from torch import Tensor

    from benchmarks.runtimes.coreml_reference.program import Program

BATCH_MEMORY = 64 * 2**20
"""Bytes that the tensors of one operation may take, for all photos executed at once."""

_AT_ONCE = 4
"""Most photos executed at once. More are slower: their tensors are too large for the allocator to
keep, so that every operation is given fresh pages."""


class CoreMLReferenceSession(Session):
    """One Core ML package executed in torch on the CPU; a reference, never Core ML itself.

    Every operation is computed in float32 from operands that are of the type that the program
    says, and its result is rounded once to float16 where the program says float16. Sums are
    accumulated in float32. Both are how accelerators commonly work; Core ML documents neither.
    """

    def __init__(self, package: Path, *, threads: int = 1) -> None:
        """Reads the package and unpacks its weights.

        Raises:
            InputError: Its program has an operation that the reference does not know.
            DamagedError: It cannot be read, or is no image classifier.
        """
        from benchmarks.runtimes.coreml_reference.loader import load_package

        self._program: Program | None = load_package(package)
        self._threads = threads

    @property
    def program(self) -> Program:
        """The program that is executed."""
        if self._program is None:
            raise ValueError("the session is closed")
        return self._program

    def predict(self, batch: Pixels) -> Probabilities:
        """`[N, H, W, 3]` uint8 RGB 0–255 → `[N, objects]` float32 probabilities."""
        program = self.program
        rows = np.zeros((len(batch), len(program.labels)), dtype=np.float32)
        with _threads(self._threads):
            for start, images in _batches(program, batch):
                rows[start : start + len(images)] = program.run(images).numpy()
        return rows

    def close(self) -> None:
        """Frees the program."""
        self._program = None


def run_package(package: Path, photos: Pixels, *, threads: int = 1) -> dict[str, NDArray[Any]]:
    """Executes a package that answers with arrays: `[N, values]` of each output by its name.

    Raises:
        InputError: Its program has an operation that the reference does not know.
        DamagedError: It cannot be read, is a classifier, or takes photos of another size.
    """
    from benchmarks.runtimes.coreml_reference.loader import load_package

    program = load_package(package, classifier=False)
    if photos.shape[1:3] != program.size:
        raise DamagedError(
            f"{package} takes photos of {program.size}, not of {photos.shape[1:3]} (height, "
            "width): export the bundle again."
        )
    with _threads(threads):
        batches = [
            [values.numpy() for values in program.run_arrays(images)]
            for _, images in _batches(program, photos)
        ]
    columns = zip(*batches, strict=True)
    return {
        name: np.concatenate(column) for name, column in zip(program.results, columns, strict=True)
    }


def _batches(program: Program, photos: Pixels) -> Iterator[tuple[int, Tensor]]:
    """Photos as the program takes them, as many at once as is quick, and the index of the first."""
    import torch

    at_once = max(1, min(_AT_ONCE, BATCH_MEMORY // (4 * max(program.peak, 1))))
    for start in range(0, len(photos), at_once):
        part = np.ascontiguousarray(photos[start : start + at_once])
        # Laid out channels last, as photos are and as torch's convolutions are quickest.
        yield start, torch.from_numpy(part).float().permute(0, 3, 1, 2)


class CoreMLReferenceRuntime(Runtime):
    """Opens the Core ML variants of a bundle anywhere; a reference, never Core ML itself."""

    name = "coreml-reference"
    format = "coreml"
    timed = False

    def missing(self) -> str | None:
        """Which packages are not installed; None if all are."""
        absent = [name for name in ("torch", "coremltools") if find_spec(name) is None]
        if not absent:
            return None
        return (
            f"coreml-reference needs {' and '.join(absent)}. Install artefact-id with its "
            "`export` extra."
        )

    def _open(self, bundle: Bundle, variant: Variant, threads: int) -> CoreMLReferenceSession:
        package = bundle.path(variant)
        session = CoreMLReferenceSession(package, threads=threads)
        check_contract(bundle, package, session.program.size, session.program.labels)
        return session


RUNTIMES = (CoreMLReferenceRuntime(),)


def check_contract(
    bundle: Bundle, package: Path, size: tuple[int, int], labels: tuple[str, ...]
) -> None:
    """Checks that a package is of the bundle's contract.

    Raises:
        DamagedError: It takes photos of another size or answers with other labels.
    """
    contract = bundle.info.preprocessing
    if size != (contract.height, contract.width):
        raise DamagedError(
            f"{package} takes photos of {size}, the bundle says "
            f"{(contract.height, contract.width)} (height, width): export the bundle again."
        )
    if labels != bundle.labels.object_ids:
        raise DamagedError(
            f"The labels inside {package} are not those of labels.json, so apps that read the one "
            "or the other give different answers: export the bundle again."
        )


@contextlib.contextmanager
def _threads(number: int) -> Iterator[None]:
    """Gives torch so many threads for a while; they are the whole process's."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
