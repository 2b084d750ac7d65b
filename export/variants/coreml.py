"""The Core ML forms of a model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from torch import nn

from export.coreml import structure
from export.network.fold import FoldedNetwork, run_photos
from export.quantise.fake_quantised import QuantizeDequantize
from export.quantise.palettised_network import PalettisedNetwork
from export.quantise.quantised_network import QuantisedNetwork
from export.variants.base import Exporter, InputsAndOutputs
from export.variants.build_context import BuildContext
from export.variants.parity_check import Tolerance, check_probabilities


class _CoreML(Exporter):
    format = "coreml"
    suffix = "mlpackage"
    float32: ClassVar[bool] = False
    ios: ClassVar[int] = 16
    tolerance: ClassVar[Tolerance | None] = None
    """How far the rounded network in torch may be from the network; None to compare nothing."""

    def write(self, context: BuildContext, path: Path) -> InputsAndOutputs:
        """Compares rounded networks, converts, saves and checks the structure of what was saved."""
        from export.coreml.convert import save_package

        source = self.source(context)
        network = self.network(source, context)
        if self.tolerance is not None:
            rounded = run_photos(network, context.probe)
            check_probabilities(self.name, rounded, context.expected, self.tolerance)
        facts = dict(context.user_defined)
        if source.kept:
            facts[structure.FLOAT16_LAYERS] = " ".join(sorted(source.kept))
        save_package(self.convert(network, source, replace(context, user_defined=facts)), path)
        package = structure.check_coreml(
            path,
            labels=context.labels,
            contract=context.contract,
            weights=self.precision,
            operations=self.operations(network, source),
        )
        return structure.inputs_and_outputs(package)

    def network(self, source: QuantisedNetwork, context: BuildContext) -> nn.Module:  # noqa: ARG002
        """What is converted, and run in torch in the package's place."""
        return source.network

    def convert(self, network: nn.Module, source: QuantisedNetwork, context: BuildContext) -> Any:
        """The package, not yet saved."""
        from export.coreml.convert import convert_coreml
        from export.coreml.weight_quantisation import int8_weights

        model = convert_coreml(
            network,
            context.contract,
            context.labels,
            description=context.description,
            user_defined=context.user_defined,
            float32=self.float32,
            ios=self.ios,
        )
        return model if self.rounding == "none" else int8_weights(model, source.kept)

    def operations(self, network: nn.Module, source: QuantisedNetwork) -> dict[str, int]:  # noqa: ARG002
        """How often operations of the variant's kind must stand in the package."""
        return {}


_NOT_RUN = "Converted and checked in structure; not run, since Core ML runs on Apple systems only."
_SOFTMAX = (
    "The softmax is float32: float16 has nothing below 6e-8, where most of thousands of "
    "probabilities lie."
)


class CoreMLFloat32(_CoreML):
    """A Core ML ML Program with float32 weights and arithmetic."""

    name = "coreml-float32"
    float32 = True
    notes = (
        "ML Program for iOS 16 or later with float32 weights and arithmetic: on CPU and GPU; the "
        "Neural Engine computes in float16.",
        _NOT_RUN,
    )


class CoreMLFloat16(_CoreML):
    """A Core ML ML Program with float16 weights and arithmetic."""

    name = "coreml-float16"
    notes = (
        "ML Program for iOS 16 or later with float16 weights and arithmetic.",
        _SOFTMAX,
        _NOT_RUN,
    )


class CoreMLInt8Weights(_CoreML):
    """A Core ML ML Program with int8 weights per channel and float16 arithmetic."""

    name = "coreml-int8-weights"
    rounding = "weights"
    notes = (
        "ML Program for iOS 16 or later: layers' weights are int8 per channel, those of a few "
        "float16, and become float16 when the model is loaded; arithmetic is float16.",
        _SOFTMAX,
        _NOT_RUN,
    )


class CoreMLPalette(_CoreML):
    """A Core ML ML Program whose layers' weights are of a few values, with float16 arithmetic."""

    tolerance = Tolerance(confident_agreement=0.95)

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self.name = f"coreml-palette{bits}"  # type: ignore[misc]
        self.notes = (  # type: ignore[misc]
            f"ML Program for iOS 16 or later: of a layer's weights there are {bits} bits each, "
            f"which choose among {2**bits} values of the layer, and a float16 scale per channel "
            "that multiplies what the layer gives. Arithmetic is float16. Smaller, and by itself "
            "not faster.",
            _SOFTMAX,
            "Its rounding is compared with the network in torch; the package is checked in "
            "structure and not run, since Core ML runs on Apple systems only.",
        )

    def source(self, context: BuildContext) -> PalettisedNetwork:
        """The network whose weights are of palettes."""
        return context.palettised(self.bits)

    def convert(self, network: nn.Module, source: QuantisedNetwork, context: BuildContext) -> Any:
        """The package with palettes, not yet saved."""
        from export.coreml.palettisation import convert_palettised

        assert isinstance(network, FoldedNetwork) and isinstance(source, PalettisedNetwork)
        return convert_palettised(
            network,
            source.palettes,
            context.contract,
            context.labels,
            description=context.description,
            user_defined=context.user_defined,
        )

    def operations(self, network: nn.Module, source: QuantisedNetwork) -> dict[str, int]:  # noqa: ARG002
        """Each palette is unpacked once."""
        assert isinstance(source, PalettisedNetwork)
        return {"constexpr_lut_to_dense": len(source.palettes)}


class CoreMLW8A8(_CoreML):
    """A Core ML ML Program with int8 weights and int8 activations, for the Neural Engine."""

    name = "coreml-w8a8"
    rounding = "full"
    ios = 17
    notes = (
        "ML Program for iOS 17 or later with int8 weights per channel and int8 activations, which "
        "the Neural Engine of recent iPhones multiplies as integers. Activation ranges are the "
        "extremes over the calibration photos, but before a SiLU or sigmoid.",
        "The centred photo and the answers of the last layer are float16: in 8 bits a photo would "
        "lose one of its own, and the logits of look-alike objects tie.",
        _SOFTMAX,
        "Its rounding is compared with the network in torch; the package is checked in structure "
        "and not run, since Core ML runs on Apple systems only.",
    )
    tolerance = Tolerance(confident_agreement=0.9)

    def network(self, source: QuantisedNetwork, context: BuildContext) -> nn.Module:  # noqa: ARG002
        """The network whose activations are rounded, too."""
        return context.fake_quantised

    def operations(self, network: nn.Module, source: QuantisedNetwork) -> dict[str, int]:  # noqa: ARG002
        """Each rounded activation is one; a network without any is no such variant."""
        rounded = sum(isinstance(module, QuantizeDequantize) for module in network.modules())
        return {"quantize": max(1, rounded)}
