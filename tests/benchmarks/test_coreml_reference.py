"""The Core ML reference on whole programs: real networks, compressed ones, and what it refuses."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from coreml_packages import Classifier, Plain, answers, converted, ct, mb, pictures, save, saved
from tiny_run import describe_bundle

from benchmarks.runtimes import runtimes, runtimes_for
from benchmarks.runtimes.coreml_reference import CoreMLReferenceSession, session
from benchmarks.runtimes.coreml_reference.loader import load_package
from benchmarks.runtimes.coreml_runtime import in_order
from mobile_assets.bundle import Bundle, TensorInfo, Variant
from mobile_assets.errors import DamagedError, InputError, MissingDependencyError
from mobile_assets.files import sha256_path, size_of
from mobile_assets.labels import LabelMap
from mobile_assets.log_suppression import quiet
from mobile_assets.preprocessing import Preprocessing

Array = np.ndarray

LABELS = LabelMap.of([(f"EG.{n}", "Egyptian", f"Shabti {n}", 4) for n in range(5)])
OBJECTS = list(LABELS.object_ids)
PHOTOS = pictures()


@pytest.fixture(scope="module")
def network() -> Classifier:
    return Classifier()


@pytest.fixture(scope="module")
def expected(network: Classifier) -> Array:
    found = network.answers(PHOTOS)
    assert len(set(found.argmax(1))) > 2, "the network tells the photos apart"
    return found


@pytest.fixture(scope="module")
def float32(network: Classifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(converted(network, labels=OBJECTS), tmp_path_factory.mktemp("float32"))


def agreement(found: Array, expected: Array) -> float:
    return float((found.argmax(1) == expected.argmax(1)).mean())


class TestWholeNetwork:
    """A tiny real network, converted by coremltools, against torch."""

    def test_float32_answers_as_torch_does(self, float32: Path, expected: Array) -> None:
        assert np.abs(answers(float32, PHOTOS) - expected).max() < 1e-4

    @pytest.mark.parametrize("backbone", ["test_resnet", "test_convnext"])
    def test_other_backbones(self, backbone: str, tmp_path: Path) -> None:
        network = Classifier(backbone)
        package = save(converted(network), tmp_path)
        photos = PHOTOS[:4]
        assert np.abs(answers(package, photos) - network.answers(photos)).max() < 1e-4

    def test_float16_is_near_and_not_the_same(
        self, network: Classifier, expected: Array, tmp_path: Path
    ) -> None:
        package = save(converted(network, precision=ct.precision.FLOAT16), tmp_path)
        drift = np.abs(answers(package, PHOTOS) - expected).max()
        assert 1e-5 < drift < 0.05

    def test_photos_together_answer_as_one_by_one(self, float32: Path) -> None:
        together = answers(float32, PHOTOS[:6])
        alone = np.concatenate([answers(float32, photo[None]) for photo in PHOTOS[:3]])
        assert together[:3] == pytest.approx(alone, abs=1e-6)

    def test_a_missing_bias_would_be_noticed(self, float32: Path, expected: Array) -> None:
        program = load_package(float32)
        first = next(step for step in program.steps if "bias" in step.constants)
        del first.constants["bias"]  # type: ignore[attr-defined]
        images = torch.from_numpy(PHOTOS).float().permute(0, 3, 1, 2)
        assert np.abs(program.run(images).numpy() - expected).max() > 1e-2


class TestImage:
    """What the image may be."""

    def test_a_grey_image_is_refused(self, tmp_path: Path) -> None:
        package = saved(tmp_path, lambda x: x)
        change(package, "imageType.colorSpace", 10)
        with pytest.raises(DamagedError, match="one RGB or BGR image"):
            load_package(package)


class TestCompressed:
    """coremltools' own compression of a real network: weights as torch would have them."""

    @pytest.fixture(scope="class", params=[ct.target.iOS16, ct.target.iOS18], ids=["16", "18"])
    def model(self, network: Classifier, request: pytest.FixtureRequest) -> Any:
        return converted(network, target=request.param, labels=OBJECTS)

    @pytest.mark.parametrize("kind", ["int8", "palette", "pruned"])
    def test_weights(self, kind: str, model: Any, expected: Array, tmp_path: Path) -> None:
        import coremltools.optimize.coreml as cto

        ways: dict[str, tuple[Any, Any]] = {
            "int8": (cto.linear_quantize_weights, cto.OpLinearQuantizerConfig(weight_threshold=0)),
            "palette": (
                cto.palettize_weights,
                cto.OpPalettizerConfig(nbits=6, mode="uniform", weight_threshold=0),
            ),
            "pruned": (
                cto.prune_weights,
                cto.OpMagnitudePrunerConfig(target_sparsity=0.2, weight_threshold=0),
            ),
        }
        compress, config = ways[kind]
        config = cto.OptimizationConfig(global_config=config)
        with quiet():
            small = save(compress(model, config), tmp_path)
            dense = cto.decompress_weights(ct.models.MLModel(str(small), skip_model_load=True))
        (tmp_path / "dense").mkdir()
        package = save(dense, tmp_path / "dense")
        operations = {op.type for op in package_operations(small)}
        assert any(name.startswith("constexpr_") for name in operations)
        assert not any(op.type.startswith("constexpr_") for op in package_operations(package))
        found = answers(small, PHOTOS)
        assert found == pytest.approx(answers(package, PHOTOS), abs=1e-6)
        assert np.abs(found - expected).max() > 1e-4, "compression changes something"

    def test_weights_and_activations_of_8_bits(self, tmp_path: Path) -> None:
        from coremltools.optimize.torch.quantization import LinearQuantizer, LinearQuantizerConfig

        config = LinearQuantizerConfig.from_dict(
            {"global_config": {"quantization_scheme": "symmetric", "milestones": [0, 0, 9, 0]}}
        )
        images = torch.from_numpy(PHOTOS).permute(0, 3, 1, 2).float()
        with quiet(), torch.no_grad():
            quantizer = LinearQuantizer(Plain(), config)
            prepared = quantizer.prepare(example_inputs=(images[:1],))
            quantizer.step()
            for image in images:
                prepared(image[None])
            finished = quantizer.finalize().eval()
            torch_says = torch.cat([finished(image[None]) for image in images]).numpy()
            package = save(converted(finished, target=ct.target.iOS17), tmp_path)
        operations = [op.type for op in package_operations(package)]
        assert operations.count("quantize") > 4
        found = answers(package, PHOTOS)
        # torch and MIL round to a step on different sides where sums differ in their last bits.
        assert np.abs(found - torch_says).mean() < 0.01
        assert agreement(found, torch_says) > 0.9


