"""The head in closed form, and the photos made worse that it is fitted to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from artefact_id.main import main
from train.degradation import degrade
from train.discriminant import LARGEST_SHRINKAGE, Scatter, fit_discriminant
from train.heads import EmbeddingHead

FEATURES, OBJECTS, PHOTOS = 40, 6, 30


def features() -> tuple[Tensor, Tensor]:
    """Objects that differ a little, each in a direction; photos of one differ much in another."""
    generator = np.random.default_rng(3)
    truth = np.tile(np.arange(OBJECTS), PHOTOS)
    rows = generator.normal(0, 0.3, (len(truth), FEATURES))
    rows[np.arange(len(truth)), 2 + truth] += 1.5
    rows[:, 1] += generator.normal(0, 20, len(truth))
    return torch.from_numpy(rows).float(), torch.from_numpy(truth)


def scatter_of(rows: Tensor, truth: Tensor, batch: int = 1000) -> Scatter:
    scatter = Scatter(FEATURES, OBJECTS)
    for start in range(0, len(rows), batch):
        scatter.add(rows[start : start + batch], truth[start : start + batch])
    return scatter


def head_of(scatter: Scatter, size: int = 8, seed: int = 0) -> EmbeddingHead:
    head = EmbeddingHead(FEATURES, size, OBJECTS)
    fit_discriminant(scatter, size, seed=seed).write(head)
    return head.eval()


def test_means_and_covariance_are_those_of_all_photos_at_once() -> None:
    rows, truth = features()
    scatter = scatter_of(rows, truth, batch=7)
    values = rows.double().numpy()
    means = np.stack([values[truth == k].mean(axis=0) for k in range(OBJECTS)])
    assert np.allclose(scatter.means(), means)
    within = np.cov((values - means[truth]).T, bias=True)
    ball = np.trace(within) / FEATURES * np.eye(FEATURES)
    # Six objects' means take that share of the freedom of all photos.
    assert scatter.shrinkage == 1 / PHOTOS
    shrunk = (1 - 1 / PHOTOS) * within + 1 / PHOTOS * ball
    assert np.allclose(scatter.covariance(), shrunk)


@pytest.mark.parametrize(("photos", "shrinkage"), [(1, LARGEST_SHRINKAGE), (2, 0.5), (5, 0.2)])
def test_the_fewer_photos_an_object_has_the_more_the_covariance_is_shrunk(
    photos: int, shrinkage: float
) -> None:
    rows, truth = (values[: photos * OBJECTS] for values in features())
    scatter = scatter_of(rows, truth)
    scatter.add(rows + 1, truth, version_weight=0.5)
    scatter.add(rows, truth, enrolled=True)
    assert scatter.shrinkage == pytest.approx(shrinkage)


def test_what_differs_between_photos_of_one_object_does_not_decide() -> None:
    rows, truth = features()
    fitted, asked = rows[: len(rows) // 2], rows[len(rows) // 2 :]
    half = len(rows) // 2
    head = head_of(scatter_of(fitted, truth[:half]))
    right = (head(asked).argmax(1) == truth[half:]).float().mean()
    nearest = torch.stack([fitted[truth[:half] == k].mean(0) for k in range(OBJECTS)])
    plain = (torch.cdist(asked, nearest).argmin(1) == truth[half:]).float().mean()
    assert right > 0.9
    assert plain < 0.5


def test_the_rotation_changes_no_cosine_and_fills_every_number() -> None:
    rows, truth = features()
    scatter = scatter_of(rows, truth)
    one, other = head_of(scatter, 128, seed=0), head_of(scatter, 128, seed=1)
    assert torch.allclose(one(rows), other(rows), atol=1e-3)
    assert not torch.allclose(one.embedding(rows), other.embedding(rows), atol=1e-2)
    assert one[0].weight.abs().amax(dim=1).min() > 0


def test_versions_count_in_the_covariance_alone() -> None:
    rows, truth = features()
    scatter = scatter_of(rows, truth)
    means, before = scatter.means(), scatter.covariance()
    worse = rows + 5 * torch.eye(FEATURES)[2] * torch.randn(len(rows), 1)
    scatter.add(worse, truth, version_weight=0.25)
    assert np.array_equal(scatter.means(), means)
    after = scatter.covariance()
    share = 0.25 / (1 + 0.25)
    assert after[2, 2] > before[2, 2] + 0.5 * 25 * share * (1 - 1 / PHOTOS)


def test_an_object_without_photos_is_never_the_answer() -> None:
    rows, truth = features()
    kept = truth != 2
    head = head_of(scatter_of(rows[kept], truth[kept]))
    logits = head(rows)
    assert torch.isfinite(logits).all()
    assert not (logits.argmax(1) == 2).any()


def test_enrolled_photos_decide_over_their_own_objects_directions_alone() -> None:
    rows, truth = features()
    own = truth == 2
    scatter = scatter_of(rows[~own], truth[~own])
    before = head_of(scatter)
    scatter.add(rows[own], truth[own], enrolled=True)
    after = head_of(scatter)
    assert torch.equal(before[0].weight, after[0].weight)
    others = [index for index in range(OBJECTS) if index != 2]
    assert torch.equal(before[2].directions[others], after[2].directions[others])
    mean = after.embedding(rows[own].double().mean(0, keepdim=True).float())
    assert torch.allclose(after[2].directions[2], mean[0], atol=1e-4)


def test_more_objects_than_the_features_have_dimensions() -> None:
    generator = torch.Generator().manual_seed(1)
    centres = torch.randn(3 * FEATURES, FEATURES, generator=generator)
    truth = torch.arange(len(centres)).repeat(4)
    rows = centres[truth] + 0.1 * torch.randn(len(truth), FEATURES, generator=generator)
    scatter = Scatter(FEATURES, len(centres))
    scatter.add(rows, truth)
    head = EmbeddingHead(FEATURES, 128, len(centres))
    fit_discriminant(scatter, 128, seed=0).write(head)
    assert (head(rows).argmax(1) == truth).float().mean() > 0.99


def test_one_photo_of_each_object_is_enough() -> None:
    rows, truth = features()
    rows[:, 1] = 0
    head = head_of(scatter_of(rows[:OBJECTS], truth[:OBJECTS]))
    assert (head(rows[:OBJECTS]).argmax(1) == truth[:OBJECTS]).all()


def photos(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    small = torch.rand(count, 3, 12, 12, generator=generator) * 255
    return torch.nn.functional.interpolate(small, (64, 64), mode="bilinear")


def test_photos_are_made_worse_in_many_ways_and_alike_for_one_seed() -> None:
    images = photos(200)
    worse = degrade(images, torch.Generator().manual_seed(4))
    assert torch.equal(worse, degrade(images, torch.Generator().manual_seed(4)))
    assert not torch.equal(worse, degrade(images, torch.Generator().manual_seed(5)))
    assert worse.shape == images.shape
    assert worse.min() >= 0 and worse.max() <= 255
    changed = (worse != images).flatten(1).any(dim=1).float().mean()
    # 1 minus the product of (1 - share): four in five.
    assert 0.7 < changed < 0.9


@pytest.mark.parametrize("head", ["linear", "paper"])
def test_a_head_without_an_embedding_is_refused(
    head: str, register_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--recipe", "discriminant", "--head", head, "--out", str(tmp_path / "run")]
    assert main(["train", str(register_folder), *arguments]) == 2
    assert f"head {head} has none" in " ".join(capsys.readouterr().err.split())
