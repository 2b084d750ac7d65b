"""Conversion to a Core ML package: an ML Program that reads an image, mostly a classifier."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from export.coreml.structure import PREDICTED_LABEL
from export.network.description import ModelDescription
from mobile_assets.bundle import INPUT_NAME, OUTPUT_NAME
from mobile_assets.labels import LabelMap
from mobile_assets.log_suppression import quiet
from mobile_assets.preprocessing import Preprocessing

_SCORES = "scores"
_IN_FLOAT32 = ("softmax", "topk", "reduce_sum", "rsqrt")
"""The softmax and what is chosen of it, and the length of an embedding, whose square may leave
float16's range."""

_ARITHMETIC = ("mul", "add")
_ROWS = 2

_CONVERSION_DATE = "com.github.apple.coremltools.conversion_date"
_NAMESPACE = uuid.UUID("5f2c0a5e-6f0b-5a0e-9d0d-6a1f3c1b7e11")


@dataclass(frozen=True)
class ArrayOutput:
    """An output that is a plain array.

    Attributes:
        dtype: `float32` or `int32`.
    """

    dtype: str
    description: str


class _WithSoftmax(nn.Module):
    """A network of logits that answers with probabilities."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        return torch.softmax(self.network(image), dim=-1)


def convert_coreml(
    network: nn.Module,
    contract: Preprocessing,
    labels: LabelMap,
    *,
    description: ModelDescription,
    user_defined: dict[str, str],
    ios: int = 16,
    float32: bool = False,
    without_passes: tuple[str, ...] = (),
) -> Any:
    """Converts a network to an ML Program with float16 weights and arithmetic.

    The softmax stays in float32: over thousands of objects most probabilities are below 6e-8,
    where float16 has nothing left, and near 1 its steps are 5e-4.

    Returns:
        A `coremltools.models.MLModel` with image input `image` and outputs `classLabel` and
        `probabilities`, not yet saved.
    """
    with quiet():
        import coremltools as ct

        model = _convert(
            _WithSoftmax(network),
            contract,
            outputs=[ct.TensorType(name=_SCORES, dtype=np.float32)],
            classifier_config=ct.ClassifierConfig(
                list(labels.object_ids),
                predicted_feature_name=PREDICTED_LABEL,
                predicted_probabilities_output=_SCORES,
            ),
            compute_precision=ct.precision.FLOAT32 if float32 else _half_but(_in_float32),
            minimum_deployment_target=ct.target[f"iOS{ios}"],
            pass_pipeline=_pipeline(without_passes),
        )
        renamed = _rename_output(model)
    _describe(renamed, description, user_defined)
    renamed.output_description[PREDICTED_LABEL] = "Identifier of the most probable museum object."
    renamed.output_description[OUTPUT_NAME] = "Probability of each museum object; they sum to 1."
    return renamed


def convert_arrays(
    network: nn.Module,
    contract: Preprocessing,
    outputs: Mapping[str, ArrayOutput],
    *,
    description: ModelDescription,
    user_defined: dict[str, str],
    exact_rows: bool = False,
) -> Any:
    """Converts a network to an ML Program with float16 weights that answers with plain arrays.

    Arithmetic is that of the float16 classifier. Operations are those of iOS 16: from iOS 17 on,
    the converter has `topk` count the objects in 16 bits.

    Args:
        network: `[1, 3, H, W]` float RGB 0–255 → a tensor per output, in their order.
        outputs: Names of the outputs, with what they are.
        exact_rows: Whether arithmetic of rows, such as an embedding's length, is all float32.

    Returns:
        A `coremltools.models.MLModel`, not yet saved.
    """
    with quiet():
        import coremltools as ct

        types = {"float32": np.float32, "int32": np.int32}
        model = _convert(
            network,
            contract,
            outputs=[
                ct.TensorType(name=name, dtype=types[output.dtype])
                for name, output in outputs.items()
            ],
            compute_precision=_half_but(_of_rows_or_exact if exact_rows else _in_float32),
            minimum_deployment_target=ct.target.iOS16,
        )
        specification = model.get_spec()
        specification.description.metadata.userDefined.pop(_CONVERSION_DATE, None)
        model = ct.models.MLModel(
            specification, weights_dir=model.weights_dir, skip_model_load=True
        )
    _describe(model, description, user_defined)
    for name, output in outputs.items():
        model.output_description[name] = output.description
    return model


def _convert(network: nn.Module, contract: Preprocessing, **settings: Any) -> Any:
    import coremltools as ct

    example = torch.zeros(1, 3, contract.height, contract.width)
    trace: Any = torch.jit.trace
    return ct.convert(
        trace(network.eval(), example, check_trace=False),
        inputs=[
            ct.ImageType(
                name=INPUT_NAME, shape=tuple(example.shape), color_layout=ct.colorlayout.RGB
            )
        ],
        convert_to="mlprogram",
        skip_model_load=True,
        **settings,
    )


def _pipeline(without_passes: tuple[str, ...]) -> Any:
    """The converter's own steps but those; None for all of them."""
    import coremltools as ct

    if not without_passes:
        return None
    pipeline = ct.PassPipeline()
    pipeline.remove_passes(without_passes)
    return pipeline


