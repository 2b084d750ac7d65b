"""Running a TFLite file on photos, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_assets.log_suppression import quiet


def interpreter(content: bytes, *, preserve_all_tensors: bool = False, threads: int = 2) -> Any:
    """An interpreter of a TFLite file, ready to run."""
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(
        model_content=content,
        num_threads=threads,
        experimental_preserve_all_tensors=preserve_all_tensors,
    )
    runner.allocate_tensors()
    return runner


def run_one(runner: Any, photo: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The first output, such as probabilities `[objects]` float32, of one `[H, W, 3]` photo."""
    entry = runner.get_input_details()[0]
    runner.set_tensor(entry["index"], photo[None].astype(entry["dtype"]))
    runner.invoke()
    values: NDArray[np.float32] = runner.get_tensor(runner.get_output_details()[0]["index"])[0]
    return values


def run_tflite(
    content: bytes, photos: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Probabilities `[N, objects]` float32 of `[N, H, W, 3]` uint8 photos."""
    with quiet():
        runner = interpreter(content)
        return np.stack([run_one(runner, photo) for photo in photos])
