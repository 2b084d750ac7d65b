"""The exported forms of a model: one class each, in a registry."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from export import coreml_check, flatbuffer
from export.check import Tolerance, check_probabilities
from export.network import Deployable, run_photos
from export.options import ON_REQUEST, VARIANTS
from export.palettised import PalettisedNetwork, palettise
from export.quantised import Quantised, quantise
from export.tflite_metadata import ModelDescription, embed
from mobile_assets.bundle import TensorInfo, Variant
from mobile_assets.errors import CheckFailedError
from mobile_assets.files import sha256_path, size_of, write_bytes
from mobile_assets.labels import LabelMap
from mobile_assets.preprocessing import Preprocessing

FILE_STEM = "artefact-id"
Rounding = Literal["none", "weights", "full"]
"""What of a variant is in 8 bits: nothing, its weights, or its weights and activations."""

Ends = tuple[tuple[TensorInfo, ...], tuple[TensorInfo, ...]]


@dataclass(frozen=True)
class Material:
    """What every variant is made of.

    Attributes:
        network: The folded network.
        contract: Its preprocessing contract.
        labels: The label map.
        description: The words that go into the files' metadata.
        user_defined: Facts that go into the Core ML package.
        calibration: `[N, H, W, 3]` uint8 photos for activation ranges; None without integers.
        probe: `[N, H, W, 3]` uint8 photos on which every file is compared with the network.
        expected: The network's probabilities `[N, objects]` of `probe`.
        learned: The network with 8-bit weights that were fine-tuned, if they were.
    """

    network: Deployable
    contract: Preprocessing
    labels: LabelMap
    description: ModelDescription
    user_defined: dict[str, str]
    calibration: NDArray[np.uint8] | None
    probe: NDArray[np.uint8]
    expected: NDArray[np.float32]
    learned: Quantised | None = None
    _palettised: dict[int, PalettisedNetwork] = field(default_factory=dict, init=False)

    @cached_property
    def float32(self) -> bytes:
        """The float32 TFLite file without metadata, converted once for all variants."""
        from export.tflite import convert_float32

        return convert_float32(self.network, self.contract, description=self.description.name)

    @cached_property
    def integer(self) -> Quantised:
        """The network for 8-bit weights and activations."""
        return self.learned or self._quantised(activations=True)

    @cached_property
    def integer_weights(self) -> Quantised:
        """The network for 8-bit weights and float activations."""
        return self._quantised(activations=False)

    def palettised(self, bits: int) -> PalettisedNetwork:
        """The network for weights of so many bits, made once."""
        if bits not in self._palettised:
            assert self.calibration is not None, "export_bundle gives rounded variants photos"
            self._palettised[bits] = palettise(self.network, self.calibration, bits=bits)
        return self._palettised[bits]

    def source(self, rounding: Rounding) -> Quantised:
        """The network that a variant is converted from."""
        if rounding == "none":
            return Quantised(self.network, ())
        return self.integer if rounding == "full" else self.integer_weights

    def _quantised(self, *, activations: bool) -> Quantised:
        assert self.calibration is not None, "export_bundle gives integer variants photos"
        return quantise(self.network, self.calibration, activations=activations)


class Exporter(ABC):
    """Makes one variant."""

    name: ClassVar[str]
    format: ClassVar[Literal["tflite", "coreml"]]
    suffix: ClassVar[str]
    rounding: ClassVar[Rounding] = "none"
    notes: ClassVar[tuple[str, ...]]

    @property
    def precision(self) -> str:
        """The part of the name after the format."""
        return self.name.removeprefix(f"{self.format}-")

    def export(self, material: Material, bundle: Path) -> Variant:
        """Writes the variant into the bundle and checks it.

        Raises:
            CheckFailedError: The file does not answer as the network does.
        """
        file = f"models/{FILE_STEM}.{self.precision}.{self.suffix}"
        path = bundle / file
        path.parent.mkdir(parents=True, exist_ok=True)
        inputs, outputs = self.write(material, path)
        return Variant(
            name=self.name,
            file=file,
            format=self.format,
            precision=self.precision,
            bytes=size_of(path),
            sha256=sha256_path(path),
            inputs=inputs,
            outputs=outputs,
            notes=self.notes + self.source(material).notes,
        )

    def source(self, material: Material) -> Quantised:
        """The network that the variant is converted from."""
        return material.source(self.rounding)

    @abstractmethod
    def write(self, material: Material, path: Path) -> Ends:
        """Writes and checks the file or package; gives its inputs and outputs."""


class _TFLite(Exporter):
    format = "tflite"
    suffix = "tflite"
    tolerance: ClassVar[Tolerance]
    input_type: ClassVar[str] = "float32"

    def write(self, material: Material, path: Path) -> Ends:
        """Converts, embeds labels and metadata, and compares with the network."""
        from export.tflite import run_tflite

        content = embed(self.convert(material), material.labels, material.description)
        found = run_tflite(content, material.probe)
        check_probabilities(self.name, found, material.expected, self.tolerance)
        ends = flatbuffer.inputs_and_outputs(content)
        self._check_ends(ends, material)
        write_bytes(path, content)
        return ends

    @abstractmethod
    def convert(self, material: Material) -> bytes:
        """The TFLite file without metadata."""

    def _check_ends(self, ends: Ends, material: Material) -> None:
        contract = material.contract
        shapes = (1, contract.height, contract.width, 3), (1, len(material.labels))
        expected = [("image", self.input_type, shapes[0]), ("probabilities", "float32", shapes[1])]
        found = [(t.name, t.dtype, t.shape) for side in ends for t in side]
        if found != expected:
            raise CheckFailedError(
                f"{self.name} was made with inputs and outputs {found} instead of {expected}. "
                "The installed converter behaves in another way: install the pinned versions."
            )


class Float32(_TFLite):
    """Float32 weights and arithmetic."""

    name = "tflite-float32"
    notes = ("Float32 weights and arithmetic; the reference for the other variants.",)
    # Kernels sum in another order than torch: 1e-6 is seen, a wrong graph gives more than 1e-2.
    tolerance = Tolerance(largest=1e-4)

    def convert(self, material: Material) -> bytes:
        """The converted file as it is."""
        return material.float32


class Float16(_TFLite):
    """Float16 weights; float32 input, output and, on a CPU, arithmetic."""

    name = "tflite-float16"
    notes = (
        "Weights of convolutions and linear layers are stored as float16; input and output are "
        "float32. On a CPU the arithmetic is float32; GPUs may compute in float16.",
    )
    # float16 weights have 11 significant bits: 1e-3 is seen, of networks with SiLU a tenth on one
    # photo of many; a wrong graph changes all.
    tolerance = Tolerance(typical=2e-2)

    def convert(self, material: Material) -> bytes:
        """Casts the float32 file's weights."""
        from export.tflite import to_float16

        return to_float16(material.float32)


