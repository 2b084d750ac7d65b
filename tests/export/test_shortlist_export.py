"""The classifier with a short list for an answer, in files of its own beside the variants."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from many_objects import tiny_run
from numpy.typing import NDArray
from tampering import relist
from torch import Tensor, nn

from artefact_id.main import main
from benchmarks.runtimes import runtimes
from benchmarks.runtimes.auxiliary_models import Arrays, executors, run_auxiliary
from benchmarks.verify import verify_bundle
from export import ExportOptions, export_bundle
from export.bundle.delegates import delegate_views
from export.bundle.inputs import gather
from export.coreml.convert import ArrayOutput, convert_arrays, save_package
from export.network.fold import ChannelsLast
from export.tflite import flatbuffer
from export.tflite.convert import interpreter
from export.variants import auxiliary as exported
from export.variants import topk
from export.variants.build_context import BuildContext
from export.variants.operations import operations
from mobile_assets.bundle import AuxiliaryModel, Bundle, BundleInfo
from mobile_assets.errors import CheckFailedError, DamagedError, InputError
from mobile_assets.log_suppression import quiet
from mobile_assets.shortlist import MOST, Shortlist

OBJECTS, TOP = 300, 7


@dataclass(frozen=True)
class Exported:
    """A bundle with short lists, and what they were made of."""

    bundle: Bundle
    material: BuildContext

    def companion(self, name: str) -> AuxiliaryModel:
        (found,) = (one for one in self.bundle.info.companions if one.name == name)
        return found


@pytest.fixture(scope="module")
def made(register_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("shortlist")
    run = tiny_run(folder / "run", register_folder, OBJECTS)
    options = ExportOptions(variants=("tflite-float16", "coreml-float16"), shortlist=TOP)
    bundle = export_bundle(run, folder / "bundle", options=options, photos=register_folder)
    named = replace(options, name=bundle.info.name)
    inputs = gather(run, named, register_folder, None, lambda _sentence: None)
    return Exported(bundle, inputs.context)


@pytest.fixture(scope="module")
def photos() -> NDArray[np.uint8]:
    """Twelve smooth photos: of noise alone a network sees nothing."""
    coarse = torch.rand((12, 3, 6, 6), generator=torch.Generator().manual_seed(3)) * 255
    smooth = nn.functional.interpolate(coarse, size=64, mode="bilinear")
    return smooth.permute(0, 2, 3, 1).round().to(torch.uint8).numpy()


def best_of(probabilities: Tensor, top: int) -> tuple[Tensor, Tensor]:
    values, indices = torch.topk(probabilities, top, dim=-1)
    return indices.int(), values


def whole_lists(bundle: Bundle, of: str, photos: NDArray[np.uint8]) -> NDArray[np.float32]:
    runtime = runtimes({"tflite": "litert", "coreml": "coreml-reference"}[of])[0]
    with runtime.open(bundle, bundle.info.variant(f"{of}-float16")) as session:
        return session.predict(photos)


def answered(bundle: Bundle, companion: AuxiliaryModel, photos: NDArray[np.uint8]) -> Arrays:
    return run_auxiliary(bundle, companion, photos, next(executors(companion)))


@pytest.mark.parametrize("of", ["tflite", "coreml"])
def test_it_is_the_beginning_of_the_sorted_whole_list(
    made: Exported, photos: NDArray[np.uint8], of: str
) -> None:
    found = answered(made.bundle, made.companion(f"{of}-shortlist"), photos)
    whole = whole_lists(made.bundle, of, photos)
    assert len(set(whole.argmax(axis=1))) > 2  # or one list would do for all photos
    for indices, probabilities, row in zip(*found.values(), whole, strict=True):
        expected = Shortlist.of(row, TOP)
        assert indices.tolist() == expected.indices.tolist()
        assert probabilities.tolist() == expected.probabilities.tolist()
        # and of the trained network, whose weights have more bits
    network = np.sort(made.material.network.probabilities(photos))[:, : -TOP - 1 : -1]
    assert found["probabilities"] == pytest.approx(network, rel=2e-2)


def test_it_is_recorded_and_told_of(made: Exported) -> None:
    info, card = made.bundle.info, (made.bundle.folder / "DETAILS.md").read_text(encoding="utf-8")
    assert [one.name for one in info.companions] == ["tflite-shortlist", "coreml-shortlist"]
    for one in info.companions:
        assert [(t.name, t.dtype, t.shape) for t in one.outputs] == [
            ("indices", "int32", (1, TOP)),
            ("probabilities", "float32", (1, TOP)),
        ]
        assert f"`{one.file}`" in card and f"| {one.name} |" in card
    assert "VNCoreMLFeatureValueObservation" in card and f"IntArray({TOP})" in card
    float16 = info.variant("coreml-float16")
    assert made.companion("coreml-shortlist").bytes < 1.1 * float16.bytes
    signature = interpreter(
        made.bundle.path(made.companion("tflite-shortlist")).read_bytes()
    ).get_signature_runner()
    assert list(signature.get_output_details()) == ["indices", "probabilities"]


def test_accelerators_are_told_of_the_choice(made: Exported) -> None:
    def views(name: str) -> dict[str, str]:
        states = {}
        for view in delegate_views(made.bundle.path(made.companion(name))):
            label = next((n for n in (*view.refused, *view.unknown) if n.lower()[:4] == "topk"), "")
            states[view.name] = (
                "taken" if not label else ("refused" if label in view.refused else "unknown")
            )
        return states

    tflite, coreml = views("tflite-shortlist"), views("coreml-shortlist")
    assert tflite["NNAPI 1.3 (Android 11–14)"] == "taken"
    assert tflite["Qualcomm QNN (LiteRT NPU)"] == "taken"
    assert tflite["GPU (LiteRT delegate)"] == "refused"
    assert tflite["MediaTek NeuroPilot (LiteRT NPU)"] == "refused"
    assert coreml == {"Apple Neural Engine": "refused", "Apple GPU": "unknown"}


def test_of_equal_probabilities_tflite_takes_the_lower_index() -> None:
    class Ties(nn.Module):
        def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
            return best_of(image.reshape(1, -1), 9)

    with quiet():
        import litert_torch

        converted = litert_torch.convert(Ties().eval(), (torch.zeros(1, 8, 8, 3),))
        runner = interpreter(converted.model_content())
    generator = np.random.default_rng(0)
    for steps in (1, 2, 5, 40):
        values = generator.integers(0, steps, (1, 8, 8, 3)).astype(np.float32)
        runner.set_tensor(runner.get_input_details()[0]["index"], values)
        runner.invoke()
        found = [runner.get_tensor(one["index"])[0] for one in runner.get_output_details()]
        expected = Shortlist.of(values.reshape(-1), 9)
        assert Shortlist(*found).indices.tolist() == expected.indices.tolist()


# Verification


@pytest.fixture
def folder(made: Exported, tmp_path: Path) -> Path:
    """A bundle that a test may change."""
    copy = tmp_path / "bundle"
    shutil.copytree(made.bundle.folder, copy)
    return copy


def failed(folder: Path) -> dict[tuple[str, str], str]:
    return {(check.name, check.subject): check.said for check in verify_bundle(folder).failed}


def replace_package(
    folder: Path, made: Exported, network: nn.Module, facts: dict[str, str] | None = None
) -> None:
    """Another program in place of the short list's package, with hashes that fit."""
    outputs = {"indices": ArrayOutput("int32", "i"), "probabilities": ArrayOutput("float32", "p")}
    model = convert_arrays(
        network,
        made.material.contract,
        outputs,
        description=made.material.description,
        user_defined=made.material.user_defined | (facts or {}),
    )
    path = folder / made.companion("coreml-shortlist").file
    shutil.rmtree(path)
    save_package(model, path)
    relist(folder)


