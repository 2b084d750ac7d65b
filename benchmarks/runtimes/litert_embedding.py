"""The TFLite file of an embedding on LiteRT, one photo at a time as on the phone."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from benchmarks.runtimes import tflite_model
from benchmarks.runtimes.interface import Floats, Pixels
from benchmarks.runtimes.litert_runtime import open_interpreter
from benchmarks.runtimes.tflite_model import Tensor
from mobile_assets.bundle import AuxiliaryModel, Bundle
from mobile_assets.errors import DamagedError

_LENGTH_TOLERANCE = 1e-2


class LitertEmbedding:
    """Embeds photos; needs a bundle only."""

    def __init__(self, bundle: Bundle, model: AuxiliaryModel, *, threads: int = 1) -> None:
        """Opens the file.

        Raises:
            DamagedError: It cannot be opened, or does not map one photo of the bundle's contract
                to one row.
            MissingDependencyError: `ai-edge-litert` is not installed.
        """
        self._path = bundle.path(model)
        self._interpreter: Any = open_interpreter(self._path, threads)
        inputs = self._interpreter.get_input_details()
        outputs = self._interpreter.get_output_details()
        self._image, row = tflite_model.check_tensors(
            self._path,
            [Tensor.of(detail) for detail in inputs],
            [Tensor.of(detail) for detail in outputs],
        )
        contract = bundle.info.preprocessing
        fits = self._image.shape == (1, contract.height, contract.width, 3)
        if not fits or row.dtype != "float32":
            raise DamagedError(
                f"{self._path} maps {self._image.shape} to {row.shape} {row.dtype}, which is not "
                "the bundle's embedding: export the bundle again."
            )
        self.dimensions = row.shape[1]
        self._from, self._to = inputs[0]["index"], outputs[0]["index"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._interpreter = None

    def embed(self, photo: Pixels) -> Floats:
        """The row of one photo `[height, width, 3]` uint8: `[dimensions]` float32 of length 1.

        Raises:
            DamagedError: The file gives no such row.
        """
        self._interpreter.set_tensor(self._from, tflite_model.as_input(photo[None], self._image))
        self._interpreter.invoke()
        row = np.array(self._interpreter.get_tensor(self._to)[0], dtype=np.float32)
        if not abs(float(np.linalg.norm(row)) - 1) <= _LENGTH_TOLERANCE:  # false for NaN
            raise DamagedError(
                f"{self._path} gives a row that is not of length 1. It is damaged: export the "
                "bundle again."
            )
        return row
