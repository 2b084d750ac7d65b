"""TODO export/network/description.py."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelDescription:
    """The words in the metadata."""

    name: str
    description: str
    version: str
    author: str
    licence: str
