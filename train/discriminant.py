"""A head in closed form: linear discriminant analysis of the trained network's features.

How photos of one object differ from one another (light, side, focus) is learnt better from all
objects together than from 3 to 10 photos of each on its own. The covariance of photos about their
object's mean, pooled over the objects, is exactly that. Features divided by its root, in which the
differences between objects stand out, make the embedding, and the mean of an object's photos in it
is the object's direction (Fisher's linear discriminant; Hastie, Tibshirani and Friedman, The
Elements of Statistical Learning, section 4.3). The head is an `EmbeddingHead` as training by
gradients makes it, with other weights: nothing behind it needs to know.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from train.heads import EmbeddingHead

LARGEST_SHRINKAGE = 0.7
"""Of one photo of each object, which shows nothing of how photos differ but by their versions.
`Scatter.shrinkage` has the rule."""


_BLOCK = 1024
"""So many rows are multiplied at a time: each product writes all features × features sums."""


@dataclass(frozen=True)
class Discriminant:
    """A fitted head.

    Attributes:
        weight: `[size, features]` float64; features → embedding before it is brought to length 1.
        bias: `[size]` float64.
        directions: `[objects, size]` float64 unit rows.
    """

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    directions: NDArray[np.float64]

    def write(self, head: EmbeddingHead) -> None:
        """Puts the weights into a head of the same sizes."""
        head.load_state_dict(
            {
                "0.weight": torch.from_numpy(self.weight),
                "0.bias": torch.from_numpy(self.bias),
                "2.weight": torch.from_numpy(self.directions),
            }
        )


@dataclass
class Scatter:
    """Sums over photos, batch by batch: memory grows with the features and objects alone.

    Attributes:
        features: Width of the features.
        objects: Number of classes.
    """

    features: int
    objects: int
    _sums: NDArray[np.float64] = field(init=False)
    _counts: NDArray[np.int64] = field(init=False)
    _version_sums: NDArray[np.float64] = field(init=False)
    _version_weights: NDArray[np.float64] = field(init=False)
    _enrolled_sums: NDArray[np.float64] = field(init=False)
    _enrolled_counts: NDArray[np.int64] = field(init=False)
    _squares: NDArray[np.float64] = field(init=False)
    _pending: list[NDArray[np.float64]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        """No photo yet."""
        sums = np.zeros((3, self.objects, self.features))
        self._sums, self._version_sums, self._enrolled_sums = sums
        self._counts, self._enrolled_counts = np.zeros((2, self.objects), np.int64)
        self._version_weights = np.zeros(self.objects)
        self._squares = np.zeros((self.features, self.features))

    def add(
        self,
        rows: Tensor,
        truth: Tensor,
        *,
        version_weight: float | None = None,
        enrolled: bool = False,
    ) -> None:
        """Counts photos in.

        Args:
            rows: `[N, features]` float.
            truth: `[N]` int64 class indices.
            version_weight: Of changed versions of photos: they count in the covariance alone, so
                much beside 1 of a photo. None for photos themselves.
            enrolled: Whether they count in their own objects' directions alone.
        """
        # In float64: sums of squares and squares of sums are large and nearly equal.
        values = rows.double().cpu().numpy()
        classes = truth.numpy()
        counts = np.bincount(classes, minlength=self.objects)
        if enrolled:
            np.add.at(self._enrolled_sums, classes, values)
            self._enrolled_counts += counts
            return
        if version_weight is None:
            np.add.at(self._sums, classes, values)
            self._counts += counts
        else:
            np.add.at(self._version_sums, classes, version_weight * values)
            self._version_weights += version_weight * counts
            values = values * version_weight**0.5
        self._pending.append(values)
        if sum(map(len, self._pending)) >= _BLOCK:
            self._sum_squares()

    def _sum_squares(self) -> None:
        if self._pending:
            block = np.concatenate(self._pending)
            self._squares += block.T @ block
            self._pending.clear()

    def means(self) -> NDArray[np.float64]:
        """`[objects, features]`: mean features of each object's photos; NaN without any."""
        with np.errstate(invalid="ignore"):
            return self._sums / self._counts[:, None]

    def enrolled_means(self) -> NDArray[np.float64]:
        """`[objects, features]`: those of enrolled objects; NaN of the others."""
        with np.errstate(invalid="ignore"):
            return self._enrolled_sums / self._enrolled_counts[:, None]

    @property
    def shrinkage(self) -> float:
        """Share of the covariance that is replaced by that of a ball of the same trace.

        Photos do not fill the 1,280 dimensions of the features: unseen directions would have a
        variance of nothing, and would be enlarged without bound. Of the freedom of N photos, the
        means of K objects take K: that share of how photos differ, K / N, the covariance has not
        seen, and the ball stands for it.

        On development photos (ETH-80, three draws; groceries) the best share was 0.5 to 0.9 with
        one photo of each object, 0.3 to 0.7 with two, 0.2 to 0.5 with three, 0.2 to 0.3 with four
        and 0.1 to 0.3 with five or six, for top-1, hard photos and the refusal of strangers alike.
        """
        return float(min(LARGEST_SHRINKAGE, 1 / self.photos_per_object))

    @property
    def photos_per_object(self) -> float:
        """Mean number of photos of an object that has any, versions and enrolled ones apart."""
        return float(self._counts.sum() / np.count_nonzero(self._counts))

    def leading(self, features: int) -> Scatter:
        """What it would be of the first so many features alone."""
        self._sum_squares()
        part = Scatter(features, self.objects)
        for name in ("_sums", "_version_sums", "_enrolled_sums"):
            setattr(part, name, getattr(self, name)[:, :features])
        for name in ("_counts", "_version_weights", "_enrolled_counts"):
            setattr(part, name, getattr(self, name))
        part._squares = self._squares[:features, :features]
        return part

    def covariance(self) -> NDArray[np.float64]:
        """`[features, features]`: how photos differ from their object's mean, shrunk."""
        self._sum_squares()
        means = np.nan_to_num(self.means())
        weights = self._counts + self._version_weights
        sums = self._sums + self._version_sums
        cross = sums.T @ means
        about = self._squares - cross - cross.T + (means * weights[:, None]).T @ means
        about /= weights.sum()
        ball = np.trace(about) / self.features
        # Where each object has one photo alone, the trace is nothing: then the features themselves.
        ball = ball if ball > 0 else 1.0
        return (1 - self.shrinkage) * about + self.shrinkage * ball * np.eye(self.features)


