"""Runs that were fine-tuned for 8 bits: how they are written and read.

Such a run holds the float network that it came from, unchanged, and beside it that network's
8-bit weights. So whatever reads a run finds the network as before, agreement is measured with it,
and only the integer variants of an export are made of the 8-bit weights.
"""

from __future__ import annotations

import csv
import io
import math
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from export.network.fold import FoldedNetwork
from export.network.graph import with_layers
from export.qat.student import Student
from export.quantise.gptq import STEPS
from export.quantise.quantised_network import QuantisedNetwork
from mobile_assets.errors import DamagedError
from mobile_assets.files import new_folder, sha256_file, write_text
from train.run import QUANTISED_FILE, EpochRecord, QuantisedInfo, Run
from train.versions import created_now, versions

if TYPE_CHECKING:
    pass

HISTORY = "quantised.csv"
KEPT = ("model.safetensors", "labels.json", "split.json", "history.csv", "metrics.json")
"""What is taken over from the float run."""


def write_run(source: Run, learned: Learned, out: Path, *, force: bool) -> None:
    """Writes a run that holds the source's network and the learned 8-bit weights."""
    with new_folder(out, force=force, what="run") as folder:
        for name in KEPT:
            if (source.folder / name).is_file():
                shutil.copyfile(source.folder / name, folder / name)
        save_file(_packed(learned.student.weights()), folder / QUANTISED_FILE)
        write_text(folder / HISTORY, _history(learned.history))
        by_epoch = {record.epoch: record for record in learned.history}
        before, after = by_epoch[0], by_epoch[learned.best]
        quantised = QuantisedInfo(
            sha256=sha256_file(folder / QUANTISED_FILE),
            source=Path(os.path.relpath(source.folder, out)).as_posix(),
            settings=learned.settings,
            epoch=learned.best,
            photos=learned.photos,
            copies=learned.copies,
            agreement_before=round(before.val_top1, 6),
            agreement=round(after.val_top1, 6),
            divergence_before=round(before.val_loss, 6),
            divergence=round(after.val_loss, 6),
            seconds=round(learned.seconds, 2),
        )
        update = {
            "name": out.name,
            "created": created_now(),
            "quantised": quantised,
            "versions": versions(),
        }
        source.info.model_copy(update=update).write(folder / "run.json")


def _packed(layers: dict[str, tuple[Tensor, Tensor | None]]) -> dict[str, Tensor]:
    """Each layer's steps as int8, its channels' scales and its bias."""
    tensors: dict[str, Tensor] = {}
    for name, (weight, bias) in layers.items():
        rest = tuple(range(1, weight.dim()))
        scale = (weight.abs().amax(dim=rest, keepdim=True) / STEPS).clamp_min(1e-20)
        tensors[f"{name}.steps"] = (weight / scale).round().to(torch.int8).contiguous()
        tensors[f"{name}.scale"] = scale.flatten().contiguous()
        if bias is not None:
            tensors[f"{name}.bias"] = bias.contiguous()
    return tensors


def read_quantised(run: Run, network: FoldedNetwork) -> QuantisedNetwork | None:
    """The 8-bit network of a run that was fine-tuned for it, or None for any other run.

    Args:
        run: The run.
        network: Its folded float network.

    Raises:
        DamagedError: The weights do not fit the network.
    """
    info = run.info.quantised
    if info is None:
        return None
    path = run.folder / QUANTISED_FILE
    try:
        tensors = load_file(path)
        layers: dict[str, tuple[Tensor, Tensor | None]] = {}
        for key in tensors:
            name, _, kind = key.rpartition(".")
            if kind == "steps":
                steps = tensors[key].float()
                scale = tensors[f"{name}.scale"].reshape(-1, *[1] * (steps.dim() - 1))
                if steps.shape != network.get_submodule(name).weight.shape:
                    raise ValueError(f"{name} has shape {tuple(steps.shape)}")
                layers[name] = steps * scale, tensors.get(f"{name}.bias")
    except (KeyError, ValueError, AttributeError, OSError, RuntimeError) as error:
        raise DamagedError(
            f"{path} does not fit the network of its run ({str(error).splitlines()[0]}). "
            "Fine-tune the run again."
        ) from None
    return QuantisedNetwork(with_layers(network, layers), (_note(info, len(layers)),))


def _note(info: QuantisedInfo, layers: int) -> str:
    copies = f", {info.copies} of them altered copies," if info.copies else ""
    return (
        f"The 8-bit weights of {layers} layers were fine-tuned with weights and activations "
        f"rounded, the float network as the teacher: of {info.photos} photos that were not learned "
        f"from{copies} {info.agreement:.1%} have its answer, {info.agreement_before:.1%} with "
        "rounding after training alone."
    )


def _history(records: tuple[EpochRecord, ...]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = ("epoch", "train_loss", "divergence", "agreement", "seconds", "rate")
    writer.writerow(columns)
    for r in records:
        values = (r.train_loss, r.val_loss, r.val_top1, r.seconds, r.rate)
        writer.writerow([r.epoch, *("" if math.isnan(v) else round(v, 6) for v in values)])
    return text.getvalue()


@dataclass(frozen=True)
class Learned:
    """What fine-tuning came to.

    Attributes:
        student: With the best weights.
        history: As `QatTrainer` keeps it.
        best: The epoch whose weights were taken; 0 for those of rounding alone.
        photos: How many held-out photos agreement and divergence are of.
        copies: How many of these are altered copies of others.
        settings: The recipe's.
        seconds: Time that it took, all parts together.
    """

    student: Student
    history: tuple[EpochRecord, ...]
    best: int
    photos: int
    copies: int
    settings: dict[str, float | int | str | bool | None]
    seconds: float
