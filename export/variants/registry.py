"""The exported forms of a model, in a registry."""

from __future__ import annotations

from export.variants.base import Exporter
from export.variants.coreml import (
    CoreMLFloat16,
    CoreMLFloat32,
    CoreMLInt8Weights,
    CoreMLPalette,
    CoreMLW8A8,
)
from export.variants.options import ON_REQUEST, VARIANTS
from export.variants.tflite import Float16, Float32, Int8, Int8Weights

EXPORTERS: dict[str, Exporter] = {
    exporter.name: exporter
    for exporter in (
        Float32(),
        Float16(),
        Int8Weights(),
        Int8(),
        CoreMLFloat32(),
        CoreMLFloat16(),
        CoreMLInt8Weights(),
        CoreMLPalette(6),
        CoreMLW8A8(),
        CoreMLPalette(8),
        CoreMLPalette(4),
    )
}
"""Every variant by name."""

assert tuple(EXPORTERS) == (*VARIANTS, *ON_REQUEST)
