"""Letting every member answer every photo, the ensemble vote, and how long each member takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmarks.evaluation.ensemble import Ensemble
from benchmarks.evaluation.schema import ENSEMBLE, Evaluation
from benchmarks.measure.evaluation_set import decode_chunks
from benchmarks.results.classification import KEEP, Answers, Indices, join_answers, reduce_answers
from benchmarks.results.measurement import Skipped, TestPhoto, object_indices
from mobile_assets.preprocessing import Preprocessing

if TYPE_CHECKING:
    from train.model import ArtefactModel

WARM_UP = 2
"""Rounds before the timed ones."""

Progress = Callable[[str, int, int], None]
Step = Callable[[int, int], None]


@dataclass(frozen=True)
class Network:
    """A member's network, loaded, with the contract that its photos are prepared by."""

    name: str
    model: ArtefactModel
    contract: Preprocessing

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of its input."""
        return self.contract.height, self.contract.width

    def answer(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Probabilities `[N, objects]` and features before the head `[N, features]`, float32.

        Args:
            pixels: `[N, H, W, 3]` uint8 RGB.
        """
        import torch

        images = torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2).float()
        with torch.inference_mode():
            features = self.model.features(images)
            logits = self.model.head(features) / self.model.temperature
        return logits.softmax(dim=1).numpy(), features.float().numpy()


@dataclass(frozen=True)
class Predictions:
    """All answers to photos, by member's name and, of several, the ensemble's; the others with why.

    `features` is `[photos, features]` float32, the lead member's features before its head.
    """

    photos: tuple[TestPhoto, ...]
    unreadable: tuple[Skipped, ...]
    answers: Mapping[str, Answers]
    features: NDArray[np.float32]

    @property
    def truth(self) -> Indices:
        """`[photos]` class indices of the right objects."""
        return object_indices(self.photos)

    @property
    def seen(self) -> NDArray[np.bool_]:
        """`[photos]` whether the object has a training photo."""
        return np.array([photo.seen for photo in self.photos], dtype=np.bool_)

    def select(self, photos: NDArray[np.bool_]) -> Predictions:
        """The answers to some of the photos."""
        return Predictions(
            tuple(self.photos[position] for position in np.flatnonzero(photos)),
            self.unreadable,
            {name: answers.select(photos) for name, answers in self.answers.items()},
            self.features[photos],
        )


@dataclass(frozen=True)
class Findings:
    """An evaluation with the answers and networks that its figures are drawn from.

    Attributes:
        means: `[objects, features]` mean features of training photos.
    """

    evaluation: Evaluation
    ensemble: Ensemble
    networks: tuple[Network, ...]
    test: Predictions
    means: NDArray[np.float32]


def answer_photos(
    networks: Sequence[Network],
    photos: Sequence[TestPhoto],
    *,
    objects: int,
    lead: int,
    root: Path | None = None,
    progress: Step | None = None,
) -> Predictions:
    """Lets all networks answer; more than one also vote by the mean of their probabilities.

    Of each photo the best objects are kept, so that memory does not grow with photos times objects,
    and the features of the network at position `lead`. Photos below `root`, the register's, may
    come from training's cache.
    """
    nothing = reduce_answers(np.zeros((0, objects), np.float32), np.zeros(0, np.int64), keep=KEEP)
    names = [*(network.name for network in networks), *[ENSEMBLE] * (len(networks) > 1)]
    parts: dict[str, list[Answers]] = {name: [nothing] for name in names}
    features: list[NDArray[np.float32]] = []
    readable: list[TestPhoto] = []
    contracts = {network.size: network.contract for network in networks}
    unreadable: dict[tuple[int, int], list[Skipped]] = {size: [] for size in contracts}
    # A photo that cannot be decoded for one contract cannot for another: the chunks are the same.
    streams = [
        decode_chunks(photos, contract, unreadable[size], root=root)
        for size, contract in contracts.items()
    ]
    for chunks in zip(*streams, strict=True):
        pixels = dict(zip(contracts, (pixels for _, pixels in chunks), strict=True))
        results = [network.answer(pixels[network.size]) for network in networks]
        features.append(results[lead][1])
        votes = [probabilities for probabilities, _ in results]
        if len(networks) > 1:
            votes.append(np.stack(votes).mean(axis=0, dtype=np.float64).astype(np.float32))
        truth = object_indices(chunks[0][0])
        for name, probabilities in zip(names, votes, strict=True):
            parts[name].append(reduce_answers(probabilities, truth, keep=KEEP))
        readable += chunks[0][0]
        if progress is not None:
            progress(len(readable) + len(unreadable[networks[0].size]), len(photos))
    return Predictions(
        tuple(readable),
        tuple(unreadable[networks[0].size]),
        {name: join_answers(answers) for name, answers in parts.items()},
        np.concatenate(features) if features else np.zeros((0, 1), np.float32),
    )


def measure_latency(networks: Sequence[Network], *, runs: int, seed: int) -> dict[str, float]:
    """Median milliseconds of one photo in torch, from pixels to probabilities, by member's name.

    The members take turns, so that what else the machine does hits all alike; threads are torch's.
    They answer noise, for which a network takes as long as for a photo. No runs, no times.
    """
    generator = np.random.default_rng(seed)
    pixels = {n.size: generator.integers(0, 256, (1, *n.size, 3), dtype=np.uint8) for n in networks}
    times: dict[str, list[float]] = {network.name: [] for network in networks if runs}
    for round_ in range(WARM_UP + runs if runs else 0):
        for network in networks:
            started = time.perf_counter()
            network.answer(pixels[network.size])
            if round_ >= WARM_UP:
                times[network.name].append(1000 * (time.perf_counter() - started))
    return {name: statistics.median(own) for name, own in times.items()}
