"""The reference: the run's full-precision weights in torch, on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.results.schema import REFERENCE_RUNTIME
from benchmarks.runtimes.interface import Floats, Pixels, Probabilities, Session

if TYPE_CHECKING:
    from train.run import Run


class TorchSession(Session):
    """The run's network in evaluation mode, softmax added, float32 throughout."""

    name = REFERENCE_RUNTIME

    def __init__(self, run: Run) -> None:
        """Loads the weights.

        Raises:
            DamagedError: They do not fit the network that `run.json` describes.
        """
        from train.run import load_model

        self._model = load_model(run)

    def predict(self, batch: Pixels | Floats) -> Probabilities:
        """`[N, H, W, 3]` RGB 0–255, uint8 or float32 → `[N, objects]` float32 probabilities.

        Floats go to the network as they are, whatever their range: what an app hands over.
        """
        import torch

        images = torch.from_numpy(np.ascontiguousarray(batch)).permute(0, 3, 1, 2).float()
        with torch.inference_mode():
            probabilities: Probabilities = self._model(images).softmax(dim=1).numpy()
        return probabilities

    def close(self) -> None:
        """Frees the network."""
        del self._model


def open_reference(run: Run, *, threads: int | None = None) -> TorchSession:
    """Opens the run's own model, from which every variant was made."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    return TorchSession(run)
