"""The state of a training between two epochs, so that a kill costs one epoch at most."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from mobile_assets.files import sha256_bytes, write_bytes
from train.run import EpochRecord
from train.state import Best, State

STATE_FILE = "state.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """Where the state of one training is kept.

    One safetensors file, replaced by an atomic rename after every epoch: a kill or a full disk
    leaves the one before.

    Attributes:
        folder: Beside the run that is to be written, `RUN.partial`.
        key: Hash of everything that decides over the result; a state of another key is ignored.
    """

    folder: Path
    key: str

    @classmethod
    def beside(cls, run: Path, *parts: object) -> Checkpoint:
        """The checkpoint of the training that is to write `run`.

        Args:
            run: The run folder.
            *parts: Everything that decides over the result, as text or with a stable `repr`.
        """
        key = sha256_bytes("\n".join(map(repr, parts)).encode("utf-8"))
        return cls(run.with_name(f"{run.name}.partial"), key)

    def save(self, state: State) -> None:
        """Replaces the stored state."""
        from safetensors.torch import save

        tensors = {f"model.{k}": v for k, v in state.model.items()}
        tensors |= {f"best.{k}": v for k, v in state.best.weights.items()}
        for index, values in state.optimiser.items():
            tensors |= {f"optimiser.{index}.{k}": v for k, v in values.items()}
        about = {
            "key": self.key,
            "epoch": state.epoch,
            "seconds": state.seconds,
            "cpu_seconds": state.cpu_seconds,
            "best": {k: v for k, v in asdict(state.best).items() if k != "weights"},
            "history": [record.model_dump() for record in state.history],
        }
        contiguous = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
        write_bytes(self.folder / STATE_FILE, save(contiguous, {"about": json.dumps(about)}))

    def load(self) -> State | None:
        """The stored state, or None where there is none of this training or it is damaged."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.folder / STATE_FILE, framework="pt") as file:
                about = json.loads(file.metadata()["about"])
                if about["key"] != self.key:
                    return None
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, KeyError, TypeError, ValueError):
            return None
        return _state(about, tensors)

    def remove(self) -> None:
        """Removes the stored state, when the run is whole."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _state(about: dict[str, Any], tensors: dict[str, Tensor]) -> State:
    optimiser: dict[int, dict[str, Tensor]] = {}
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}}
    for name, tensor in tensors.items():
        part, rest = name.split(".", 1)
        if part == "optimiser":
            index, key = rest.split(".", 1)
            optimiser.setdefault(int(index), {})[key] = tensor
        else:
            parts[part][rest] = tensor
    # JSON spells a missing measurement NaN; Python reads it back as such.
    history = [EpochRecord.model_construct(**record) for record in about["history"]]
    best = Best(**about["best"], weights=parts["best"])
    return State(
        about["epoch"],
        parts["model"],
        optimiser,
        best,
        history,
        about["seconds"],
        about["cpu_seconds"],
    )
