"""What every command asks of its plan before it begins long work: room, names, places, packages."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterable
from pathlib import Path

from mobile_assets.errors import InputError


def check_place(out: Path, inputs: Iterable[Path | None], *, what: str) -> None:
    """Refuses an output that would replace what it is made of, or whose name cannot be recorded.

    Args:
        out: The folder to write.
        inputs: Folders and files that are read; None for what was not given.
        what: What is written, such as "run".

    Raises:
        InputError: An input is `out` itself or lies in it, or the name is not Unicode.
    """
    place = out.resolve()
    for source in inputs:
        if source is not None and source.resolve().is_relative_to(place):
            raise InputError(
                f"--out {out} holds {source}, which the {what} is made of and would replace. "
                "Give another --out."
            )
    try:
        str(place).encode("utf-8")
    except UnicodeEncodeError:
        shown = str(out).encode("utf-8", "backslashreplace").decode()
        raise InputError(f"--out {shown}: the name is not UTF-8. Give another.") from None


def check_room(out: Path, needed: int, *, what: str) -> None:
    """Refuses to begin where the disk of `out` has not the room for what will be written.

    Args:
        out: A file or folder, which need not be there yet.
        needed: Bytes, about.
        what: What takes them, such as "the run".

    Raises:
        InputError: Less is free.
    """
    there = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise InputError(
            f"{what} takes about {needed / 1e9:.2f} GB, and where {out} is to be written "
            f"{free / 1e9:.2f} GB are free. Make room, or give another --out."
        )


def check_packages(names: Iterable[str]) -> None:
    """Finds out that a package is missing before minutes are spent.

    Args:
        names: Top-level modules.

    Raises:
        ModuleNotFoundError: One is; it names the module.
    """
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
