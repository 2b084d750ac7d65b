"""Names of the hidden files that stand beside an output while it is written."""

from __future__ import annotations

import hashlib
from pathlib import Path

_MOST_BYTES = 200
"""File systems end at 255 bytes a name; the rest is for what is added."""


def hidden_sibling(path: Path, purpose: str) -> Path:
    """`.NAME.purpose` beside `path`; a name that is too long for that is shortened, with its hash.

    The name is always the same for the same path, so that what a killed process left is found.
    """
    name = path.name
    if len(name.encode("utf-8", "surrogateescape")) > _MOST_BYTES:
        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
        name = f"{name[:40]}-{digest[:16]}"
    return path.with_name(f".{name}.{purpose}")
