"""The words about a model that its files carry in their metadata."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelDescription:
    """What a model's metadata say of it."""

    name: str
    description: str
    version: str
    author: str
    licence: str