class TestRefused:
    """What the reference cannot execute as documented, it does not execute."""

    def test_an_unknown_operation_is_named_with_what_it_makes(self, tmp_path: Path) -> None:
        package = saved(tmp_path, lambda x: mb.cumsum(x=x, axis=1, name="running"))
        with pytest.raises(InputError, match=r"cumsum \(makes running\)"):
            load_package(package)

    def test_an_operation_that_coremltools_does_not_know_either(self, tmp_path: Path) -> None:
        package = saved(tmp_path, lambda x: mb.relu(x=x, name="positive"))
        specification = read(package)
        for operation in operations_of(specification):
            if operation.type == "relu":
                operation.type = "transmogrify"
        write(package, specification)
        with pytest.raises(InputError, match=r"transmogrify \(makes positive\)"):
            load_package(package)

    def test_another_size_than_its_image(self, tmp_path: Path) -> None:
        package = saved(tmp_path, lambda x: x)
        change(package, "imageType.width", 7)
        with pytest.raises(DamagedError, match=r"instead of one photo \(1, 3, 5, 7\)"):
            load_package(package)

    def test_no_classifier(self, tmp_path: Path) -> None:
        package = saved(tmp_path, lambda x: x)
        specification = read(package)
        (block,) = specification.mlProgram.functions["main"].block_specializations.values()
        made_by = {output.name: op for op in block.operations for output in op.outputs}
        end = next(op for op in block.operations if op.type == "classify")
        scores = end.inputs["probabilities"].arguments[0].name
        assert scores in made_by
        block.operations.remove(end)
        block.outputs[:] = [scores]
        write(package, specification)
        with pytest.raises(DamagedError, match="not a classifier"):
            load_package(package)

    def test_a_package_without_its_weights(self, network: Classifier, tmp_path: Path) -> None:
        package = save(converted(network), tmp_path)
        next(package.rglob("weight.bin")).unlink()
        with pytest.raises(DamagedError, match="cannot be read"):
            load_package(package)

    def test_a_damaged_program(self, tmp_path: Path) -> None:
        package = saved(tmp_path, lambda x: x)
        file = next(package.rglob("*.mlmodel"))
        file.write_bytes(file.read_bytes()[:-7])
        with pytest.raises(DamagedError, match="damaged"):
            load_package(package)

    def test_no_package(self, tmp_path: Path) -> None:
        with pytest.raises(DamagedError, match="not a Core ML package"):
            load_package(tmp_path)


