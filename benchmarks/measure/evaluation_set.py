"""Test photos: where they come from, that training never saw them, and their pixels."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.results.measurement import Skipped, TestPhoto
from benchmarks.results.schema import SkippedPhoto
from benchmarks.runtimes.interface import Pixels
from mobile_assets.errors import InputError
from mobile_assets.files import sha256_bytes, sha256_file
from mobile_assets.labels import Label
from mobile_assets.photos import PhotoError
from mobile_assets.preprocessing import Preprocessing
from train.photo_pixels import PhotoPixels
from train.registers.readers import Layout, read_register

if TYPE_CHECKING:
    from train.registers.register import Register
    from train.run import Run, SplitPhoto

CHUNK = 64
"""Photos that are answered at a time: about 10 MB of pixels at 224 × 224."""


Selected = tuple[tuple[TestPhoto, ...], tuple[Skipped, ...]]
"""Photos to measure on, and those that cannot be, with why."""


def choose_test_photos(
    run: Run, photos_root: Path, further: Path | None, layout: Layout
) -> Selected:
    """The photos that the run holds out, and more of its objects from another folder.

    Objects of the folder that the run does not know, such as those below its threshold, are passed
    over: they are no mistake of the user's.

    Raises:
        InputError: There are none.
    """
    photos: tuple[TestPhoto, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    if further is None or run.split.of("test"):
        photos, skipped = held_out(run, photos_root)
    if further is not None:
        register = read_register(further, layout=layout)
        known = set(run.labels.object_ids)
        others = [photo.path for photo in register.photos if photo.object_id not in known]
        inside = register.without(others) if len(others) < len(register.photos) else register
        more, unusable = from_register(inside, run)
        hashes = {photo.sha256 for photo in photos}
        photos = (*photos, *(photo for photo in more if photo.sha256 not in hashes))
        skipped = (*skipped, *unusable)
    return photos, skipped


def held_out(run: Run, photos_root: Path) -> Selected:
    """The photos that the run's split holds out, in the register's order, and missing or changed.

    Raises:
        InputError: The split has no test photos, or not one of them is at `photos_root`.
    """
    entries = run.split.of("test")
    if not entries:
        raise InputError(
            f"The run {run.folder} holds out no test photos, so there is nothing to measure on. "
            "Give photos of the same objects with --test-photos FOLDER."
        )
    photos, skipped = unchanged(entries, run, photos_root)
    if not photos:
        raise InputError(
            f"None of the {len(entries)} test photos of {run.folder} is in {photos_root} as it was "
            f"at training (first: {skipped[0].path}: {skipped[0].reason}). "
            "Give the register that the run was trained on with --photos."
        )
    return photos, skipped


def validation_photos(
    run: Run, photos_root: Path, *, limit: int | None = None
) -> tuple[TestPhoto, ...]:
    """The run's validation photos that are there unchanged, at most `limit`, evenly spread.

    None where the run's head was fitted to them: they would show it surer and better than it is.
    """
    entries = run.unfitted_validation
    if limit is not None and len(entries) > limit:
        positions = np.linspace(0, len(entries) - 1, limit).astype(int)
        entries = tuple(entries[position] for position in positions)
    return unchanged(entries, run, photos_root)[0]


def unchanged(entries: Sequence[SplitPhoto], run: Run, photos_root: Path) -> Selected:
    """Photos of the split as test photos; those that are missing or have changed, with why."""
    photos: list[TestPhoto] = []
    skipped: list[Skipped] = []
    for entry in entries:
        reason = entry.why_unusable(photos_root)
        if reason is None:
            label = run.labels[run.labels.index_of[entry.object_id]]
            photos.append(_test_photo(photos_root / entry.path, label, entry.seen, entry.sha256))
        else:
            skipped.append(Skipped(entry.path, reason))
    return tuple(photos), tuple(skipped)


def _test_photo(path: Path, label: Label, seen: bool, sha256: str) -> TestPhoto:
    return TestPhoto(path, label.index, label.object_id, label.collection, seen, sha256)


def from_register(register: Register, run: Run) -> Selected:
    """Further photos of the run's objects; those that it was not trained on, or missing, with why.

    Raises:
        InputError: No photo shows an object of the run.
    """
    trained = {photo.object_id for photo in run.split.of("train")}
    photos: list[TestPhoto] = []
    skipped: list[Skipped] = []
    for photo in register.photos:
        index = run.labels.index_of.get(photo.object_id)
        path = register.path(photo)
        if index is None:
            skipped.append(Skipped(photo.path, f"{photo.object_id} is not an object of the model"))
        elif not path.is_file():
            skipped.append(Skipped(photo.path, "there is no such file"))
        else:
            seen = photo.object_id in trained
            photos.append(_test_photo(path, run.labels[index], seen, sha256_file(path)))
    if not photos:
        raise InputError(
            f"{register.root} holds {len(register.photos)} photos, but none of an object that "
            f"{run.folder} was trained on. Name the folders by the register's object ids."
        )
    return tuple(photos), tuple(skipped)


def exclude_training_photos(photos: Sequence[TestPhoto], run: Run) -> Selected:
    """Leaves out photos whose content training or validation had, whatever their names.

    Missing hashes are computed. The others come with the side they were on.
    """
    known = {photo.sha256: photo.split for photo in run.split.photos if photo.split != "test"}
    sides = {"train": "a training photo", "val": "a validation photo"}
    kept: list[TestPhoto] = []
    skipped: list[Skipped] = []
    for photo in photos:
        if not photo.sha256:
            with contextlib.suppress(OSError):  # decoding it will fail, and say why
                photo = replace(photo, sha256=sha256_file(photo.path))  # noqa: PLW2901
        side = known.get(photo.sha256)
        if side is None:
            kept.append(photo)
        else:
            skipped.append(Skipped(str(photo.path), f"the same file as {sides[side]}"))
    return tuple(kept), tuple(skipped)


def sample_photos(
    photos: Sequence[TestPhoto], limit: int | None, *, seed: int
) -> tuple[TestPhoto, ...]:
    """At most so many of the photos, by chance, in their order; None for all."""
    if limit is None or len(photos) <= limit:
        return tuple(photos)
    chosen = np.random.default_rng(seed).choice(len(photos), limit, replace=False)
    return tuple(photos[position] for position in sorted(chosen.tolist()))


def short_path(path: str) -> str:
    """The last three parts of a path: enough to find the photo, nothing of the machine."""
    return "/".join(Path(path).parts[-3:])


def listed(skipped: Iterable[Skipped]) -> tuple[SkippedPhoto, ...]:
    """Photos that were left out, as results list them."""
    return tuple(SkippedPhoto(path=short_path(s.path), reason=s.reason) for s in skipped)


def list_hash(photos: Iterable[TestPhoto]) -> str:
    """Hash of a list of test photos: contents and objects, in order; not their places on disk."""
    lines = [f"{photo.sha256}\0{photo.object_id}\n" for photo in photos]
    return sha256_bytes("".join(lines).encode("utf-8"))


def decode_chunks(
    photos: Sequence[TestPhoto],
    contract: Preprocessing,
    unreadable: list[Skipped],
    *,
    root: Path | None = None,
    cache: Path | None = None,
) -> Iterator[tuple[list[TestPhoto], Pixels]]:
    """Gives readable photos, a chunk at a time, with their pixels `[N, H, W, 3]` uint8 RGB.

    They come from the cache of prepared photos where it has them, bit for bit as decoding gives
    them; the next chunk is read while the present one is used. Photos that cannot be decoded are
    added to `unreadable`. `root` is the register's, whose photos training may have decoded already.
    """
    source = PhotoPixels(contract, root=root, cache=cache)
    decoded = source.read((photo.path, photo.sha256) for photo in photos)
    for start in range(0, len(photos), CHUNK):
        readable: list[TestPhoto] = []
        pixels: list[Pixels] = []
        # Only as many are taken from `decoded` as the chunk has photos.
        for photo, result in zip(photos[start : start + CHUNK], decoded, strict=False):
            if isinstance(result, PhotoError):
                unreadable.append(Skipped(str(photo.path), result.reason))
            else:
                readable.append(photo)
                pixels.append(result)
        if readable:
            yield readable, np.stack(pixels)
