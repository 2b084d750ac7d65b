"""An evaluation together with the answers and networks that its figures are drawn from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.evaluation.ensemble import Ensemble
from benchmarks.evaluation.inference import Network, Predictions
from benchmarks.evaluation.schema import Evaluation


@dataclass(frozen=True)
class Findings:
    """An evaluation with the answers behind it, for figures.

    Attributes:
        means: `[objects, features]` mean features of training photos.
    """

    evaluation: Evaluation
    ensemble: Ensemble
    networks: tuple[Network, ...]
    test: Predictions
    means: NDArray[np.float32]


Progress = Callable[[str, int, int], None]
