"""The work of one process: build an object, take its photos, put them in place."""

from __future__ import annotations

import signal
import threading
from collections import OrderedDict
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np

from mobile_assets.files import write_bytes
from train.demo.camera import develop
from train.demo.families import build_object, build_stranger
from train.demo.mesh import Model
from train.demo.plan import ObjectPlan
from train.demo.render import Renderer
from train.demo.scene import Scene, field_scene, studio_scene
from train.demo.spec import rng_for
from train.signals import end_with_parent

_STRANGERS = 24
_KEPT_STRANGERS = 10
_SERIES = 3


@dataclass(frozen=True)
class DemoShot:
    """One picture to take.

    Attributes:
        kind: "register", "extra" or "field".
        number: Number within the object's pictures of this kind, from 0.
    """

    kind: str
    number: int
    path: Path


@dataclass(frozen=True)
class Job:
    """One object's pictures."""

    seed: int
    pixels: int
    plan: ObjectPlan
    shots: tuple[DemoShot, ...]


@dataclass(frozen=True)
class Done:
    """What became of a job.

    Attributes:
        taken: Pictures taken; fewer than asked for after an interruption.
    """

    index: int
    title: str
    parameters: dict[str, str | int | float]
    taken: int


class Photographer:
    """Takes pictures of objects; keeps the renderer and some strangers at hand."""

    def __init__(self, stop: Event | None = None) -> None:
        self._renderer = Renderer()
        self._stop = stop
        self._strangers: OrderedDict[tuple[int, int], Model] = OrderedDict()

    def run(self, job: Job) -> Done:
        """Take the pictures of one object.

        Args:
            job: What to take; every file appears complete or not at all.
        """
        model = build_object(job.seed, job.plan)
        taken = 0
        for shot in job.shots:
            if self._stop is not None and self._stop.is_set():
                break
            write_bytes(shot.path, self._take(job, model, shot))
            taken += 1
        return Done(job.plan.index, model.title, model.parameters, taken)

    def _take(self, job: Job, model: Model, shot: DemoShot) -> bytes:
        rng = rng_for(job.seed, "photo", job.plan.index, shot.kind, shot.number)
        scene = self._scene(job, model, shot, rng)
        image = self._renderer.render(scene, int(rng.integers(2**32)))
        return develop(image, scene.development, rng)

    def _scene(self, job: Job, model: Model, shot: DemoShot, rng: np.random.Generator) -> Scene:
        if shot.kind == "field":
            chosen = rng.choice(_STRANGERS, int(rng.integers(2, 5)), replace=False)
            strangers = [self._stranger(job.seed, int(k)) for k in chosen]
            return field_scene(model, strangers, rng, job.pixels)
        number = shot.number // _SERIES
        series = rng_for(job.seed, "series", job.plan.index, shot.kind, number)
        return studio_scene(model, rng, series, job.pixels)

    def _stranger(self, seed: int, number: int) -> Model:
        key = (seed, number)
        if key not in self._strangers:
            self._strangers[key] = build_stranger(seed, number)
            if len(self._strangers) > _KEPT_STRANGERS:
                self._strangers.popitem(last=False)
        self._strangers.move_to_end(key)
        return self._strangers[key]


_ready: list[Photographer] = []


def start_worker(stop: Event) -> None:
    """Make a process ready: it leaves interruptions to its parent and dies with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()
    _ready[:] = [Photographer(stop)]


def run_job(job: Job) -> Done:
    """Run a job in a process made ready by `start_worker`.

    Raises:
        RuntimeError: If the process was not made ready.
    """
    if not _ready:
        raise RuntimeError("run_job was called in a process that start_worker did not prepare")
    return _ready[0].run(job)
