"""How long each member takes for one photo, in turns, in torch on the CPU."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import numpy as np

from benchmarks.evaluation.inference import Network

WARM_UP = 2
"""Rounds before the timed ones."""


def measure_latency(networks: Sequence[Network], *, runs: int, seed: int) -> dict[str, float]:
    """Median milliseconds of one photo, from pixels to probabilities.

    The members take turns, so that what else the machine does hits all alike. The number of
    threads is torch's own, `torch.get_num_threads()`.

    Args:
        networks: The members.
        runs: Timed rounds; 0 to measure nothing.
        seed: Seed of the noise that is answered: a network takes as long for it as for a photo.

    Returns:
        By member's name.
    """
    if runs == 0:
        return {}
    generator = np.random.default_rng(seed)
    pixels = {n.size: generator.integers(0, 256, (1, *n.size, 3), dtype=np.uint8) for n in networks}
    times: dict[str, list[float]] = {network.name: [] for network in networks}
    for round_ in range(WARM_UP + runs):
        for network in networks:
            started = time.perf_counter()
            network.answer(pixels[network.size])
            if round_ >= WARM_UP:
                times[network.name].append(1000 * (time.perf_counter() - started))
    return {name: statistics.median(own) for name, own in times.items()}
