"""Core ML packages of a tiny real network, converted for real, and what guards them."""

import shutil
from pathlib import Path

import pytest
from fitted_export import CONTRACT

from export import ExportOptions, export_bundle
from export.coreml.structure import FLOAT16_LAYERS, check_coreml, read_structure, weight_name
from mobile_assets.bundle import Bundle
from mobile_assets.errors import CheckFailedError, DamagedError
from mobile_assets.labels import LabelMap
from train.run import Run

pytest_plugins = ("fitted_export",)


def test_coreml_structure(fitted_bundle: Bundle) -> None:
    package = fitted_bundle.path(fitted_bundle.info.variant("coreml-float16"))
    found = check_coreml(package, labels=fitted_bundle.labels, contract=CONTRACT)
    assert found.labels == fitted_bundle.labels.object_ids
    assert found.weight_types == ("float16",)
    # The softmax's result stays float32 until the classifier reads it.
    assert found.operations[-3:] == ("cast", "softmax", "classify")
    metadata = found.user_defined
    assert metadata["artefact-id.labels_sha256"] == fitted_bundle.info.labels_sha256


@pytest.mark.parametrize(
    ("precision", "constants", "layers"),
    [
        ("float32", "float32", "float32"),
        ("float16", "float16", "float16"),
        ("int8-weights", "float16", "float16 int8"),
    ],
)
def test_coreml_weights_have_the_stated_precision(
    fitted_bundle: Bundle, precision: str, constants: str, layers: str
) -> None:
    package = fitted_bundle.path(fitted_bundle.info.variant(f"coreml-{precision}"))
    found = check_coreml(package, labels=fitted_bundle.labels, contract=CONTRACT, weights=precision)
    assert (found.weight_types, found.layer_weights) == ((constants,), tuple(layers.split()))
    for other in {"float32", "float16", "int8-weights", "palette6"} - {precision}:
        with pytest.raises(CheckFailedError, match="weights is"):
            check_coreml(package, labels=fitted_bundle.labels, contract=CONTRACT, weights=other)


@pytest.mark.parametrize("change", ["one more", "one fewer", "none"])
def test_coreml_check_sees_layers_that_are_not_in_8_bits(
    fitted_bundle: Bundle, tmp_path: Path, change: str
) -> None:
    from coremltools.proto import Model_pb2

    package = tmp_path / "copy.mlpackage"
    shutil.copytree(fitted_bundle.path(fitted_bundle.info.variant("coreml-int8-weights")), package)
    (file,) = package.rglob("*.mlmodel")
    specification = Model_pb2.Model.FromString(file.read_bytes())
    facts = specification.description.metadata.userDefined
    stated = facts[FLOAT16_LAYERS].split()
    assert stated and weight_name(stated[0]) in read_structure(package).float16_layers
    other = {"one more": [*stated, "body.0.other"], "one fewer": stated[1:], "none": []}
    facts[FLOAT16_LAYERS] = " ".join(other[change])
    file.write_bytes(specification.SerializeToString())
    with pytest.raises(CheckFailedError, match=r"layers in float16|layers' weights"):
        check_coreml(
            package, labels=fitted_bundle.labels, contract=CONTRACT, weights="int8-weights"
        )


def test_coreml_check_sees_swapped_labels(fitted_bundle: Bundle) -> None:
    labels = list(fitted_bundle.labels.labels)
    labels[3], labels[7] = (
        labels[7].model_copy(update={"index": 3}),
        labels[3].model_copy(update={"index": 7}),
    )
    package = fitted_bundle.path(fitted_bundle.info.variant("coreml-float16"))
    with pytest.raises(CheckFailedError, match=r"label 3 is 'OBJ.003' instead of 'OBJ.007'"):
        check_coreml(package, labels=LabelMap(tuple(labels)), contract=CONTRACT)


def test_coreml_check_sees_other_size_and_weights(fitted_bundle: Bundle, tmp_path: Path) -> None:
    package = fitted_bundle.path(fitted_bundle.info.variant("coreml-float16"))
    other = CONTRACT.model_copy(update={"height": 96})
    with pytest.raises(CheckFailedError, match="size is"):
        check_coreml(package, labels=fitted_bundle.labels, contract=other)
    with pytest.raises(CheckFailedError, match="weights is"):
        check_coreml(package, labels=fitted_bundle.labels, contract=CONTRACT, weights="float32")
    copy = tmp_path / "copy.mlpackage"
    shutil.copytree(package, copy)
    (file,) = copy.rglob("*.mlmodel")
    file.write_bytes(b"\xff" + file.read_bytes()[:50])
    with pytest.raises(DamagedError):
        read_structure(copy)


def test_coreml_float32_weights_are_refused(
    fitted_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import coremltools as ct

    def keep_float32(op_selector: object) -> object:
        return ct.precision.FLOAT32

    monkeypatch.setattr(ct.transform, "FP16ComputePrecision", keep_float32)
    options = ExportOptions(variants=("coreml-float16",))
    with pytest.raises(CheckFailedError, match=r"weights is \('float32',\)"):
        export_bundle(fitted_run, tmp_path / "out", options=options, photos=None)
    assert list(tmp_path.iterdir()) == []
