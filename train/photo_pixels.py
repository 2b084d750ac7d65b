"""Pixels of photos exactly as a phone makes them, decoded once and kept between commands.

Training may read JPEGs at a reduced scale (`train.prepare`). Calibration, decision thresholds and
accuracy are measured on the contract to the letter, `mobile_assets.photos.load`: of these photos
`CACHE/exact-<width>x<height>-<decoder>/<sha256>.rgb` holds the pixels, by the hash of the photo's
file. What training decoded in full is taken from its own cache.
"""

from __future__ import annotations

import shutil
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mobile_assets.files import sha256_bytes, write_bytes
from mobile_assets.photos import PhotoError
from mobile_assets.preprocessing import Preprocessing
from train.decode_pool import DecoderPool
from train.photo_cache import PhotoCache
from train.pixel_file import PixelFile
from train.prepare import cache_folder, decoder_versions, default_cache

AHEAD = 64
"""Photos that are decoded ahead of the one that is used: about 10 MB of pixels at 224 × 224."""

Decoded = NDArray[np.uint8] | PhotoError


class PhotoPixels:
    """Gives the pixels of photos under one preprocessing contract.

    A cache that cannot be written or is full costs time and nothing else: its photos are decoded
    again.
    """

    def __init__(
        self, contract: Preprocessing, *, root: Path | None = None, cache: Path | None = None
    ) -> None:
        """`root` is the register's, whose photos training may have decoded already."""
        self._contract = contract
        self._shape = (contract.height, contract.width, 3)
        cache = cache or default_cache()
        decoder = decoder_versions()
        prefix = f"exact-{contract.width}x{contract.height}-"
        self._folder = cache / (prefix + sha256_bytes(decoder.encode("utf-8"))[:16])
        self._superseded = prefix + "*"
        self._writable = True
        self._file: PixelFile | None = None
        self._rows: dict[str, int] = {}
        if root is not None:
            prepared = PhotoCache(cache_folder(root, contract, cache), decoder)
            self._file, self._rows = prepared.exact_rows()

    def read(self, photos: Iterable[tuple[Path, str]]) -> Iterator[Decoded]:
        """Decodes what is not in the cache, in threads, `AHEAD` photos at most before their use.

        Args:
            photos: File and SHA-256 of its present content; an empty hash passes the cache by.

        Yields:
            `[height, width, 3]` uint8 RGB of each photo in turn, bit for bit what
            `mobile_assets.photos.load` gives; or why it cannot be decoded.
        """
        waiting: deque[Future[Decoded]] = deque()
        with DecoderPool(sys.maxsize) as decoders:
            # Pillow releases the interpreter's lock while it decodes and resizes.
            pool = ThreadPoolExecutor(decoders.processes)
            try:
                for path, sha256 in photos:
                    waiting.append(pool.submit(self._pixels, path, sha256, decoders))
                    if len(waiting) > AHEAD:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _pixels(self, path: Path, sha256: str, decoders: DecoderPool) -> Decoded:
        if self._file is not None and (row := self._rows.get(sha256)) is not None:
            stored: NDArray[np.uint8] = self._file.read(np.array([row]))[0]
            return stored
        kept = self._folder / f"{sha256}.rgb"
        if sha256 and (pixels := self._kept(kept)) is not None:
            return pixels
        try:
            pixels = decoders.load(path, self._contract)
        except PhotoError as error:
            return error
        if sha256:
            self._keep(kept, pixels)
        return pixels

    def _kept(self, file: Path) -> NDArray[np.uint8] | None:
        try:
            pixels: NDArray[np.uint8] = np.frombuffer(file.read_bytes(), np.uint8)
            return pixels.reshape(self._shape)
        except (OSError, ValueError):  # not there, or not whole
            return None

    def _keep(self, file: Path, pixels: NDArray[np.uint8]) -> None:
        if not self._writable:
            return
        try:
            if not self._folder.is_dir():
                for folder in self._folder.parent.glob(self._superseded):
                    shutil.rmtree(folder, ignore_errors=True)
            write_bytes(file, pixels.tobytes())
        except OSError:
            self._writable = False
