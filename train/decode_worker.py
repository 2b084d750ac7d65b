"""What a decoding process does: one photo at a time, from a request to a fact sheet with pixels.

Run by `train.decode_pool` as a process of its own, so that a photo that brings its decoder down
(a defect in a C library, no memory left) costs one photo and not the training.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobile_assets.files import sha256_file
from mobile_assets.photos import REDUCED_AT_LEAST, PhotoError, read_photo
from mobile_assets.schema import Record
from train.heic import register_heif
from train.near_duplicates import perceptual_hash

MEMORY_LIMIT = 1_500_000_000
"""Bytes of data that a decoding process may have."""


class Request(Record):
    """Which photo, and how many pixels of it are wanted.

    Attributes:
        height: Height to squash to, pixels.
        width: Width to squash to, pixels.
        pixels: False where only the facts are wanted.
        exact: Whether every pixel is decoded, as `mobile_assets.photos.load` does it.
        hashes: False where the hashes of file and picture are not wanted.
    """

    file: str
    height: int
    width: int
    pixels: bool
    exact: bool = False
    hashes: bool = True


class PhotoFacts(Record):
    """What decoding found out about a photo.

    Attributes:
        picture_hash: `train.near_duplicates.perceptual_hash` in hexadecimal.
        size: Width and height of the file's picture, pixels, before it is turned upright.
        turned: Whether the picture does not stand upright in the file, by its own word.
        exact: Whether every pixel was decoded: the result is that of `mobile_assets.photos.load`.
        error: Why the photo cannot be read; all else is empty then.
    """

    sha256: str = ""
    picture_hash: str = "0"
    size: tuple[int, int] = (0, 0)
    mode: str = ""
    format: str = ""
    turned: bool = False
    exact: bool = False
    error: str | None = None


def examine(request: Request) -> tuple[PhotoFacts, NDArray[np.uint8] | None]:
    """Decodes one photo.

    Returns:
        The facts, and `[height, width, 3]` uint8 RGB pixels where they are wanted.
    """
    path = Path(request.file)
    # The hash looks at 64 pixels a side, however few the model asks for.
    at_least = REDUCED_AT_LEAST * max(request.height, request.width, 64)
    try:
        photo = read_photo(path, at_least=None if request.exact else at_least)
        shape = (request.width, request.height)
        pixels = np.asarray(photo.image.resize(shape, Image.Resampling.BILINEAR), dtype=np.uint8)
        facts = PhotoFacts(
            sha256=sha256_file(path) if request.hashes else "",
            picture_hash=f"{perceptual_hash(pixels):x}" if request.hashes else "0",
            size=photo.size,
            mode=photo.mode,
            format=photo.format,
            turned=photo.turned,
            exact=photo.exact,
        )
    except PhotoError as error:
        return PhotoFacts(error=error.reason), None
    except OSError as error:
        return PhotoFacts(error=f"cannot be read ({error.strerror or error})"), None
    except MemoryError:
        return PhotoFacts(error="decoding it takes more memory than there is"), None
    return facts, pixels if request.pixels else None


def serve() -> None:
    """Answers requests from standard input until it ends: a line of JSON each, then pixels."""
    limit_memory()
    register_heif()
    answers = os.fdopen(os.dup(1), "wb")
    # What C libraries print about a photo must not get between the answers.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    _answer(answers, PhotoFacts(), None)
    os.dup2(nowhere, 2)
    with contextlib.suppress(BrokenPipeError):
        for line in sys.stdin.buffer:
            _answer(answers, *examine(Request.model_validate(json.loads(line))))


def limit_memory() -> None:
    """Lets no photo take more than `MEMORY_LIMIT`, where the system can; it is then refused.

    `mobile_assets.photo_decoding.limits` keeps to this by itself. This holds for what nobody
    thought of.
    """
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource  # not on Windows

        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_LIMIT, most))


def _answer(answers: BinaryIO, facts: PhotoFacts, pixels: NDArray[np.uint8] | None) -> None:
    data = b"" if pixels is None else pixels.tobytes()
    answers.write(f"{len(data)} {json.dumps(facts.model_dump())}\n".encode("ascii"))
    answers.write(data)
    answers.flush()
