"""TFLite files on LiteRT's CompiledModel, the interface that new Android apps are told to use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.runtimes import tflite_model
from benchmarks.runtimes.interface import Floats, PhotoSession, Pixels, Probabilities, check_format
from benchmarks.runtimes.tflite_model import Tensor
from mobile_assets.bundle import Bundle, Variant
from mobile_assets.errors import DamagedError, MissingDependencyError, first_line
from mobile_assets.log_suppression import quiet


class CompiledModelSession(PhotoSession):
    """One TFLite file compiled for the processor; freed on closing."""

    def __init__(self, path: Path) -> None:
        """Compiles the file for one thread and checks that its tensors are of the contract.

        Raises:
            DamagedError: It cannot be compiled, or has other tensors than one photo and one list.
            MissingDependencyError: The installed LiteRT has no CompiledModel.
        """
        self._model: Any = _compiled(path)
        inputs = self._model.get_input_tensor_details(self._signature)
        outputs = self._model.get_output_tensor_details(self._signature)
        self.image, self.probabilities = tflite_model.check_tensors(
            path,
            [_tensor(detail) for detail in inputs.values()],
            [_tensor(detail) for detail in outputs.values()],
        )
        self.objects = self.probabilities.shape[1]
        # Made once and used for every photo, as an app does.
        self._from = self._model.create_input_buffers(0)
        self._to = self._model.create_output_buffers(0)

    @property
    def _signature(self) -> str:
        return str(next(iter(self._model.get_signature_list())))

    def close(self) -> None:
        """Frees the model."""
        with quiet():  # LiteRT tells of every accelerator that it lets go
            self._from = self._to = []
            self._model = None

    def _answer(self, photo: Pixels | Floats) -> Probabilities:
        self._from[0].write(np.ascontiguousarray(tflite_model.as_input(photo[None], self.image)))
        self._model.run_by_index(0, self._from, self._to)
        values = self._to[0].read(self.objects, np.dtype(self.probabilities.dtype))
        return tflite_model.as_probabilities(np.asarray(values).reshape(-1), self.probabilities)


def open_compiled(bundle: Bundle, variant: Variant) -> CompiledModelSession:
    """Compiles a TFLite variant of a bundle.

    Raises:
        InputError: The variant is not a TFLite file.
        DamagedError: It cannot be compiled, or does not fit the bundle's contract.
        MissingDependencyError: The installed LiteRT has no CompiledModel.
    """
    check_format(variant, "tflite", "LiteRT")
    path = bundle.path(variant)
    session = CompiledModelSession(path)
    tflite_model.check_contract(bundle, path, session.image, session.probabilities)
    return session


def _compiled(path: Path) -> Any:
    try:
        from ai_edge_litert.compiled_model import CompiledModel
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise MissingDependencyError(
            "The installed ai-edge-litert has no CompiledModel. Install the pinned release: "
            "pip install artefact-id"
        ) from None
    try:
        with quiet():
            # The interpreter checks the FlatBuffer; CompiledModel reads a cut file beyond its end.
            Interpreter(model_path=str(path))
            return CompiledModel.from_file(str(path))
    except (ValueError, RuntimeError) as error:
        raise DamagedError(
            f"{path} cannot be compiled by LiteRT ({first_line(error)}). "
            "It is damaged: export the bundle again."
        ) from None


def _tensor(detail: dict[str, Any]) -> Tensor:
    return Tensor.of({"quantization": (0.0, 0)} | detail)
