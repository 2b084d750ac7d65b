"""Quantisation-aware fine-tuning: real small trainings, broken off, exported and compared."""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from conftest import object_picture
from numpy.typing import NDArray
from torch import nn

from artefact_id.main import build_parser, main
from artefact_id.train import NOT_BESIDE_QAT
from benchmarks.measure.cases import locate_run
from benchmarks.results.classification import wilson_interval
from export import ExportOptions, export_bundle
from export.network.fold import FoldedNetwork, fold_network
from export.network.graph import trace
from export.qat.fine_tune import QatOptions, fine_tune
from export.qat.run_files import read_quantised
from export.qat.student import FakeEightBits, OnSteps, RoundedSiLU, Student, make_student
from export.qat.trainer import QatTrainer, divergence, noise
from export.quantise.activation_ranges import sqnr_db
from export.quantise.channel_equalisation import equalise
from export.quantise.fake_quantised import fake_quantised_network
from export.quantise.layerwise import quantise_layers
from export.tflite.convert import run_tflite
from mobile_assets.errors import DamagedError, InputError
from mobile_assets.files import sha256_file
from mobile_assets.preprocessing import Preprocessing
from train.batches import Photos, predict_batches
from train.device import choose_compute
from train.model import build_model
from train.run import Run, load_model, read_run

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).parents[1] / "broken_off.py"
OPTIONS = QatOptions(steps=24, batch=6, device="cpu")
CONTRACT = Preprocessing(height=32, width=32, mean=(0.5,) * 3, std=(0.25,) * 3)


def photos(views: int) -> NDArray[np.uint8]:
    """Smooth pictures of four objects."""
    return np.stack([np.asarray(object_picture(n, v, 32)) for n in range(4) for v in range(views)])


