"""Networks whose layers hold 8-bit weights, ready to be converted, and what was done to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.network.fold import FoldedNetwork
from export.network.graph import Graph, trace, with_layers
from export.quantise.channel_equalisation import equalise
from export.quantise.layerwise import QuantisedLayers, quantise_layers
from export.quantise.mixed_precision import layers_kept_in_float


@dataclass(frozen=True)
class QuantisedNetwork:
    """A network for an integer variant.

    Attributes:
        network: Its float32 weights lie on 8-bit steps of each channel's scale, the largest on
            127 steps: a quantiser that takes scales from largest weights finds these very steps.
        notes: What was done and what came of it, in sentences.
        kept: Names of the layers whose weights are not rounded and stay in float16; with 8-bit
            activations in float32 in a TFLite file.
    """

    network: FoldedNetwork
    notes: tuple[str, ...]
    kept: frozenset[str] = frozenset()


def quantise(
    network: FoldedNetwork, photos: NDArray[np.uint8], *, activations: bool
) -> QuantisedNetwork:
    """Equalises channels, rounds weights to 8 bits and corrects biases.

    Where activations stay in float, so do the weights that do most damage for their size.

    Args:
        network: The folded network; it is not changed.
        photos: `[N, H, W, 3]` uint8 calibration photos.
        activations: Whether activations will be int8 as well as weights.
    """
    graph = trace(network)
    if graph is None:
        note = (
            "Weights are rounded to the nearest step: this backbone's layers cannot be followed "
            "one by one."
        )
        return QuantisedNetwork(network, (note,))
    equal = equalise(graph, photos) if activations else 0
    kept = graph.float_stem_layers() if activations else frozenset[str]()
    rounded = quantise_layers(graph, photos, activations=activations, kept=kept)
    if not activations:
        kept = layers_kept_in_float(graph, rounded, photos)
        if kept:  # the others are rounded for what they read now
            rounded = quantise_layers(graph, photos, activations=activations, kept=kept)
    layers = len(rounded.layers)
    notes = [
        f"The weights of {layers - len(kept)} layers are rounded to 8 bits one layer after "
        f"the other, so that outputs for {rounded.photos} calibration photos change least, and "
        "biases make good what is left on average: rounded to the nearest step, depthwise layers "
        "do most damage."
    ]
    if kept:
        why = "rounding them changes the logits most for their size"
        notes.append(_float_stem_note(kept) if activations else kept_note(graph, kept, why))
    if equal:
        notes.append(
            f"Channels of {equal} sets of tensors without an activation are scaled to the same "
            "range, which is exact and makes better use of 8 bits."
        )
    notes.append(noise_note(rounded))
    return QuantisedNetwork(with_layers(network, rounded.parameters), tuple(notes), kept)


def _float_stem_note(kept: frozenset[str]) -> str:
    return (
        f"The first {len(kept)} layers, up to the first without an activation, stay in float: "
        "behind a SiLU their channels differ by hundreds of times in size, so that 8 bits with one "
        "scale for all would do most damage there. What goes into the other SiLUs and gates has "
        "the range that changes least what comes of it, channel by channel as the next layer "
        "weighs it, instead of the extremes."
    )


def kept_note(graph: Graph, kept: frozenset[str], why: str) -> str:
    """A sentence on the layers whose weights stay in float16."""
    sizes = {name: layer.weight.numel() for name, layer in graph.layers().items()}
    share = sum(sizes[name] for name in kept) / sum(sizes.values())
    named = ", ".join(name for name in sizes if name in kept)
    return (
        f"The weights of {len(kept)} layers, {share:.1%} of all, stay in float16, since {why}: "
        f"{named}."
    )


def noise_note(rounded: QuantisedLayers) -> str:
    """A sentence on what rounding did to the worst layer and to the logits."""
    worst = rounded.worst
    return (
        f"The layer most changed is {worst.name}, with a signal-to-noise ratio of "
        f"{worst.sqnr_db:.1f} dB on calibration photos; the logits have "
        f"{rounded.reports[-1].sqnr_db:.1f} dB."
    )
