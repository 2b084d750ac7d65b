"""Heads: from a backbone's pooled features to one logit per object."""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn
from torch.nn import functional

from mobile_assets.errors import InputError

HIDDEN = 2048
"""Width of the paper's hidden layer (Winterbottom et al., Sci Rep 12, 13468, 2022)."""

HEADS = ("paper", "linear", "embedding")
"""The heads by name; `embedding-N` gives the embedding another size."""

EMBEDDING_SIZES = range(128, 513)
"""How many numbers an embedding may have: `embedding-128` to `embedding-512`."""

COSINE_SCALE = 16.0
"""What a cosine is multiplied by to make a logit: a softmax over 4,332 objects then reaches
e^16 / (e^16 + 4331) > 0.999."""


class PaperHead(nn.Sequential):
    """The paper's head: BatchNorm → Linear(features → 2048) → ReLU → Dropout(0.5) → Linear."""

    def __init__(self, features: int, objects: int) -> None:
        """Makes a head for pooled features `[N, features]` and logits `[N, objects]`."""
        super().__init__(
            nn.BatchNorm1d(features),
            nn.Linear(features, HIDDEN),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(HIDDEN, objects),
        )


class LinearHead(nn.Linear):
    """One linear layer from pooled features to logits, the classifier of a linear probe."""


class UnitLength(nn.Module):
    """Brings each row of `[N, D]` to length 1."""

    def forward(self, rows: Tensor) -> Tensor:
        """`x / |x|`, spelled with operations that every converter knows."""
        return rows * torch.rsqrt((rows * rows).sum(dim=1, keepdim=True) + 1e-12)


class CosineClassifier(nn.Linear):
    """Logits that are cosines with one direction per object, times `COSINE_SCALE`."""

    def __init__(self, size: int, objects: int) -> None:
        """Makes a classifier of unit rows `[N, size]`."""
        super().__init__(size, objects, bias=False)

    @property
    def directions(self) -> Tensor:
        """`[objects, size]`: unit rows."""
        return functional.normalize(self.weight, dim=1)

    def forward(self, embedding: Tensor) -> Tensor:
        """Logits `[N, objects]` of unit rows `[N, size]`."""
        return COSINE_SCALE * functional.linear(embedding, self.directions)


class EmbeddingHead(nn.Sequential):
    """A normalised embedding with a cosine classifier: Linear → unit length → cosines.

    Few numbers per object, where the paper's head has 2,048; and photos of objects that were never
    trained on can be compared by their embeddings.
    """

    def __init__(self, features: int, size: int, objects: int) -> None:
        """Makes a head for pooled features `[N, features]` and logits `[N, objects]`."""
        super().__init__(nn.Linear(features, size), UnitLength(), CosineClassifier(size, objects))
        self.features, self.size, self.objects = features, size, objects

    def embedding(self, features: Tensor) -> Tensor:
        """Unit rows `[N, size]` of pooled features `[N, features]`."""
        rows: Tensor = self[1](self[0](features))
        return rows


def make_head(name: str, features: int, objects: int) -> nn.Module:
    """Makes a head by its name: `paper`, `linear`, `embedding` (256 numbers) or `embedding-N`.

    Args:
        features: Width of the backbone's pooled features.

    Raises:
        InputError: There is no such head; the message lists them.
    """
    if name == "paper":
        return PaperHead(features, objects)
    if name == "linear":
        return LinearHead(features, objects)
    size = embedding_size(name)
    if size is None:
        raise InputError(
            f"There is no head {name!r}. Choose one of: paper, linear, embedding-N with "
            f"N from {EMBEDDING_SIZES[0]} to {EMBEDDING_SIZES[-1]}, embedding (the same as "
            "embedding-256)."
        )
    return EmbeddingHead(features, size, objects)


def embedding_size(name: str) -> int | None:
    """How many numbers a head's embedding has; None where it has no embedding."""
    match = re.fullmatch(r"embedding(?:-(\d{3}))?", name)
    size = int(match[1] or 256) if match else 0
    return size if size in EMBEDDING_SIZES else None
