"""Photos of a register with their embeddings, as one model or several give them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mobile_assets.photos import PhotoError
from train.photo_pixels import PhotoPixels

Embed = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Rows of length 1, `[N, D]`, of photos `[N, H, W, 3]`."""

Entry = TypeVar("Entry")

_BATCH = 32


@dataclass(frozen=True)
class ObjectPhoto:
    """A photo on disk.

    Attributes:
        file: Where it lies.
        sha256: Of its content.
        object_id: What it shows.
    """

    file: Path
    sha256: str
    object_id: str


@dataclass(frozen=True, eq=False)
class EmbeddedPhotos:
    """Those photos that could be decoded.

    Attributes:
        rows: By model, `[photos, D]` float32 of length 1.
    """

    photos: tuple[ObjectPhoto, ...]
    rows: dict[str, NDArray[np.float32]]

    @cached_property
    def places(self) -> dict[str, list[int]]:
        """Positions of each object's photos, by object id."""
        places: dict[str, list[int]] = {}
        for place, photo in enumerate(self.photos):
            places.setdefault(photo.object_id, []).append(place)
        return places


def spread(entries: Sequence[Entry], most: int) -> list[Entry]:
    """At most so many of the entries, evenly spread."""
    places = np.linspace(0, len(entries) - 1, min(most, len(entries))).round()
    return [entries[int(place)] for place in places]


def embed_photos(
    photos: Sequence[ObjectPhoto], models: Mapping[str, Embed], pixels: PhotoPixels
) -> EmbeddedPhotos:
    """Decodes each photo once and has every model embed it.

    Args:
        photos: Those that cannot be decoded are left out.
        models: By name.
        pixels: Reads and keeps the decoded photos.
    """
    readable: list[ObjectPhoto] = []
    rows: dict[str, list[NDArray[np.float32]]] = {name: [] for name in models}
    for batch in _batches(_decoded(photos, pixels)):
        readable += [photo for photo, _ in batch]
        stacked = np.stack([values for _, values in batch])
        for name, embed in models.items():
            rows[name].append(embed(stacked))
    return EmbeddedPhotos(
        tuple(readable),
        {
            name: np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)
            for name, parts in rows.items()
        },
    )


def _decoded(
    photos: Sequence[ObjectPhoto], pixels: PhotoPixels
) -> Iterator[tuple[ObjectPhoto, NDArray[np.uint8]]]:
    decoded = pixels.read((photo.file, photo.sha256) for photo in photos)
    for photo, values in zip(photos, decoded, strict=True):
        if not isinstance(values, PhotoError):
            yield photo, values


def _batches(
    decoded: Iterator[tuple[ObjectPhoto, NDArray[np.uint8]]],
) -> Iterator[list[tuple[ObjectPhoto, NDArray[np.uint8]]]]:
    while batch := list(islice(decoded, _BATCH)):
        yield batch
