"""Finding the file that an export means among the photos on disk."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mobile_assets.errors import InputError
from mobile_assets.photos import PHOTO_SUFFIXES

_SYSTEM_FOLDERS = frozenset({"$recycle.bin", "#recycle", "@eadir", "__macosx", "lost+found"})
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_IMAGE_REQUEST = re.compile(r"/[^/]+/[^/]+/!?[\d.]+/(?:default|native|color|gray|bitonal)\.\w+$")
"""The end of a IIIF Image API address: region, size, rotation, quality and format."""


@dataclass(frozen=True)
class Resolution:
    """What became of a reference.

    Attributes:
        path: The photo, relative to the index's root with POSIX slashes; None where there is none.
        reason: Why there is none; or what was assumed, empty where nothing was.
    """

    path: str | None
    reason: str = ""


class PhotoIndex:
    """All photos below a folder, by name."""

    def __init__(self, root: Path) -> None:
        """Lists the folder; links to folders are not followed.

        Photos whose names are not UTF-8 are in `unnamable`: no manifest can name them.

        Raises:
            InputError: `root` is no folder, or holds no photo.
        """
        if not root.is_dir():
            raise InputError(
                f"--photos {root} is not a folder. Give the one that holds the photos."
            )
        self.root = root
        found = sorted(_photos(root))
        self.paths = tuple(path for path in found if _is_utf8(path))
        self.unnamable = tuple(path for path in found if not _is_utf8(path))
        if not self.paths:
            raise InputError(
                f"--photos {root} holds no photos ({', '.join(sorted(PHOTO_SUFFIXES))})."
            )
        self._by_name: dict[str, list[str]] = defaultdict(list)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for path in self.paths:
            name = _key(path.rpartition("/")[2])
            self._by_name[name].append(path)
            self._by_stem[_stem(name)].append(path)

    def resolve(self, reference: str) -> Resolution:
        """The photo that an export's path, file name or address means.

        Folders on the museum's own disks are unknown here: the name decides, and where several
        photos have it, as much of the path as agrees. Case does not count unless it decides. A
        name with another ending, as where the database knows the TIFF and the JPEG was handed
        over, or without any, is taken if only one photo has it.
        """
        parts = reference_parts(reference)
        if not parts:
            return Resolution(None, "names no file")
        name = _key(parts[-1])
        same_name = self._by_name.get(name, [])
        if same_name:
            return self._nearest(same_name, parts)
        stem = _stem(name)
        same_stem = self._by_stem.get(stem, [])
        if not same_stem:
            return Resolution(None, "no such photo")
        nearest = self._nearest(same_stem, (*parts[:-1], stem))
        if nearest.path is None or stem == name:
            return nearest
        return Resolution(nearest.path, f"taken as {nearest.path.rpartition('/')[2]}")

    def _nearest(self, paths: list[str], parts: tuple[str, ...]) -> Resolution:
        """The one of several photos whose path agrees most with the reference's, from its end."""
        agreement = {path: _agreement(path.split("/"), parts) for path in paths}
        most = max(agreement.values())
        best = [path for path in paths if agreement[path] == most]
        if len(best) == 1:
            return Resolution(best[0])
        shown = ", ".join(best[:3]) + (" …" if len(best) > 3 else "")
        return Resolution(None, f"{len(best)} photos have this name: {shown}")


def reference_parts(reference: str) -> tuple[str, ...]:
    """Folder names and file name of a path of any system, or of an address."""
    text = unicodedata.normalize("NFC", reference).strip().strip("\"'").strip()
    if _SCHEME.match(text):
        try:
            text = unquote(_IMAGE_REQUEST.sub("", urlsplit(text).path))
        except ValueError:  # such as an address with half of an IPv6 number
            return ()
    parts = text.replace("\\", "/").split("/")
    return tuple(part.strip() for part in parts if part.strip() not in ("", ".", ".."))


def _photos(root: Path) -> list[str]:
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [
            name for name in folders if name[0] != "." and name.casefold() not in _SYSTEM_FOLDERS
        ]
        base = Path(folder).relative_to(root)
        found += [
            (base / name).as_posix()
            for name in files
            if name[0] != "." and Path(name).suffix.lower() in PHOTO_SUFFIXES
        ]
    return found


def _is_utf8(path: str) -> bool:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _stem(name: str) -> str:
    stem, dot, ending = name.rpartition(".")
    return stem if dot and f".{ending}" in PHOTO_SUFFIXES else name


def _agreement(path: list[str], parts: tuple[str, ...]) -> tuple[int, int]:
    """How many names agree from the end without case, and how many of these with it."""
    alike = exact = 0
    for own, theirs in zip(reversed(path), reversed(parts), strict=False):
        if alike and _key(own) != _key(theirs):
            break
        alike += 1
        exact += unicodedata.normalize("NFC", own) == theirs
    return alike, exact
