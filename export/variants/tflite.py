"""The TFLite forms of a model."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import ClassVar

from export.tflite import flatbuffer
from export.tflite.metadata import embed
from export.variants.base import Exporter, InputsAndOutputs
from export.variants.build_context import BuildContext
from export.variants.parity_check import Tolerance, check_probabilities
from mobile_assets.errors import CheckFailedError
from mobile_assets.files import write_bytes


class _TFLite(Exporter):
    format = "tflite"
    suffix = "tflite"
    tolerance: ClassVar[Tolerance]
    input_type: ClassVar[str] = "float32"

    def write(self, context: BuildContext, path: Path) -> InputsAndOutputs:
        """Converts, embeds labels and metadata, and compares with the network."""
        from export.tflite.convert import run_tflite

        content = embed(self.convert(context), context.labels, context.description)
        answers = run_tflite(content, context.probe)
        check_probabilities(self.name, answers, context.expected, self.tolerance)
        tensors = flatbuffer.inputs_and_outputs(content)
        self._check_tensors(tensors, context)
        write_bytes(path, content)
        return tensors

    @abstractmethod
    def convert(self, context: BuildContext) -> bytes:
        """The TFLite file without metadata."""

    def _check_tensors(self, tensors: InputsAndOutputs, context: BuildContext) -> None:
        contract = context.contract
        shapes = (1, contract.height, contract.width, 3), (1, len(context.labels))
        expected = [("image", self.input_type, shapes[0]), ("probabilities", "float32", shapes[1])]
        actual = [(t.name, t.dtype, t.shape) for side in tensors for t in side]
        if actual != expected:
            raise CheckFailedError(
                f"{self.name} was made with inputs and outputs {actual} instead of {expected}. "
                "The installed converter behaves in another way: install the pinned versions."
            )


class Float32(_TFLite):
    """Float32 weights and arithmetic."""

    name = "tflite-float32"
    notes = ("Float32 weights and arithmetic; the reference for the other variants.",)
    # Kernels sum in another order than torch: 1e-6 is seen, a wrong graph gives more than 1e-2.
    tolerance = Tolerance(largest=1e-4)

    def convert(self, context: BuildContext) -> bytes:
        """The converted file as it is."""
        return context.float32


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

    def convert(self, context: BuildContext) -> bytes:
        """Casts the float32 file's weights."""
        from export.tflite.convert import to_float16

        return to_float16(context.float32)


class Int8(_TFLite):
    """Full integer: int8 weights and activations, uint8 input, float32 logits and softmax."""

    name = "tflite-int8"
    rounding = "full"
    input_type = "uint8"
    notes = (
        "Full integer: int8 weights per channel and int8 activations from the photo to the last "
        "layer; the input is uint8. Activation ranges are the extremes over the calibration "
        "photos, but before a SiLU or sigmoid.",
        "The last layer multiplies int8 features (range taken per photo) by int8 weights and "
        "gives its sums as float32: rounded to 8 bits, the logits of look-alike objects tie. The "
        "softmax is float32, since steps of 1/256 say nothing of thousands of objects.",
    )
    tolerance = Tolerance(confident_agreement=0.9)

    def convert(self, context: BuildContext) -> bytes:
        """Converts the network with rounded weights; ranges come from the calibration photos."""
        from export.tflite.convert import activation_ranges, convert_float32, to_int8

        float32 = convert_float32(
            context.integer.network, context.contract, description=context.description.name
        )
        return to_int8(float32, activation_ranges(float32, context.calibration_photos))


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

    def convert(self, context: BuildContext) -> bytes:
        """Converts the network with rounded weights and stores them in 8 bits."""
        from export.tflite.convert import convert_float32, to_int8_weights

        source = context.integer_weights
        float32 = convert_float32(
            source.network, context.contract, description=context.description.name
        )
        return to_int8_weights(float32, source.kept)
