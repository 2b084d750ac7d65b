"""Small pictures for the report, inside the file."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from PIL import Image

from benchmarks.results.measurement import BenchmarkCase
from mobile_assets.photos import PhotoError, decode

THUMBNAIL = 112
"""Pixels of the longer side of an object's small picture."""

PHOTO = 224
"""Pixels of the longer side of a photo that is shown larger."""

_QUALITY = 72


@dataclass
class Thumbnails:
    """Makes pictures of one case as `data:` addresses, each once."""

    case: BenchmarkCase
    _made: dict[tuple[Path, int], str | None] = field(default_factory=dict)

    def photo(self, path: Path, size: int = PHOTO) -> str | None:
        """The photo, its longer side `size` pixels, as a `data:` address; None if unreadable."""
        key = (path, size)
        if key not in self._made:
            self._made[key] = encoded(path, size)
        return self._made[key]

    def object(self, index: int, size: int = THUMBNAIL) -> str | None:
        """A training photo of the object, what an officer compares with; None if there is none."""
        for path in self._training.get(self.case.run.labels[index].object_id, ()):
            picture = self.photo(path, size)
            if picture is not None:
                return picture
        return None

    @cached_property
    def _training(self) -> dict[str, list[Path]]:
        by_object: dict[str, list[Path]] = {}
        for photo in self.case.run.split.photos:
            if photo.split != "test":
                by_object.setdefault(photo.object_id, []).append(self.case.photos / photo.path)
        return by_object


def encoded(path: Path, size: int) -> str | None:
    """A photo, its longer side at most `size` pixels, as a data URI; None if it cannot be read."""
    try:
        picture = decode(path)
    except PhotoError:
        return None
    picture.thumbnail((size, size), Image.Resampling.LANCZOS)
    return data_address(picture, quality=_QUALITY)


def data_address(picture: Image.Image, *, quality: int) -> str:
    """A picture as a `data:` address of a WebP file."""
    stream = io.BytesIO()
    picture.save(stream, "WEBP", quality=quality, method=4)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