def small_network() -> FoldedNetwork:
    """A real network, folded, with sensible statistics."""
    torch.manual_seed(0)
    model = build_model("test_efficientnet", "linear", objects=4, preprocessing=CONTRACT)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model.train()(torch.from_numpy(photos(4)).permute(0, 3, 1, 2).float())
    return fold_network(model, CONTRACT)


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
        graph = trace(student.network)
        assert graph is not None
        equalise(graph, photos(4))
        wanted = quantise_layers(graph, photos(4), activations=True).reports[-1].sqnr_db
        images = torch.from_numpy(photos(4)).permute(0, 3, 1, 2).float()
        with torch.inference_mode():
            found = sqnr_db([(student.network(images), student.module(images))])
        # There the centred photo is rounded, too, which decides anew where every value falls:
        # over the 64 logits here that is 3 dB. With activations unrounded it would be 6 dB more.
        assert found == pytest.approx(wanted, abs=4)

    def test_the_sigmoid_of_a_silu_is_rounded(self, student: Student) -> None:
        assert any(isinstance(m, RoundedSiLU) for m in student.module.modules())
        values = torch.tensor([-3.0, 0.1, 8.0])
        wanted = values * (torch.sigmoid(values) * 256).round().clamp(0, 255) / 256
        assert torch.allclose(RoundedSiLU()(values), wanted)

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
    answers = predict_batches(network, pixels, compute)  # type: ignore[arg-type]
    trainer = QatTrainer(
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
    drifts = [r.val_loss for r in trainer.history if not math.isnan(r.val_loss)]
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
        drifts = {int(r["epoch"]): float(r["divergence"]) for r in rows if r["divergence"]}
        assert set(drifts) >= {0, 4, len(rows) - 1}
        assert info.divergence == pytest.approx(min(drifts.values()), abs=1e-6)
        assert info.divergence == drifts[info.epoch]
        assert info.divergence_before == drifts[0]
        assert info.photos == 256
        assert info.copies == 256 - len(golden_run.split.of("val"))

    def test_float_runs_have_no_8_bit_weights(self, golden_run: Run) -> None:
        network = fold_network(load_model(golden_run), golden_run.info.preprocessing)
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
        network = fold_network(load_model(qat_run), qat_run.info.preprocessing)
        learned = read_quantised(qat_run, network)
        assert learned is not None
        pixels = np.stack([np.asarray(object_picture(n, 9, 64)) for n in range(6)])
        twin = fake_quantised_network(learned.network, pixels)
        with torch.inference_mode():
            images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
            wanted = torch.softmax(twin(images), dim=1).numpy()
        found = run_tflite(bundle.path(bundle.info.variant("tflite-int8")).read_bytes(), pixels)
        assert np.abs(found - wanted).mean() < 0.1


class TestBrokenOff:
    """Interrupted or killed anywhere, it goes on as if it had not been. Real processes."""

    BLOWS: ClassVar[list[list[object]]] = [
        ["step", 2, "SIGKILL"],
        ["step", 1, "SIGINT"],
        ["write", 2, "SIGKILL"],
        ["step", 4, "SIGTERM"],
        ["write", 4, "SIGKILL"],
        [],
    ]

    @pytest.fixture(scope="class")
    def broken_off(
        self, golden_run: Run, register_folder: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> tuple[Path, list[dict[str, Any]]]:
        """The folder with the runs `whole` and `blows`, and what each process answered."""
        folder = tmp_path_factory.mktemp("qat-broken-off")
        started = []
        for name, plan in (("whole", [[]]), ("blows", self.BLOWS)):
            (folder / f"{name}.json").write_text(json.dumps(plan))
            command = [
                *(sys.executable, str(PROGRAM), str(folder / f"{name}.json")),
                *("train", str(register_folder), "--resume", str(golden_run.folder), "--qat"),
                *("--qat-steps", "12", "--out", str(folder / name), "--device", "cpu"),
                *("--cache", str(folder / f"{name}-cache")),
            ]
            environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
            started.append(subprocess.Popen(command, stdout=subprocess.PIPE, env=environment))
        # The last line is the program's own: before it come the tables of what succeeded.
        _, answers = (json.loads(p.communicate()[0].splitlines()[-1]) for p in started)
        return folder, answers

    def test_the_weights_are_those_of_an_unbroken_one(
        self, broken_off: tuple[Path, list[dict[str, Any]]]
    ) -> None:
        folder, answers = broken_off
        assert [a["code"] for a in answers] == [-9, 130, -9, 130, -9, 0], answers
        assert "give the same command again" in answers[1]["said"]
        assert "going on" in answers[-1]["said"]
        assert not [a for a in answers if "Traceback" in a["said"]]
        runs = [read_run(folder / name).info.quantised for name in ("whole", "blows")]
        assert runs[0] is not None
        assert runs[1] is not None
        assert runs[0].sha256 == runs[1].sha256
        rows = [
            [
                {k: v for k, v in row.items() if k != "seconds"}
                for row in csv.DictReader((folder / name / "quantised.csv").open())
            ]
            for name in ("whole", "blows")
        ]
        assert rows[0] == rows[1]

    def test_nothing_is_left_over(self, broken_off: tuple[Path, list[dict[str, Any]]]) -> None:
        names = {path.name for path in broken_off[0].iterdir()}
        kinds = ("", ".json", ".log", "-cache")
        assert names == {f"{run}{kind}" for run in ("whole", "blows") for kind in kinds}


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

    def test_several_processes(
        self, golden_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("WORLD_SIZE", "2")
        with pytest.raises(InputError, match="one process"):
            fine_tune(tmp_path, golden_run, tmp_path / "out", OPTIONS)

    @pytest.mark.parametrize(
        ("words", "why"),
        [
            (["--qat"], "--resume RUN and --qat go together"),
            (["--resume", "RUN"], "--resume RUN and --qat go together"),
            (["--qat-steps", "9"], "--qat-steps 9 is for --qat only"),
            *(
                (["--resume", "RUN", "--qat", *words], f"{words[0]} changes nothing beside --qat")
                for words in (
                    ["--epochs", "3"],
                    ["--recipe", "field"],  # also where it is what is taken anyway
                    ["--backbone", "tf_efficientnet_lite0"],
                    ["--head", "linear"],
                    ["--input-size", "64"],
                    ["--weights", "FILE"],
                    ["--min-photos", "3"],
                    ["--split", "paper"],
                    ["--patience", "2"],
                    ["--no-test"],
                )
            ),
        ],
        ids=lambda value: value[-2] if isinstance(value, list) and len(value) > 1 else None,
    )
    def test_options_that_would_change_nothing(
        self,
        words: list[str],
        why: str,
        register_folder: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        assert main(["train", str(register_folder), "--out", str(tmp_path / "o"), *words]) == 2
        assert why in capsys.readouterr().err
        assert not (tmp_path / "o").exists()

    def test_every_option_of_training_is_obeyed_or_refused(self) -> None:
        """An option that comes to `train` later must be thought of here, too."""
        obeyed = {"photos", "out", "force", "layout", "seed", "device", "cache", "debug", "run"}
        obeyed |= {"resume", "qat", "qat_steps"}
        options = build_parser().parse_args(["train", "photos", "--out", "run"])
        assert set(vars(options)) == obeyed | set(NOT_BESIDE_QAT)
        assert not [name for name in NOT_BESIDE_QAT if getattr(options, name) is not None]


def test_command(
    golden_run: Run, register_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--resume", str(golden_run.folder), "--qat", "--qat-steps", "4", "--device", "cpu"]
    out = tmp_path / "run"
    code = main(
        ["train", str(register_folder), "--out", str(out), *words, "--cache", str(tmp_path / "c")]
    )
    said = capsys.readouterr()
    assert code == 0, said.err
    found = read_run(out).info.quantised
    assert found is not None
    assert found.settings["name"] == "qat"
    assert "training all weights" in said.err
    assert f"{found.photos} photos, {found.copies} of them altered copies" in said.err
    for share in (found.agreement_before, found.agreement):
        low, high = wilson_interval(round(share * found.photos), found.photos) or (0, 1)
        assert f"{share:.1%} (95% interval {100 * low:.1f}-{100 * high:.1f})" in said.out
