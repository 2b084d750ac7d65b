"""Checks of what is inside the model files, without executing them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.verify.checks import Check, CheckedBundle, check_from_problems, skipped_check
from mobile_assets.bundle import INPUT_NAME, OUTPUT_NAME, AuxiliaryModel, TensorInfo, Variant
from mobile_assets.bundle_paths import path_problem
from mobile_assets.errors import ArtefactError, first_line
from mobile_assets.labels import LabelMap
from mobile_assets.log_suppression import quiet
from mobile_assets.preprocessing import Preprocessing
from mobile_assets.regular_files import read_regular
from mobile_assets.strict_json import parse_json
from mobile_assets.visible_text import visible

_MANIFEST = "Manifest.json"
_DATA = "Data"
_MOST_MANIFEST_BYTES = 2**20
_AXIS_LABELS = 2
"""TFLite metadata's number for a file that labels the values of an output."""


@dataclass(frozen=True)
class ModelContents:
    """What was found in one model file.

    Attributes:
        kind: What the format calls its declarations: `metadata` or `structure`.
        wrong: What differs from the bundle's description.
    """

    labels: tuple[str, ...]
    kind: str
    wrong: tuple[str, ...]


def check_formats(checked: CheckedBundle) -> Iterator[Check]:
    """Labels and declarations inside every variant, and that all have one class order."""
    expected = checked.bundle.labels.object_ids
    orders: dict[str, tuple[str, ...]] = {}
    for variant in checked.bundle.info.variants:
        kind = "metadata" if variant.format == "tflite" else "structure"
        if variant.name in checked.changed:
            yield skipped_check(kind, "its file is not the one described", subject=variant.name)
            continue
        try:
            with quiet():
                inside = (
                    _tflite(checked, variant) if kind == "metadata" else _coreml(checked, variant)
                )
        # A damaged file can break its parser in any way; each of them is an answer.
        except Exception as error:
            yield check_from_problems(
                kind, [f"it cannot be read ({first_line(error)})"], "", subject=variant.name
            )
            continue
        orders[variant.name] = inside.labels
        problems = _label_problems(inside.labels, expected)
        good = f"{len(expected)}, as labels.json"
        yield check_from_problems("labels inside", problems, good, subject=variant.name)
        yield check_from_problems(inside.kind, inside.wrong, "as described", subject=variant.name)
    yield _one_order(orders)


def _one_order(orders: dict[str, tuple[str, ...]]) -> Check:
    if not orders:
        return skipped_check("class order", "no variant can be read")
    first = next(iter(orders))
    differing = [name for name, labels in orders.items() if labels != orders[first]]
    problems = [f"{name} has another order than {first}" for name in differing]
    return check_from_problems("class order", problems, f"the same in {len(orders)} variants")


def _label_problems(labels: tuple[str, ...], expected: tuple[str, ...]) -> Iterator[str]:
    if len(labels) != len(expected):
        yield f"{len(labels)} labels instead of {len(expected)}"
        return
    for index, (label, should) in enumerate(zip(labels, expected, strict=True)):
        if label != should:
            yield f"label {index} is {label!r} instead of {should!r}"


def _tflite(checked: CheckedBundle, variant: Variant) -> ModelContents:
    from export.tflite import flatbuffer
    from export.tflite.metadata import read_metadata

    content = checked.bundle.path(variant).read_bytes()
    metadata = read_metadata(content)
    wrong = end_problems(flatbuffer.inputs_and_outputs(content), variant)
    wrong += pixel_problems(variant, checked.bundle.info.preprocessing)
    image = metadata.inputs[0] if len(metadata.inputs) == 1 else None
    if image is None or image.name != INPUT_NAME or not image.is_rgb_image:
        wrong.append(f"the metadata do not describe one RGB input {INPUT_NAME!r}")
    # Raw pixels go in: anything but mean 0, deviation 1 makes MediaPipe normalise them again.
    elif set(image.mean) != {0.0} or set(image.std) != {1.0}:
        wrong.append(f"the metadata normalise by mean {image.mean} and deviation {image.std}")
    outputs = [output for output in metadata.outputs if output.name == OUTPUT_NAME]
    if len(outputs) != 1 or _AXIS_LABELS not in [kind for _, kind in outputs[0].files]:
        wrong.append(f"the metadata put no labels to one output {OUTPUT_NAME!r}")
    return ModelContents(metadata.labels, "metadata", tuple(wrong))


def _coreml(checked: CheckedBundle, variant: Variant) -> ModelContents:
    from export.coreml.structure import check_coreml, inputs_and_outputs, read_structure

    package, contract = checked.bundle.path(variant), checked.bundle.info.preprocessing
    structure = read_structure(package)
    wrong = [*manifest_problems(package)]
    wrong += end_problems(inputs_and_outputs(structure), variant)
    wrong += pixel_problems(variant, contract)
    # Its own labels: whether they are the bundle's is a check apart.
    try:
        inside = LabelMap.of([(label, "", "", 0) for label in structure.labels])
        check_coreml(package, labels=inside, contract=contract, weights=variant.precision)
    except ArtefactError as error:
        wrong.append(str(error))
    return ModelContents(structure.labels, "structure", tuple(wrong))


def manifest_problems(package: Path) -> Iterator[str]:
    """What its manifest names that is not there, and a program that is not the checked one.

    Core ML opens what the manifest names, the checks open the one `.mlmodel` file.
    """
    path = package / _MANIFEST
    content = parse_json(read_regular(path, most=_MOST_MANIFEST_BYTES), path)
    items = {key: str(item["path"]) for key, item in content["itemInfoEntries"].items()}
    for item in items.values():
        if path_problem(item) or not (package / _DATA / item).exists():
            yield f"its {_MANIFEST} names {visible(item)}, which is not in the package"
    programs = [file.relative_to(package / _DATA) for file in package.rglob("*.mlmodel")]
    if [items.get(content["rootModelIdentifier"])] != [file.as_posix() for file in programs]:
        yield f"its {_MANIFEST} names another program than its .mlmodel file"


def end_problems(
    declared: tuple[Iterable[TensorInfo], Iterable[TensorInfo]], variant: Variant | AuxiliaryModel
) -> list[str]:
    """How the file's inputs and outputs differ from their description."""
    wrong = []
    for side, is_, should in zip(
        ("inputs", "outputs"), declared, (variant.inputs, variant.outputs), strict=True
    ):
        if tuple(is_) != tuple(should):
            wrong.append(f"its {side} are {_listed(is_)} instead of {_listed(should)}")
    return wrong


def pixel_problems(variant: Variant | AuxiliaryModel, contract: Preprocessing) -> list[str]:
    """Whether its input takes the pixels of the contract."""
    shape = (1, contract.height, contract.width, 3)
    types = ("float32", "uint8") if variant.format == "tflite" else ("image",)
    if len(variant.inputs) == 1:
        image = variant.inputs[0]
        if (image.name, image.shape) == (INPUT_NAME, shape) and image.dtype in types:
            return []
    return [f"its input is not {' or '.join(types)} {INPUT_NAME} {list(shape)}"]


def _listed(tensors: Iterable[TensorInfo]) -> str:
    return ", ".join(f"{t.name} {t.dtype} {list(t.shape)}" for t in tensors)
