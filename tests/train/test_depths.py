"""Features of several depths: which stages, what they hold, and how a head is trained with them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import tiny_weights
from torch import Tensor

from artefact_id.main import main
from mobile_assets.preprocessing import Preprocessing
from train.batches import Photos
from train.device import choose_compute
from train.engine import Trainer
from train.heads import EmbeddingHead
from train.model import ArtefactModel, build_model
from train.recipes import DISCRIMINANT, FIELD
from train.run import RunInfo, load_model, read_run

CONTRACT = Preprocessing(height=64, width=64, mean=(0.5,) * 3, std=(0.25,) * 3)
LAST, STAGES = 256, (48, 64)
"""Widths of the tiny network's features and of its stages 3 and 4."""


def network(depths: tuple[int, ...], backbone: str = "test_efficientnet") -> ArtefactModel:
    torch.manual_seed(0)
    model = build_model(backbone, "embedding", objects=3, preprocessing=CONTRACT, depths=depths)
    return model.eval()


def images(count: int) -> Tensor:
    return torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 255


def test_features_are_the_last_ones_and_the_means_of_stages() -> None:
    model = network((4, 3, 5))
    assert model.depths == (3, 4)  # in order, and it has no stage 5
    outputs: dict[int, Tensor] = {}
    for depth in model.depths:
        stage = model.backbone.blocks[depth]  # type: ignore[index,union-attr]
        stage.register_forward_hook(lambda *a, depth=depth: outputs.update({depth: a[2]}))
    with torch.inference_mode():
        rows = model.features(images(2))
        last = model.backbone(model.normalise(images(2)))
    parts = rows.split([LAST, *STAGES], dim=1)
    assert torch.equal(parts[0], last)
    for part, depth in zip(parts[1:], model.depths, strict=True):
        assert torch.allclose(part, outputs[depth].mean((2, 3)), atol=1e-6)


@pytest.mark.parametrize("backbone", ["test_resnet", "test_vit"])
def test_a_backbone_without_stages_keeps_its_last_features(backbone: str) -> None:
    model, plain = network((3, 4, 5), backbone), network((), backbone)
    assert model.depths == ()
    assert model.head.features == plain.head.features


def test_names_of_weights_are_those_of_a_network_without_depths() -> None:
    plain, deep = network(()).state_dict(), network((3, 4)).state_dict()
    assert plain.keys() == deep.keys()
    different = [name for name in plain if plain[name].shape != deep[name].shape]
    assert different == ["head.0.weight"]


def trained(closed_form: bool) -> EmbeddingHead:
    recipe = replace(
        DISCRIMINANT,
        closed_form=closed_form,
        head_epochs=2,
        head_views=1,
        epochs=1,
        batch=4,
        frozen_share=0.5,
        head_steps=0,
    )
    pixels = images(6).byte().permute(0, 2, 3, 1).numpy()
    photos = Photos(pixels, torch.tensor([0, 1, 2, 0, 1, 2]))
    trainer = Trainer(network(recipe.depths), recipe, photos, photos, choose_compute("cpu"), seed=0)
    seen: list[Tensor] = []
    trainer.on_epoch = lambda *_: seen.append(trainer.model.head[0].weight.detach().clone())  # type: ignore[index]
    trainer.fit()
    deep = [weight[:, LAST:].abs().amax().item() for weight in seen]
    if closed_form:
        assert deep[:-1] == [0.0] * 3  # the head alone, then all weights
    assert deep[-1] > 0
    head = trainer.model.head
    assert isinstance(head, EmbeddingHead)
    return head


def test_stages_are_read_by_the_head_in_closed_form_alone() -> None:
    head = trained(closed_form=True)
    assert (head[0].weight[:, LAST:].abs().amax(dim=0) > 0).all()
    trained(closed_form=False)


@pytest.mark.slow
def test_a_run_says_which_stages_it_reads_and_older_runs_read_none(
    register_folder: Path, tmp_path: Path
) -> None:
    out, weights = tmp_path / "run", tiny_weights(tmp_path)
    words = ["train", str(register_folder), "--out", str(out), "--recipe", "discriminant"]
    words += ["--backbone", "test_efficientnet", "--weights", str(weights), "--epochs", "1"]
    assert main([*words, "--input-size", "64", "--device", "cpu"]) == 0
    run = read_run(out)
    assert run.info.depths == (3, 4)
    assert run.info.recipe_settings["depths"] == (3, 4, 5)
    model = load_model(run)
    assert model.depths == (3, 4)
    assert model.head.features == LAST + sum(STAGES)
    older = run.info.model_dump(mode="json")
    del older["depths"]
    assert RunInfo.model_validate(older, strict=False).depths == ()
    assert FIELD.depths == ()
