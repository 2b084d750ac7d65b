"""Core ML packages with int8 weights.

Core ML has no integer operators. A weight in 8 bits is a constant that is unpacked where it is
used, and an activation in 8 bits (w8a8) a pair of operations, `quantize` and `dequantize`: a
compiler that finds such pairs around a convolution computes it in integers, as the Neural Engine of
recent iPhones does. Apple's own way to the pairs takes ranges by predicting with Core ML, which
exists on macOS only. Here `export.quantise.fake_quantised` takes them in torch and puts the pairs
where the TFLite file has int8 tensors; the converter carries them over.
"""

from __future__ import annotations

from typing import Any

from export.coreml.structure import LAYERS, weight_name
from mobile_assets.log_suppression import quiet


def int8_weights(model: Any, kept: frozenset[str] = frozenset()) -> Any:
    """Stores the weights of every layer as int8 with a scale per output channel.

    Scales are taken from the channels' largest weights, so weights of
    `export.quantise.quantised_network` are kept as they are: their largest are 127 steps.

    Args:
        model: Of `export.coreml.convert.convert_coreml`.
    """
    with quiet():
        from coremltools.optimize import coreml as optimize

        layer = optimize.OpLinearQuantizerConfig(
            mode="linear_symmetric", dtype="int8", granularity="per_channel", weight_threshold=0
        )
        config = optimize.OptimizationConfig(
            op_type_configs=dict.fromkeys(LAYERS, layer),
            op_name_configs={weight_name(name): None for name in kept},
        )
        return optimize.linear_quantize_weights(model, config)
