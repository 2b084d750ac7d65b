"""Several processes that train one model together, started by torchrun.

Every batch is the one that a single process would take, with the same augmentation. Each process
runs its share of the rows through the backbone; the pooled features are then gathered, so that the
head, its dropout and the loss see the whole batch in every process, exactly as in one. What remains
different is the order of additions in floating point.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, distributed, nn

from mobile_assets.errors import ArtefactError, InputError

if TYPE_CHECKING:
    from train.model import ArtefactModel

T = TypeVar("T")

PATIENCE = datetime.timedelta(days=1)
"""How long a process waits for another: the first may decode a whole register. When a process dies,
its connections close and torchrun ends the others, long before."""


class PeerLostError(ArtefactError):
    """Another process of the same training has ended."""


class SingleProcess:
    """One process that does everything; also the interface of several.

    Attributes:
        first: Whether this is the one that writes files and speaks.
    """

    size = 1
    first = True

    def together(self, work: Callable[[], T]) -> T:
        """Does something in the first process, then in the others, who find its files there."""
        return work()

    def any(self, wish: bool) -> bool:
        """Whether any process wishes it."""
        return wish

    def total(self, value: float) -> float:
        """The sum over all processes."""
        return value

    def share(self, data: bytes | None) -> bytes | None:
        """What the first process has."""
        return data

    def shared(self, apply: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        """`apply(images)`, the rows divided among the processes; without gradients."""
        return apply(images)

    def begin(self, model: ArtefactModel, *, frozen_statistics: bool) -> None:
        """Makes the model ready to be trained."""

    def begin_epoch(self, model: ArtefactModel) -> None:
        """Takes care that all processes have the same head."""

    def features(self, model: ArtefactModel, images: Tensor) -> Tensor:
        """The model's pooled features of a training batch, with gradients."""
        return model.features(images)


