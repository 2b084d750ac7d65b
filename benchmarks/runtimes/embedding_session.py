"""Executes the embedding model of a bundle, kept open from photo to photo."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.runtimes.interface import Pixels
from benchmarks.runtimes.litert_runtime import open_interpreter
from mobile_assets.bundle import Bundle
from mobile_assets.errors import DamagedError, InputError


class EmbeddingSession:
    """A TFLite embedding model opened by LiteRT's interpreter, one photo at a time."""

    def __init__(self, bundle: Bundle, name: str, *, threads: int = 1) -> None:
        """Opens the model of a bundle by its name.

        Raises:
            InputError: The bundle has no such TFLite embedding model.
            DamagedError: It cannot be opened, or does not fit what the bundle says of it.
        """
        models = {
            model.name: model
            for model in bundle.info.companions
            if (model.kind, model.format) == ("embedding", "tflite")
        }
        if name not in models:
            raise InputError(
                f"{bundle.folder} has no TFLite embedding model {name!r}. "
                f"It has: {', '.join(models) or 'none'}. Export one with --embedding."
            )
        model = models[name]
        path = bundle.path(model)
        self.sha256 = model.sha256
        self._interpreter: Any = open_interpreter(path, threads)
        inputs = self._interpreter.get_input_details()[0]
        outputs = self._interpreter.get_output_details()[0]
        self._from, self._to = inputs["index"], outputs["index"]
        self._dtype = inputs["dtype"]
        expected = (tuple(model.inputs[0].shape), tuple(model.outputs[0].shape))
        if (tuple(map(int, inputs["shape"])), tuple(map(int, outputs["shape"]))) != expected:
            raise DamagedError(
                f"{path} has other tensors than bundle.json says. Export the bundle again."
            )

    def embed(self, photos: Pixels) -> NDArray[np.float32]:
        """Embeddings `[N, dimensions]` float32 of length 1, of photos `[N, H, W, 3]` uint8."""
        rows = []
        for photo in photos:
            image = photo[None].astype(self._dtype, copy=False)
            self._interpreter.set_tensor(self._from, image)
            self._interpreter.invoke()
            rows.append(np.asarray(self._interpreter.get_tensor(self._to)[0], dtype=np.float32))
        return np.stack(rows)
