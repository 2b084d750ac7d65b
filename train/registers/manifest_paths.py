"""Finding the photos that a manifest names, as they are spelled on this disk."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from train.registers.object_ids import visible
from train.registers.register import Problem

_DRIVE = re.compile(r"(?:[A-Za-z]:|//[^/]+/[^/]+)(?=/|$)")
"""How an absolute path begins on Windows: a drive's letter, or a server with its share."""


@dataclass
class PhotoFinder:
    """Where the photos of one manifest lie.

    Attributes:
        root: The manifest's folder.
    """

    root: Path
    _listings: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    _elsewhere: str | None = None
    _changed: Counter[str] = field(default_factory=Counter)

    def spelled(self, written: str) -> str:
        """The path of a photo as it is spelled on disk, relative to the root where it lies there.

        A path is found again that another system composes, or spells in capitals, otherwise; and
        an absolute one that begins with the drive and folders of another machine.

        Args:
            written: The manifest's cell, trimmed, with slashes or backslashes.

        Returns:
            The path as written, with slashes, where there is no such file.
        """
        path = written.replace("\\", "/")
        if self._exists(path):
            return path
        drive = _DRIVE.match(path)
        if drive is not None or path.startswith("/"):
            return self._from_elsewhere(path, drive.end() if drive else 0) or path
        found = self._respelled(path)
        if found is None:
            return path
        if unicodedata.normalize("NFC", found) != unicodedata.normalize("NFC", path):
            self._changed["in other capitals than the file's name"] += 1
        return found

    def problems(self, manifest: Path) -> Iterator[Problem]:
        """What the user should know of how the paths were understood."""
        if self._elsewhere is not None:
            reason = (
                f"paths that begin with {visible(self._elsewhere)} are read from the manifest's "
                "own folder"
            )
            yield Problem("warning", manifest.name, reason)
        for what, count in self._changed.items():
            yield Problem("warning", manifest.name, f"{count} paths are written {what}")

    def _exists(self, path: str) -> bool:
        try:
            return os.path.lexists(self.root / path)
        except (ValueError, OSError):  # characters that no file's name has; or far too long
            return False

    def _from_elsewhere(self, path: str, start: int) -> str | None:
        """A path of another machine's, less what comes before the register's own folders."""
        places = [match.end() for match in re.finditer("/+", path) if match.end() > start]
        for place in places:
            if self._elsewhere not in (None, path[:place]):
                continue
            found = self._respelled(path[place:])
            if found is not None:
                self._elsewhere = path[:place]
                return found
        return None

    def _respelled(self, path: str) -> str | None:
        """The one path on disk that is written so, but for composition and capitals."""
        if self._exists(path):
            return path
        folder = "/" if path.startswith("/") else ""
        for name in (part for part in path.split("/") if part not in ("", ".")):
            actual = name if self._exists(folder + name) else self._entry(folder, name)
            if actual is None:
                return None
            folder += f"{actual}/"
        return folder[:-1] or None

    def _entry(self, folder: str, name: str) -> str | None:
        """The one entry of a folder with that name, composed alike or else in any capitals."""
        if folder not in self._listings:
            self._listings[folder] = self._listing(folder)
        alike = self._listings[folder].get(_key(name), [])
        composed = unicodedata.normalize("NFC", name)
        same = [entry for entry in alike if unicodedata.normalize("NFC", entry) == composed]
        chosen = same or alike
        return chosen[0] if len(chosen) == 1 else None

    def _listing(self, folder: str) -> dict[str, list[str]]:
        names: dict[str, list[str]] = defaultdict(list)
        try:
            for name in sorted(entry.name for entry in (self.root / folder).iterdir()):
                names[_key(name)].append(name)
        except (OSError, ValueError):
            pass  # no folder: then nothing is found in it
        return names


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
