"""Prepared photos: every photo decoded and squashed once, kept on disk for all epochs."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mobile_assets.errors import DamagedError
from mobile_assets.files import new_folder, sha256_bytes, sha256_file
from mobile_assets.photos import PhotoError, load
from mobile_assets.preprocessing import Preprocessing
from mobile_assets.schema import Document, Record
from train.register import Problem, Register
from train.split import difference_hash

Progress = Callable[[int, int], None]


class PreparedPhoto(Record):
    """One photo of the cache; `error` says why it could not be read."""

    path: str
    sha256: str = ""
    difference_hash: int = 0
    error: str | None = None


class PreparedIndex(Document):
    """The content of the cache's `index.json`; row i of `pixels.npy` is photo i."""

    key: str
    photos: tuple[PreparedPhoto, ...]


@dataclass(frozen=True)
class Prepared:
    """The readable photos of a register with their pixels.

    Attributes:
        register: The register without the photos that cannot be read.
        pixels: `[photos, height, width, 3]` uint8 RGB on disk, mapped into memory.
        rows: Row of `pixels` by photo path.
        digests: SHA-256 of the file by photo path.
        hashes: Difference hash of the picture by photo path.
    """

    register: Register
    pixels: NDArray[np.uint8]
    rows: dict[str, int]
    digests: dict[str, str]
    hashes: dict[str, int]

    def take(self, paths: Sequence[str]) -> NDArray[np.uint8]:
        """Pixels of some photos, `[len(paths), height, width, 3]` uint8, in that order."""
        rows = np.array([self.rows[path] for path in paths], dtype=np.int64)
        taken: NDArray[np.uint8] = self.pixels[rows]
        return taken


def default_cache() -> Path:
    """Where prepared photos are kept unless told otherwise."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "artefact-id"


def prepare(
    register: Register,
    contract: Preprocessing,
    cache: Path,
    *,
    progress: Progress | None = None,
) -> Prepared:
    """Decodes and squashes every photo once; reuses the cache when nothing changed.

    The cache is keyed by the photos' paths, sizes and times of change and by the contract. It
    appears by an atomic rename, so a kill leaves no half of one. Memory is bounded: pixels go to
    disk as they are decoded.

    Args:
        register: Any register.
        contract: The model's preprocessing contract.
        cache: Folder of caches; one folder per register and contract is made in it.
        progress: Called with (photos done, photos in all).
    """
    key = _key(register, contract)
    folder = cache / f"{register.name[:40]}-{key[:16]}"
    index = _read_index(folder, key)
    if index is None:
        _build(register, contract, folder, key, progress)
        index = PreparedIndex.read(folder / "index.json")
    elif progress is not None:
        progress(len(index.photos), len(index.photos))
    return _prepared(register, folder, index)


def _prepared(register: Register, folder: Path, index: PreparedIndex) -> Prepared:
    bad = {photo.path: photo.error for photo in index.photos if photo.error is not None}
    problems = [Problem("unreadable", path, reason) for path, reason in sorted(bad.items())]
    readable = [photo for photo in index.photos if photo.error is None]
    return Prepared(
        register=register.without(bad, problems),
        pixels=np.load(folder / "pixels.npy", mmap_mode="r"),
        rows={photo.path: row for row, photo in enumerate(index.photos)},
        digests={photo.path: photo.sha256 for photo in readable},
        hashes={photo.path: photo.difference_hash for photo in readable},
    )


def _key(register: Register, contract: Preprocessing) -> str:
    lines = [contract.model_dump_json(), str(register.root.resolve())]
    for photo in register.photos:
        try:
            status = register.path(photo).stat()
            lines.append(f"{photo.path}\0{status.st_size}\0{status.st_mtime_ns}")
        except OSError:
            lines.append(f"{photo.path}\0missing")
    return sha256_bytes("\n".join(lines).encode("utf-8"))


def _read_index(folder: Path, key: str) -> PreparedIndex | None:
    """The index of a whole cache with that key; None where it must be built."""
    if not (folder / "index.json").is_file() or not (folder / "pixels.npy").is_file():
        return None
    try:
        index = PreparedIndex.read(folder / "index.json")
    except DamagedError:
        return None  # a cache is only ever a copy: build it again
    return index if index.key == key else None


def _build(
    register: Register,
    contract: Preprocessing,
    folder: Path,
    key: str,
    progress: Progress | None,
) -> None:
    total = len(register.photos)
    with new_folder(folder, force=True, what="prepared-photo cache") as temporary:
        pixels = np.lib.format.open_memmap(
            temporary / "pixels.npy",
            mode="w+",
            dtype=np.uint8,
            shape=(total, contract.height, contract.width, 3),
        )
        entries: list[PreparedPhoto] = []
        # Pillow decodes and resizes without the interpreter's lock, so threads are enough.
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            chunk = 4 * (os.cpu_count() or 1)
            for start in range(0, total, chunk):
                photos = register.photos[start : start + chunk]
                futures = [pool.submit(_load, register.path(p), p.path, contract) for p in photos]
                entries += _collect(futures, pixels, start)
                if progress is not None:
                    progress(len(entries), total)
        pixels.flush()
        del pixels
        PreparedIndex(key=key, photos=tuple(entries)).write(temporary / "index.json")


def _collect(
    futures: Sequence[Future[tuple[PreparedPhoto, NDArray[np.uint8] | None]]],
    pixels: NDArray[np.uint8],
    start: int,
) -> list[PreparedPhoto]:
    entries: list[PreparedPhoto] = []
    for row, future in enumerate(futures, start=start):
        entry, picture = future.result()
        if picture is not None:
            pixels[row] = picture
        entries.append(entry)
    return entries


def _load(
    file: Path, path: str, contract: Preprocessing
) -> tuple[PreparedPhoto, NDArray[np.uint8] | None]:
    try:
        picture = load(file, contract)
    except PhotoError as error:
        return PreparedPhoto(path=path, error=error.reason), None
    digest = sha256_file(file)
    return PreparedPhoto(
        path=path, sha256=digest, difference_hash=difference_hash(picture)
    ), picture
