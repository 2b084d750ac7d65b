"""What a training remembers: the best weights so far, and everything needed to go on."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from train.run import EpochRecord


@dataclass
class Best:
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
class State:
    """Everything that training all weights needs to go on after an epoch.

    Attributes:
        epoch: Epochs of all weights that are done; 0 after the head's stage.
        model: The model's tensors by name.
        optimiser: Running averages and step counters by parameter.
        best: The best checkpoint so far.
        history: All records so far.
        seconds: Time that training has taken so far.
        cpu_seconds: Processor time of all threads so far.
    """

    epoch: int
    model: dict[str, Tensor]
    optimiser: dict[int, dict[str, Tensor]]
    best: Best
    history: list[EpochRecord]
    seconds: float
    cpu_seconds: float = 0.0


def tensors_of(part: nn.Module, prefix: str = "") -> dict[str, Tensor]:
    """Copies of a module's tensors on the CPU, by name."""
    return {prefix + k: v.detach().cpu().clone() for k, v in part.state_dict().items()}


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[int, dict[str, Tensor]]:
    """An optimiser's running averages and step counters, by parameter and name."""
    state: dict[int, dict[str, Tensor]] = optimiser.state_dict()["state"]
    return {i: {k: torch.as_tensor(v) for k, v in values.items()} for i, values in state.items()}
