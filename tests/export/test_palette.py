"""Core ML packages of palettes: found, converted for real, run by the reference, and checked."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from telling import (
    CONTRACT,
    LABELS,
    OBJECTS,
    WORDS,
    Pixels,
    answers,
    photos,
    restless_network,
    scores,
    telling_network,
)
from torch import nn

from benchmarks.runtimes.coreml_reference.session import CoreMLReferenceSession
from export.coreml.convert import save_package
from export.coreml.palettisation import ScaledPalette, convert_palettised
from export.coreml.structure import FLOAT16_LAYERS, check_coreml, read_structure
from export.network.fold import FoldedNetwork, run_photos
from export.network.graph import trace
from export.quantise.activation_ranges import sqnr_db
from export.quantise.gptq import LayerStatistics
from export.quantise.palette import Palette, palette_is_no_smaller, palettiser
from export.quantise.palettised_network import MOST_FLOAT, PalettisedNetwork, palettise
from export.variants.build_context import BuildContext
from export.variants.coreml import CoreMLPalette
from export.variants.options import CALIBRATED, ON_REQUEST, VARIANTS, ExportOptions
from export.variants.parity_check import check_probabilities
from export.variants.registry import EXPORTERS
from mobile_assets.errors import CheckFailedError, InputError
from mobile_assets.files import sha256_path, size_of


@pytest.fixture(scope="module")
def network() -> FoldedNetwork:
    return telling_network()


@pytest.fixture(scope="module")
def palettised(network: FoldedNetwork) -> dict[int, PalettisedNetwork]:
    return {bits: palettise(network, photos(3), bits=bits) for bits in (4, 6, 8)}


@pytest.fixture(scope="module")
def material(network: FoldedNetwork) -> BuildContext:
    probe = photos(2, first=4)
    return BuildContext(
        network=network,
        contract=CONTRACT,
        labels=LABELS,
        description=WORDS,
        user_defined={},
        calibration=photos(3),
        probe=probe,
        expected=network.probabilities(probe),
    )


@pytest.fixture(scope="module")
def package(material: BuildContext, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an export writes for `coreml-palette6`."""
    folder = tmp_path_factory.mktemp("palette")
    return folder / EXPORTERS["coreml-palette6"].export(material, folder).file


def decibels(found: nn.Module, wanted: nn.Module, pixels: Pixels) -> float:
    """Signal-to-noise ratio of a network's logits."""
    pair = scores(run_photos(wanted, pixels)), scores(run_photos(found, pixels))
    return sqnr_db([pair])


def changed(package: Path, folder: Path, change: Callable[[Any], None]) -> Path:
    """A copy of a package whose specification is changed."""
    from coremltools.proto import Model_pb2

    copied = folder / "copy.mlpackage"
    shutil.copytree(package, copied)
    (file,) = copied.rglob("*.mlmodel")
    specification = Model_pb2.Model.FromString(file.read_bytes())
    change(specification)
    file.write_bytes(specification.SerializeToString())
    return copied


def operations(specification: Any, kind: str) -> list[Any]:
    """The operations of that kind."""
    (block,) = specification.mlProgram.functions["main"].block_specializations.values()
    return [operation for operation in block.operations if operation.type == kind]


def check(package: Path, weights: str = "palette6") -> None:
    """What an export and `verify` ask of a package."""
    check_coreml(package, labels=LABELS, contract=CONTRACT, weights=weights)


def test_weights_take_few_values(palettised: dict[int, PalettisedNetwork]) -> None:
    for bits, found in palettised.items():
        graph = trace(found.network)
        layers = graph.layers()
        assert set(layers) == set(found.palettes) | found.kept
        for name, palette in found.palettes.items():
            assert palette.values.shape == (2**bits,) and palette.indices.max() < 2**bits
            assert (np.diff(palette.values) >= 0).all() and (palette.scale > 0).all()
            assert torch.equal(layers[name].weight, palette.weight)


def test_more_bits_are_closer(
    palettised: dict[int, PalettisedNetwork], network: FoldedNetwork
) -> None:
    unseen = photos(4, first=3)
    four, six, eight = (decibels(palettised[bits].network, network, unseen) for bits in (4, 6, 8))
    assert four + 6 < six and six + 6 < eight and six > 20


def test_layers_that_do_most_damage_stay_in_float16(
    palettised: dict[int, PalettisedNetwork], network: FoldedNetwork
) -> None:
    graph = trace(network)
    sizes = {name: layer.weight.numel() for name, layer in graph.layers().items()}
    found = palettised[6]
    chosen = {n for n in found.kept if not palette_is_no_smaller(graph.layers()[n], 6)}
    assert chosen and sum(sizes[n] for n in chosen) <= MOST_FLOAT * sum(sizes.values())
    notes = " ".join(found.notes)
    assert "64 values" in notes and "dB" in notes and all(name in notes for name in found.kept)


