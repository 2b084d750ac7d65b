"""Conversion to TFLite, and float16 and full-integer forms of the converted file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from export.network.fold import ChannelsLast, FoldedNetwork
from export.quantise.activation_ranges import Range, before_curve, bounded, rows_of
from export.tflite.activation_functions import ActivationFile, Operator
from export.tflite.flatbuffer import (
    FloatTail,
    activation_names,
    float_tail,
    label_ends,
    layer_answers,
    unsigned_input,
)
from mobile_assets.bundle import INPUT_NAME
from mobile_assets.log_suppression import quiet
from mobile_assets.preprocessing import Preprocessing

Ranges = dict[str, tuple[float, float]]
"""Smallest and largest value of each activation, by tensor name."""


def convert_float32(network: FoldedNetwork, contract: Preprocessing, *, description: str) -> bytes:
    """Converts a network to a float32 TFLite file.

    Returns:
        A file with one subgraph, `image` `[1, H, W, 3]` → `probabilities` `[1, objects]`.
    """
    with quiet():
        import litert_torch

        litert_torch.config.show_progress = False
        sample = {INPUT_NAME: torch.zeros(1, contract.height, contract.width, 3)}
        wrapped = ChannelsLast(network).eval()
        content = litert_torch.convert(wrapped, sample_kwargs=sample).model_content()
    return label_ends(content, description=description)


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
    answers = layer_answers(float32)
    with quiet():
        from ai_edge_quantizer import qtyping, recipe_manager

        recipe = recipe_manager.RecipeManager()
        operation = qtyping.TFLOperationName
        for kind in (operation.CONV_2D, operation.DEPTHWISE_CONV_2D, operation.FULLY_CONNECTED):
            recipe.add_weight_only_config(".*", kind, num_bits=8)
        for name in kept:
            answer, kind_name = answers[name]
            recipe.add_weight_only_config(
                _only(answer),
                operation[kind_name],
                num_bits=16,
                algorithm_key=recipe_manager.AlgorithmName.FLOAT_CASTING,
            )
        return _quantise(float32, recipe, None)


def activation_ranges(float32: bytes, photos: NDArray[np.uint8]) -> Ranges:
    """The range of every activation over the calibration photos.

    It goes from the smallest to the largest value, but before a SiLU or sigmoid, where
    `export.quantise.activation_ranges.before_curve` chooses it. The input's range is 0–255 whatever the photos hold,
    and the centred photo's likewise: a photo brighter than all calibration photos must not be
    clipped.

    Args:
        float32: A file of `convert_float32`.
        photos: `[N, H, W, 3]` uint8, RGB 0–255; N at least 1.
    """
    extremes = np.stack([np.zeros_like(photos[0]), np.full_like(photos[0], 255)])
    names = activation_names(float32)
    first = list(names)[:2]  # the photo and the centred photo
    file = ActivationFile(float32)
    curved = file.curved()
    seen: dict[int, list[torch.Tensor]] = {index: [] for index in curved}
    with quiet():
        runner = interpreter(float32, preserve_all_tensors=True)
        low = dict.fromkeys(names, np.inf)
        high = dict.fromkeys(names, -np.inf)
        for photo, indices in [(p, first) for p in extremes] + [(p, list(names)) for p in photos]:
            run_one(runner, photo)
            for index in indices:
                values = runner.get_tensor(index)
                low[index] = min(low[index], float(values.min()))
                high[index] = max(high[index], float(values.max()))
                if index in curved:
                    seen[index].append(rows_of(torch.from_numpy(values), len(photos)))
    spans = {index: (low[index], high[index]) for index in names}
    for index, one in curved.items():
        rows = torch.cat(seen[index])
        spans[index] = before_curve(rows, _with_zero(spans[index]), one.curve, one.reach)
    for index, (source, bound) in file.bounds().items():
        spans[index] = bounded(spans[index], spans[source], bound)
    return {name: spans[index] for index, name in names.items()}


def _with_zero(span: Range) -> Range:
    return min(span[0], 0.0), max(span[1], 0.0)


def interpreter(content: bytes, *, preserve_all_tensors: bool = False, threads: int = 2) -> Any:
    """An interpreter of a TFLite file, ready to run."""
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(
        model_content=content,
        num_threads=threads,
        experimental_preserve_all_tensors=preserve_all_tensors,
    )
    runner.allocate_tensors()
    return runner


def run_one(runner: Any, photo: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Probabilities `[objects]` float32 of one `[H, W, 3]` uint8 photo."""
    entry = runner.get_input_details()[0]
    runner.set_tensor(entry["index"], photo[None].astype(entry["dtype"]))
    runner.invoke()
    values: NDArray[np.float32] = runner.get_tensor(runner.get_output_details()[0]["index"])[0]
    return values


def run_tflite(content: bytes, photos: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> Any:
    """Probabilities `[N, objects]` float32 of `[N, H, W, 3]` uint8 photos."""
    with quiet():
        runner = interpreter(content)
        return np.stack([run_one(runner, photo) for photo in photos])


def to_int8(float32: bytes, ranges: Ranges) -> bytes:
    """Full-integer form: int8 weights per channel, int8 activations, uint8 input.

    Args:
        float32: A file of `convert_float32`.
        ranges: Of `activation_ranges`.

    Returns:
        A file whose input is uint8 and whose logits, softmax and output are float32.
    """
    with quiet():
        recipe = _int8_recipe(float_tail(float32), ActivationFile(float32).beginning())
        statistics = {
            name: {"min": np.float32(low).reshape(1), "max": np.float32(high).reshape(1)}
            for name, (low, high) in ranges.items()
        }
        quantised = _quantise(float32, recipe, statistics)
    return unsigned_input(quantised)


def _int8_recipe(tail: FloatTail, beginning: Sequence[Operator]) -> Any:
    """Static int8 for everything up to the last layer, which multiplies int8 and answers in float.

    What a network with SiLU begins with is float, too: see `Graph.beginning`.

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
    for left in (operation.SOFTMAX, operation.OUTPUT):
        recipe.add_quantization_config(".*", left, algorithm_key=keep)
    for one in beginning:
        recipe.add_quantization_config(_only(one.answer), operation[one.kind], algorithm_key=keep)
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