def test_verify_executes_every_file(made: Exported) -> None:
    found = verify_bundle(made.bundle.folder)
    assert found.failed == ()
    states = {(check.name, check.subject, check.runtime): check.state for check in found.checks}
    for name, runtime in (("tflite-shortlist", "litert"), ("coreml-shortlist", "coreml-reference")):
        assert states["size and hash", name, ""] == "ok"
        assert states["structure", name, ""] == "ok"
        assert states["answers", name, runtime] == "ok"


def test_verify_sees_a_changed_byte_and_opens_nothing(folder: Path, made: Exported) -> None:
    weights = next((folder / made.companion("coreml-shortlist").file).rglob("weight.bin"))
    content = bytearray(weights.read_bytes())
    content[-100] ^= 1
    weights.write_bytes(content)
    assert set(failed(folder)) == {("files", ""), ("size and hash", "coreml-shortlist")}
    opened = [c for c in verify_bundle(folder).checks if c.subject == "coreml-shortlist"]
    assert [check.state for check in opened] == ["failed", "not possible here"]


class Worst(nn.Module):
    """The least probable objects first."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        return best_of(torch.softmax(-self.network(image), dim=-1), TOP)


class Backwards(nn.Module):
    """The right probabilities with the indices of a label map in reverse."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        indices, values = best_of(torch.softmax(self.network(image), dim=-1), TOP)
        return OBJECTS - 1 - indices, values


