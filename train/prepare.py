"""Prepared photos: every photo decoded and squashed once, kept on disk for all epochs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import __version__ as pillow_version

from mobile_assets.errors import InputError
from mobile_assets.files import sha256_bytes, size_of
from mobile_assets.preprocessing import Preprocessing
from train.decode_pool import DecoderPool, Progress
from train.decode_worker import Request
from train.near_duplicates import across_objects
from train.photo_cache import PIXELS_FILE, PartialCache, PhotoCache, PreparedIndex, PreparedPhoto
from train.pixel_file import PixelFile, PixelRows
from train.registers.register import Photo, Problem, Register

Said = Callable[[str], object]


@dataclass(frozen=True)
class Prepared:
    """The readable photos of a register with their pixels.

    Attributes:
        register: The register without the photos that cannot be read.
        pixels: `[photos, height, width, 3]` uint8 RGB on disk, mapped into memory.
        rows: Row of `pixels` by photo path.
        digests: SHA-256 of the file by photo path.
        hashes: `train.near_duplicates.perceptual_hash` by photo path.
        shared: Groups of photos that are one picture under two objects or more.
    """

    register: Register
    pixels: NDArray[np.uint8]
    rows: dict[str, int]
    digests: dict[str, str]
    hashes: dict[str, int]
    shared: tuple[tuple[Photo, ...], ...] = ()
    file: PixelFile | None = field(default=None, repr=False)

    def take(self, paths: Sequence[str]) -> NDArray[np.uint8]:
        """A copy of the pixels of some photos, `[len(paths), height, width, 3]`, in that order."""
        copied: NDArray[np.uint8] = self.pixels[self._rows(paths)]
        return copied

    def view(self, paths: Sequence[str]) -> PixelRows:
        """As `take`, but pixels are read from disk when they are asked for, and never kept."""
        assert self.file is not None
        return PixelRows(self.file, self._rows(paths))

    def _rows(self, paths: Sequence[str]) -> NDArray[np.int64]:
        return np.array([self.rows[path] for path in paths], dtype=np.int64)


def cache_home() -> Path:
    """The toolkit's folder among the user's caches."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "artefact-id"


def default_cache() -> Path:
    """Where prepared photos are kept unless another folder is named, by option or variable."""
    named = os.environ.get("ARTEFACT_ID_CACHE")
    return Path(named) if named else cache_home()


def cache_folder(root: Path, contract: Preprocessing, cache: Path) -> Path:
    """Where in `cache` the prepared photos of a register's root are, under a contract."""
    return cache / f"{root.resolve().name[:40]}-{_register_hash(root, contract)[:16]}"


def _register_hash(root: Path, contract: Preprocessing) -> str:
    return sha256_bytes(f"{root.resolve()}\n{contract.model_dump_json()}".encode())


def prepare(
    register: Register,
    contract: Preprocessing,
    cache: Path,
    *,
    progress: Progress | None = None,
    said: Said = len,
) -> Prepared:
    """Decodes and squashes every photo once; reuses what is in the cache and has not changed.

    A photo is known again by its path, size and time of change, and by the versions of the
    decoders; only new and changed ones are decoded. JPEGs are decoded at a reduced scale where
    that suffices (`mobile_assets.photos.load` says what it changes). The cache appears by a
    rename; work that is broken off, even by a kill, goes on where it was. Memory does not grow
    with the number of photos, but for 2 kB each of facts. A cache takes photos × height × width × 3
    bytes; the one before it, of the same root and contract, is removed.

    Args:
        cache: Folder of caches; one folder per register and contract is made in it.
        progress: Called with (photos done, photos in all).
        said: Told once how large the prepared photos are and where, when some were decoded.

    Raises:
        InputError: The disk has no room, or `cache` cannot be written.
    """
    stamps = [_stamp(register, photo) for photo in register.photos]
    folder = cache_folder(register.root, contract, cache)
    decoder = decoder_versions()
    state = (_register_hash(register.root, contract), decoder, [stamp.stamp for stamp in stamps])
    key = sha256_bytes(repr(state).encode("utf-8"))
    store = PhotoCache(folder, decoder)
    with _alone(folder, said):
        index = store.whole(key)
        if index is None:
            index = _make(store, key, stamps, register.root, contract, progress)
            said(f"prepared photos: {size_of(folder) / 1e9:.2f} GB in {folder}")
        else:
            store.remove_replaced()
            if progress is not None:
                progress(len(stamps), len(stamps))
        return _prepared(register, folder, index)