def _half_but(exact: Callable[[Any], bool]) -> Any:
    """Float16 for every operation but those."""
    import coremltools as ct

    return ct.transform.FP16ComputePrecision(op_selector=lambda operation: not exact(operation))


def _in_float32(operation: Any) -> bool:
    return operation.op_type in _IN_FLOAT32


def _of_rows_or_exact(operation: Any) -> bool:
    """Also arithmetic of `[1, D]`: squeeze-and-excite, and all that is large, has images' axes."""
    rows = operation.op_type in _ARITHMETIC and operation.outputs[0].rank == _ROWS
    return rows or _in_float32(operation)


def _rename_output(model: Any) -> Any:
    """Gives the dictionary of probabilities its name; coremltools always calls it by the label."""
    import coremltools as ct

    specification = model.get_spec()
    old = specification.description.predictedProbabilitiesName
    ct.utils.rename_feature(specification, old, OUTPUT_NAME)
    specification.description.predictedProbabilitiesName = OUTPUT_NAME
    # The same export on another day makes the same bytes.
    specification.description.metadata.userDefined.pop(_CONVERSION_DATE, None)
    return ct.models.MLModel(specification, weights_dir=model.weights_dir, skip_model_load=True)


def _describe(model: Any, description: ModelDescription, user_defined: dict[str, str]) -> None:
    model.short_description = description.description
    model.author = description.author
    model.license = description.licence
    model.version = description.version
    model.input_description[INPUT_NAME] = (
        "Photo squashed to the input size without cropping (Vision: scaleFill), RGB."
    )
    model.user_defined_metadata.update(user_defined)


def save_package(model: Any, path: Path) -> None:
    """Saves an ML Program so that the same model makes the same bytes.

    coremltools names the parts of a package by random numbers and writes maps in no fixed order;
    both are put in order here.
    """
    with quiet():
        model.save(str(path))
    manifest = path / "Manifest.json"
    content = json.loads(manifest.read_text(encoding="utf-8"))
    entries = sorted(content["itemInfoEntries"].items(), key=lambda item: str(item[1]["path"]))
    names = {old: str(uuid.uuid5(_NAMESPACE, entry["path"])).upper() for old, entry in entries}
    content["itemInfoEntries"] = {names[old]: entry for old, entry in entries}
    content["rootModelIdentifier"] = names[content["rootModelIdentifier"]]
    manifest.write_text(json.dumps(content, indent=4, sort_keys=True) + "\n", encoding="utf-8")
    _rewrite_specification(path)


def _rewrite_specification(path: Path) -> None:
    from coremltools.proto import Model_pb2

    for file in sorted(path.rglob("*.mlmodel")):
        specification = Model_pb2.Model.FromString(file.read_bytes())
        file.write_bytes(specification.SerializeToString(deterministic=True))
        file.chmod(0o644)
