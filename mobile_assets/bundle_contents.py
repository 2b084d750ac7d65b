"""The files of a bundle, each used from the very bytes whose hash was compared.

A file is read once, into memory or into a private copy, and compared with the list in
`bundle.json`; whoever changes it in the bundle afterwards changes nothing of what is used.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from mobile_assets.errors import DamagedError, InputError
from mobile_assets.files import sha256_bytes
from mobile_assets.regular_files import open_regular
from mobile_assets.visible_text import visible

BUNDLE_FILE = "bundle.json"
SIGNATURE_FILE = "signature.json"
ALONE = frozenset({BUNDLE_FILE, SIGNATURE_FILE})
"""The two files that cannot list themselves."""

MOST_FILE_BYTES = 4 * 2**30
"""No file of a bundle is larger; TFLite's own limit is half of it."""

MOST_BUNDLE_BYTES = 16 * 2**30
MOST_ENTRIES = 2_000_000
MOST_VALUES = 2 * 2**20
"""No JSON file of a bundle but the label map has more values."""

MOST_IN_MEMORY = 512 * 2**20
"""No file that is read into memory is larger; models are not."""

_CHUNK = 1 << 20
_DEEPEST = 32


class BundleContents:
    """The listed files of one bundle.

    Private copies are removed with the object, or at the end of the process.
    """

    def __init__(self, folder: Path, hashes: Mapping[str, str]) -> None:
        """Reads nothing yet.

        Args:
            folder: The bundle's folder.
            hashes: SHA-256 of every file by its POSIX path, from a description whose signature was
                checked if it has one.
        """
        self.folder = folder
        self.hashes = dict(hashes)
        self._sizes: dict[str, int] = {}
        self._private: tempfile.TemporaryDirectory[str] | None = None
        self._copies: dict[str, Path] = {}
        self._attempts = 0
        self._lock = threading.Lock()

    def __contains__(self, name: str) -> bool:
        """Whether a file, or a folder with files in it, is listed."""
        return bool(self.names(name))

    def names(self, name: str) -> tuple[str, ...]:
        """The listed files that a file or folder consists of, in the order of `sha256_path`."""
        if name in self.hashes:
            return (name,)
        inside = [file for file in self.hashes if file.startswith(f"{name}/")]
        return tuple(sorted(inside, key=lambda file: file.split("/")))

    def read(self, name: str) -> bytes:
        """The content of a listed file.

        Raises:
            DamagedError: It is not listed, missing, changed, or no regular file.
        """
        buffer = io.BytesIO()
        self._transfer(name, buffer, MOST_IN_MEMORY)
        return buffer.getvalue()

    def copy(self, name: str) -> Path:
        """A private copy of a listed file, or of a folder of them such as a Core ML package.

        Raises:
            DamagedError: It is not listed, missing, changed, or holds what is no regular file.
            InputError: There is no room for the copy.
        """
        with self._lock:
            if name not in self._copies:
                try:
                    self._copies[name] = self._copied(name)
                except OSError as error:
                    raise InputError(
                        f"{self.folder / name} cannot be copied to a private place "
                        f"({error.strerror or error}). Make room in {_temporary()}, or set TMPDIR "
                        "to another folder."
                    ) from None
            return self._copies[name]

    def check(self, name: str) -> None:
        """Compares a listed file with its hash.

        Raises:
            DamagedError: It is not listed, missing, changed, or no regular file.
        """
        self._transfer(name, None, MOST_FILE_BYTES)

    def size(self, name: str) -> int:
        """How many bytes a listed file had when it was compared with its hash.

        Raises:
            DamagedError: It is not listed, missing, changed, or no regular file.
        """
        if name not in self._sizes:
            self.check(name)
        return self._sizes[name]

    def hash(self, name: str) -> str:
        """What `mobile_assets.files.sha256_path` gives for a listed file or folder."""
        if name in self.hashes:
            return self.hashes[name]
        lines = [f"{file[len(name) + 1 :]}\0{self.hashes[file]}\n" for file in self.names(name)]
        return sha256_bytes("".join(lines).encode("utf-8"))

    def problems(self) -> tuple[str, ...]:
        """What differs between the folder and the list.

        Returns:
            One phrase per file that is missing, changed or not listed, links and empty folders
            among them; nothing if every byte is as listed.
        """
        problems: list[str] = []
        missing = dict(self.hashes)
        folders = {parent for name in self.hashes for parent in _parents(name)}
        size = 0
        try:
            for number, (name, status) in enumerate(entries(self.folder)):
                size += status.st_size
                if number >= MOST_ENTRIES or size > MOST_BUNDLE_BYTES:
                    return (f"it is larger than any bundle: {number:,} files, {size:,} bytes",)
                if name in ALONE and stat.S_ISREG(status.st_mode):
                    continue
                problem = self._problem(name, status, folders)
                if problem:
                    problems.append(f"{visible(name)} {problem}")
                missing.pop(name, None)
        except DamagedError as error:
            return (str(error),)
        problems += [f"{visible(name)} is missing" for name in missing]
        return tuple(sorted(problems))

    def _problem(self, name: str, status: os.stat_result, folders: set[str]) -> str | None:
        mode = status.st_mode
        # A junction of Windows is a folder with such a tag. What a link points to can change, and
        # may lie outside.
        if stat.S_ISLNK(mode) or bool(getattr(status, "st_reparse_tag", False)):
            return "is a link"
        if stat.S_ISDIR(mode):
            return None if name in folders else "is a folder that is not listed"
        if name not in self.hashes:
            return "is not listed"
        if not stat.S_ISREG(mode):
            return "is no regular file"
        try:
            self.check(name)
        except DamagedError as error:
            return "is changed" if type(error) is _ChangedError else f"cannot be read: {error}"
        return None

    def _copied(self, name: str) -> Path:
        if name not in self:
            raise self._unlisted(name)
        if self._private is None:
            # Nobody else can enter the folder. Windows keeps files that are still open.
            self._private = tempfile.TemporaryDirectory(
                prefix="artefact-id-", ignore_cleanup_errors=True
            )
        # Messages name the copy: they should say of what it is one.
        self._attempts += 1
        place = Path(self._private.name) / str(self._attempts)
        root = place / f"copy of {self.folder.absolute().name}"
        for file in self.names(name):
            path = root / file
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as target:
                self._transfer(file, target, MOST_FILE_BYTES)
        return root / name

    def _transfer(self, name: str, target: BinaryIO | None, most: int) -> None:
        """Reads a file once, hashes it, and writes what was hashed to `target`."""
        if name not in self.hashes:
            raise self._unlisted(name)
        path = self.folder / name
        digest, size = hashlib.sha256(), 0
        try:
            with open_regular(path, most=most) as source:
                while chunk := _read(source, path):
                    size += len(chunk)
                    if size > most:
                        break
                    digest.update(chunk)
                    if target is not None:
                        target.write(chunk)
        except FileNotFoundError:
            raise DamagedError(f"{path} is missing from the bundle: export it again.") from None
        if digest.hexdigest() != self.hashes[name]:
            raise _ChangedError(
                f"{path} is not the file that {BUNDLE_FILE} describes (its SHA-256 differs). "
                "It is damaged or was changed: export the bundle again."
            )
        self._sizes[name] = size

    def _unlisted(self, name: str) -> DamagedError:
        return DamagedError(
            f"{visible(name)} is not among the files that {self.folder / BUNDLE_FILE} lists: "
            "export the bundle again."
        )