def same_picture(shared: Sequence[Sequence[Photo]]) -> list[Problem]:
    """One problem for each picture that stands under two objects or more, naming two photos."""
    problems = []
    for group in shared:
        first = group[0]
        other = next(photo for photo in group if photo.object_id != first.object_id)
        more = f" (and {len(group) - 2} more)" if len(group) > 2 else ""
        problems.append(
            Problem(
                "duplicate",
                other.path,
                f"of {other.object_id}: the same picture as {first.path} of another object, "
                f"{first.object_id}{more}",
            )
        )
    return problems


def _prepared(register: Register, folder: Path, index: PreparedIndex) -> Prepared:
    bad = {photo.path: photo.error for photo in index.photos if photo.error is not None}
    readable = [photo for photo in index.photos if photo.error is None]
    digests = {photo.path: photo.sha256 for photo in readable}
    hashes = {photo.path: int(photo.picture_hash, 16) for photo in readable}
    kept = register.unreadable(bad)
    shared = across_objects(kept.photos, digests, hashes)
    return Prepared(
        register=kept.without((), same_picture(shared)),
        pixels=np.load(folder / PIXELS_FILE, mmap_mode="r"),
        rows={photo.path: row for row, photo in enumerate(index.photos)},
        digests=digests,
        hashes=hashes,
        shared=tuple(tuple(group) for group in shared),
        file=PixelFile(folder / PIXELS_FILE),
    )


def _stamp(register: Register, photo: Photo) -> PreparedPhoto:
    try:
        status = register.path(photo).stat()
    except OSError:
        return PreparedPhoto(path=photo.path, bytes=-1, changed_ns=0)
    return PreparedPhoto(path=photo.path, bytes=status.st_size, changed_ns=status.st_mtime_ns)


def decoder_versions() -> str:
    """What else the pixels depend on: a new release of it decodes again."""
    try:
        from pillow_heif import __version__ as heif_version
    except ImportError:
        heif_version = "none"
    return f"2, Pillow {pillow_version}, pillow-heif {heif_version}"


@contextmanager
def _alone(folder: Path, said: Said) -> Iterator[None]:
    """Waits until no other process prepares the same photos."""
    from filelock import FileLock, Timeout

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.with_name(f".{folder.name}.lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            said(f"waiting for another process that prepares the same photos in {folder}")
            lock.acquire()
    except OSError as error:
        raise InputError(
            f"{folder.parent} cannot be written ({error.strerror or error}), and prepared photos "
            "are kept there. Give another folder with --cache."
        ) from None
    try:
        yield
    finally:
        lock.release()


def _make(
    store: PhotoCache,
    key: str,
    stamps: list[PreparedPhoto],
    root: Path,
    contract: Preprocessing,
    progress: Progress | None,
) -> PreparedIndex:
    work = store.start(key, (len(stamps), contract.height, contract.width, 3))
    try:
        _copy_known(store, work, stamps)
        _decode_missing(work, stamps, root, contract, progress)
    finally:
        work.close()
    photos = tuple(work.done[row] for row in range(len(stamps)))
    return store.finish(work, key, photos)


def _copy_known(store: PhotoCache, work: PartialCache, stamps: list[PreparedPhoto]) -> None:
    """Copies the rows of photos that were prepared before and have not changed."""
    for file, known in store.known():
        if file.header.shape[1:] != work.header.shape[1:]:
            continue
        for row, stamp in enumerate(stamps):
            if row not in work.done and stamp.stamp in known:
                source, entry = known[stamp.stamp]
                work.add(row, entry, file.read(np.array([source]))[0])


def _decode_missing(
    work: PartialCache,
    stamps: list[PreparedPhoto],
    root: Path,
    contract: Preprocessing,
    progress: Progress | None,
) -> None:
    missing = [row for row in range(len(stamps)) if row not in work.done]
    requests = (
        Request(
            file=str(root / stamps[row].path),
            height=contract.height,
            width=contract.width,
            pixels=True,
        )
        for row in missing
    )
    with DecoderPool(len(missing)) as pool:
        for row, (facts, pixels) in zip(missing, pool.examine(requests), strict=True):
            examined = facts.model_dump(include={"sha256", "picture_hash", "exact", "error"})
            work.add(row, stamps[row].model_copy(update=examined), pixels)
            if progress is not None:
                progress(len(work.done), len(stamps))
    if not missing and progress is not None:
        progress(len(stamps), len(stamps))


__all__ = ["Prepared", "Progress", "default_cache", "prepare", "same_picture"]
