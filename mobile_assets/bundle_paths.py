"""Which names a file of a bundle may have: the same file on every system, and never one outside."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

from mobile_assets.visible_text import visible

_FORBIDDEN = re.compile(r'[\\:*?"<>|]')
"""What Windows takes for a drive, a stream, a separator or a wildcard."""

_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³"}
)
"""Names that Windows gives to devices, whatever their ending and folder."""

_MOST_CHARACTERS = 512


def path_problem(path: str) -> str | None:
    """Why a POSIX path cannot be that of a file in a bundle; None if it can."""
    if len(path) > _MOST_CHARACTERS:
        return "its path is too long"
    if _FORBIDDEN.search(path) or visible(path) != path or _normalised(path) != path:
        return "its path has characters that not every system takes as they are"
    for part in path.split("/"):
        if part in {"", ".", ".."}:
            return "its path leads outside the bundle, or is not a plain one"
        if part[-1] in ". " or part.split(".")[0].rstrip().casefold() in _DEVICES:
            return "its path means another file on Windows"
    return None


def path_problems(paths: Iterable[str]) -> Iterator[str]:
    """What is wrong with a list of paths: each of them, and two that one system takes for one."""
    seen: dict[str, str] = {}
    for path in paths:
        problem = path_problem(path)
        if problem:
            yield f"{visible(path)}: {problem}"
        other = seen.setdefault(path.casefold(), path)
        if other != path:
            yield f"{visible(path)} and {visible(other)} differ in case only"


def _normalised(path: str) -> str:
    """As some systems store it, whatever it was given as."""
    return unicodedata.normalize("NFC", path)
