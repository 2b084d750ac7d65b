"""A training that is broken off at chosen places: a program that the tests start.

`python broken_off.py PLAN.json ARGUMENTS...` runs `artefact-id ARGUMENTS...` once for every blow of
the plan, each time in a process of its own, with a short recipe and the state written after every
batch. A blow is `[place, count, what]`: at the count-th call of the place, `what` happens. The exit
codes (minus the signal's number where there was one) and messages go to standard output as JSON.
Under torchrun, the plan's only blow strikes the last process.
"""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pillow_heif  # noqa: F401  (what is imported here is not imported in every process)
import tensorboardX.summary  # noqa: F401
import timm  # noqa: F401
import torch

import artefact_id.terminal  # noqa: F401
import train.checkpoint
import train.closed_form
import train.device
import train.engine
import train.features
import train.recipes
import train.trainer
import train.weights
from artefact_id.main import main

PLACES: dict[str, tuple[Any, str]] = {
    "step": (train.engine.Trainer, "_step"),
    "features": (train.features, "to_images"),
    "closed form": (train.closed_form, "to_images"),
    "write": (os, "replace"),
}


def strike(what: str) -> None:
    if what == "full disk":
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    elif what == "error":
        raise ValueError("a defect")
    elif what == "two SIGINT":
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
    else:
        os.kill(os.getpid(), getattr(signal, what))


def arm(place: str, count: int, what: str) -> None:
    owner, name = PLACES[place]
    real: Callable[..., object] = getattr(owner, name)
    calls = 0

    def call(*arguments: object, **named: object) -> object:
        nonlocal calls
        calls += 1
        if calls == count:
            strike(what)
        return real(*arguments, **named)

    setattr(owner, name, call)


def prepare(words: Sequence[str]) -> None:
    torch.set_num_threads(1)
    recipe = dataclasses.replace(
        # A head that is named there has no embedding.
        train.recipes.FIELD if "--head" in words else train.recipes.DISCRIMINANT,
        batch=5,
        head_epochs=3,
        head_views=2,
        epochs=3,
        rate=3e-3,
    )
    train.recipes.RECIPES |= {"field": recipe, "discriminant": recipe}
    train.checkpoint.PAUSE_SECONDS = train.checkpoint.WRITING_SHARE = 0
    choose = train.device.choose_compute
    train.device.choose_compute = lambda name: dataclasses.replace(choose(name), bfloat16=False)


def in_child(blow: list[Any], arguments: list[str], log: Path) -> dict[str, object]:
    child = os.fork()
    if child == 0:
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        if blow:
            arm(*blow)
        os._exit(main(arguments))
    _, status = os.waitpid(child, 0)
    return {"code": os.waitstatus_to_exitcode(status), "said": log.read_text()}


if __name__ == "__main__":
    plan, words = json.loads(Path(sys.argv[1]).read_text()), sys.argv[2:]
    prepare(words)
    if "RANK" in os.environ:
        if plan and os.environ["RANK"] == "1":
            arm(*plan[0])
        sys.exit(main(words))
    log = Path(sys.argv[1]).with_suffix(".log")
    print(json.dumps([in_child(blow, words, log) for blow in plan]))
