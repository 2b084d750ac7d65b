"""What a short list saves where thousands of objects are read in Python, one frame at a time.

`python -m benchmarks.studies.topk_latency BUNDLE` on a bundle exported with `--shortlist`. The whole list
is read in two ways: copied and then searched, and searched in the interpreter's own buffer. Frames
of all ways alternate, so that a busy machine slows them alike; what to quote are the ratios.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.runtimes.tflite_model import Tensor, as_input
from export.tflite.convert import interpreter
from mobile_assets.bundle import Bundle, read_bundle
from mobile_assets.errors import InputError
from mobile_assets.log_suppression import quiet
from mobile_assets.shortlist import top_objects


@dataclass(frozen=True)
class Cost:
    """What one way of reading costs.

    Attributes:
        way: What is done.
        out: Bytes that leave the model per frame.
        invoke_ms: Median time of executing the model, milliseconds.
        read_ms: Median time from its end to the best objects.
    """

    way: str
    out: int
    invoke_ms: float
    read_ms: float


def reading_costs(bundle: Bundle, *, frames: int) -> tuple[Cost, ...]:
    """Measures every way of reading.

    Args:
        bundle: With `tflite-float16` and a TFLite short list.
        frames: How often each is measured.

    Raises:
        InputError: One of the two files is not there.
    """
    short = next((one for one in bundle.info.companions if one.name == "tflite-shortlist"), None)
    if short is None:
        raise InputError("This bundle has no short list: export it with --shortlist K.")
    whole = bundle.path(bundle.info.variant("tflite-float16")).read_bytes()
    top = short.outputs[0].shape[-1]
    with quiet():
        full, few = (
            interpreter(whole, threads=1),
            interpreter(bundle.path(short).read_bytes(), threads=1),
        )
    index = full.get_output_details()[0]["index"]
    places = [one["index"] for one in few.get_output_details()]
    view = full.tensor(index)
    ways: dict[str, tuple[Any, int, Callable[[], Any]]] = {
        "whole, copied": (full, 4 * bundle.info.objects, lambda: _top(full.get_tensor(index), top)),
        "whole, in place": (full, 4 * bundle.info.objects, lambda: _top(view(), top)),
        "short list": (few, 8 * top, lambda: [few.get_tensor(place) for place in places]),
    }
    return _measured(ways, frames)


def _top(values: Any, top: int) -> Any:
    chosen = top_objects(values[0], top)
    return chosen, values[0][chosen]


def _measured(ways: dict[str, tuple[Any, int, Callable[[], Any]]], frames: int) -> tuple[Cost, ...]:
    generator = np.random.default_rng(0)
    times: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for _ in range(frames + 1):
        for way, (runner, _, read) in ways.items():
            entry = runner.get_input_details()[0]
            photo = generator.integers(0, 256, entry["shape"], dtype=np.uint8)
            runner.set_tensor(entry["index"], as_input(photo, Tensor.of(entry)))
            start = time.perf_counter()
            runner.invoke()
            ready = time.perf_counter()
            read()
            times[way].append((ready - start, time.perf_counter() - ready))
    return tuple(
        Cost(
            way,
            ways[way][1],
            1e3 * statistics.median(invoked for invoked, _ in found[1:]),
            1e3 * statistics.median(read for _, read in found[1:]),
        )
        for way, found in times.items()
    )


def main() -> None:
    """Prints what each way costs, and how often the first way's reading is the short list's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--frames", type=int, default=300)
    options = parser.parse_args()
    bundle = read_bundle(options.bundle)
    costs = reading_costs(bundle, frames=options.frames)
    print(f"{bundle.info.objects} objects, n = {options.frames} frames, medians")
    for cost in costs:
        print(
            f"{cost.way:16} {cost.out:8,} bytes  execute {cost.invoke_ms:.3f} ms  "
            f"read {cost.read_ms:.4f} ms  {cost.read_ms / costs[-1].read_ms:.1f} times the short "
            "list's"
        )


if __name__ == "__main__":
    main()
