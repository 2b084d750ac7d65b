"""Points of a photo that are found again in the candidates' reference pictures.

They order a shortlist and are shown as evidence; they neither make nor unmake a match, whose
threshold is one of embeddings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mobile_assets.identification.references import ReferencePicture, References
from mobile_assets.local_features import (
    CANDIDATES,
    LocalFeatures,
    Match,
    available,
    evidence,
    local_features,
    match,
)
from mobile_assets.photos import PhotoError, decode, takes_bounded_time

_AT_LEAST = 640
"""Twice the side at which features are found, so that a photo may be decoded at a reduced scale."""


@dataclass(frozen=True)
class MatchedPoints:
    """What a photo and a reference picture have in common.

    Attributes:
        photo: The photo that has the most points in common with the object.
        reference: The reference picture that it has them with.
        match: The points.
    """

    photo: Path
    reference: ReferencePicture
    match: Match

    @property
    def evidence(self) -> float:
        """What it adds to a score, for the order of a shortlist."""
        return evidence(self.match.inliers)


def matched_points(
    photos: Mapping[Path, NDArray[np.uint8]],
    object_ids: Sequence[str],
    references: References | None,
) -> dict[str, MatchedPoints]:
    """Compares photos of one object with the reference pictures of the best candidates.

    Args:
        photos: What the model saw of each photo, `[height, width, 3]`, for photos that may take
            for ever to be decoded again.
        object_ids: Of the candidates, the best first; only the first few are compared.
        references: The bundle's; None without any.

    Returns:
        By object id; nothing where OpenCV is not installed.

    Raises:
        DamagedError: A reference picture is damaged.
    """
    if references is None or not available():
        return {}
    features = {photo: local_features(_view(photo, pixels)) for photo, pixels in photos.items()}
    best: dict[str, MatchedPoints] = {}
    for object_id in object_ids[:CANDIDATES]:
        found = [
            MatchedPoints(photo, picture, match(ours, theirs))
            for picture, theirs in _features(object_id, references)
            for photo, ours in features.items()
        ]
        if found:
            best[object_id] = max(found, key=lambda points: points.match.inliers)
    return best


def _features(
    object_id: str, references: References
) -> list[tuple[ReferencePicture, LocalFeatures]]:
    pictures = references.by_object.get(object_id, ())
    return [(picture, local_features(references.pixels(picture))) for picture in pictures]


def _view(photo: Path, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    try:
        if takes_bounded_time(photo):
            return np.asarray(decode(photo, at_least=_AT_LEAST))
    except PhotoError:  # it has gone or was changed meanwhile
        pass
    return pixels
