"""Quantisation-aware fine-tuning: real small trainings, broken off, exported and compared."""

from __future__ import annotations

import csv
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import object_picture
from numpy.typing import NDArray
from torch import nn

import train.checkpoint
from artefact_id import main
from benchmarks.cases import locate_run
from export import ExportOptions, export_bundle
from export.coreml_w8a8 import rounded_twin
from export.network import Deployable, deployable
from export.qat import QatOptions, _QatTrainer, divergence, fine_tune, noise
from export.qat_run import read_quantised
from export.student import FakeEightBits, OnSteps, Student, make_student
from export.tflite import run_tflite
from mobile_assets.errors import DamagedError, InputError
from mobile_assets.files import sha256_file
from mobile_assets.preprocessing import Preprocessing
from train.batches import Photos, predict
from train.device import choose_compute
from train.interrupt import TrainingInterrupted
from train.model import build_model
from train.run import Run, load_model, read_run

OPTIONS = QatOptions(steps=24, batch=6, device="cpu")
CONTRACT = Preprocessing(height=32, width=32, mean=(0.5,) * 3, std=(0.25,) * 3)


def photos(views: int) -> NDArray[np.uint8]:
    """Smooth pictures of four objects."""
    return np.stack([np.asarray(object_picture(n, v, 32)) for n in range(4) for v in range(views)])


def small_network() -> Deployable:
    """A real network, folded, with sensible statistics."""
    torch.manual_seed(0)
    model = build_model("test_efficientnet", "linear", objects=4, preprocessing=CONTRACT)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model.train()(torch.from_numpy(photos(4)).permute(0, 3, 1, 2).float())
    return deployable(model, CONTRACT)


@pytest.fixture(scope="module")
def student() -> Student:
    made = make_student(small_network(), photos(4))
    assert made is not None
    return made


