"""Weights, loss, augmentation, the training loop and the run folder, on a real small network."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mobile_assets.preprocessing import Preprocessing
from train.batches import Photos, class_weights, predict_batches, to_images
from train.checkpoint import STATE_FILE, Checkpoint
from train.device import Compute, choose_compute
from train.engine import Trainer
from train.freezing import early_parameters
from train.heads import HIDDEN
from train.model import build_model
from train.progress import StageTimer
from train.recipes import FIELD, PAPER, RECIPES, Recipe
from train.run import EpochRecord
from train.schedule import next_epoch

LITE0 = "tf_efficientnet_lite0"
CONTRACT = Preprocessing(height=224, width=224, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def test_paper_head_is_the_papers() -> None:
    model = build_model(LITE0, "paper", objects=10, preprocessing=CONTRACT)
    kinds = [type(layer) for layer in model.head]
    assert kinds == [nn.BatchNorm1d, nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]
    assert model.head[1].out_features == HIDDEN == 2048
    assert model.head[3].p == 0.5


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


def test_a_state_with_one_changed_bit_is_no_state(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, "key")
    checkpoint.write(STATE_FILE, b"weights")
    path = tmp_path / STATE_FILE
    content = path.read_bytes()
    assert checkpoint.read() == b"weights"
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1
        path.write_bytes(changed)
        assert checkpoint.read() is None
    path.write_bytes(content[:-1])
    assert checkpoint.read() is None


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
    ("channels", "size", "kernel", "stride", "bias"),
    [(32, 15, 3, 1, True), (32, 16, 3, 2, False), (48, 14, 5, 1, False), (48, 13, 5, 2, True)],
)
def test_faster_depthwise_gradients_are_as_exact(
    channels: int, size: int, kernel: int, stride: int, bias: bool
) -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(4, channels, size, size, generator=generator)
    conv = nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels, bias=bias)

    def gradients(compute: Compute | None) -> list[torch.Tensor]:
        given = image.clone().requires_grad_()
        conv.zero_grad()
        with compute.autocast() if compute else contextlib.nullcontext():
            out = conv(given)
        (out.float() ** 2).sum().backward()
        gradients = [p.grad.clone() for p in conv.parameters()]
        return [out.detach().float(), given.grad.clone(), *gradients]

    exact = gradients(None)
    cpu = dataclasses.replace(choose_compute("cpu"), bfloat16=True)
    for wanted, found in zip(exact, gradients(cpu), strict=True):
        # bfloat16 keeps 8 bits: a relative error of 1/256 per value, averaged out in sums.
        assert (wanted - found).norm() / wanted.norm() < 0.01


def test_batches_are_channels_last_without_a_copy() -> None:
    images = to_images(np.zeros((2, 8, 8, 3), np.uint8), choose_compute("cpu"))
    assert images.is_contiguous(memory_format=torch.channels_last)
