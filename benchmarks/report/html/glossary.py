"""What each number means, in plain words, to stand beside the table that has it."""

from __future__ import annotations

import tomllib
from importlib import resources

from export.bundle.ship_limits import default_gates

Definition = tuple[str, str]

INT8 = default_gates().limits("tflite-int8")


def _glossary() -> dict[str, str]:
    text = resources.files(__package__).joinpath("glossary.toml").read_text(encoding="utf-8")
    limits = {"drop": INT8.max_drop_points, "agreement": 100 * (INT8.min_agreement or 0)}
    return {term: meaning.format(**limits) for term, meaning in tomllib.loads(text).items()}


GLOSSARY = _glossary()
"""Meaning by term."""


def definitions(*terms: str) -> tuple[Definition, ...]:
    """The terms with their meaning.

    Raises:
        KeyError: The glossary lacks one.
    """
    return tuple((term, GLOSSARY[term]) for term in terms)