class _ChangedError(DamagedError):
    """A listed file has another hash."""


def entries(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Everything below a folder, links not followed: POSIX paths with their status, sorted.

    Raises:
        DamagedError: Folders are nested deeper than in any bundle, or one cannot be read.
    """
    waiting = [""]
    while waiting:
        within = waiting.pop()
        if within.count("/") > _DEEPEST:
            raise DamagedError(f"{folder} has folders nested too deeply: {visible(within)[:80]}…")
        try:
            with os.scandir(folder / within) as scanned:
                children = sorted(scanned, key=lambda entry: entry.name)
        except OSError as error:
            raise DamagedError(
                f"{folder / visible(within)} cannot be read ({error.strerror})."
            ) from None
        for entry in children:
            # On Windows the scan's own status does not tell junctions from folders.
            status = os.lstat(entry.path)
            name = f"{within}{entry.name}"
            yield name, status
            if stat.S_ISDIR(status.st_mode):
                waiting.append(f"{name}/")


def _read(source: BinaryIO, path: Path) -> bytes:
    try:
        return source.read(_CHUNK)
    except OSError as error:
        raise DamagedError(f"{path} cannot be read ({error.strerror}).") from None


def _temporary() -> str:
    try:
        return tempfile.gettempdir()
    except OSError:  # there is none that can be written to
        return "the system's folder for temporary files"


def _parents(name: str) -> Iterator[str]:
    parts = name.split("/")
    return ("/".join(parts[:count]) for count in range(1, len(parts)))
