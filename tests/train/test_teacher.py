"""A larger network guides a smaller one: real tiny networks of timm's, their weights in files."""

from __future__ import annotations

import dataclasses
import os
import signal
from pathlib import Path

import huggingface_hub
import pytest
import timm
import torch
from conftest import alternately, tiny_weights
from safetensors.torch import save_file
from test_training import short, tiny
from tiny_run import write_tiny_run

from artefact_id.main import main
from mobile_assets.errors import InputError, MissingDependencyError
from train.progress import TrainingProgress
from train.recipes import FIELD
from train.run import Run
from train.teacher import Teacher, TeacherChoice, check_teacher, load_teacher, relation_loss
from train.trainer import train_run
from train.training_plan import Reporter, TrainOptions


def weights_of(folder: Path, network: str, seed: int = 0) -> Path:
    """Random weights of a network of timm's, with a classifier as its own files have."""
    torch.manual_seed(seed)
    path = folder / f"{network}-{seed}.safetensors"
    save_file(timm.create_model(network, pretrained=False).state_dict(), path)
    return path


def resnet(folder: Path, *, weight: float = 1.0, seed: int = 0) -> Teacher:
    file = weights_of(folder, "test_resnet", seed)
    return load_teacher(TeacherChoice(f"test_resnet={file}", weight, 64))


def test_only_how_photos_lie_to_one_another_counts() -> None:
    torch.manual_seed(0)
    taught = torch.randn(8, 6)
    rotation, _ = torch.linalg.qr(torch.randn(9, 6))
    assert relation_loss(5 * taught @ rotation.T + 3, taught).item() < 1e-6
    assert relation_loss(torch.randn(8, 9), taught).item() > 0.1
    assert torch.isfinite(relation_loss(torch.randn(2, 9), taught[:2]))


def test_the_loss_of_a_student_alone_falls() -> None:
    torch.manual_seed(0)
    taught = torch.randn(8, 6)
    student = torch.nn.Linear(10, 9)
    photos = torch.randn(8, 10)
    optimiser = torch.optim.Adam(student.parameters(), lr=0.05)
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        loss = relation_loss(student(photos), taught)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


def test_a_guided_training_repeats_and_leaves_the_teacher_alone(tmp_path: Path) -> None:
    recipe = dataclasses.replace(short(FIELD), rate=3e-3)
    plain = tiny(recipe).fit()
    guided = []
    for _ in range(2):
        trainer = tiny(recipe)
        trainer.teacher = resnet(tmp_path, weight=3.0)
        before = {k: v.clone() for k, v in trainer.teacher.state_dict().items()}
        guided.append(trainer.fit())
        after = trainer.teacher.state_dict()
        assert all(torch.equal(before[k], after[k]) for k in before)
        assert all(p.grad is None for p in trainer.teacher.parameters())
    first, again = (best.weights for best in guided)
    assert first.keys() == plain.weights.keys()
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert any(not torch.equal(first[k], plain.weights[k]) for k in first)


def test_a_guided_student_comes_nearer_to_its_teacher(tmp_path: Path) -> None:
    """The loss over all photos after training, beside that after the same training without."""
    recipe = dataclasses.replace(short(FIELD), rate=3e-3, epochs=6, head_epochs=0, batch=12)
    teacher, losses = resnet(tmp_path, weight=5.0), []
    for guide in (None, teacher):
        trainer = tiny(recipe)
        trainer.teacher = guide
        trainer.fit()
        images = torch.from_numpy(trainer.train.pixels).permute(0, 3, 1, 2).float()
        with torch.no_grad():
            features = trainer.model.eval().features(images)
            losses.append(relation_loss(features, teacher.features(images)).item())
    assert losses[1] < 0.8 * losses[0]


def test_photos_reach_the_teacher_at_its_own_size_and_normalised(tmp_path: Path) -> None:
    teacher = load_teacher(
        TeacherChoice(f"test_vit={weights_of(tmp_path, 'test_vit')}", 1.0, size=96)
    )
    assert (teacher.info.height, teacher.info.width) == (96, 96)
    config = timm.get_pretrained_cfg("test_vit")
    body = timm.create_model("test_vit", num_classes=0, img_size=96).eval()
    native = load_teacher(TeacherChoice(f"test_vit={weights_of(tmp_path, 'test_vit')}", 1.0))
    assert native.info.height == config.input_size[1]
    body.load_state_dict(teacher.backbone.state_dict())
    images = torch.rand(2, 3, 96, 96) * 255
    mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in (config.mean, config.std))
    wanted = body((images / 255 - mean) / std)
    assert torch.allclose(teacher.features(images), wanted, atol=1e-5)
    assert teacher.features(torch.rand(2, 3, 32, 32) * 255).shape == wanted.shape


def test_the_teacher_of_a_run_gives_its_embedding(register_folder: Path, tmp_path: Path) -> None:
    run = write_tiny_run(
        register_folder, tmp_path / "run", side=alternately(), head="embedding", scale=None
    )
    teacher = load_teacher(TeacherChoice(str(run.folder), 1.0))
    assert teacher.info.sha256 == run.info.model_sha256
    rows = teacher.features(torch.rand(3, 3, 32, 32) * 255)
    assert rows.shape == (3, 256)
    assert torch.allclose(rows.norm(dim=1), torch.ones(3), atol=1e-4)
    teacher.check_split(run.split)
    photos = list(run.split.photos)
    place = next(i for i, photo in enumerate(photos) if photo.split == "train")
    photos[place] = photos[place].model_copy(update={"split": "val"})
    with pytest.raises(InputError, match="trained with 1 of the photos"):
        teacher.check_split(run.split.model_copy(update={"photos": tuple(photos)}))
    with pytest.raises(InputError, match="are held out here"):
        teacher.check_split(run.split, [photos[place].object_id])


