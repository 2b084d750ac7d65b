"""TFLite files on LiteRT with XNNPACK. Needs a bundle only: no torch, no run, no training code."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from benchmarks.results.row_fields import Placement
from benchmarks.runtimes import tflite_model
from benchmarks.runtimes.interface import Floats, PhotoSession, Pixels, Probabilities, Runtime
from benchmarks.runtimes.tflite_model import Tensor
from mobile_assets.bundle import Bundle, Variant
from mobile_assets.bundle_info import MOST_PIXELS
from mobile_assets.errors import DamagedError, MissingDependencyError, first_line
from mobile_assets.log_suppression import quiet


class LitertSession(PhotoSession):
    """One TFLite file opened by LiteRT's interpreter, one photo at a time as on the phone."""

    def __init__(self, path: Path, *, threads: int) -> None:
        """Opens the file and checks that its tensors are of the bundle's contract.

        Raises:
            DamagedError: The file cannot be opened or has other tensors.
            MissingDependencyError: `ai-edge-litert` is not installed.
        """
        self._interpreter: Any = open_interpreter(path, threads)
        inputs = self._interpreter.get_input_details()
        outputs = self._interpreter.get_output_details()
        self.image, self.probabilities = tflite_model.check_tensors(
            path,
            [Tensor.of(detail) for detail in inputs],
            [Tensor.of(detail) for detail in outputs],
        )
        self.objects = self.probabilities.shape[1]
        self._from, self._to = inputs[0]["index"], outputs[0]["index"]

    def placement(self) -> Placement | None:
        """Which operations XNNPACK took; None if the interpreter does not list them."""
        try:
            return tflite_model.placement(self._interpreter._get_ops_details())
        except (AttributeError, KeyError, TypeError):
            # The list is not part of LiteRT's public interface and may go.
            return None

    def close(self) -> None:
        """Frees the interpreter."""
        self._interpreter = None

    def _answer(self, photo: Pixels | Floats) -> Probabilities:
        self._interpreter.set_tensor(self._from, tflite_model.as_input(photo[None], self.image))
        self._interpreter.invoke()
        return tflite_model.as_probabilities(
            self._interpreter.get_tensor(self._to)[0], self.probabilities
        )


class LitertRuntime(Runtime):
    """Opens the TFLite variants of a bundle."""

    name = "litert"
    format = "tflite"

    def _open(self, bundle: Bundle, variant: Variant, threads: int) -> LitertSession:
        path = bundle.path(variant)
        session = LitertSession(path, threads=threads)
        tflite_model.check_contract(bundle, path, session.image, session.probabilities)
        return session


RUNTIMES = (LitertRuntime(),)


def open_litert(bundle: Bundle, variant_name: str, threads: int = 1) -> PhotoSession:
    """Opens a TFLite variant by its name.

    Raises:
        InputError: The bundle has no such variant, or it is not a TFLite file.
        DamagedError: The file cannot be opened, or does not fit the bundle's contract.
    """
    session = RUNTIMES[0].open(bundle, bundle.info.variant(variant_name), threads)
    assert isinstance(session, PhotoSession)
    return session


def open_interpreter(path: Path, threads: int) -> Any:
    """Opens a TFLite file with its tensors allocated.

    Raises:
        DamagedError: It cannot be opened.
        MissingDependencyError: `ai-edge-litert` is not installed.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise MissingDependencyError(
            "TFLite files need the package ai-edge-litert, which is not installed. "
            "Install it, or install artefact-id with its default dependencies."
        ) from None
    try:
        # The default resolver hands the graph to XNNPACK, as LiteRT does on a phone.
        with quiet():
            interpreter = Interpreter(model_path=str(path), num_threads=threads)
            for tensor in interpreter.get_input_details():
                if math.prod(map(int, tensor["shape"])) > 3 * MOST_PIXELS**2:
                    raise ValueError("its input is larger than that of any bundle")
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise DamagedError(
            f"{path} cannot be opened by LiteRT ({first_line(error)}). It is damaged: "
            "export the bundle again."
        ) from None
    return interpreter
