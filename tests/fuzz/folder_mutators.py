"""Folders of files that belong together: one changed, two swapped, one gone, something added."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

from byte_mutators import BYTE_MUTATORS
from json_mutators import mutated_json

NAMES = (
    "x", ".hidden", "models/x.tflite", "golden/x/y/z.json", "README.md.orig", "Thumbs.db", "labels",
    "é.txt", "e\u0301.txt", "a b", "a\nb", "-rf", "CON", "x" * 200, "gallery/0.bin",
)  # fmt: skip
LARGE = 5_000_000_000


def files_in(folder: Path) -> list[Path]:
    """All regular files, sorted."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def mutate_folder(rng: random.Random, folder: Path, files: list[Path] | None = None) -> str:
    """Changes a folder in one way; gives it in words.

    Args:
        rng: Decides.
        folder: The folder.
        files: Those that may be changed; None for all.
    """
    files = files_in(folder) if files is None else files
    texts = [path for path in files if path.suffix == ".json"]
    kind = rng.random()
    if kind < 0.35 and texts:
        path = rng.choice(texts)
        path.write_bytes(mutated_json(rng, path.read_bytes()))
        return f"JSON of {path.name}"
    path = rng.choice(files)
    if kind < 0.65:
        mutator = rng.choice(BYTE_MUTATORS)
        path.write_bytes(mutator(rng, path.read_bytes()))
        return f"{mutator.__name__} in {path.name}"
    if kind < 0.75:
        other = rng.choice(files)
        first, second = path.read_bytes(), other.read_bytes()
        path.write_bytes(second)
        other.write_bytes(first)
        return f"swapped {path.name}, {other.name}"
    if kind < 0.82:
        return _removed(rng, path)
    if kind < 0.9:
        return _added(rng, folder, path)
    return _replaced(rng, folder, path)


def _removed(rng: random.Random, path: Path) -> str:
    if rng.random() < 0.3:
        shutil.rmtree(path.parent)
        return f"without the folder of {path.name}"
    path.unlink()
    return f"without {path.name}"


def _added(rng: random.Random, folder: Path, like: Path) -> str:
    path = folder / rng.choice(NAMES)
    path.parent.mkdir(parents=True, exist_ok=True)
    if rng.random() < 0.2:
        path.mkdir(exist_ok=True)
    elif rng.random() < 0.2:
        with path.open("wb") as file:
            file.truncate(LARGE)
    else:
        path.write_bytes(rng.choice((b"", b"x", like.read_bytes())))
    return f"added {path.name!r}"


def _replaced(rng: random.Random, folder: Path, path: Path) -> str:
    """Something of the file's name that is no file of its own."""
    kinds = ["link outside", "link inside", "loop", "folder", "large", "device"]
    kind = rng.choice([*kinds, "pipe"] if hasattr(os, "mkfifo") else kinds)
    content = path.read_bytes()
    outside = folder.parent / "outside"
    path.unlink()
    if kind == "link outside":
        outside.write_bytes(content)
        path.symlink_to(outside)
    elif kind == "link inside":
        other = next((file for file in files_in(folder) if file.read_bytes() != content), None)
        path.symlink_to(other or "nothing")
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "folder":
        path.mkdir()
    elif kind == "large":
        with path.open("wb") as file:
            file.write(content)
            file.truncate(LARGE)
    elif kind == "device":
        path.symlink_to(rng.choice(("/dev/zero", "/dev/stdin", "/dev/random", "/proc/self/mem")))
    else:
        os.mkfifo(path)
    return f"{path.name} is a {kind}"


def same_folders(folder: Path, other: Path) -> bool:
    """Whether both hold the same regular files with the same contents, and nothing else."""
    mine, theirs = (sorted(p.relative_to(f) for p in f.rglob("*")) for f in (folder, other))
    if mine != theirs:
        return False
    return all(_same(folder / path, other / path) for path in mine)


def _same(path: Path, other: Path) -> bool:
    if path.is_symlink() or path.is_dir() != other.is_dir() or path.is_file() != other.is_file():
        return False
    if path.is_dir():
        return True
    return path.stat().st_size == other.stat().st_size and path.read_bytes() == other.read_bytes()