class DistributedProcesses(SingleProcess):
    """The processes of torchrun, joined by torch's DistributedDataParallel."""

    def __init__(self) -> None:
        self.size = distributed.get_world_size()
        self.rank = distributed.get_rank()
        self.first = self.rank == 0
        self._wrapped: nn.Module | None = None

    def together(self, work: Callable[[], T]) -> T:
        """Does something in the first process, then in the others.

        Raises:
            SystemExit: In the others, silently, when the first process failed and said why.
        """
        done = False
        try:
            if self.first:
                result = work()
                done = True
        finally:
            done = not self.any(self.first and not done)
        if not self.first and not done:
            raise SystemExit(2)
        return result if self.first else work()

    def any(self, wish: bool) -> bool:
        """Whether any process wishes it."""
        return self.total(float(wish)) > 0

    def total(self, value: float) -> float:
        """The sum over all processes."""
        tensor = torch.tensor(value, dtype=torch.float64)
        distributed.all_reduce(tensor)
        return tensor.item()

    def share(self, data: bytes | None) -> bytes | None:
        """What the first process has."""
        size = torch.tensor(-1 if data is None else len(data))
        distributed.broadcast(size, 0)
        if size.item() < 0:
            return None
        content = torch.empty(int(size.item()), dtype=torch.uint8)
        if self.first and data is not None:
            content = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        distributed.broadcast(content, 0)
        return content.numpy().tobytes()

    def shared(self, apply: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        """`apply(images)`, the rows divided among the processes; without gradients."""
        counts = self._counts(len(images))
        return _gather(self._mine(apply, images, counts), counts)

    def begin(self, model: ArtefactModel, *, frozen_statistics: bool) -> None:
        """Makes the model ready to be trained.

        Raises:
            InputError: The recipe learns batch-norm statistics, which torch joins on GPUs only.
        """
        if not frozen_statistics and _has_batch_norm(model.backbone):
            self.together(lambda: _check_batch_norm(model))
            from timm.layers import convert_sync_batchnorm

            model.backbone = convert_sync_batchnorm(model.backbone)
        trained = any(p.requires_grad for p in model.backbone.parameters())
        body = _DistributedBody(model)
        self._wrapped = body
        if trained:
            self._wrapped = nn.parallel.DistributedDataParallel(body, forward_sync_buffers=False)

    def begin_epoch(self, model: ArtefactModel) -> None:
        """Takes care that all processes have the same head: each trains it on the same batches."""
        for tensor in model.head.state_dict().values():
            distributed.broadcast(tensor, 0)

    def features(self, model: ArtefactModel, images: Tensor) -> Tensor:  # noqa: ARG002
        """The model's pooled features of a training batch, with gradients."""
        assert self._wrapped is not None, "begin() comes first"
        counts = self._counts(len(images))
        mine = self._mine(self._wrapped, images, counts)
        gathered: Tensor = _Gather.apply(mine.float(), counts, self.rank)
        return gathered.to(mine.dtype)

    def _counts(self, rows: int) -> list[int]:
        """How many rows of a batch each process takes."""
        return [rows // self.size + (rank < rows % self.size) for rank in range(self.size)]

    def _mine(self, apply: Callable[[Tensor], Tensor], images: Tensor, counts: list[int]) -> Tensor:
        first, count = sum(counts[: self.rank]), counts[self.rank]
        if count == 0:  # more processes than rows: take part, and give nothing
            return apply(images[:1])[:0]
        return apply(images[first : first + count])


class _DistributedBody(nn.Module):
    """What the processes divide: everything up to the pooled features."""

    def __init__(self, model: ArtefactModel) -> None:
        super().__init__()
        self.backbone = model.backbone
        self._model = (model,)  # in a tuple, so that the head is no part of this module

    def forward(self, images: Tensor) -> Tensor:
        return self._model[0].features(images)


class _Gather(torch.autograd.Function):
    """Rows of all processes; each gets the gradient of its own rows.

    DistributedDataParallel averages the gradients of the processes. Here each holds the part of its
    rows in one loss over all rows, so their sum is meant: hence the factor.
    """

    @staticmethod
    def forward(ctx: Any, mine: Tensor, counts: list[int], rank: int) -> Tensor:
        ctx.first, ctx.count = sum(counts[:rank]), counts[rank]
        ctx.size = len(counts)
        return _gather(mine, counts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        mine = gradients[0][ctx.first : ctx.first + ctx.count]
        return mine * ctx.size, None, None


def _gather(mine: Tensor, counts: list[int]) -> Tensor:
    """The rows of all processes in order; rows are padded because all must send as many."""
    padded = mine.new_zeros(max(counts), *mine.shape[1:])
    padded[: len(mine)] = mine
    parts = [torch.empty_like(padded) for _ in counts]
    distributed.all_gather(parts, padded)
    return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])


def _has_batch_norm(module: nn.Module) -> bool:
    return any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in module.modules())


def _check_batch_norm(model: ArtefactModel) -> None:
    if next(model.parameters()).device.type != "cuda":
        raise InputError(
            "This recipe learns the backbone's batch-norm statistics, which several processes can "
            "share on GPUs only. Start it as one process (its threads use all cores), or choose a "
            "recipe that keeps them, such as --recipe field."
        )


def is_first_process() -> bool:
    """Whether this process is the one that speaks; true without a launcher."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def processes() -> Iterator[SingleProcess]:
    """Joins the processes that torchrun started, or gives the one there is.

    Raises:
        PeerLostError: In the first process, when another has ended.
        SystemExit: In the others then.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield SingleProcess()
        return
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        backend = "cpu:gloo,cuda:nccl"
    distributed.init_process_group(backend, timeout=PATIENCE)
    try:
        yield DistributedProcesses()
    except RuntimeError as error:
        if not _is_lost_connection(error):
            raise
        if not is_first_process():
            raise SystemExit(2) from None
        raise PeerLostError(
            "Another process of this training has ended, for a reason that it gives itself or that "
            "the launcher reports. Nothing half-written is left; the same command goes on from the "
            "last stored state."
        ) from error
    distributed.destroy_process_group()


def _is_lost_connection(error: RuntimeError) -> bool:
    text = str(error)
    return isinstance(error, distributed.DistError) or "gloo" in text or "by peer" in text
