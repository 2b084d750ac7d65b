"""Core ML packages whose layers' weights take fewer bits; arithmetic stays float16."""

from __future__ import annotations

from typing import Any

from export.coreml.structure import weight_name
from mobile_assets.log_suppression import quiet

_LAYERS = ("conv", "linear")


def int8_weights(model: Any, kept: frozenset[str] = frozenset()) -> Any:
    """Stores the weights of every layer as int8 with a scale per output channel.

    Scales are taken from channels' largest weights, so weights of `export.quantise.quantised_network` are kept as
    they are: their largest are 127 steps.

    Args:
        model: Of `export.coreml.convert.convert_coreml`.
        kept: Names of layers whose weights stay as they are.
    """
    with quiet():
        from coremltools.optimize import coreml as optimize

        layer = optimize.OpLinearQuantizerConfig(
            mode="linear_symmetric", dtype="int8", granularity="per_channel", weight_threshold=0
        )
        chosen = optimize.OptimizationConfig(
            op_type_configs=dict.fromkeys(_LAYERS, layer),
            op_name_configs={weight_name(name): None for name in kept},
        )
        return optimize.linear_quantize_weights(model, chosen)
