"""Choosing and writing the reference pictures of a bundle."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from export.bundle.embedded_photos import ObjectPhoto
from mobile_assets.files import write_bytes
from mobile_assets.identification.references import (
    REFERENCES_FILE,
    REFERENCES_FOLDER,
    ReferencePicture,
    ReferencesInfo,
)
from mobile_assets.photos import PhotoError, decode

_QUALITY = 80
_NAME_DIGITS = 24
"""Of the photo's SHA-256, the name of its picture: 96 bits, no two photos alike."""


def differing_rows(rows: NDArray[np.floating[Any]], count: int) -> list[int]:
    """Which of an object's photos show most of it, the most typical first.

    The first is the nearest to their mean; every further one is that which is least like those
    chosen before.

    Args:
        rows: `[photos, dimensions]` embeddings of one object's photos.
        count: How many are wanted at most.
    """
    if not len(rows) or count < 1:
        return []
    chosen = [int((rows @ rows.mean(axis=0)).argmax())]
    while len(chosen) < min(count, len(rows)):
        likeness = (rows @ rows[chosen].T).max(axis=1)
        likeness[chosen] = np.inf
        chosen.append(int(likeness.argmin()))
    return chosen


def picture_of(photo: ObjectPhoto, size: int) -> tuple[ReferencePicture, bytes] | None:
    """A photo's reference picture and its WebP file; None if the photo cannot be decoded.

    Args:
        size: The longer side of the picture in pixels, at most.
    """
    try:
        picture = decode(photo.file, at_least=size)
    except PhotoError:
        return None
    picture.thumbnail((size, size), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    # Of the array: what the file told beside its pixels stays behind.
    Image.fromarray(np.asarray(picture)).save(stream, "WEBP", quality=_QUALITY, method=4)
    width, height = picture.size
    record = ReferencePicture(
        file=f"{photo.sha256[:_NAME_DIGITS]}.webp",
        object_id=photo.object_id,
        photo_sha256=photo.sha256,
        width=width,
        height=height,
    )
    return record, stream.getvalue()


def write_references(
    folder: Path,
    pictures: Iterable[tuple[ReferencePicture, bytes]],
    *,
    size: int,
    order: Mapping[str, int],
) -> None:
    """Writes pictures and their list into a bundle.

    Args:
        folder: The bundle's folder.
        pictures: Of one object the most typical first.
        size: The longer side of a picture in pixels, at most.
        order: Class index by object id.
    """
    listed = []
    for record, content in pictures:
        write_bytes(folder / REFERENCES_FOLDER / record.file, content)
        listed.append(record)
    listed.sort(key=lambda record: order[record.object_id])
    ReferencesInfo(size=size, pictures=tuple(listed)).write(folder / REFERENCES_FILE)
