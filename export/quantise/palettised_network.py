"""Networks whose layers' weights are of a few values, ready to be converted."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from export.network.fold import FoldedNetwork
from export.network.graph import Graph, trace_or_refuse, with_layers
from export.quantise.layerwise import QuantisedLayers, quantise_layers
from export.quantise.mixed_precision import layers_kept_in_float
from export.quantise.palette import Palette, PalettisedLayer, palette_is_no_smaller, palettiser
from export.quantise.quantised_network import QuantisedNetwork, kept_note, noise_note

MOST_FLOAT = 0.05
"""Largest share of the weights that stays in float16: with 10 bits more for each than a palette of
64 values has, a package is at most 0.22 of a float32 file."""

_FIRST = 32
"""Photos of the first round, which only tells what the layers' palettes do."""


@dataclass(frozen=True)
class PalettisedNetwork(QuantisedNetwork):
    """A network whose weights are of palettes.

    Attributes:
        palettes: Each layer's, by its name; layers in `kept` have none.
    """

    palettes: dict[str, Palette] = field(default_factory=dict)


def palettise(network: FoldedNetwork, photos: NDArray[np.uint8], *, bits: int) -> PalettisedNetwork:
    """Gives every layer a palette, but for those that do most damage for their size.

    Args:
        network: The folded network; it is not changed.
        photos: `[N, H, W, 3]` uint8 calibration photos.
        bits: A palette has two to the power of them values; at most 8.

    Raises:
        CheckFailedError: The network cannot be followed step by step.
    """
    purpose = "no palettes can be found for their weights"
    graph = trace_or_refuse(network, purpose, f"coreml-palette{bits}")
    work = palettiser(bits)
    large = frozenset(
        n for n, layer in graph.layers().items() if palette_is_no_smaller(layer, bits)
    )
    first = quantise_layers(graph, photos[:_FIRST], activations=False, kept=large, work=work)
    kept = large | layers_kept_in_float(graph, first, photos, most=MOST_FLOAT)
    rounded = quantise_layers(graph, photos, activations=False, kept=kept, work=work)
    return PalettisedNetwork(
        network=with_layers(network, rounded.parameters),
        notes=_notes(graph, rounded, kept, bits),
        kept=kept,
        palettes={
            name: layer.palette
            for name, layer in rounded.layers.items()
            if isinstance(layer, PalettisedLayer)
        },
    )


def _notes(
    graph: Graph, rounded: QuantisedLayers, kept: frozenset[str], bits: int
) -> tuple[str, ...]:
    why = "they change the logits most for their size or gain nothing"
    return (
        f"The weights of {len(rounded.layers) - len(kept)} layers have {2**bits} values each, "
        "found on all channels at once and weighed by what they do to the layer's output. Weights "
        f"take them one after the other, so that outputs for {rounded.photos} calibration photos "
        "change least, and biases make good what is left on average.",
        *([kept_note(graph, kept, why)] if kept else []),
        noise_note(rounded),
    )
