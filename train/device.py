"""Where and in which number format training runs."""

from __future__ import annotations

import contextlib
import ctypes
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch

from mobile_assets.errors import InputError
from train.depthwise import FastDepthwise


@dataclass(frozen=True)
class Compute:
    """The device with the settings that are fast on it.

    Attributes:
        device: `cuda`, `mps` or `cpu`.
        bfloat16: Whether training steps run under bfloat16 autocast.
    """

    device: torch.device
    bfloat16: bool
    memory_format: torch.memory_format = torch.channels_last

    def autocast(self) -> AbstractContextManager[object]:
        """The context of a training step's forward pass."""
        if not self.bfloat16:
            return contextlib.nullcontext()
        stack = contextlib.ExitStack()
        if self.device.type == "cpu":
            stack.enter_context(FastDepthwise())
        stack.enter_context(torch.autocast(self.device.type, dtype=torch.bfloat16))
        return stack

    @property
    def description(self) -> str:
        """For the run's record, such as `cpu, bfloat16, channels_last`."""
        number = "bfloat16" if self.bfloat16 else "float32"
        return f"{self.device.type}, {number}, channels_last"


def keep_freed_memory() -> bool:
    """Lets this process keep the memory that it frees; false if the C library cannot.

    Each tensor of a training step on a CPU is larger than the C library's limit for memory of its
    own, so every one is asked of the system anew and cleared page by page, which costs as much time
    as the arithmetic. The process's peak stays what it was. Linux with glibc only.
    """
    mmap_max, trim_threshold = -4, -1  # names of glibc's malloc.h: M_MMAP_MAX, M_TRIM_THRESHOLD
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # another C library or system
        return False
    return bool(mallopt(mmap_max, 0) and mallopt(trim_threshold, -1))


def check_device(device: str) -> None:
    """Refuses an accelerator that is not here.

    Args:
        device: `auto`, `cpu`, `cuda` or `mps`.

    Raises:
        InputError: PyTorch sees none of that kind.
    """
    absent = (device == "cuda" and not torch.cuda.is_available()) or (
        device == "mps" and not torch.backends.mps.is_available()
    )
    if absent:
        raise InputError(
            f"--device {device}: PyTorch {torch.__version__} sees no such device on this machine. "
            "Give --device cpu, or auto."
        )


def choose_compute(device: str = "auto") -> Compute:
    """Chooses the accelerator if there is one, and bfloat16 where the hardware multiplies it.

    On a CPU without bfloat16 instructions autocast is slower than float32, so it is left off.

    Args:
        device: `auto`, or a torch device to force.
    """
    if device == "auto":
        if torch.cuda.is_available():
            device = "cuda"
        else:
            device = "mps" if torch.backends.mps.is_available() else "cpu"
    chosen = torch.device(device)
    if chosen.type == "cuda":
        return Compute(chosen, torch.cuda.is_bf16_supported())
    if chosen.type == "cpu":
        able = torch.cpu.get_capabilities()
        return Compute(chosen, bool(able.get("avx512_bf16") or able.get("amx_bf16")))
    return Compute(chosen, bfloat16=False)
