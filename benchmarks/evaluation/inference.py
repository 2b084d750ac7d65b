"""Letting every member answer every photo, decoded once, and the ensemble vote."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmarks.evaluation.schema import ENSEMBLE
from benchmarks.results.classification import Answers, Indices, join_answers, reduce_answers, select
from benchmarks.results.measurement import Skipped, TestPhoto, object_indices
from mobile_assets.photos import PhotoError, decode
from mobile_assets.preprocessing import Preprocessing, resize

if TYPE_CHECKING:
    from train.model import ArtefactModel

KEEP = 10
"""How many of the best objects are remembered of each photo."""

CHUNK = 32
"""Photos decoded and answered at a time."""

Pixels = NDArray[np.uint8]
Size = tuple[int, int]
Step = Callable[[int, int], None]


@dataclass(frozen=True)
class Network:
    """A member's network, loaded, with the contract that its photos are prepared by."""

    name: str
    model: ArtefactModel
    contract: Preprocessing

    @property
    def size(self) -> Size:
        """Height and width of its input."""
        return self.contract.height, self.contract.width

    def answer(self, pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Probabilities `[N, objects]` and features before the head `[N, features]`, float32.

        Args:
            pixels: `[N, H, W, 3]` uint8 RGB.
        """
        import torch

        kept: list[torch.Tensor] = []
        hook = self.model.head.register_forward_pre_hook(lambda _, given: kept.append(given[0]))
        images = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float()
        try:
            with torch.inference_mode():
                probabilities = self.model(images).softmax(dim=1)
        finally:
            hook.remove()
        return probabilities.numpy(), kept[0].float().numpy()


@dataclass(frozen=True)
class Predictions:
    """All answers to a list of photos.

    Attributes:
        unreadable: The others, with the reason.
        answers: By member's name; of more than one member also the ensemble's.
        own: By the same names, `[photos]` float32, probability of the right object.
        features: `[photos, features]` float32, the lead member's features before its head.
    """

    photos: tuple[TestPhoto, ...]
    unreadable: tuple[Skipped, ...]
    answers: Mapping[str, Answers]
    own: Mapping[str, NDArray[np.float32]]
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
            tuple(p for p, chosen in zip(self.photos, photos, strict=True) if chosen),
            self.unreadable,
            {name: select(answers, photos) for name, answers in self.answers.items()},
            {name: own[photos] for name, own in self.own.items()},
            self.features[photos],
        )


def answer_photos(
    networks: Sequence[Network],
    photos: Sequence[TestPhoto],
    *,
    objects: int,
    lead: int,
    progress: Step | None = None,
) -> Predictions:
    """Lets all networks answer; more than one also vote by the mean of their probabilities.

    A photo is decoded once, and squashed once for each input size among the networks. Memory does
    not grow with photos times objects: of each photo the best objects are kept.
    """
    names = [network.name for network in networks]
    names += [ENSEMBLE] if len(networks) > 1 else []
    parts: dict[str, list[Answers]] = {name: [_no_answers(objects)] for name in names}
    own: dict[str, list[NDArray[np.float32]]] = {name: [] for name in names}
    features: list[NDArray[np.float32]] = []
    kept: list[TestPhoto] = []
    unreadable: list[Skipped] = []
    contracts = {network.size: network.contract for network in networks}
    for good, pixels in _chunks(photos, contracts, unreadable):
        kept += good
        truth = object_indices(good)
        total = np.zeros((len(good), objects), dtype=np.float64)
        for position, network in enumerate(networks):
            probabilities, hidden = network.answer(pixels[network.size])
            total += probabilities
            _keep(parts, own, network.name, probabilities, truth)
            if position == lead:
                features.append(hidden)
        if len(networks) > 1:
            _keep(parts, own, ENSEMBLE, (total / len(networks)).astype(np.float32), truth)
        if progress is not None:
            progress(len(kept) + len(unreadable), len(photos))
    none = np.zeros(0, np.float32)
    return Predictions(
        tuple(kept),
        tuple(unreadable),
        {name: join_answers(part) for name, part in parts.items()},
        {name: np.concatenate([none, *part]) for name, part in own.items()},
        np.concatenate(features) if features else np.zeros((0, 1), np.float32),
    )


def _no_answers(objects: int) -> Answers:
    none = np.zeros((0, objects), np.float32)
    return reduce_answers(none, np.zeros(0, np.int64), keep=KEEP)


def _keep(
    parts: dict[str, list[Answers]],
    own: dict[str, list[NDArray[np.float32]]],
    name: str,
    probabilities: NDArray[np.float32],
    truth: Indices,
) -> None:
    parts[name].append(reduce_answers(probabilities, truth, keep=KEEP))
    own[name].append(np.nan_to_num(probabilities[np.arange(len(truth)), truth]))


def _chunks(
    photos: Sequence[TestPhoto], contracts: Mapping[Size, Preprocessing], unreadable: list[Skipped]
) -> Iterator[tuple[list[TestPhoto], dict[Size, Pixels]]]:
    """Decodes a chunk while the one before it is used; unreadable photos are listed."""
    chunks = [photos[start : start + CHUNK] for start in range(0, len(photos), CHUNK)]
    # Pillow releases the interpreter's lock while it decodes and resizes.
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        waiting = [pool.submit(_load, photo, contracts) for photo in chunks[0]] if chunks else []
        for number, chunk in enumerate(chunks):
            done = [future.result() for future in waiting]
            following = chunks[number + 1] if number + 1 < len(chunks) else ()
            waiting = [pool.submit(_load, photo, contracts) for photo in following]
            good: list[TestPhoto] = []
            pixels: dict[Size, list[Pixels]] = {size: [] for size in contracts}
            for photo, result in zip(chunk, done, strict=True):
                if isinstance(result, PhotoError):
                    unreadable.append(Skipped(str(photo.path), result.reason))
                    continue
                good.append(photo)
                for size, one in result.items():
                    pixels[size].append(one)
            if good:
                yield good, {size: np.stack(ones) for size, ones in pixels.items()}


def _load(
    photo: TestPhoto, contracts: Mapping[Size, Preprocessing]
) -> dict[Size, Pixels] | PhotoError:
    try:
        upright = decode(photo.path)
    except PhotoError as error:
        return error
    return {size: resize(upright, contract) for size, contract in contracts.items()}
