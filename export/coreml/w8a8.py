"""Core ML packages whose weights and activations are int8, for the Neural Engine.

Core ML has no integer operators. An activation in 8 bits is a pair of operations, `quantize` and
`dequantize`, and a weight in 8 bits a constant that is unpacked where it is used; a compiler that
finds such pairs around a convolution computes it in integers, as the Neural Engine of recent
iPhones does. Apple's own way to the pairs takes ranges by predicting with Core ML, which exists on
macOS only. Here they are taken in torch, as for the TFLite file, and the pairs are put where that
file has int8 tensors.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from export.coreml.convert import convert_coreml
from export.coreml.structure import CoreMLStructure
from export.coreml.weight_quantisation import int8_weights
from export.network.description import ModelDescription
from export.quantise.fake_quantised import QuantizeDequantize
from mobile_assets.errors import CheckFailedError
from mobile_assets.labels import LabelMap
from mobile_assets.log_suppression import quiet
from mobile_assets.preprocessing import Preprocessing


def convert_w8a8(
    twin: nn.Module,
    contract: Preprocessing,
    labels: LabelMap,
    *,
    description: ModelDescription,
    user_defined: dict[str, str],
    kept: frozenset[str] = frozenset(),
) -> Any:
    """Converts a network to an ML Program of int8 weights and int8 activations.

    Args:
        twin: Of `rounded_twin`.
        contract: The preprocessing contract.
        labels: The label map.
        description: The words in the package's metadata.
        user_defined: Facts for the package's metadata.
        kept: Names of layers whose weights stay in float16.

    Returns:
        A `coremltools.models.MLModel` for iOS 17 or later, not yet saved.
    """
    with quiet():
        import coremltools as ct

        target = ct.target.iOS17
    model = convert_coreml(
        twin,
        contract,
        labels,
        description=description,
        user_defined=user_defined,
        target=target,
    )
    return int8_weights(model, kept)


def check_rounding(twin: nn.Module, structure: CoreMLStructure) -> None:
    """Checks that a package rounds as many activations as the twin that it was made of.

    Raises:
        CheckFailedError: It rounds more or fewer.
    """
    wanted = sum(isinstance(module, QuantizeDequantize) for module in twin.modules())
    found = structure.operations.count("quantize")
    if found != wanted or not wanted:
        raise CheckFailedError(
            f"The Core ML package rounds {found} activations to 8 bits instead of {wanted}. "
            "The installed converter behaves in another way: install the pinned versions."
        )