def test_a_palette_that_saves_nothing_is_not_used() -> None:
    assert palette_is_no_smaller(nn.Linear(16, 16), 8) and not palette_is_no_smaller(
        nn.Linear(16, 16), 4
    )
    assert not palette_is_no_smaller(nn.Linear(128, 128), 8)


def test_palette_minds_what_weights_do() -> None:
    """Against Core ML Tools' way: k-means of one layer, each weight to the nearest value."""
    from sklearn.cluster import KMeans

    torch.manual_seed(0)
    layer = nn.Linear(64, 32).requires_grad_(False)
    layer.weight *= torch.exp(torch.randn(32, 1))
    mixing = torch.randn(16, 64)
    inputs, unseen = ((torch.randn(2048, 16) @ mixing).relu() + 0.1 for _ in range(2))
    moments = LayerStatistics.of(layer)
    moments.add(layer, inputs, layer(inputs), seed=0)
    found = palettiser(4)(layer, moments)
    flat = layer.weight.reshape(-1, 1).numpy()
    means = KMeans(16, n_init=1, random_state=0).fit(flat)
    nearest = torch.from_numpy(means.cluster_centers_[means.labels_]).reshape(layer.weight.shape)
    careful = nn.functional.linear(unseen, found.weight, found.bias)
    plain = nn.functional.linear(unseen, nearest.float(), layer.bias)
    wanted = layer(unseen)
    assert sqnr_db([(wanted, careful)]) > sqnr_db([(wanted, plain)]) + 6


def test_scales_keep_biases_within_float16() -> None:
    layer = nn.Linear(8, 4).requires_grad_(False)
    layer.weight[0] = 0
    layer.weight[1] *= 1e-6
    layer.bias[:] = torch.tensor([5.0, -5.0, 1.0, 0.0])
    moments = LayerStatistics.of(layer)
    inputs = torch.rand(64, 8)
    moments.add(layer, inputs, layer(inputs), seed=0)
    found = palettiser(6)(layer, moments)
    scaled = ScaledPalette(nn.Linear(8, 4), found.palette)
    assert float((found.bias / scaled.scale).abs().max()) < 2**13
    assert float(found.weight[0].abs().max()) < 1e-3
    torch.testing.assert_close(
        nn.functional.linear(inputs, found.weight, found.bias), layer(inputs), atol=0.02, rtol=0
    )


def test_package_holds_the_very_palettes(
    package: Path, palettised: dict[int, PalettisedNetwork]
) -> None:
    found = palettised[6]
    graph = trace(found.network)
    with CoreMLReferenceSession(package) as session:
        steps = session.program.steps
    layers = [step for step in steps if "weight" in step.constants]
    assert len(layers) == len(graph.layers())
    for step, (name, layer) in zip(layers, graph.layers().items(), strict=True):
        weight = step.constants["weight"].reshape(layer.weight.shape)
        if name in found.palettes:
            (after,) = (one for one in steps if step.name in one.sources.values())
            two, three = torch.tensor(2.0), torch.tensor(3.0)
            assert after.operation.compute(x=two, y=three) == 6
            scale = next(value for value in after.constants.values())
            weight = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
            torch.testing.assert_close(weight, layer.weight, rtol=0, atol=0)
        else:
            assert torch.equal(weight, layer.weight.half().float())


def test_package_answers_as_the_network(
    package: Path, network: FoldedNetwork, palettised: dict[int, PalettisedNetwork]
) -> None:
    pixels = photos(4, first=3)
    found = answers(package, pixels)
    assert sqnr_db([(scores(network.probabilities(pixels)), scores(found))]) > 20
    # Of what the package does differently from the rounded network, float16 is all.
    rounded = run_photos(palettised[6].network, pixels)
    assert sqnr_db([(scores(rounded), scores(found))]) > 35


def test_package_is_a_small_classifier_for_ios_16(package: Path, network: FoldedNetwork) -> None:
    from coremltools.proto import Model_pb2

    check(package)
    structure = read_structure(package)
    assert structure.layer_weights == ("float16", "palette6")
    (file,) = package.rglob("*.mlmodel")
    assert Model_pb2.Model.FromString(file.read_bytes()).specificationVersion == 7  # iOS 16
    (weights,) = package.rglob("weight.bin")
    graph = trace(network)
    count = sum(layer.weight.numel() for layer in graph.layers().values())
    assert size_of(weights) < 4 * count * 0.26  # this network has many scales and few weights
    with pytest.raises(CheckFailedError, match="weights is"):
        check(package, "palette8")


