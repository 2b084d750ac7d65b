"""Trainings that are broken off: killed, interrupted, out of disk. Real processes, real signals."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import tiny_weights

from mobile_assets.files import sha256_file
from train.run import RunMetrics
from train.trainer import train_run
from train.training_plan import Reporter, TrainOptions

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).parents[1] / "broken_off.py"

KILLS = [
    ["features", 5, "SIGKILL"],
    ["features", 9, "SIGKILL"],
    ["write", 2, "SIGKILL"],
    ["step", 2, "SIGKILL"],
    ["step", 9, "SIGKILL"],
    ["step", 8, "SIGKILL"],
    ["write", 4, "SIGKILL"],
    ["step", 5, "SIGKILL"],
    ["closed form", 7, "SIGKILL"],
    [],
]
INTERRUPTIONS = [
    ["features", 5, "SIGINT"],
    ["step", 2, "SIGTERM"],
    ["step", 16, "SIGINT"],
    ["step", 3, "full disk"],
    ["step", 2, "two SIGINT"],
    ["closed form", 4, "SIGINT"],
    [],
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("broken-off")


@pytest.fixture(scope="module")
def broken_off(folder: Path, register_folder: Path) -> dict[str, list[dict[str, Any]]]:
    """What each process of each plan answered; the runs are in `folder`, by the plan's name."""
    weights = tiny_weights(folder)
    plans = {"whole": [[]], "kills": KILLS, "interruptions": INTERRUPTIONS}
    started = {}
    for name, plan in plans.items():
        (folder / f"{name}.json").write_text(json.dumps(plan))
        command = [
            *(sys.executable, str(PROGRAM), str(folder / f"{name}.json")),
            *("train", str(register_folder), "--out", str(folder / name), "--no-test"),
            *("--backbone", "test_efficientnet", "--weights", str(weights)),
            *("--input-size", "32", "--cache", str(folder / f"{name}-cache"), "--device", "cpu"),
        ]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        started[name] = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
    return {name: json.loads(process.communicate()[0]) for name, process in started.items()}


@pytest.mark.parametrize("name", ["kills", "interruptions"])
def test_the_model_is_that_of_an_uninterrupted_training(
    broken_off: dict[str, list[dict[str, Any]]], folder: Path, name: str
) -> None:
    assert broken_off[name][-1]["code"] == 0, broken_off[name][-1]
    assert "going on" in broken_off[name][-1]["said"]
    assert sha256_file(folder / name / "model.safetensors") == sha256_file(
        folder / "whole" / "model.safetensors"
    )
    columns = ("stage", "epoch", "train_loss", "val_loss", "val_top1", "rate")
    rows, wanted = (
        [[row[c] for c in columns] for row in csv.DictReader((folder / n / "history.csv").open())]
        for n in (name, "whole")
    )
    assert len(wanted) == 7
    assert rows == wanted
    leftovers = {p.name for p in folder.iterdir()} - {f"{n}-cache" for n in broken_off}
    assert not [p for p in leftovers if p.endswith(".partial") or p.startswith(".")]


def test_a_kill_is_a_kill(broken_off: dict[str, list[dict[str, Any]]]) -> None:
    assert [answer["code"] for answer in broken_off["kills"]] == [-9] * (len(KILLS) - 1) + [0]


def test_an_interruption_keeps_the_state_and_says_how_to_go_on(
    broken_off: dict[str, list[dict[str, Any]]],
) -> None:
    features, head, weights, full, twice, closed_form, _ = broken_off["interruptions"]
    for answer, where in (
        (features, "before the head"),
        (head, "in epoch 1 of the head"),
        (weights, "of all weights"),
        (closed_form, "of all weights"),
    ):
        assert answer["code"] == 130
        assert where in answer["said"]
        assert "give the same command again" in answer["said"]
    assert twice["code"] == 130
    assert not [a for a in broken_off["interruptions"] if "Traceback" in a["said"]]
    assert full["code"] == 2


def test_a_full_disk_is_explained(broken_off: dict[str, list[dict[str, Any]]]) -> None:
    full = broken_off["interruptions"][3]["said"]
    for words in (
        "state.bin",
        "File too large",
        "MB",
        "Make room",
        "of all weights is kept",
    ):
        assert words in full
    assert "going on" in broken_off["interruptions"][4]["said"]


def test_the_logs_hold_each_epoch_once(
    broken_off: dict[str, list[dict[str, Any]]], folder: Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for name in broken_off:
        events = EventAccumulator(str(folder / name / "logs"))
        events.Reload()
        curves = {"train_loss", "val_loss", "val_top1", "rate", "photos_per_second"}
        closed_form = curves - {"train_loss", "rate"}  # nothing is learnt by steps
        tags = {f"{s}/{c}" for s in ("head", "all") for c in curves}
        tags |= {f"closed_form/{c}" for c in closed_form}
        assert set(events.Tags()["scalars"]) == tags
        rows = list(csv.DictReader((folder / name / "history.csv").open()))
        for stage in ("head", "all"):
            found = events.Scalars(f"{stage}/train_loss")
            assert [event.step for event in found] == [1, 2, 3]
            wanted = [float(row["train_loss"]) for row in rows if row["stage"] == stage]
            assert [event.value for event in found] == pytest.approx(wanted, abs=1e-5)


def test_time_is_counted_over_all_parts(
    broken_off: dict[str, list[dict[str, Any]]], folder: Path
) -> None:
    whole, parts = (RunMetrics.read(folder / n / "metrics.json") for n in ("whole", "kills"))
    assert whole.cpu_seconds
    assert parts.cpu_seconds
    assert parts.seconds > 0


@pytest.mark.parametrize("stage", ["features", "head"])
def test_a_state_of_another_training_is_not_gone_on_with(
    register_folder: Path, tmp_path: Path, stage: str
) -> None:
    options = TrainOptions(
        backbone="test_efficientnet", weights=tiny_weights(tmp_path), input_size=32, epochs=1,
        device="cpu", hold_out_test=False, cache=tmp_path / "cache", recipe="field",
    )  # fmt: skip
    other = dataclasses.replace(options, seed=1)
    messages: list[str] = []

    def train(out: Path, options: TrainOptions, *, break_off: bool = False) -> str:
        at_stage = Reporter(
            progress=lambda moment: (
                os.kill(os.getpid(), signal.SIGINT) if moment.stage == stage else None
            )
        )
        reporter = at_stage if break_off else Reporter(said=messages.append)
        return train_run(register_folder, out, options, reporter).info.model_sha256

    for following in (other, options):
        broken_off = tmp_path / f"run-{following.seed}"
        with pytest.raises(KeyboardInterrupt):
            train(broken_off, options, break_off=True)
        kept = tmp_path / f"run-{following.seed}.partial"
        assert list(kept.glob("features-*" if stage == "features" else "state.*"))
        wanted = train(tmp_path / f"whole-{following.seed}", following)
        assert train(broken_off, following) == wanted
        assert any("going on" in text for text in messages) == (
            stage == "head" and following == options
        )
