"""Two processes train one model together: real processes on the CPU, started by torchrun."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import tiny_weights

from train.run import read_run

ROOT = Path(__file__).parents[2]
PROGRAM = str(Path(__file__).parents[1] / "broken_off.py")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]


pytestmark = pytest.mark.slow  # every test starts torchrun, or trains in two processes


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory, register_folder: Path) -> Any:
    """Trains a tiny network in one or two processes; gives the exit code and what was said."""
    base = tmp_path_factory.mktemp("parallel")
    weights = str(tiny_weights(base))

    def run(
        out: Path, *words: str, processes: int, plan: list[list[Any]]
    ) -> subprocess.CompletedProcess[str]:
        (out.parent / "plan.json").write_text(json.dumps(plan))
        command = [
            *([*TORCHRUN, PROGRAM] if processes == 2 else [sys.executable, PROGRAM]),
            *(str(out.parent / "plan.json"), "train", str(register_folder), "--out", str(out)),
            *("--backbone", "test_efficientnet", "--weights", weights),
            *("--input-size", "32", "--no-test", "--device", "cpu", "--head", "paper"),
            *("--cache", str(base / "cache"), *words),
        ]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    return run


def test_two_processes_reach_the_result_of_one(train: Any, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    assert train(tmp_path / "one", processes=1, plan=[[]]).returncode == 0
    two = train(tmp_path / "two", processes=2, plan=[])
    assert two.returncode == 0, two.stderr
    assert two.stderr.count("6 objects with at least") == 1  # one process speaks
    read_run(tmp_path / "two")
    wanted, found = (load_file(tmp_path / n / "model.safetensors") for n in ("one", "two"))
    # 26 photos in batches of 5, so shares of 3 and 2, and a last batch of one that is left out;
    # the paper's head has dropout and batch norm. Only the order of additions differs.
    for name, tensor in wanted.items():
        assert (tensor.float() - found[name].float()).norm() <= 2e-3 * (tensor.float().norm() + 1)
    columns = ("train_loss", "val_loss", "val_top1")
    one, both = (
        [[float(row[c] or "nan") for c in columns] for row in csv.DictReader((tmp_path / n).open())]
        for n in ("one/history.csv", "two/history.csv")
    )
    assert len(one) == 6
    for a, b in zip(one, both, strict=True):
        assert b == pytest.approx(a, rel=2e-3, abs=2e-3, nan_ok=True)


def test_when_one_process_fails_all_end_and_the_same_command_goes_on(
    train: Any, tmp_path: Path
) -> None:
    failed = train(tmp_path / "run", processes=2, plan=[["step", 22, "SIGKILL"]])
    assert failed.returncode != 0
    assert failed.stderr.count("Another process of this training has ended") == 1
    assert "the same command goes on" in failed.stderr
    assert not (tmp_path / "run").exists()
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]
    again = train(tmp_path / "run", processes=2, plan=[])
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("of all weights: this training was broken off") == 1
    assert len(list(csv.DictReader((tmp_path / "run/history.csv").open()))) == 6


def test_what_processes_cannot_share_is_refused_once(train: Any, tmp_path: Path) -> None:
    refused = train(tmp_path / "run", "--recipe", "paper", "--epochs", "1", processes=2, plan=[])
    assert refused.returncode != 0
    assert refused.stderr.count("batch-norm statistics, which several processes") == 1
    assert not (tmp_path / "run").exists()


GRADIENTS = """
import copy, sys, timm, torch
from mobile_assets.preprocessing import Preprocessing
from train.model import build_model
from train.parallel import processes

torch.manual_seed(0)
contract = Preprocessing(height=32, width=32, mean=(0.5,) * 3, std=(0.5,) * 3)
model = build_model(
    "test_efficientnet", "linear", objects=3, preprocessing=contract, depths=(3, 4)
).eval()
alone = copy.deepcopy(model)
with processes() as several:
    several.begin(model, frozen_statistics=True)
    for rows in (5, 1):  # uneven shares; fewer rows than processes
        images = torch.rand(rows, 3, 32, 32) * 255
        for body, features in ((alone, alone.features), (model, None)):
            body.zero_grad()
            found = features(images) if features else several.features(model, images)
            assert found.shape[0] == rows
            body.head(found).logsumexp(dim=1).pow(2).sum().backward()
        for (name, a), b in zip(alone.named_parameters(), model.parameters()):
            assert torch.allclose(a.grad, b.grad, rtol=1e-3, atol=1e-5 * a.grad.abs().max()), name
    print("equal gradients")
"""


def test_gradients_are_those_of_the_whole_batch(tmp_path: Path) -> None:
    # Adam hides a wrong factor on all gradients, so they are compared themselves.
    (tmp_path / "gradients.py").write_text(GRADIENTS)
    done = subprocess.run(
        [*TORCHRUN, str(tmp_path / "gradients.py")],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.stdout.count("equal gradients") == 2, done.stderr
