"""Mapping over shards: processes of this machine, or a Ray cluster. Both call one function."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from typing import Any

from benchmarks.scan.photo_store import EmbeddedPhoto
from benchmarks.scan.shards import Shard
from mobile_assets.errors import InputError, MissingDependencyError
from mobile_assets.log_suppression import quiet

Embed = Callable[[Shard], list[EmbeddedPhoto]]
"""What is done with each shard; can be pickled."""

_CRASHED = "the process that read it died"

_AHEAD = 2
"""Shards under way for each process: one in work, one that waits for it."""


def in_processes(
    embed: Embed, shards: Iterable[Shard], processes: int
) -> Generator[list[EmbeddedPhoto], None, None]:
    """Yields the shards' photos as they come, from processes of this machine.

    The order is that of the work. A photo that takes its process down costs itself alone: the
    shards that were under way are done again with every photo decoded on its own, and, should that
    not help, photo by photo.
    """
    queue = _Queue(shards)
    running: dict[Future[list[EmbeddedPhoto]], Shard] = {}
    pool = _pool(processes)
    try:
        while True:
            while len(running) < _AHEAD * processes and (shard := queue.next(idle=not running)):
                running[pool.submit(embed, shard)] = shard
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            lost: list[Shard] = []
            for future in done:
                shard = running.pop(future)
                try:
                    yield future.result()
                except BrokenProcessPool:
                    lost.append(shard)
            if lost:  # a dead process breaks the whole pool
                lost += running.values()
                running.clear()
                _end(pool)
                pool = _pool(processes)
                yield from queue.give_back(lost)
    finally:
        _end(pool)


class _Queue:
    """The shards that are still to be done."""

    def __init__(self, shards: Iterable[Shard]) -> None:
        self._source = iter(shards)
        self._again: deque[Shard] = deque()
        self._alone: deque[Shard] = deque()

    def next(self, *, idle: bool) -> Shard | None:
        """The next shard; None for none now.

        Args:
            idle: Whether no other is under way. Those under suspicion are done by themselves, so
                that it is known whose fault it was.
        """
        if self._again:
            return self._again.popleft()
        if (shard := next(self._source, None)) is not None:
            return shard
        return self._alone.popleft() if self._alone and idle else None

    def give_back(self, lost: Sequence[Shard]) -> Iterator[list[EmbeddedPhoto]]:
        """Takes shards back whose process died; yields photos that nothing more is tried with."""
        for shard in lost:
            if not shard.isolated:
                self._again.append(replace(shard, isolated=True))
            elif len(shard.photos) > 1 or len(lost) > 1:
                self._alone += (replace(shard, photos=(photo,)) for photo in shard.photos)
            else:
                yield [EmbeddedPhoto(shard.photos[0].id, "", _CRASHED, None, None)]


def _pool(processes: int) -> ProcessPoolExecutor:
    # Spawned: a process that has loaded a TFLite interpreter or torch must not be forked.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(processes, mp_context=context, initializer=_begin)


def _begin() -> None:
    """Of a process: an interruption from the keyboard is its parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def _end(pool: ProcessPoolExecutor) -> None:
    """Ends the processes at once; what they were doing is done again another time."""
    for process in multiprocessing.active_children():
        process.terminate()
    pool.shutdown(wait=True, cancel_futures=True)


def on_ray(
    embed: Embed, shards: Iterable[Shard], address: str
) -> Generator[list[EmbeddedPhoto], None, None]:
    """Yields the shards' photos as they come, from the machines of a Ray cluster.

    Photos and bundle must be there under the same paths on every machine, as on a shared drive.

    Args:
        address: Of the cluster's head, or `auto`.

    Raises:
        MissingDependencyError: Ray is not installed.
        InputError: There is no cluster at the address.
    """
    ray = _connected(address)

    @ray.remote(max_retries=2)  # type: ignore[untyped-decorator]
    def task(shard: Shard) -> list[EmbeddedPhoto]:
        return embed(shard)

    running: dict[Any, Shard] = {}
    queue = _Queue(shards)
    most = _AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
    try:
        while True:
            while len(running) < most and (shard := queue.next(idle=not running)):
                running[task.remote(shard)] = shard
            if not running:
                return
            done, _ = ray.wait(list(running))
            for reference in done:
                shard = running.pop(reference)
                try:
                    yield ray.get(reference)
                except ray.exceptions.RayTaskError as error:
                    raise error.as_instanceof_cause() from None
                except ray.exceptions.RayError:  # its worker or its machine died
                    yield from queue.give_back([shard])
    finally:
        ray.shutdown()


def _connected(address: str) -> Any:
    try:
        import ray
    except ImportError:
        raise MissingDependencyError(
            "--ray needs the package ray. Install it with: pip install 'artefact-id[ray]'"
        ) from None
    try:
        with quiet():
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise InputError(
            f"--ray {address}: no Ray cluster answers there ({str(error).splitlines()[0]}). "
            "Start one with `ray start --head`, or leave --ray out."
        ) from None
    return ray
