"""The reference pictures of a bundle: a few small ones per object, to compare with by eye.

`references/references.json` says which picture shows which object; the pictures are WebP files
beside it, upright, in sRGB, with nothing in them but their pixels. They are also what local
features are matched against.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from mobile_assets.bundle import Bundle
from mobile_assets.bundle_contents import MOST_VALUES, BundleContents
from mobile_assets.errors import DamagedError
from mobile_assets.schema import Document, Record

REFERENCES_FOLDER = "references"
REFERENCES_FILE = f"{REFERENCES_FOLDER}/references.json"

MOST_SIDE = 1024
"""No reference picture is larger on a side."""


class ReferencePicture(Record):
    """One picture of one object.

    Attributes:
        file: Its name in the folder `references`.
        object_id: What it shows.
        photo_sha256: SHA-256 of the photo that it was made of.
        width: In pixels.
        height: In pixels.
    """

    file: str = Field(pattern=r"^[0-9a-f]{16,64}\.webp$")
    object_id: str = Field(min_length=1)
    photo_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    width: int = Field(gt=0, le=MOST_SIDE)
    height: int = Field(gt=0, le=MOST_SIDE)


class ReferencesInfo(Document):
    """The content of `references/references.json`.

    Attributes:
        size: The longer side of a picture in pixels, at most.
        pictures: By object in the order of the labels; the first of an object is the most typical.
    """

    size: int = Field(gt=0, le=MOST_SIDE)
    pictures: tuple[ReferencePicture, ...]


@dataclass(frozen=True)
class References:
    """The reference pictures of a bundle; each is read when it is asked for."""

    info: ReferencesInfo
    contents: BundleContents

    @cached_property
    def by_object(self) -> dict[str, tuple[ReferencePicture, ...]]:
        """The pictures of each object that has any, by object id."""
        pictures: dict[str, list[ReferencePicture]] = {}
        for picture in self.info.pictures:
            pictures.setdefault(picture.object_id, []).append(picture)
        return {object_id: tuple(listed) for object_id, listed in pictures.items()}

    def content(self, picture: ReferencePicture) -> bytes:
        """The WebP file of a picture.

        Raises:
            DamagedError: It is missing or changed.
        """
        return self.contents.read(f"{REFERENCES_FOLDER}/{picture.file}")

    def pixels(self, picture: ReferencePicture) -> NDArray[np.uint8]:
        """A picture's pixels, `[height, width, 3]` uint8 RGB.

        Raises:
            DamagedError: It is missing, changed, or no picture of the size that is stated.
        """
        path = self.contents.folder / REFERENCES_FOLDER / picture.file
        try:
            with Image.open(io.BytesIO(self.content(picture)), formats=("WEBP",)) as opened:
                # Looked at before it is decoded: a small file can hold a huge picture.
                fits = opened.size == (picture.width, picture.height)
                pixels = np.asarray(opened.convert("RGB")) if fits else None
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise DamagedError(
                f"{path} cannot be read ({error}): export the bundle again."
            ) from None
        if pixels is None:
            raise DamagedError(
                f"{path} is not of {picture.width} × {picture.height} pixels: export the bundle "
                "again."
            )
        return pixels


def read_references(bundle: Bundle) -> References | None:
    """The reference pictures of a bundle; None if it has none.

    Raises:
        DamagedError: The list is changed or damaged, or names an object that the bundle lacks.
    """
    contents = bundle.contents or BundleContents(bundle.folder, {})
    if REFERENCES_FILE not in contents:
        return None
    path = bundle.folder / REFERENCES_FILE
    info = ReferencesInfo.parse(contents.read(REFERENCES_FILE), path, most_values=MOST_VALUES)
    for picture in info.pictures:
        if picture.object_id not in bundle.labels.index_of:
            raise DamagedError(
                f"{path} has a picture of {picture.object_id!r}, which is no object of the bundle. "
                "It is damaged: export the bundle again."
            )
    return References(info, contents)
