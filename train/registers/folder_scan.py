"""Every file below a folder that may be a photo of the register, and nothing of the system's own.

Operating systems, network drives and photo programs keep folders of their own beside the user's:
waste bins with deleted photos, thumbnails, snapshots. None of them is an object.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from train.registers.register import Problem, ProblemKind

DEEPEST = 8
"""Folders between the root and a photo; no layout has so many."""

_SYSTEM_NAMES = frozenset(
    name
    for names in (
        # Windows
        "$recycle.bin, recycler, recycled, system volume information, config.msi, msocache",
        "$extend, $sysreset, $winreagent, $windows.~bt, $windows.~ws, thumbs.db, ehthumbs.db",
        "ehthumbs_vista.db, desktop.ini, autorun.inf, pagefile.sys, hiberfil.sys, swapfile.sys",
        "_vti_cnf",
        # macOS
        "__macosx, network trash folder, temporary items, thevolumesettingsfolder, desktop db",
        "desktop df, icon\r",
        # Linux and network drives
        "lost+found, #recycle, #snapshot, @eadir, @recycle, @recently-snapshot, @tmp, @sharebin",
        "@sharesnap, @database, @qsys, ~snapshot",
        # Photo programs
        "picasa.ini, zbthumbnail.info",
    )
    for name in names.split(", ")
)
"""Folders and files in lower case; those that begin with a dot are left out in any case."""

_SYSTEM_NAME = re.compile(
    r"found\.\d{3}|.*@syno(eastream|resource)|.*\.(lrdata|photoslibrary|aplibrary|cocatalog)"
)
"""What `chkdsk` saves and a Synology drive notes; packages of photo programs, full of copies."""

_OUTPUTS = (
    ("bundle.json", "labels.json"),
    ("run.json", "split.json"),
    ("results.json", "report.html"),
)
"""Files by which a folder is known that this toolkit wrote."""

Folder = tuple[str, ...]


@dataclass
class FolderScan:
    """What lies below a folder.

    Attributes:
        root: The folder.
        files: Folder names below the root, and the file's name; sorted within each folder.
        problems: What was left out, and why.
    """

    root: Path
    files: list[tuple[Folder, str]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def scan_folder(root: Path) -> FolderScan:
    """Lists the files below a folder, in an order that does not depend on the file system.

    Links to folders are followed; a folder that is reached twice, by a link to its parent or to a
    neighbour, is read at its own place only. So is the time bounded by the number of folders.

    Args:
        root: An existing folder.

    Raises:
        OSError: The root itself cannot be listed.
    """
    return _Scanner(root).scan()


class _Scanner:
    def __init__(self, root: Path) -> None:
        self._result = FolderScan(root)
        self._seen: dict[object, str] = {}
        self._left_out: dict[str, list[str]] = {}
        self._links: list[Folder] = []

    def scan(self) -> FolderScan:
        for parent in reversed((self._result.root.resolve(), *self._result.root.resolve().parents)):
            self._seen[_identity(str(parent))] = "the register's own folder or one above it"
        self._walk(())
        # Real folders come first, so that a link never takes a folder away from its own place.
        while self._links:
            links, self._links = sorted(self._links), []
            for folder in links:
                self._follow(folder)
        for name, folders in sorted(self._left_out.items()):
            more = f" and {len(folders) - 1} more" if len(folders) > 1 else ""
            self._problem("ignored", min(folders), f"{name}{more}: left out")
        return self._result

    def _follow(self, folder: Folder) -> None:
        known = self._seen.get(_identity(self._path(folder)))
        if known is not None:
            self._problem("ignored", "/".join(folder), f"a link to {known}, which is read there")
            return
        self._seen[_identity(self._path(folder))] = "/".join(folder)
        self._walk(folder)

    def _walk(self, start: Folder) -> None:
        """Reads a folder and the real folders below it; links to folders are put off."""
        stack = [start]
        while stack:
            folder = stack.pop()
            try:
                with os.scandir(self._path(folder)) as entries:
                    names = sorted((entry.name, _kind(entry)) for entry in entries)
            except OSError as error:
                if not folder:
                    raise
                reason = f"this folder cannot be read ({error.strerror or error})"
                self._problem("unreadable", "/".join(folder), reason)
                continue
            if folder and _is_output({name for name, _ in names}):
                self._leave_out("a folder that artefact-id wrote", folder)
                continue
            stack += reversed(list(self._entries(folder, names)))

    def _entries(self, folder: Folder, names: list[tuple[str, str]]) -> Iterator[Folder]:
        """Takes the files of a folder in; yields the real folders to read next."""
        for name, kind in names:
            inner = (*folder, name)
            if kind in ("file", "other"):
                if name.startswith(".") or is_system_name(name):
                    continue
                if kind == "file":
                    self._result.files.append((folder, name))
                else:
                    reason = "not a regular file but a pipe or device: left out"
                    self._problem("ignored", "/".join(inner), reason)
            elif name.startswith("."):
                self._leave_out("a hidden folder", inner)
            elif is_system_name(name):
                self._leave_out("a folder of the system's own", inner)
            elif len(inner) > DEEPEST:
                self._leave_out(f"a folder deeper than {DEEPEST}", inner)
            elif kind == "link":
                self._links.append(inner)
            else:
                identity = _identity(self._path(inner))
                if identity in self._seen:  # a folder mounted in two places
                    reason = f"the same folder as {self._seen[identity]}, which is read there"
                    self._problem("ignored", "/".join(inner), reason)
                else:
                    self._seen[identity] = "/".join(inner)
                    yield inner

    def _path(self, folder: Folder) -> str:
        return str(self._result.root.joinpath(*folder))

    def _leave_out(self, what: str, folder: Folder) -> None:
        self._left_out.setdefault(f"{what} ({folder[-1]})", []).append("/".join(folder))

    def _problem(self, kind: ProblemKind, path: str, reason: str) -> None:
        self._result.problems.append(Problem(kind, path, reason))


def is_system_name(name: str) -> bool:
    """Whether a folder or file of that name is an operating system's, a drive's or a program's."""
    lower = name.casefold()
    return lower in _SYSTEM_NAMES or _SYSTEM_NAME.fullmatch(lower) is not None


def _is_output(names: set[str]) -> bool:
    return any(names.issuperset(files) for files in _OUTPUTS)


def _kind(entry: os.DirEntry[str]) -> str:
    """`file`, `folder`, `link` (to a folder) or `other`."""
    try:
        if entry.is_dir():
            return "link" if entry.is_symlink() or _is_junction(entry) else "folder"
        # A link that leads nowhere is listed, so that decoding says that it does.
        nowhere = entry.is_symlink() and not Path(entry.path).exists()
        return "file" if entry.is_file() or nowhere else "other"
    except OSError:  # a link that leads to itself
        return "file"


def _is_junction(entry: os.DirEntry[str]) -> bool:
    asked = getattr(entry, "is_junction", None)  # since Python 3.12
    return bool(asked and asked())


def _identity(path: str) -> object:
    """What two paths to one folder have in common."""
    try:
        status = os.stat(path)
    except OSError:
        return path
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(path)
