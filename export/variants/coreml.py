"""The Core ML forms of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from export.coreml import structure
from export.network.fold import run_photos
from export.quantise.palettised_network import PalettisedNetwork
from export.quantise.quantised_network import QuantisedNetwork
from export.variants.base import Exporter, InputsAndOutputs
from export.variants.build_context import BuildContext
from export.variants.parity_check import Tolerance, check_probabilities


def _float16_layers(source: QuantisedNetwork) -> dict[str, str]:
    """The fact of a package that names the layers that stay in float16; none if none do."""
    return {structure.FLOAT16_LAYERS: " ".join(sorted(source.kept))} if source.kept else {}


class _CoreML(Exporter):
    format = "coreml"
    suffix = "mlpackage"
    float32: ClassVar[bool] = False

    def write(self, material: BuildContext, path: Path) -> InputsAndOutputs:
        """Converts, saves and checks the structure of what was saved."""
        from export.coreml.convert import convert_coreml, save_package

        source = material.source(self.rounding)
        model = convert_coreml(
            source.network,
            material.contract,
            material.labels,
            description=material.description,
            user_defined=material.user_defined | _float16_layers(source),
            float32=self.float32,
        )
        save_package(self.compress(model, source.kept), path)
        package = structure.check_coreml(
            path, labels=material.labels, contract=material.contract, weights=self.precision
        )
        return structure.inputs_and_outputs(package)

    def compress(self, model: Any, kept: frozenset[str]) -> Any:  # noqa: ARG002 - of subclasses
        """The converted model with smaller weights but for kept layers; here as it is."""
        return model


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

    def compress(self, model: Any, kept: frozenset[str]) -> Any:
        """Stores layers' weights in 8 bits, but for those that stay in float16."""
        from export.coreml.weight_quantisation import int8_weights

        return int8_weights(model, kept)


class CoreMLPalette(_CoreML):
    """A Core ML ML Program whose layers' weights are of a few values, with float16 arithmetic."""

    tolerance: ClassVar[Tolerance] = Tolerance(confident_agreement=0.95)

    def __init__(self, bits: int) -> None:
        """Palettes have two to the power of `bits` values."""
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

    def source(self, material: BuildContext) -> PalettisedNetwork:
        """The network whose weights are of palettes."""
        return material.palettised(self.bits)

    def write(self, material: BuildContext, path: Path) -> InputsAndOutputs:
        """Finds palettes, compares with the network, converts and checks what was saved."""
        from export.coreml.convert import save_package
        from export.coreml.palettisation import check_palettes, convert_palettised

        source = self.source(material)
        found = run_photos(source.network, material.probe)
        check_probabilities(self.name, found, material.expected, self.tolerance)
        model = convert_palettised(
            source.network,
            source.palettes,
            material.contract,
            material.labels,
            description=material.description,
            user_defined=material.user_defined | _float16_layers(source),
        )
        save_package(model, path)
        package = structure.check_coreml(
            path, labels=material.labels, contract=material.contract, weights=self.precision
        )
        check_palettes(source.palettes, package)
        return structure.inputs_and_outputs(package)


class CoreMLW8A8(_CoreML):
    """A Core ML ML Program with int8 weights and int8 activations, for the Neural Engine."""

    name = "coreml-w8a8"
    rounding = "full"
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
    tolerance: ClassVar[Tolerance] = Tolerance(confident_agreement=0.9)

    def write(self, material: BuildContext, path: Path) -> InputsAndOutputs:
        """Rounds activations, compares with the network, converts and checks what was saved."""
        from export.coreml.convert import save_package
        from export.coreml.w8a8 import check_rounding, convert_w8a8
        from export.quantise.fake_quantised import fake_quantised_network

        assert material.calibration is not None, "export_bundle gives integer variants photos"
        source = material.source(self.rounding)
        twin = fake_quantised_network(source.network, material.calibration)
        found = run_photos(twin, material.probe)
        check_probabilities(self.name, found, material.expected, self.tolerance)
        model = convert_w8a8(
            twin,
            material.contract,
            material.labels,
            description=material.description,
            user_defined=material.user_defined | _float16_layers(source),
            kept=source.kept,
        )
        save_package(model, path)
        package = structure.check_coreml(
            path, labels=material.labels, contract=material.contract, weights=self.precision
        )
        check_rounding(twin, package)
        return structure.inputs_and_outputs(package)
