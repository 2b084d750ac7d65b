"""Rates of the parameters, and which epoch comes next."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from train.model import ArtefactModel
from train.recipes import Recipe
from train.run import EpochRecord


@dataclass(frozen=True)
class Stage:
    """One stage of a recipe: what a step computes, and how it is validated.

    Attributes:
        name: `head` or `all`.
        optimiser: Of the weights that it trains.
        logits: Rows, the epoch and the augmentation's generator → logits of a training step.
        validate: Logits of the validation photos; None if there are none.
    """

    name: str
    epochs: int
    optimiser: torch.optim.Optimizer
    logits: Callable[[Tensor, int, torch.Generator], Tensor]
    validate: Callable[[], Tensor | None]


def head_optimiser(model: ArtefactModel, recipe: Recipe) -> torch.optim.Optimizer:
    """The optimiser of the head alone."""
    return torch.optim.AdamW(
        model.head.parameters(), lr=recipe.head_rate, weight_decay=recipe.weight_decay
    )


def optimiser_of(model: ArtefactModel, recipe: Recipe) -> torch.optim.Optimizer:
    """The optimiser of all weights; each group's `factor` is its share of the recipe's rate."""
    groups = [
        {
            "params": [p for p in part.parameters() if p.requires_grad],
            "factor": factor,
            "lr": recipe.rate * factor,
        }
        for part, factor in ((model.backbone, recipe.backbone_rate), (model.head, 1.0))
    ]
    if recipe.optimiser == "adam":
        return torch.optim.Adam(groups)
    decayed = [_split_decay(group, recipe.weight_decay) for group in groups]
    return torch.optim.AdamW([part for pair in decayed for part in pair])


def set_rate(optimiser: torch.optim.Optimizer, recipe: Recipe, epochs_done: float) -> None:
    """Sets each group's rate for a step, `epochs_done` epochs (and a part) after the start."""
    factor = 1.0
    if recipe.schedule == "cosine":
        rest = max(recipe.epochs - 1, 1)
        progress = max(0.0, epochs_done - 1) / rest
        factor = min(1.0, epochs_done + 0.1) * 0.5 * (1 + math.cos(math.pi * progress))
    for group in optimiser.param_groups:
        group["lr"] = recipe.rate * group["factor"] * factor


def first_settled_epoch(recipe: Recipe) -> int:
    """The first epoch of all weights whose weights validation may choose."""
    return recipe.epochs - max(1, round(recipe.settled * recipe.epochs)) + 1


def is_validated(recipe: Recipe, epoch: int) -> bool:
    """Whether an epoch of all weights is validated.

    Every one that validation may choose or end training by; of the others every fourth, which is
    enough to see how it goes.
    """
    return bool(recipe.patience) or epoch >= first_settled_epoch(recipe) or epoch % 4 == 0


def next_epoch(recipe: Recipe, history: Sequence[EpochRecord]) -> int | None:
    """The epoch of all weights that follows on those done; None when training is over.

    With patience, validation decides: when it has not become better for that many epochs, training
    is over. Under a schedule that ends in settled epochs that would be too early, because the
    weights of a high rate are not good ones yet: there the epochs up to the settled ones are left
    out, and these, in which the rate falls to nothing, are always begun.

    Args:
        recipe: With its patience; 0 for none.
        history: All records so far; the result depends on nothing else, so that a training that
            goes on after an interruption decides alike.
    """
    done = [record for record in history if record.stage == "all"]
    last = done[-1].epoch if done else 0
    settled = first_settled_epoch(recipe)
    if recipe.patience and last < settled and _stands_still(done, recipe.patience):
        return settled
    ended = [record for record in done if record.epoch >= settled]
    if recipe.patience and _stands_still(ended, recipe.patience):
        return None
    return last + 1 if last < recipe.epochs else None


def _stands_still(records: Sequence[EpochRecord], patience: int) -> bool:
    """Whether the best of the records lies at least `patience` epochs back."""
    if len(records) <= patience:
        return False
    quality = [(record.val_top1, -record.val_loss) for record in records]
    return len(records) - 1 - quality.index(max(quality)) >= patience


def _split_decay(
    group: dict[str, object], weight_decay: float
) -> tuple[dict[str, object], dict[str, object]]:
    """Biases and batch-norm parameters are not decayed: they have no scale to keep small."""
    parameters: list[nn.Parameter] = group.pop("params")  # type: ignore[assignment]
    matrices = [p for p in parameters if p.ndim > 1]
    vectors = [p for p in parameters if p.ndim <= 1]
    return (
        group | {"params": matrices, "weight_decay": weight_decay},
        group | {"params": vectors, "weight_decay": 0.0},
    )
