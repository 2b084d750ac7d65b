"""Training with batch norms folded, from a first head in closed form, on smaller, worse photos."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from test_depths import CONTRACT, LAST, images, network
from torch import Tensor

from train.augment import augment
from train.batches import Photos
from train.closed_form import start_head
from train.degradation import degraded
from train.device import choose_compute
from train.engine import Trainer
from train.folding import folded_statistics
from train.heads import EmbeddingHead
from train.model import ArtefactModel, build_model
from train.recipes import DISCRIMINANT, Augmentation


def worn(backbone: str) -> ArtefactModel:
    """A network whose batch norms do something."""
    torch.manual_seed(0)
    model = build_model(backbone, "embedding", objects=3, preprocessing=CONTRACT).eval()
    for layer in model.backbone.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            for values in (layer.weight, layer.running_var):
                assert values is not None
                torch.nn.init.uniform_(values, 0.5, 1.5)
            for values in (layer.bias, layer.running_mean):
                assert values is not None
                torch.nn.init.uniform_(values, -0.5, 0.5)
    return model


def answers_and_gradients(model: ArtefactModel) -> dict[str, Tensor]:
    model.zero_grad()
    logits = model(images(2))
    (logits * torch.arange(6.0).reshape(2, 3)).sum().backward()
    gradients = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    return gradients | {"logits": logits.detach()}


# tf_efficientnet_lite0 pads its pictures itself, test_efficientnet does not.
@pytest.mark.parametrize("backbone", ["test_efficientnet", "tf_efficientnet_lite0"])
def test_folded_batch_norms_change_neither_answers_nor_gradients(backbone: str) -> None:
    model = worn(backbone)
    plain, names = answers_and_gradients(model), list(model.state_dict())
    with folded_statistics(model.backbone):
        assert list(model.state_dict()) == names
        folded = answers_and_gradients(model)
    assert not torch.equal(folded["logits"], plain["logits"])  # rounded elsewhere
    assert plain.keys() == folded.keys()
    for name, values in plain.items():
        assert (folded[name] - values).norm() <= 1e-4 * values.norm(), name
    after = answers_and_gradients(model)
    assert all(torch.equal(plain[name], after[name]) for name in plain)


def test_statistics_of_the_batch_are_not_folded() -> None:
    model = worn("test_efficientnet")
    with folded_statistics(model.backbone.train()), pytest.raises(AssertionError):
        model(images(2))


def test_a_first_head_knows_the_photos_and_leaves_the_stages_out() -> None:
    model, truth = network((3, 4)), torch.tensor([0, 1, 2, 0, 1, 2])
    with torch.no_grad():
        features = model.features(images(6))
    head = model.head
    assert isinstance(head, EmbeddingHead)
    start_head(head, features[None, :, :LAST], truth, seed=0)
    assert head(features).argmax(1).tolist() == truth.tolist()
    assert head[0].weight[:, LAST:].abs().max() == 0
    assert head[0].weight.norm(dim=1).mean().item() == pytest.approx(1, rel=1e-4)


def head_fitted_to(truth: list[int]) -> EmbeddingHead:
    recipe = replace(DISCRIMINANT, head_views=1, epochs=1, batch=4)
    pixels = images(len(truth)).byte().permute(0, 2, 3, 1).numpy()
    photos = Photos(pixels, torch.tensor(truth))
    none = Photos(pixels[:0], photos.truth[:0])
    trainer = Trainer(network((3, 4)), recipe, photos, none, choose_compute("cpu"), seed=0)
    trainer.fit()
    head = trainer.model.head
    assert isinstance(head, EmbeddingHead)
    return head


def test_one_photo_an_object_says_nothing_of_the_stages() -> None:
    assert head_fitted_to([0, 1, 2])[0].weight[:, LAST:].abs().max() == 0
    assert head_fitted_to([0, 1, 2, 2])[0].weight[:, LAST:].abs().max() == 0
    assert head_fitted_to([0, 1, 2, 0, 1, 2])[0].weight[:, LAST:].abs().max() > 0


def test_smaller_photos_show_the_same() -> None:
    photos = images(2).repeat_interleave(2, 2).repeat_interleave(2, 3)  # 128 x 128
    still = Augmentation()
    small = augment(photos, still, torch.Generator(), side=0.5)
    assert torch.allclose(small, images(2), atol=1e-2)
    whole = augment(photos, still, torch.Generator())
    assert torch.allclose(whole, photos, atol=1e-2)
    assert augment(photos, still, torch.Generator(), side=0.72).shape[-2:] == (96, 96)


def test_a_share_of_the_photos_is_made_worse() -> None:
    photos = images(40)
    generator = torch.Generator().manual_seed(0)
    worse = degraded(photos, 0.3, generator)
    changed = (worse != photos).flatten(1).any(1)
    assert 0 < changed.sum() < 20
    before = generator.get_state()
    assert degraded(photos, 0.0, generator) is photos
    assert torch.equal(generator.get_state(), before)
