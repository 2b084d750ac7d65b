"""What augmentation does to training photos, and how objects are parted from a plain ground."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from train.augment import augment
from train.background_replacement import SIDE, object_masks, replace_background
from train.recipes import FIELD, Augmentation


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def studio(count: int = 4, side: int = 96, *, fade: float = 30.0) -> tuple[Tensor, Tensor]:
    """Textured discs on a backdrop that fades, with noise; and where the discs are."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, side), torch.linspace(-1, 1, side), indexing="ij")
    inside = torch.stack([((x - 0.1 * i) ** 2 + y**2 < 0.3) for i in range(count)])[:, None]
    ground = torch.stack([150 + fade * y, 150 + fade * y, 190 + fade * x])
    texture = torch.rand(count, 3, side, side, generator=seeded(1)) * 120
    photo = torch.where(inside, texture, ground + torch.randn(ground.shape, generator=seeded(2)))
    return photo.clamp(0, 255), inside.float()


def overlap(found: Tensor, wanted: Tensor) -> float:
    found, wanted = found > 0.5, wanted > 0.5
    return float((found & wanted).sum() / (found | wanted).sum())


def test_object_is_found_on_a_fading_ground() -> None:
    photos, wanted = studio()
    masks, plain = object_masks(photos)
    assert masks.shape == (4, 1, SIDE, SIDE)
    assert plain.all()
    small = torch.nn.functional.interpolate(wanted, size=(SIDE, SIDE), mode="area")
    assert overlap(masks, small) > 0.85
    assert overlap(1 - masks, small) < 0.2


def test_clutter_is_no_plain_ground() -> None:
    photos, _ = studio()
    cluttered = replace_background(
        photos, torch.zeros(4, 1, SIDE, SIDE), torch.ones(4, dtype=torch.bool), seeded()
    )
    assert not object_masks(cluttered)[1].any()
    empty = torch.full((1, 3, 96, 96), 128.0)
    assert not object_masks(empty)[1].any()


def test_swapping_changes_the_ground_and_keeps_the_object() -> None:
    photos, wanted = studio()
    masks, plain = object_masks(photos)
    chosen = plain & torch.tensor([True, True, True, False])
    swapped = replace_background(photos, masks, chosen, seeded())
    change = (swapped - photos).abs().mean(dim=1, keepdim=True)
    inner = -torch.nn.functional.max_pool2d(-wanted, 9, 1, 4)  # away from the soft edge
    outer = 1 - torch.nn.functional.max_pool2d(wanted, 9, 1, 4)
    for number in range(3):
        assert change[number][inner[number] > 0.5].mean() < 3
        assert change[number][outer[number] > 0.5].mean() > 20
    assert torch.equal(swapped[3], photos[3])


def test_nothing_asked_changes_nothing() -> None:
    photos, _ = studio()
    assert torch.allclose(augment(photos, Augmentation(), seeded()), photos, atol=0.1)


@pytest.mark.parametrize(
    "name", [f.name for f in dataclasses.fields(Augmentation) if f.name != "saturation"]
)
def test_each_amount_does_something_and_stays_in_range(name: str) -> None:
    photos, _ = studio()
    amount = 45.0 if name in ("rotation", "shear") else 0.9
    changed = augment(photos, Augmentation(**{name: amount}), seeded())
    assert changed.shape == photos.shape
    assert changed.min() >= 0
    assert changed.max() <= 255
    assert (changed - photos).abs().mean() > 0.5


def test_any_rotation_reaches_upside_down() -> None:
    photos, _ = studio()
    spots = photos.clone() * 0
    spots[:, :, 4:12, 44:52] = 255  # a spot above
    turned = torch.cat(
        [augment(spots, Augmentation(any_rotation=1.0), seeded(seed)) for seed in range(8)]
    )
    below = turned[:, :, 80:, 30:66].amax(dim=(1, 2, 3))
    assert (below > 100).any()
    upright = torch.cat(
        [augment(spots, Augmentation(rotation=30), seeded(seed)) for seed in range(8)]
    )
    assert not (upright[:, :, 60:].amax(dim=(1, 2, 3)) > 100).any()


def test_same_seed_same_photos() -> None:
    photos, _ = studio()
    assert FIELD.augmentation is not None
    first, again, other = (augment(photos, FIELD.augmentation, seeded(s)) for s in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