def operations_of(specification: Any) -> list[Any]:
    (block,) = specification.mlProgram.functions["main"].block_specializations.values()
    return list(block.operations)


def package_operations(package: Path) -> list[Any]:
    return operations_of(read(package))


def read(package: Path) -> Any:
    from coremltools.proto import Model_pb2

    return Model_pb2.Model.FromString(next(package.rglob("*.mlmodel")).read_bytes())


def write(package: Path, specification: Any) -> None:
    next(package.rglob("*.mlmodel")).write_bytes(specification.SerializeToString())


def change(package: Path, path: str, value: int) -> None:
    """Sets a field of the image input's type."""
    specification = read(package)
    owner = specification.description.input[0].type
    *parts, last = path.split(".")
    for part in parts:
        owner = getattr(owner, part)
    setattr(owner, last, value)
    write(package, specification)


def bundle_of(package: Path, *, labels: LabelMap = LABELS, side: int = 64) -> Bundle:
    """A bundle that holds a package and nothing else."""
    variant = Variant(
        name="coreml-float32",
        file=package.name,
        format="coreml",
        precision="float32",
        bytes=size_of(package),
        sha256=sha256_path(package),
        inputs=(TensorInfo(name="image", dtype="image", shape=(1, side, side, 3)),),
        outputs=(TensorInfo(name="probabilities", dtype="float32", shape=(1, len(labels))),),
    )
    contract = Preprocessing(height=side, width=side, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    info = describe_bundle(labels, contract, (variant,))
    return Bundle(package.parent, info, labels)


class TestRuntime:
    """Behind the runtimes' one interface."""

    def test_it_answers_like_the_program(self, float32: Path, expected: Array) -> None:
        bundle = bundle_of(float32)
        (variant,) = bundle.info.variants
        (runtime,) = runtimes_for(variant, ["coreml-reference"])
        assert (runtime.name, runtime.timed, runtime.missing()) == ("coreml-reference", False, None)
        before = torch.get_num_threads()
        with runtime.open(bundle, variant, threads=before + 1) as opened:
            found = opened.predict(PHOTOS)
            assert opened.placement() is None
            assert opened.predict(PHOTOS[:0]).shape == (0, 5)
        assert torch.get_num_threads() == before
        assert (found.dtype, found.shape) == (np.float32, (len(PHOTOS), 5))
        assert np.abs(found - expected).max() < 1e-4
        with pytest.raises(ValueError, match="closed"):
            opened.predict(PHOTOS[:1])

    def test_little_memory_takes_photos_one_by_one(
        self, float32: Path, expected: Array, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened = CoreMLReferenceSession(float32)
        seen: list[int] = []
        run = type(opened.program).run

        def counted(program: Any, images: torch.Tensor) -> torch.Tensor:
            seen.append(len(images))
            return run(program, images)

        monkeypatch.setattr(type(opened.program), "run", counted)
        monkeypatch.setattr(session, "BATCH_MEMORY", 8 * opened.program.peak)
        found = opened.predict(PHOTOS[:5])
        assert seen == [2, 2, 1]
        assert np.abs(found - expected[:5]).max() < 1e-4

    def test_labels_of_another_bundle(self, float32: Path) -> None:
        swapped = [*OBJECTS[1:], OBJECTS[0]]
        labels = LabelMap.of([(name, "Egyptian", "Shabti", 4) for name in swapped])
        bundle = bundle_of(float32)
        other = Bundle(bundle.folder, bundle.info, labels)
        assert other.labels.object_ids != LABELS.object_ids
        with pytest.raises(DamagedError, match="labels inside"):
            runtimes("coreml-reference")[0].open(other, bundle.info.variants[0])

    def test_another_size_than_the_contract(self, float32: Path) -> None:
        bundle = bundle_of(float32, side=65)
        with pytest.raises(DamagedError, match=r"photos of \(64, 64\), the bundle says \(65, 65\)"):
            runtimes("coreml-reference")[0].open(bundle, bundle.info.variants[0])

    @pytest.mark.parametrize("name", ["coreml", "coreml-reference"])
    def test_a_tflite_variant(self, name: str, float32: Path) -> None:
        bundle = bundle_of(float32)
        variant = bundle.info.variants[0].model_copy(update={"format": "tflite"})
        with pytest.raises(InputError, match="begins with coreml-"):
            runtimes(name)[0].open(bundle, variant)


class TestCoreML:
    """Core ML itself; only a Mac has it."""

    def test_answers_are_put_in_the_bundles_order(self) -> None:
        answer = {"b": 0.25, "a": 0.75}
        assert in_order(Path("p"), answer, ("a", "b")).tolist() == [0.75, 0.25]
        with pytest.raises(DamagedError, match="one probability for each object"):
            in_order(Path("p"), answer, ("a", "c"))
        with pytest.raises(DamagedError, match="one probability for each object"):
            in_order(Path("p"), None, ("a", "b"))

    @pytest.mark.skipif(sys.platform == "darwin", reason="a Mac has Core ML")
    def test_elsewhere_it_says_what_is_missing(self, float32: Path) -> None:
        bundle = bundle_of(float32)
        (variant,) = bundle.info.variants
        assert runtimes_for(variant, ["coreml"]) == ()
        for runtime in runtimes("coreml"):
            assert "Apple" in str(runtime.missing())
            with pytest.raises(MissingDependencyError, match="coreml-reference"):
                runtime.open(bundle, variant)

    def test_every_compute_unit_is_a_runtime(self) -> None:
        units = [(runtime.name, runtime.unit, runtime.timed) for runtime in runtimes("coreml")]
        assert units == [("coreml", unit, True) for unit in ("all", "cpu", "cpu-gpu", "cpu-ne")]

    @pytest.mark.skipif(sys.platform != "darwin", reason="Core ML exists on Apple's systems only")
    @pytest.mark.parametrize("unit", ["all", "cpu", "cpu-gpu", "cpu-ne"])
    @pytest.mark.parametrize("precision", ["float32", "float16"])
    def test_the_reference_agrees_with_core_ml(
        self, unit: str, precision: str, network: Classifier, tmp_path: Path
    ) -> None:
        kind = ct.precision.FLOAT16 if precision == "float16" else ct.precision.FLOAT32
        bundle = bundle_of(save(converted(network, precision=kind, labels=OBJECTS), tmp_path))
        (variant,) = bundle.info.variants
        (core_ml,) = [runtime for runtime in runtimes("coreml") if runtime.unit == unit]
        with core_ml.open(bundle, variant) as real:
            found = real.predict(PHOTOS)
        with runtimes("coreml-reference")[0].open(bundle, variant) as reference:
            ours = reference.predict(PHOTOS)
        assert np.abs(found - ours).max() < (0.05 if precision == "float16" else 1e-3)
        clear = np.sort(ours, axis=1)[:, -1] - np.sort(ours, axis=1)[:, -2] > 0.1
        assert agreement(found[clear], ours[clear]) == 1
