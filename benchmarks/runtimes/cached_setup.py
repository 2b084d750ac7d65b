"""Set-ups in the user's cache: what a runtime needs and cannot be installed beside the toolkit."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field

from mobile_assets.errors import DamagedError, InputError
from mobile_assets.files import new_folder, size_of
from mobile_assets.schema import Document
from train.versions import created_now

MARKER = "complete.json"


class CachedSetup(Document):
    """What a complete set-up holds; written last, so that a broken-off one has none.

    Attributes:
        created: When, ISO 8601 in UTC.
    """

    created: str
    versions: dict[str, str]
    bytes: int = Field(gt=0)
    seconds: float = Field(ge=0)


S = TypeVar("S", bound=CachedSetup)


def cached_folder(name: str) -> Path:
    """Where a set-up of that name lies."""
    from train.prepare import cache_home

    return cache_home().absolute() / name


def read_marker(folder: Path, model: type[S]) -> S | None:
    """The description of the complete set-up; None if there is none that this release can use."""
    try:
        return model.read(folder / MARKER)
    except DamagedError:
        return None


def make_once(
    folder: Path,
    model: type[S],
    make: Callable[[Path], dict[str, Any]],
    *,
    usable: Callable[[S], bool],
    megabytes: int,
    force: bool,
) -> S:
    """The set-up that is there and usable, else a new one, by one process at a time.

    `make` fills an empty folder, tries what it holds, and returns the fields of `model` that are
    not of every set-up. Meanwhile so many megabytes are in use.

    Raises:
        InputError: The disk is too full.
    """
    from filelock import FileLock

    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{folder.name}.setup-lock")):
        existing = read_marker(folder, model)
        if existing is not None and usable(existing) and not force:
            return existing
        # Left by set-ups that were killed: with the lock held, nobody works in them.
        for litter in folder.parent.glob(f".{folder.name}.*/"):
            shutil.rmtree(litter, ignore_errors=True)
        check_disk(folder.parent, megabytes)
        # Without a usable marker the folder is of nobody's use, so it is replaced unasked.
        with new_folder(folder, force=True, what="set-up") as new:
            start = time.monotonic()
            facts = make(new)
            seconds = round(time.monotonic() - start, 1)
            made = model(created=created_now(), bytes=size_of(new), seconds=seconds, **facts)
            made.write(new / MARKER)
            return made


def check_disk(folder: Path, megabytes: int) -> None:
    """Refuses to begin what the disk has no room for.

    Raises:
        InputError: Less is free than needed.
    """
    free = shutil.disk_usage(folder).free // 1_000_000
    if free < megabytes:
        raise InputError(
            f"The set-up needs {megabytes} MB in {folder}, and {free} MB are free. "
            "Make room, or choose another disk by the variable XDG_CACHE_HOME."
        )