def test_same_export_makes_the_same_bytes(
    package: Path, network: FoldedNetwork, material: BuildContext, tmp_path: Path
) -> None:
    again = palettise(network, photos(3), bits=6)
    model = convert_palettised(
        again.network,
        again.palettes,
        CONTRACT,
        LABELS,
        description=WORDS,
        user_defined={FLOAT16_LAYERS: " ".join(sorted(again.kept))},
    )
    save_package(model, tmp_path / "again.mlpackage")
    assert sha256_path(tmp_path / "again.mlpackage") == sha256_path(package)


@pytest.mark.parametrize("values", [32, 63, 256])
def test_a_palette_of_other_values_is_refused(package: Path, tmp_path: Path, values: int) -> None:
    def change(specification: Any) -> None:
        table = operations(specification, "constexpr_lut_to_dense")[0].attributes["lut"]
        table.type.tensorType.dimensions[0].constant.size = values

    with pytest.raises(CheckFailedError, match="layers' weights is"):
        check(changed(package, tmp_path, change))


def test_a_layer_without_palette_is_refused(package: Path, tmp_path: Path) -> None:
    def change(specification: Any) -> None:
        unpacked = operations(specification, "constexpr_lut_to_dense")[0]
        unpacked.type = "const"
        unpacked.attributes["val"].CopyFrom(unpacked.attributes["lut"])

    with pytest.raises(CheckFailedError, match="layers in float16 is"):
        check(changed(package, tmp_path, change))


def test_a_layer_that_is_stated_and_not_in_float16_is_refused(
    package: Path, tmp_path: Path
) -> None:
    def change(specification: Any) -> None:
        specification.description.metadata.userDefined[FLOAT16_LAYERS] += " body.0.other"

    with pytest.raises(CheckFailedError, match="layers in float16 is"):
        check(changed(package, tmp_path, change))


def test_a_missing_palette_is_noticed(
    package: Path, palettised: dict[int, PalettisedNetwork]
) -> None:
    def check_count(count: int) -> None:
        check_coreml(
            package,
            labels=LABELS,
            contract=CONTRACT,
            weights="palette6",
            operations={"constexpr_lut_to_dense": count},
        )

    palettes = len(palettised[6].palettes)
    check_count(palettes)
    with pytest.raises(CheckFailedError, match=f"constexpr_lut_to_dense is {palettes} instead of"):
        check_count(palettes - 1)


def test_a_network_that_errs_is_not_exported(material: BuildContext, tmp_path: Path) -> None:
    """As four bits may: the message says what to leave out, and nothing is written."""
    exporter = CoreMLPalette(4)
    clear = np.eye(OBJECTS, dtype=np.float32)[material.expected.argmin(axis=1)]
    with pytest.raises(CheckFailedError, match=r"coreml-palette4 does not answer.*--variants"):
        exporter.export(replace(material, expected=clear), tmp_path)
    assert not list(tmp_path.rglob("*.mlpackage"))
    wrong = np.roll(clear, 1, axis=1)
    with pytest.raises(CheckFailedError, match="clear photos"):
        check_probabilities("x", wrong, clear, exporter.tolerance)


def test_palettes_are_found_once(material: BuildContext) -> None:
    assert material.palettised(6) is material.palettised(6)
    assert material.palettised(6) is not replace(material).palettised(6)


def test_others_than_six_bits_are_made_on_request() -> None:
    assert "coreml-palette6" in ExportOptions().checked_variants()
    assert not set(ON_REQUEST) & set(VARIANTS) and {*ON_REQUEST, "coreml-palette6"} <= CALIBRATED
    chosen = ExportOptions(variants=("coreml-palette4", "tflite-int8", "coreml-palette8"))
    assert chosen.checked_variants() == ("tflite-int8", "coreml-palette8", "coreml-palette4")
    with pytest.raises(InputError, match="coreml-palette8, coreml-palette4"):
        ExportOptions(variants=("coreml-palette5",)).checked_variants()


def test_network_that_cannot_be_followed_is_refused() -> None:
    network = restless_network()
    with pytest.raises(CheckFailedError, match="Leave coreml-palette6 out"):
        palettise(network, photos(1), bits=6)


def test_weight_is_value_times_scale() -> None:
    values = np.array([-1, 0.5], dtype=np.float16)
    indices = np.array([[0, 1], [1, 1]], dtype=np.uint8)
    found = Palette(values, indices, np.array([2, 4], dtype=np.float16)).weight
    assert found.tolist() == [[-2, 1], [2, 2]]
