"""Conversion to TFLite, and float16 and full-integer forms of the converted file."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from export.network.fold import ChannelsLast, FoldedNetwork
from export.quantise.activation_ranges import Range, RangeObserver
from export.tflite.activation_functions import ActivationGraph
from export.tflite.flatbuffer import name_inputs_and_outputs, unsigned_input
from export.tflite.graph import TFLiteGraph
from export.tflite.interpreter import interpreter, run_one, run_tflite
from mobile_assets.bundle import INPUT_NAME, OUTPUT_NAME
from mobile_assets.log_suppression import quiet
from mobile_assets.preprocessing import Preprocessing

__all__ = [
    "Ranges",
    "activation_ranges",
    "convert_float32",
    "interpreter",
    "run_one",
    "run_tflite",
    "to_float16",
    "to_int8",
    "to_int8_weights",
]

Ranges = dict[str, Range]
"""Smallest and largest value of each activation, by tensor name."""


def convert_float32(
    network: FoldedNetwork,
    contract: Preprocessing,
    *,
    description: str,
    wrapper: Callable[[FoldedNetwork], nn.Module] = ChannelsLast,
    outputs: tuple[str, ...] = (OUTPUT_NAME,),
) -> bytes:
    """Converts a network to a float32 TFLite file.

    Args:
        wrapper: Gives the network its input `[1, H, W, 3]` and its named outputs.
        outputs: The names of the outputs, in their order.

    Returns:
        A file with one subgraph, `image` `[1, H, W, 3]` → the outputs: `probabilities`
        `[1, objects]` unless others are asked for.
    """
    with quiet():
        import litert_torch

        litert_torch.config.show_progress = False
        sample = {INPUT_NAME: torch.zeros(1, contract.height, contract.width, 3)}
        wrapped = wrapper(network).eval()
        content = litert_torch.convert(wrapped, sample_kwargs=sample).model_content()
    return name_inputs_and_outputs(content, description=description, outputs=outputs)


def to_float16(float32: bytes) -> bytes:
    """Stores the weights as float16; input, output and arithmetic stay float32."""
    with quiet():
        from ai_edge_quantizer import qtyping, recipe_manager

        recipe = recipe_manager.RecipeManager()
        recipe.add_weight_only_config(
            ".*",
            qtyping.TFLOperationName.ALL_SUPPORTED,
            num_bits=16,
            algorithm_key=recipe_manager.AlgorithmName.FLOAT_CASTING,
        )
        return _quantise(float32, recipe, None)


def to_int8_weights(float32: bytes, kept: frozenset[str] = frozenset()) -> bytes:
    """Stores the weights of convolutions and linear layers as int8 per channel.

    Input, output and arithmetic stay float32; runtimes unpack the weights when they load the file.

    Args:
        float32: A file of `convert_float32`.
        kept: Names of layers whose weights are stored as float16.
    """
    layers = TFLiteGraph(float32).layers()
    with quiet():
        from ai_edge_quantizer import qtyping, recipe_manager

        recipe = recipe_manager.RecipeManager()
        operation = qtyping.TFLOperationName
        for kind in (operation.CONV_2D, operation.DEPTHWISE_CONV_2D, operation.FULLY_CONNECTED):
            recipe.add_weight_only_config(".*", kind, num_bits=8)
        for name in kept:
            layer = layers[name]
            recipe.add_weight_only_config(
                _only(layer.name),
                operation[layer.kind],
                num_bits=16,
                algorithm_key=recipe_manager.AlgorithmName.FLOAT_CASTING,
            )
        return _quantise(float32, recipe, None)


def activation_ranges(float32: bytes, photos: NDArray[np.uint8]) -> Ranges:
    """The range of every activation over the calibration photos, see `RangeObserver.ranges`.

    The input's range is 0–255 whatever the photos hold, and the centred photo's likewise: a photo
    brighter than all calibration photos must not be clipped.

    Args:
        float32: A file of `convert_float32`.
        photos: `[N, H, W, 3]` uint8, RGB 0–255; N at least 1.
    """
    graph = ActivationGraph(float32)
    names = graph.float_activations()
    photo_tensors = list(names)[:2]  # the photo and the centred photo
    black_and_white = np.stack([np.zeros_like(photos[0]), np.full_like(photos[0], 255)])
    observer = RangeObserver(graph.activation_inputs(), batches=len(photos))
    with quiet():
        runner = interpreter(float32, preserve_all_tensors=True)
        for batch, tensors in ((black_and_white, photo_tensors), (photos, list(names))):
            for photo in batch:
                run_one(runner, photo)
                for tensor in tensors:
                    observer.observe(tensor, torch.from_numpy(runner.get_tensor(tensor)))
    ranges = observer.ranges(graph.range_limits())
    return {name: ranges[tensor] for tensor, name in names.items()}


def to_int8(float32: bytes, ranges: Ranges) -> bytes:
    """Full-integer form: int8 weights per channel, int8 activations, uint8 input.

    Args:
        float32: A file of `convert_float32`.
        ranges: Of `activation_ranges`.

    Returns:
        A file whose input is uint8 and whose logits, softmax and output are float32.
    """
    with quiet():
        recipe = _int8_recipe(ActivationGraph(float32))
        statistics = {
            name: {"min": np.float32(low).reshape(1), "max": np.float32(high).reshape(1)}
            for name, (low, high) in ranges.items()
        }
        quantised = _quantise(float32, recipe, statistics)
    return unsigned_input(quantised)


def _int8_recipe(graph: ActivationGraph) -> Any:
    """Static int8 for everything up to the last layer, which multiplies int8 and answers in float.

    What a network with SiLU begins with stays in float, too: see `Graph.float_stem`.

    With logits in 8 bits, spread over the range of all photos, look-alike objects get equal
    probabilities: over 4,332 of them a quarter of the photos had a tie for the first place. So
    the last layer is quantised with a dynamic range: its weights and the features it reads are
    int8, its sums int32, and these are scaled to float32 instead of being rounded to 8 bits. The
    layer of an embedding likewise; its squares and their sum, in between, stay float32.
    """
    from ai_edge_quantizer import qtyping, recipe_manager

    operation = qtyping.TFLOperationName
    recipe = recipe_manager.RecipeManager()
    recipe.add_static_config(
        ".*", operation.ALL_SUPPORTED, activation_num_bits=8, weight_num_bits=8
    )
    keep = recipe_manager.AlgorithmName.NO_QUANTIZE
    for kind in (operation.SOFTMAX, operation.OUTPUT):
        recipe.add_quantization_config(".*", kind, algorithm_key=keep)
    for operator in graph.float_stem():
        recipe.add_quantization_config(
            _only(operator.name), operation[operator.kind], algorithm_key=keep
        )
    tail = graph.float_tail()
    for name in tail.between:
        for kind in (operation.MUL, operation.SUM, operation.ADD, operation.RSQRT):
            recipe.add_quantization_config(_only(name), kind, algorithm_key=keep)
    for name in tail.layers:
        recipe.add_dynamic_config(_only(name), operation.FULLY_CONNECTED, num_bits=8)
    return recipe


def _only(name: str) -> str:
    """A pattern of the scope of the one operator whose output has this name."""
    return f"^{re.escape(name)};?$"


def _quantise(float32: bytes, recipe: Any, statistics: dict[str, Any] | None) -> bytes:
    from ai_edge_quantizer import quantizer

    worker = quantizer.Quantizer(float32, recipe.get_quantization_recipe())
    result = worker.quantize(statistics, enable_progress_bar=False, enable_progress_report=False)
    assert result.quantized_model is not None
    return bytes(result.quantized_model)