class Int8(_TFLite):
    """Full integer: int8 weights and activations, uint8 input, float32 logits and softmax."""

    name = "tflite-int8"
    rounding = "full"
    input_type = "uint8"
    notes = (
        "Full integer: int8 weights per channel and int8 activations from the photo to the last "
        "layer; the input is uint8. Activation ranges are the extremes over the calibration "
        "photos.",
        "The last layer multiplies int8 features (range taken per photo) by int8 weights and "
        "gives its sums as float32: rounded to 8 bits, the logits of look-alike objects tie. The "
        "softmax is float32, since steps of 1/256 say nothing of thousands of objects.",
    )
    tolerance = Tolerance(confident_agreement=0.9)

    def convert(self, material: Material) -> bytes:
        """Converts the network with rounded weights; ranges come from the calibration photos."""
        from export.tflite import activation_ranges, convert_float32, to_int8

        assert material.calibration is not None, "export_bundle gives integer variants photos"
        float32 = convert_float32(
            material.source(self.rounding).network,
            material.contract,
            description=material.description.name,
        )
        return to_int8(float32, activation_ranges(float32, material.calibration))


class Int8Weights(_TFLite):
    """8-bit weights; float32 input, output and arithmetic."""

    name = "tflite-int8-weights"
    rounding = "weights"
    notes = (
        "Weights are int8 per channel, those of a few layers float16, and become float32 when the "
        "model is loaded; input, output and arithmetic are float32. About a third of the size, "
        "not faster.",
    )
    tolerance = Tolerance(confident_agreement=0.95)

    def convert(self, material: Material) -> bytes:
        """Converts the network with rounded weights and stores them in 8 bits."""
        from export.tflite import convert_float32, to_int8_weights

        source = material.source(self.rounding)
        float32 = convert_float32(
            source.network, material.contract, description=material.description.name
        )
        return to_int8_weights(float32, source.kept)


def _float16_layers(source: Quantised) -> dict[str, str]:
    """The fact of a package that names the layers that stay in float16; none if none do."""
    return {coreml_check.FLOAT16_LAYERS: " ".join(sorted(source.kept))} if source.kept else {}


class _CoreML(Exporter):
    format = "coreml"
    suffix = "mlpackage"
    float32: ClassVar[bool] = False

    def write(self, material: Material, path: Path) -> Ends:
        """Converts, saves and checks the structure of what was saved."""
        from export.coreml import convert_coreml, save_package

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
        structure = coreml_check.check_coreml(
            path, labels=material.labels, contract=material.contract, weights=self.precision
        )
        return coreml_check.inputs_and_outputs(structure)

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
        from export.coreml_compress import int8_weights

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

    def source(self, material: Material) -> PalettisedNetwork:
        """The network whose weights are of palettes."""
        return material.palettised(self.bits)

    def write(self, material: Material, path: Path) -> Ends:
        """Finds palettes, compares with the network, converts and checks what was saved."""
        from export.coreml import save_package
        from export.coreml_palette import check_palettes, convert_palettised

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
        structure = coreml_check.check_coreml(
            path, labels=material.labels, contract=material.contract, weights=self.precision
        )
        check_palettes(source.palettes, structure)
        return coreml_check.inputs_and_outputs(structure)


class CoreMLW8A8(_CoreML):
    """A Core ML ML Program with int8 weights and int8 activations, for the Neural Engine."""

    name = "coreml-w8a8"
    rounding = "full"
    notes = (
        "ML Program for iOS 17 or later with int8 weights per channel and int8 activations, which "
        "the Neural Engine of recent iPhones multiplies as integers. Activation ranges are the "
        "extremes over the calibration photos.",
        "The centred photo and the answers of the last layer are float16: in 8 bits a photo would "
        "lose one of its own, and the logits of look-alike objects tie.",
        _SOFTMAX,
        "Its rounding is compared with the network in torch; the package is checked in structure "
        "and not run, since Core ML runs on Apple systems only.",
    )
    tolerance: ClassVar[Tolerance] = Tolerance(confident_agreement=0.9)

    def write(self, material: Material, path: Path) -> Ends:
        """Rounds activations, compares with the network, converts and checks what was saved."""
        from export.coreml import save_package
        from export.coreml_w8a8 import check_rounding, convert_w8a8, rounded_twin

        assert material.calibration is not None, "export_bundle gives integer variants photos"
        source = material.source(self.rounding)
        twin = rounded_twin(source.network, material.calibration)
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
        structure = coreml_check.check_coreml(
            path, labels=material.labels, contract=material.contract, weights=self.precision
        )
        check_rounding(twin, structure)
        return coreml_check.inputs_and_outputs(structure)


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
