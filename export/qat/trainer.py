"""The loop that teaches a student to answer as the float network does."""

from __future__ import annotations

import math
import time
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from export.network.fold import FoldedNetwork
from export.qat.student import Student
from train.batches import augmented, predict_batches
from train.engine import Stage, Trainer
from train.run import EpochRecord
from train.training_state import BestWeights, TrainingState

TEMPERATURE = 2.0
"""Of the softmax over which answers are compared: also objects of little probability count."""

BIAS_FACTOR = 0.4
"""Share of the rate for biases, which are not counted in steps."""


class QatTrainer(Trainer):
    """The training loop, with a student that learns the teacher's logits.

    Its history has a record of each epoch, and before them one, numbered 0, of the student as
    rounding alone leaves it. `val_top1` is the share of held-out photos with the teacher's answer,
    and `val_loss` the divergence of the student's answers from the teacher's, in nats.
    """

    def __init__(
        self, student: Student, teacher: FoldedNetwork, answers: Tensor, **rest: Any
    ) -> None:
        """Takes what `Trainer` takes and more.

        Args:
            student: What is trained.
            teacher: The float network.
            answers: Its logits of the held-out photos, `[N, objects]`.
            rest: Of `Trainer`; `val` are the held-out photos, with the teacher's answers as truth.
        """
        self.student = student
        self.answers = answers
        super().__init__(_AsModel(student.module), **rest)  # type: ignore[arg-type]
        self.teacher = teacher.to(self.compute.device)
        self._wanted = torch.empty(0)

    def _objects(self) -> int:
        return self.answers.shape[1]

    def fit(self, resume: TrainingState | None = None) -> BestWeights:
        """Trains; weights as rounding alone leaves them are the first to be offered."""
        if resume is None:
            started = time.perf_counter()
            logits = self._predict()
            self._record(
                self.all_weights(),
                0,
                loss=math.nan,
                logits=logits,
                rate=0.0,
                trained=math.nan,
                seconds=time.perf_counter() - started,
            )
        return super().fit(resume)

    def all_weights(self) -> Stage:
        """The stage that trains weights and biases on photos."""

        def logits(rows: Tensor, _: int, generator: torch.Generator) -> Tensor:
            images = augmented(self._images(rows), self.recipe, generator)
            images = images.contiguous(memory_format=self.compute.memory_format)
            with torch.no_grad():
                self._wanted = self.teacher(images)
            found: Tensor = self.model(images)
            return found

        optimiser = torch.optim.Adam(
            [
                {"params": self.student.steps(), "factor": 1.0},
                {"params": self.student.biases(), "factor": BIAS_FACTOR},
            ],
            lr=self.recipe.rate,
            betas=(0.9, 0.99),
        )
        return Stage("all", self.recipe.epochs, optimiser, logits, self._predict)

    def _predict(self) -> Tensor:
        """Logits of the held-out photos."""
        return predict_batches(
            self.model,
            self.val.pixels,
            self.compute,
            on_batch=lambda count: self._clock.work("all", count, trained=False),
        )

    def _loss(self, logits: Tensor, truth: Tensor) -> Tensor:
        del truth  # the teacher knows
        return divergence(logits, self._wanted, TEMPERATURE) + noise(logits, self._wanted)

    def _train_mode(self, stage: Stage) -> None:
        del stage
        self.model.eval()  # nothing in it behaves otherwise while it learns

    def _measure(self, logits: Tensor) -> tuple[float, float]:
        top1, _ = super()._measure(logits)
        return top1, divergence(logits, self.answers, 1.0).item()

    def _offer(self, record: EpochRecord) -> None:
        """The least divergence decides: it says more of few photos than the changed answers do."""
        if not math.isnan(record.val_loss):
            self.best.offer(record.model_copy(update={"val_top1": 0.0}), self.model)


class _AsModel(nn.Module):
    """A network without parts as the training loop expects a model."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.backbone(image)
        return logits


def divergence(found: Tensor, wanted: Tensor, temperature: float) -> Tensor:
    """Mean Kullback-Leibler divergence KL(wanted ‖ found) of softmaxes, times T².

    Args:
        found: Logits `[N, objects]`.
        wanted: Logits `[N, objects]`.
        temperature: T, by which logits are divided.
    """
    return temperature**2 * functional.kl_div(
        functional.log_softmax(found / temperature, dim=1),
        functional.log_softmax(wanted / temperature, dim=1),
        log_target=True,
        reduction="batchmean",
    )


def noise(found: Tensor, wanted: Tensor) -> Tensor:
    """Noise of logits as a share of their signal; each row's mean says nothing and is left out."""
    signal = wanted - wanted.mean(dim=1, keepdim=True)
    error = found - found.mean(dim=1, keepdim=True) - signal
    return error.square().sum() / signal.square().sum().clamp_min(1e-12)
