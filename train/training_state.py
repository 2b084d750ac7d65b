"""What a training remembers: the best weights so far, and everything needed to go on."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from train.run import EpochRecord


@dataclass
class BestWeights:
    """The best weights so far by validation accuracy, then by validation loss."""

    stage: str = ""
    epoch: int = 0
    top1: float = -1.0
    loss: float = math.inf
    weights: dict[str, Tensor] = field(default_factory=dict)

    def offer(self, record: EpochRecord, part: nn.Module, prefix: str = "") -> None:
        """Keeps a copy of a part's weights if they are better, or if nothing can be validated."""
        unvalidated = math.isnan(record.val_top1)
        if unvalidated or (record.val_top1, -record.val_loss) > (self.top1, -self.loss):
            self.stage, self.epoch = record.stage, record.epoch
            self.top1 = -1.0 if unvalidated else record.val_top1
            self.loss = math.inf if unvalidated else record.val_loss
            self.weights |= tensors_of(part, prefix)


@dataclass(frozen=True)
class EpochProgress:
    """How far an epoch is that is not yet done.

    Attributes:
        step: Batches done.
        loss: Sum of the losses of the photos so far.
        photos: Number of these photos.
        random_state: States of the random generators by name, uint8.
    """

    epoch: int
    step: int = 0
    loss: float = 0.0
    photos: int = 0
    seconds: float = 0.0
    random_state: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingState:
    """Everything that a training needs to go on as if it had not been interrupted.

    Attributes:
        stage: `head` or `all`, the stage of the recipe.
        optimiser: Running averages and step counters by parameter.
        midway: How far the epoch is that was under way; None between two epochs.
    """

    stage: str
    model: dict[str, Tensor]
    optimiser: dict[int, dict[str, Tensor]]
    best: BestWeights
    history: list[EpochRecord]
    seconds: float
    cpu_seconds: float
    midway: EpochProgress | None = None

    def place(self) -> str:
        """Where it stands, for a person: `in` or `after epoch 3 of all weights`."""
        part = {"head": "the head", "all": "all weights"}[self.stage]
        if self.midway is not None:
            return f"in epoch {self.midway.epoch} of {part}"
        return f"after epoch {self.history[-1].epoch} of {part}"


def tensors_of(part: nn.Module, prefix: str = "") -> dict[str, Tensor]:
    """Copies of a module's tensors on the CPU, by name."""
    return {prefix + k: v.detach().cpu().clone() for k, v in part.state_dict().items()}


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[int, dict[str, Tensor]]:
    """An optimiser's running averages and step counters, by parameter and name."""
    state: dict[int, dict[str, Tensor]] = optimiser.state_dict()["state"]
    return {i: {k: torch.as_tensor(v) for k, v in values.items()} for i, values in state.items()}


def restore_optimiser(
    optimiser: torch.optim.Optimizer, tensors: dict[int, dict[str, Tensor]]
) -> None:
    """Gives an optimiser the tensors that `optimiser_tensors` took from one like it."""
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": tensors, "param_groups": groups})


def random_state(device: torch.device, generator: torch.Generator) -> dict[str, Tensor]:
    """States of all generators that a training step draws from."""
    states = {"global": torch.get_rng_state(), "augment": generator.get_state()}
    if device.type == "cuda":
        states["device"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["device"] = torch.mps.get_rng_state()
    return states


def restore_random_state(
    states: dict[str, Tensor], device: torch.device, generator: torch.Generator
) -> None:
    """Puts all generators where they stood."""
    torch.set_rng_state(states["global"])
    generator.set_state(states["augment"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["device"], device)
    elif device.type == "mps":
        torch.mps.set_rng_state(states["device"])