@pytest.fixture(scope="module")
def qat_run(
    golden_run: Run, register_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Run:
    out = tmp_path_factory.mktemp("qat") / "run-qat"
    return fine_tune(register_folder, golden_run, out, own_cache(OPTIONS, out.parent))


def own_cache(options: QatOptions, folder: Path) -> QatOptions:
    from dataclasses import replace

    return replace(options, cache=folder / "cache")


class TestStudent:
    """What is rounded while it learns is what the files round."""

    def test_begins_as_rounding_after_training_ends(self, student: Student) -> None:
        from export.quantised import quantise

        twin = rounded_twin(
            quantise(student.network, photos(4), activations=True).network, photos(4)
        )
        images = torch.from_numpy(photos(4)).permute(0, 3, 1, 2).float()
        with torch.inference_mode():
            found, wanted, exact = student.module(images), twin(images), student.network(images)
        assert torch.allclose(found, wanted, atol=1e-4)
        assert not torch.allclose(found, exact, atol=1e-3), "rounding changes something"

    def test_weights_lie_on_steps_with_the_largest_at_the_end(self, student: Student) -> None:
        weights = student.weights()
        assert len(weights) > 10
        for weight, _ in weights.values():
            largest = weight.abs().flatten(1).amax(dim=1)
            scale = (largest / 127).clamp_min(1e-20).reshape(-1, *[1] * (weight.dim() - 1))
            steps = weight / scale
            assert torch.allclose(steps, steps.round(), atol=1e-3)

    def test_gradients_reach_every_layer_but_not_the_pinned(self, student: Student) -> None:
        images = torch.from_numpy(photos(2)).permute(0, 3, 1, 2).float()
        student.module(images).square().sum().backward()
        for steps, layer in zip(student.steps(), student.layers().values(), strict=True):
            grid = layer.parametrizations.weight[0]  # type: ignore[union-attr,index]
            assert isinstance(grid, OnSteps) and steps.grad is not None
            assert not steps.grad[grid.pinned].any()
            assert steps.grad[~grid.pinned].any()
        for bias in student.biases():
            assert bias.grad is not None

    def test_rounding_of_activations_clips_gradients(self) -> None:
        values = torch.tensor([-1.0, 0.013, 0.5, 3.0], requires_grad=True)
        rounded = FakeEightBits((0.0, 2.55))(values)
        rounded.sum().backward()
        assert rounded.tolist() == pytest.approx([0, 0.01, 0.5, 2.55])
        assert values.grad is not None
        assert values.grad.tolist() == [0, 1, 1, 0]

    def test_steps_pass_gradients_through_rounding(self) -> None:
        grid = OnSteps(torch.tensor([[0.5]]), torch.tensor([[False, True]]))
        steps = torch.tensor([[3.4, 127.0]], requires_grad=True)
        weight = grid(steps)
        weight.sum().backward()
        assert weight.tolist() == [[1.5, 63.5]]
        assert steps.grad is not None
        assert steps.grad.tolist() == [[0.5, 0.0]]


class TestLoss:
    """The distance of answers."""

    def test_equal_logits_have_none(self) -> None:
        logits = torch.randn(3, 5)
        assert divergence(logits + 2, logits, 2.0).item() == pytest.approx(0, abs=1e-6)
        assert noise(logits + 2, logits).item() == pytest.approx(0, abs=1e-6)

    def test_divergence_of_two_coins(self) -> None:
        fair, loaded = torch.zeros(1, 2), torch.tensor([[math.log(3), 0.0]])
        wanted = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
        assert divergence(loaded, fair, 1.0).item() == pytest.approx(wanted, abs=1e-6)

    def test_noise_is_a_share(self) -> None:
        wanted = torch.tensor([[1.0, -1.0]])
        assert noise(torch.tensor([[1.1, -1.1]]), wanted).item() == pytest.approx(0.01)


def test_learns_to_answer_as_its_teacher() -> None:
    """Biases are spoiled far beyond what rounding does: training must find back."""
    network = small_network()
    student = make_student(network, photos(4))
    assert student is not None
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for bias in student.biases():
            bias.add_(0.1 * torch.randn(bias.shape, generator=generator))
    compute = choose_compute("cpu")
    pixels, truth = photos(6), torch.zeros(24, dtype=torch.int64)
    answers = predict(network, pixels, compute)  # type: ignore[arg-type]
    trainer = _QatTrainer(
        student,
        network,
        answers,
        recipe=QatOptions(steps=60, batch=8, rate=0.01).recipe(24),
        train=Photos(pixels, truth),
        val=Photos(pixels, answers.argmax(dim=1)),
        compute=choose_compute("cpu"),
        seed=0,
    )
    best = trainer.fit()
    drifts = [record.val_loss for record in trainer.history]
    assert best.loss == min(drifts) < 0.7 * drifts[0]
    assert [record.epoch for record in trainer.history] == list(range(21))


class TestRun:
    """What fine-tuning writes."""

    def test_holds_the_float_network_unchanged(self, qat_run: Run, golden_run: Run) -> None:
        assert qat_run.info.model_sha256 == golden_run.info.model_sha256
        assert qat_run.split == golden_run.split and qat_run.labels == golden_run.labels
        changed = {"name", "created", "quantised", "versions"}
        assert qat_run.info.model_dump(exclude=changed) == golden_run.info.model_dump(
            exclude=changed
        )

    def test_says_how_it_was_made(self, qat_run: Run, golden_run: Run) -> None:
        info = qat_run.info.quantised
        assert info is not None
        assert (qat_run.folder / info.source).resolve() == golden_run.folder.resolve()
        assert info.settings["name"] == "qat" and info.settings["batch"] == 6
        assert info.sha256 == sha256_file(qat_run.folder / "quantised.safetensors")
        rows = list(csv.DictReader((qat_run.folder / "quantised.csv").open()))
        assert [row["epoch"] for row in rows] == [str(n) for n in range(len(rows))]
        drifts = [float(row["divergence"]) for row in rows]
        assert info.divergence == pytest.approx(min(drifts), abs=1e-6)
        assert info.epoch == drifts.index(min(drifts))

    def test_float_runs_have_no_8_bit_weights(self, golden_run: Run) -> None:
        network = deployable(load_model(golden_run), golden_run.info.preprocessing)
        assert golden_run.info.quantised is None
        assert read_quantised(golden_run, network) is None

    def test_changed_8_bit_weights_are_noticed(self, qat_run: Run, tmp_path: Path) -> None:
        copy = tmp_path / "copy"
        shutil.copytree(qat_run.folder, copy)
        data = bytearray((copy / "quantised.safetensors").read_bytes())
        data[-1] ^= 1
        (copy / "quantised.safetensors").write_bytes(data)
        with pytest.raises(DamagedError, match=r"quantised\.safetensors is missing or is not"):
            read_run(copy)

    def test_weights_of_another_network_are_refused(self, qat_run: Run) -> None:
        with pytest.raises(DamagedError, match="does not fit the network"):
            read_quantised(qat_run, small_network())


class TestExport:
    """Integer variants are made of the learned weights, all others of the float network."""

    def test_bundle(self, qat_run: Run, golden_run: Run, register_folder: Path) -> None:
        variants = ("tflite-float32", "tflite-int8", "coreml-w8a8")
        bundle = export_bundle(
            qat_run,
            qat_run.folder.parent / "bundle",
            options=ExportOptions(variants=variants, calibration_photos=12),
            photos=register_folder,
        )
        source = bundle.info.source
        assert qat_run.info.quantised is not None
        assert source.quantised_sha256 == qat_run.info.quantised.sha256
        assert source.model_sha256 == golden_run.info.model_sha256
        # Agreement is with the float network of before: wherever the run is looked for.
        assert locate_run(bundle, None).folder.resolve() == qat_run.folder.resolve()
        assert locate_run(bundle, golden_run.folder).folder == golden_run.folder
        for name in ("tflite-int8", "coreml-w8a8"):
            assert any("fine-tuned" in note for note in bundle.info.variant(name).notes)
        assert not any("tuned" in note for note in bundle.info.variant("tflite-float32").notes)
        network = deployable(load_model(qat_run), qat_run.info.preprocessing)
        learned = read_quantised(qat_run, network)
        assert learned is not None
        pixels = np.stack([np.asarray(object_picture(n, 9, 64)) for n in range(6)])
        twin = rounded_twin(learned.network, pixels)
        with torch.inference_mode():
            images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
            wanted = torch.softmax(twin(images), dim=1).numpy()
        found = run_tflite(bundle.path(bundle.info.variant("tflite-int8")).read_bytes(), pixels)
        assert np.abs(found - wanted).mean() < 0.1


class TestBrokenOff:
    """Interrupted between any two batches, it goes on as if it had not been."""

    def test_goes_on_where_it_was(
        self,
        qat_run: Run,
        golden_run: Run,
        register_folder: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(train.checkpoint, "PAUSE_SECONDS", 0)
        out, options, said = tmp_path / "run", own_cache(OPTIONS, tmp_path), []
        real, calls = _QatTrainer._step, 0

        def step(self: _QatTrainer, *rest: object) -> float:
            nonlocal calls
            calls += 1
            if calls in (3, 11):
                self.interrupts.asked = True
            return real(self, *rest)  # type: ignore[arg-type]

        monkeypatch.setattr(_QatTrainer, "_step", step)
        from train.plan import Reporter

        for _ in range(2):
            with pytest.raises(TrainingInterrupted, match="give the same command again"):
                fine_tune(register_folder, golden_run, out, options)
            assert not out.exists()
        run = fine_tune(register_folder, golden_run, out, options, Reporter(said=said.append))
        assert any("going on" in line for line in said)
        assert run.info.quantised is not None and qat_run.info.quantised is not None
        assert run.info.quantised.sha256 == qat_run.info.quantised.sha256
        assert not (tmp_path / "run.partial").exists()


class TestRefused:
    """What cannot be fine-tuned is said, with what to do."""

    def test_a_run_that_was_fine_tuned(
        self, qat_run: Run, register_folder: Path, tmp_path: Path
    ) -> None:
        with pytest.raises(InputError, match="already fine-tuned for 8 bits"):
            fine_tune(register_folder, qat_run, tmp_path / "out", OPTIONS)

    def test_other_photos(self, golden_run: Run, tmp_path: Path) -> None:
        for number in range(2):
            folder = tmp_path / "photos" / f"OBJ-{number}"
            folder.mkdir(parents=True)
            for view in range(3):
                object_picture(40 + number, view).save(folder / f"{view}.png")
        with pytest.raises(InputError, match="Only 0 of the"):
            fine_tune(tmp_path / "photos", golden_run, tmp_path / "o", own_cache(OPTIONS, tmp_path))

    @pytest.mark.parametrize("words", [["--qat"], ["--resume", "RUN"]])
    def test_one_option_without_the_other(
        self,
        words: list[str],
        register_folder: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        assert main(["train", str(register_folder), "--out", str(tmp_path / "o"), *words]) == 2
        assert "--resume RUN and --qat go together" in capsys.readouterr().err


def test_command(
    golden_run: Run, register_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--resume", str(golden_run.folder), "--qat", "--qat-steps", "4", "--device", "cpu"]
    out = tmp_path / "run"
    code = main(
        ["train", str(register_folder), "--out", str(out), *words, "--cache", str(tmp_path / "c")]
    )
    said = capsys.readouterr().err
    assert code == 0, said
    assert "of validation photos with the float network's answer" in said
    assert json.loads((out / "run.json").read_text())["quantised"]["settings"]["name"] == "qat"