def fit_discriminant(scatter: Scatter, size: int, *, seed: int) -> Discriminant:
    """Fits a head.

    Args:
        scatter: The photos' sums.
        size: How many numbers the embedding has.
        seed: Of the rotation, which changes no cosine.
    """
    means = scatter.means()
    fitted = ~np.isnan(means[:, 0])
    centre = means[fitted].mean(axis=0)
    variances, axes = np.linalg.eigh(scatter.covariance())
    whiten = axes / np.sqrt(variances)
    _, _, across = np.linalg.svd((means[fitted] - centre) @ whiten, full_matrices=False)
    # The means of K objects span K - 1 directions about their centre: further ones hold noise.
    kept = across[: min(size, int(fitted.sum()) - 1)]
    weight = _rotation(len(kept), size, seed) @ (whiten @ kept.T).T
    means = np.where(fitted[:, None], means, scatter.enrolled_means())
    # An object without a photo has no direction: no photo is ever like it.
    directions = (np.where(np.isnan(means), centre, means) - centre) @ weight.T
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    return Discriminant(weight, -weight @ centre, directions / np.maximum(lengths, 1e-12))


def _rotation(inner: int, outer: int, seed: int) -> NDArray[np.float64]:
    """`[outer, inner]` with orthonormal columns.

    Cosines stay what they are; the embedding's numbers become alike in size, none is always 0, and
    8 bits suit all of them equally well.
    """
    square = np.random.default_rng(seed).standard_normal((outer, inner))
    columns, triangle = np.linalg.qr(square)
    rotation: NDArray[np.float64] = columns * np.sign(np.diag(triangle))
    return rotation