def unusable(folder: Path) -> dict[str, tuple[TeacherChoice, str]]:
    """Teachers that are refused, and what is said."""
    good = weights_of(folder, "test_resnet")
    cut, empty = folder / "cut.safetensors", folder / "no-run"
    cut.write_bytes(good.read_bytes()[:5000])
    empty.mkdir()
    vit = weights_of(folder, "test_vit")
    return {
        "damaged": (TeacherChoice(f"test_resnet={cut}", 1.0), "cut short"),
        "missing": (TeacherChoice(f"test_resnet={folder / 'none'}", 1.0), "there is no file"),
        "of another network": (TeacherChoice(f"test_vit={good}", 1.0), "of another network"),
        "no network": (TeacherChoice("test_resnett", 1.0), "Similar names: test_resnet"),
        "a file alone": (TeacherChoice(str(good), 1.0), "NAME=FILE"),
        "no run": (TeacherChoice(str(empty), 1.0), "holds no run.json"),
        "weight": (TeacherChoice(f"test_resnet={good}", 0.0), "--teacher-weight"),
        "weight nan": (TeacherChoice(f"test_resnet={good}", float("nan")), "--teacher-weight"),
        "size": (TeacherChoice(f"test_vit={vit}", 1.0, 8), "--teacher-size"),
    }


def test_an_unusable_teacher_is_refused(tmp_path: Path) -> None:
    for choice, words in unusable(tmp_path).values():
        with pytest.raises(InputError) as error:
            check_teacher(choice)
        assert words in str(error.value), choice


def test_without_a_network_a_name_alone_is_refused_with_the_ways_to_get_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")  # nobody there
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", "/nonexistent")
    with pytest.raises(MissingDependencyError) as error:
        check_teacher(TeacherChoice("vit_small_patch14_dinov2.lvd142m", 1.0))
    assert "No ImageNet weights for vit_small_patch14_dinov2.lvd142m" in str(error.value)
    assert "with --teacher vit_small_patch14_dinov2.lvd142m=FILE" in str(error.value)


@pytest.mark.parametrize("words", [("cut",), ("good", "--recipe", "probe")])
def test_the_command_says_what_is_wrong_with_a_teacher(
    register_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
) -> None:
    good = weights_of(tmp_path, "test_resnet")
    (tmp_path / "cut.safetensors").write_bytes(good.read_bytes()[:5000])
    good.rename(tmp_path / "good.safetensors")
    arguments = [
        *("train", str(register_folder), "--out", str(tmp_path / "run")),
        *("--backbone", "test_efficientnet", "--weights", str(tiny_weights(tmp_path))),
        *("--teacher", f"test_resnet={tmp_path / words[0]}.safetensors", *words[1:]),
    ]
    assert main(arguments) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert ("cut short" if words[0] == "cut" else "a teacher guides") in said
    assert not list(tmp_path.glob("run*"))


@pytest.mark.slow
def test_a_broken_off_training_goes_on_with_its_own_teacher_only(
    register_folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "teacher.safetensors"
    options = TrainOptions(
        backbone="test_efficientnet", weights=tiny_weights(tmp_path), input_size=32, epochs=2,
        recipe="discriminant",
        device="cpu", cache=tmp_path / "cache", teacher=f"test_resnet={file}", teacher_size=64,
        teacher_weight=2.0,
    )  # fmt: skip
    messages: list[str] = []
    moments: list[TrainingProgress] = []

    def train(out: str, seed: int, *, until: str = "") -> Run:
        def progress(moment: TrainingProgress) -> None:
            moments.append(moment)
            if moment.stage == until:
                os.kill(os.getpid(), signal.SIGINT)

        weights_of(tmp_path, "test_resnet", seed).rename(file)
        reporter = Reporter(said=messages.append, progress=progress)
        return train_run(register_folder, tmp_path / out, options, reporter)

    whole, other = train("whole", 0), train("other", 1)
    assert whole.info.teacher is not None
    assert whole.info.teacher.weight == 2.0
    assert (whole.info.teacher.name, whole.info.teacher.height) == ("test_resnet", 64)
    assert whole.info.model_sha256 != other.info.model_sha256
    assert not any("going on" in text for text in messages)
    of_run = dataclasses.replace(options, teacher=str(whole.folder), teacher_size=None)
    second = train_run(register_folder, tmp_path / "second", of_run)
    assert second.info.teacher is not None
    assert second.info.teacher.sha256 == whole.info.model_sha256
    with pytest.raises(InputError, match="are held out here"):
        train_run(register_folder, tmp_path / "third", dataclasses.replace(of_run, seed=3))
    looked = [moment for moment in moments if moment.stage == "teacher"]
    assert (looked[-1].done, looked[-1].total) == (whole.info.photos.train,) * 2
    assert looked[-1].photos_per_second > 0
    for until, seed, wanted in (("teacher", 0, whole), ("all", 0, whole), ("all", 1, other)):
        out = f"run-{until}-{seed}"
        with pytest.raises(KeyboardInterrupt):
            train(out, 0, until=until)
        messages.clear()
        assert train(out, seed).info.model_sha256 == wanted.info.model_sha256
        assert any("going on" in text for text in messages) == (until == "all" and seed == 0)
