"""What each phone's own way of making the network's input costs, and every mistake in an app."""

from __future__ import annotations

from benchmarks.preprocessing.lookup import recognise, table
from benchmarks.preprocessing.measure import (
    CONTRACT,
    PHOTOS,
    WAYS,
    Predict,
    drawn,
    measure_preprocessing,
)
from benchmarks.preprocessing.way import Values, Way

__all__ = [
    "CONTRACT",
    "PHOTOS",
    "WAYS",
    "Predict",
    "Values",
    "Way",
    "drawn",
    "measure_preprocessing",
    "recognise",
    "table",
]
