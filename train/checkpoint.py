"""The state of a training on disk, so that a kill costs little and the same command goes on."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from mobile_assets.errors import InputError
from mobile_assets.files import sha256_bytes, sha256_file, write_bytes
from train.run import MODEL_FILE, EpochRecord
from train.training_state import BestWeights, EpochProgress, TrainingState

STATE_FILE = "state.bin"
_FINISHED = "finished"
"""Holds the SHA-256 of the model that a finished training has made."""
PAUSE_SECONDS = 30.0
"""The state is written at most this often: a kill costs no more than about that much work."""
WRITING_SHARE = 50
"""And so rarely that writing takes at most this part of the time: at 4,332 objects it is 150 MB."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Checkpoint:
    """Where the state of one training is kept.

    One file, replaced by an atomic rename: a kill or a full disk leaves the one before. Each file
    of the folder is the SHA-256 of what follows, 32 bytes, and then a safetensors file, so that a
    damaged one is never gone on with.

    Attributes:
        folder: Beside the run that is to be written, `RUN.partial`.
        key: Hash of everything that decides over the result; a state of another key is ignored.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder
        self.key = key
        self._next = time.monotonic() + PAUSE_SECONDS
        self._saved: str | None = None

    @classmethod
    def beside(cls, run: Path, *parts: object) -> Checkpoint:
        """The checkpoint of the training that is to write `run`.

        Args:
            *parts: Everything that decides over the result, as text or with a stable `repr`.
        """
        key = sha256_bytes("\n".join(map(repr, parts)).encode("utf-8"))
        return cls(run.with_name(f"{run.name}.partial"), key)

    @property
    def due(self) -> bool:
        """Whether enough time has passed since the last writing."""
        return time.monotonic() >= self._next

    def save(self, state: TrainingState) -> None:
        """Replaces the stored state.

        Raises:
            InputError: It cannot be written, as on a full disk; the one before is still there.
        """
        from safetensors.torch import save

        tensors = _named(state)
        contiguous = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
        data = save(contiguous, {"about": json.dumps({"key": self.key} | _about(state))})
        self.write(STATE_FILE, data)
        self._saved = state.place()

    def write(self, name: str, data: bytes) -> None:
        """Replaces one file of the folder, and plans the next writing.

        Raises:
            InputError: It cannot be written.
        """
        started = time.monotonic()
        try:
            write_bytes(self.folder / name, hashlib.sha256(data).digest() + data)
        except OSError as error:
            raise self._cannot(self.folder / name, len(data), error) from error
        ended = time.monotonic()
        self._next = ended + max(PAUSE_SECONDS, WRITING_SHARE * (ended - started))

    def _cannot(self, path: Path, size: int | None, error: Exception) -> InputError:
        kept = (
            f"The state {self._saved} is kept."
            if self._saved
            else "No earlier state of this training was written."
        )
        needed = "" if size is None else f"It needs {size / 1e6:.1f} MB; "
        return InputError(
            f"{path} cannot be written: {getattr(error, 'strerror', None) or error}. "
            f"{needed}{_free(path)} is free there. {kept} "
            "Make room, then give the same command again: training goes on from there."
        )

    def read(self, name: str = STATE_FILE) -> bytes | None:
        """What `write` was given, or None where the file is missing or damaged."""
        try:
            content = (self.folder / name).read_bytes()
        except OSError:
            return None
        digest, data = content[:32], content[32:]
        return data if hashlib.sha256(data).digest() == digest else None

    def parse(self, data: bytes | None) -> TrainingState | None:
        """The state in `data`, or None where it is of another training or damaged."""
        from safetensors import SafetensorError
        from safetensors.torch import load

        try:
            if data is None:
                return None
            about = json.loads(metadata(data)["about"])
            if about["key"] != self.key:
                return None
            state = _state(about, load(data))
        except (SafetensorError, KeyError, TypeError, ValueError):
            return None
        self._saved = state.place()
        return state

    @contextmanager
    def kept_if_disk_is_full(self, out: Path) -> Iterator[None]:
        """Explains why a run cannot be written, when its training is done.

        Raises:
            InputError: Instead of an OSError or safetensors' own.
        """
        from safetensors import SafetensorError

        try:
            yield
        except (OSError, SafetensorError) as error:
            if isinstance(error, OSError) and error.errno not in _FULL:
                raise
            raise self._cannot(out, None, error) from error

    def finish(self, model_sha256: str) -> None:
        """Notes which model this training has made, just before its run takes its place."""
        if self.folder.is_dir():
            write_bytes(self.folder / _FINISHED, model_sha256.encode("ascii"))

    def remove(self) -> None:
        """Removes the stored state, when the run is whole."""
        shutil.rmtree(self.folder, ignore_errors=True)


def remove_finished_state(run: Path) -> None:
    """Removes the state of a training whose run is in its place, but which was killed just then."""
    state = run.with_name(f"{run.name}.partial")
    try:
        made = (state / _FINISHED).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return
    if (run / MODEL_FILE).is_file() and sha256_file(run / MODEL_FILE) == made:
        shutil.rmtree(state, ignore_errors=True)


def _free(path: Path) -> str:
    """The space on the disk of a file that may not be there yet."""
    existing = next(folder for folder in path.absolute().parents if folder.is_dir())
    return f"{shutil.disk_usage(existing).free / 1e6:.1f} MB"


def metadata(data: bytes) -> dict[str, str]:
    """What a safetensors file holds beside its tensors; the header's length is 8 bytes before it.

    Raises:
        ValueError, KeyError, TypeError: `data` is no safetensors file.
    """
    size = int.from_bytes(data[:8], "little")
    words: dict[str, str] = json.loads(data[8 : 8 + size])["__metadata__"]
    return words


def _named(state: TrainingState) -> dict[str, Tensor]:
    tensors = {f"model.{k}": v for k, v in state.model.items()}
    tensors |= {f"best.{k}": v for k, v in state.best.weights.items()}
    for index, values in state.optimiser.items():
        tensors |= {f"optimiser.{index}.{k}": v for k, v in values.items()}
    if state.midway is not None:
        tensors |= {f"random_state.{k}": v for k, v in state.midway.random_state.items()}
    return tensors


def _about(state: TrainingState) -> dict[str, Any]:
    midway = state.midway
    return {
        "stage": state.stage,
        "seconds": state.seconds,
        "cpu_seconds": state.cpu_seconds,
        "best": {k: v for k, v in vars(state.best).items() if k != "weights"},
        "history": [record.model_dump() for record in state.history],
        "midway": None if midway is None else asdict(midway) | {"random_state": None},
    }


def _state(about: dict[str, Any], tensors: dict[str, Tensor]) -> TrainingState:
    optimiser: dict[int, dict[str, Tensor]] = {}
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "random_state": {}}
    for name, tensor in tensors.items():
        part, rest = name.split(".", 1)
        if part == "optimiser":
            index, key = rest.split(".", 1)
            optimiser.setdefault(int(index), {})[key] = tensor
        else:
            parts[part][rest] = tensor
    midway = about["midway"]
    return TrainingState(
        stage=about["stage"],
        model=parts["model"],
        optimiser=optimiser,
        best=BestWeights(**about["best"], weights=parts["best"]),
        # JSON spells a missing measurement NaN; Python reads it back as such.
        history=[EpochRecord.model_construct(**record) for record in about["history"]],
        seconds=about["seconds"],
        cpu_seconds=about["cpu_seconds"],
        midway=None
        if midway is None
        else EpochProgress(**(midway | {"random_state": parts["random_state"]})),
    )