class Best(nn.Module):
    """The right short list."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        return best_of(torch.softmax(self.network(image), dim=-1), TOP)


@pytest.mark.parametrize("wrong", [Worst, Backwards])
def test_verify_sees_other_objects_than_the_best(
    folder: Path, made: Exported, wrong: Callable[[nn.Module], nn.Module]
) -> None:
    replace_package(folder, made, wrong(made.material.network))
    (found,) = failed(folder).items()
    assert found[0] == ("answers", "coreml-shortlist")
    assert "from the object's own" in found[1]


def test_verify_sees_indices_of_another_label_map(folder: Path, made: Exported) -> None:
    replace_package(folder, made, Best(made.material.network), {exported.LABELS_FACT: "0" * 64})
    assert list(failed(folder)) == [("structure", "coreml-shortlist")]
    file = folder / made.companion("tflite-shortlist").file
    other = flatbuffer.add_metadata_buffer(
        file.read_bytes(), name=exported.LABELS_FACT, data=b"0" * 64
    )
    file.write_bytes(other)
    relist(folder)
    assert "another label map" in failed(folder)["structure", "tflite-shortlist"]


def test_verify_sees_outputs_of_another_kind(folder: Path) -> None:
    info = BundleInfo.read(folder / "bundle.json")
    kinds = tuple(one.model_copy(update={"kind": "embedding"}) for one in info.companions)
    info.model_copy(update={"companions": kinds}).write(folder / "bundle.json")
    assert "not those of embedding models" in failed(folder)["structure", "tflite-embedding"]


def test_a_choice_in_float16_is_no_package_of_ours(made: Exported, tmp_path: Path) -> None:
    package = made.bundle.path(made.companion("coreml-shortlist"))
    types = {operation.name: operation.types for operation in operations(package)}
    assert (types["softmax"], types["topk"]) == (("float32",), ("float32", "int32"))
    problems = exported.package_problems(
        package, made.material.contract, {"topk": ("float16", "int32")}
    )
    assert len(problems) == 1 and problems[0].startswith("operation topk is")
    larger = made.material.contract.model_copy(update={"height": 96})
    assert "size" in exported.package_problems(package, larger, topk.EXACT)[0]
    classifier = made.bundle.path(made.bundle.info.variant("coreml-float16"))
    found = exported.package_problems(classifier, made.material.contract, topk.EXACT)
    assert [problem.split(" is ")[0] for problem in found] == ["predicted label", "operation topk"]


def test_without_a_whole_list_of_floats_there_is_nothing_to_compare(
    folder: Path, made: Exported
) -> None:
    info = BundleInfo.read(folder / "bundle.json")
    only = tuple(variant for variant in info.variants if variant.format == "coreml")
    info.model_copy(update={"variants": only}).write(folder / "bundle.json")
    states = {
        check.subject: check.state
        for check in verify_bundle(folder).checks
        if check.name == "answers"
    }
    assert states == {"tflite-shortlist": "not possible here", "coreml-shortlist": "ok"}


# The Python twin


@pytest.mark.parametrize(
    ("indices", "probabilities", "said"),
    [
        ([1, 3], [0.5, 0.3], None),
        ([3, 1], [0.5, 0.3], "own"),
        ([1, 0], [0.5, 0.1], "leaves out"),
        ([1, 1], [0.5, 0.5], "twice"),
        ([1, 9], [0.5, 0.3], "class indices"),
        ([-1, 1], [0.5, 0.5], "class indices"),
        ([3, 1], [0.3, 0.5], "sorted"),
        ([1, 3], [0.5, np.nan], "sorted"),
        ([], [], "0 of 4"),
        ([1, 3, 0, 2, 2], [0.5, 0.3, 0.1, 0.1, 0.1], "5 of 4"),
    ],
)
def test_a_wrong_short_list_is_told_from_a_right_one(
    indices: list[int], probabilities: list[float], said: str | None
) -> None:
    whole = np.array([0.1, 0.5, 0.1, 0.3], dtype=np.float32)
    found = Shortlist(np.array(indices, np.int32), np.array(probabilities, np.float32))
    problem = found.problem(whole, 1e-6)
    assert problem is None if said is None else said in (problem or "")


def test_objects_may_change_places_within_what_is_allowed() -> None:
    whole = np.array([0.25, 0.5, 0.2501, 0.0], dtype=np.float32)
    swapped = Shortlist(np.array([1, 0], np.int32), np.array([0.5, 0.25], np.float32))
    assert swapped.problem(whole, 1e-3) is None
    assert "better" in (swapped.problem(whole, 1e-5) or "")


# Refusals


@pytest.mark.parametrize("top", ["0", "-3", str(MOST + 1)])
def test_a_list_that_is_not_short_is_refused(
    made: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str], top: str
) -> None:
    words = ["export", str(made.bundle.folder.parent / "run"), "--variants", "tflite-float32"]
    assert main([*words, "--out", str(tmp_path / "out"), "--shortlist", top]) == 2
    assert f"--shortlist {top}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_converter_that_chooses_otherwise_is_noticed(
    made: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class SecondBest(ChannelsLast):
        def forward(self, image: Tensor) -> dict[str, Tensor]:
            indices, values = best_of(super().forward(image)["probabilities"], TOP + 1)
            return {"indices": indices[..., 1:], "probabilities": values[..., 1:]}

    convert = topk.convert_float32
    monkeypatch.setattr(
        topk, "convert_float32", lambda *a, **named: convert(*a, **named | {"wrapper": SecondBest})
    )
    with pytest.raises(CheckFailedError, match=r"short list.*better"):
        topk.write_shortlist(made.material, tmp_path, "tflite", TOP)
    assert not (tmp_path / exported.auxiliary_file("shortlist", "tflite")).exists()


def test_a_damaged_file_is_no_answer(made: Exported, tmp_path: Path) -> None:
    file = made.companion("tflite-shortlist")
    folder = tmp_path / "bundle"
    shutil.copytree(made.bundle.folder, folder)
    (folder / file.file).write_bytes(b"no model")
    broken = Bundle(folder, made.bundle.info, made.bundle.labels)
    photos = np.zeros((1, 64, 64, 3), np.uint8)
    with pytest.raises(DamagedError, match="cannot be opened"):
        answered(broken, file, photos)
    shutil.rmtree(folder / "models")
    with pytest.raises((DamagedError, InputError, FileNotFoundError)):
        answered(broken, made.companion("coreml-shortlist"), photos)
