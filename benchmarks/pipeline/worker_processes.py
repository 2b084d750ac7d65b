"""Jobs shared between processes, each with its own threads: two trainings side by side.

Two networks trained in two processes of one thread each take half the time of one after the other
with two threads each: small layers gain little from a second thread. Two processes must not have
more threads than there are processors together, or each waits for the other at every layer.

A process ends with its parent, however that one ends. Ctrl-C reaches the parent alone, which passes
it on, so that a training saves its state once.
"""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from benchmarks.pipeline.callbacks import Callbacks
from mobile_assets.errors import InputError
from train.decode_pool import available_cores
from train.signals import InterruptHandler, end_with_parent

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Read when a numerical library is loaded: they must be set before a process starts."""

POLL_SECONDS = 0.2
"""How long Ctrl-C may wait until it is passed on."""

END_SECONDS = 10.0
"""How long a process that has no job left may take to end by itself."""


@dataclass(frozen=True)
class Job:
    """One call that a process makes.

    Attributes:
        function: Called with the arguments and `Callbacks`; defined at the top of a module.
        arguments: All must pickle, as must what the function returns.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


@dataclass
class _Worker:
    """A process, its pipe, and the index of the job that it works on; None while it has none."""

    process: BaseProcess
    pipe: Connection
    job: int | None = None


def run_jobs(jobs: Sequence[Job], callbacks: Callbacks, *, processes: int) -> list[Any]:
    """Runs the jobs, each in the next process that is free, in the order given.

    With one process everything runs in this one.

    Returns:
        What the functions returned, in the order of the jobs.

    Raises:
        KeyboardInterrupt: Ctrl-C; every process has ended, and trainings have saved their state.
        InputError: A process was ended by the system.
        Exception: What the first function to fail raised; the other processes are ended.
    """
    processes = min(processes, len(jobs))
    if processes <= 1:
        return [job.function(*job.arguments, callbacks) for job in jobs]
    threads = max(1, available_cores() // processes)
    workers: list[_Worker] = []
    try:
        with _thread_variables(threads), _ignored_interrupts():
            workers.extend(_start(threads) for _ in range(processes))
        return _collect(jobs, workers, callbacks)
    finally:
        for worker in workers:
            worker.pipe.close()
            if worker.job is None:  # ends by itself, and frees what libraries hold
                worker.process.join(END_SECONDS)
            worker.process.kill()
            worker.process.join()


def _start(threads: int) -> _Worker:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, threads), daemon=False)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _collect(jobs: Sequence[Job], workers: Sequence[_Worker], callbacks: Callbacks) -> list[Any]:
    """Hands out the jobs, calls the callbacks, and gathers the results."""
    results: dict[int, Any] = {}
    waiting = iter(range(len(jobs)))
    interrupt: BaseException | None = None
    with InterruptHandler() as interrupts:
        for worker in workers:
            _hand_out(worker, jobs, waiting)
        passed_on = False
        while busy := [worker for worker in workers if worker.job is not None]:
            if interrupts.asked and not passed_on:
                passed_on = True
                waiting = iter(())
                for worker in busy:
                    os.kill(worker.process.pid or 0, signal.SIGINT)
            for pipe in wait([worker.pipe for worker in busy], POLL_SECONDS):
                worker = next(worker for worker in busy if worker.pipe is pipe)
                kind, value = _receive(worker)
                if kind == "call":
                    name, arguments = value
                    getattr(callbacks, name)(*arguments)
                elif kind == "result":
                    assert worker.job is not None
                    results[worker.job] = value
                    _hand_out(worker, jobs, waiting)
                elif kind == "interrupted":
                    worker.job, interrupt = None, value
                else:
                    raise value
    if interrupts.asked:
        raise interrupt or KeyboardInterrupt
    return [results[index] for index in range(len(jobs))]


def _hand_out(worker: _Worker, jobs: Sequence[Job], waiting: Iterator[int]) -> None:
    worker.job = next(waiting, None)
    if worker.job is not None:
        worker.pipe.send(jobs[worker.job])


def _receive(worker: _Worker) -> tuple[str, Any]:
    try:
        message: tuple[str, Any] = worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join()
        return "failed", InputError(
            "A process that trains and exports was ended by the system (exit code "
            f"{worker.process.exitcode}), perhaps for want of memory. Close other programs and "
            "give the same command again: what is finished is kept."
        )
    return message


@contextmanager
def _thread_variables(threads: int) -> Iterator[None]:
    """Limits the threads of the processes that are started inside the block."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _ignored_interrupts() -> Iterator[None]:
    """Lets processes start that Ctrl-C does not end before they have a handler."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _serve(pipe: Connection, threads: int) -> None:
    """Answers jobs until the parent closes the pipe; runs in the new process."""
    os.setpgrp()  # the terminal's Ctrl-C is for the parent, which passes it on
    threading.Thread(target=end_with_parent, daemon=True).start()

    def send(kind: str, value: object) -> None:
        pipe.send((kind, value))

    def forward(name: str) -> Callable[..., None]:
        return lambda *arguments: send("call", (name, arguments))

    callbacks = Callbacks(**{name: forward(name) for name in Callbacks.__dataclass_fields__})
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _prepare_libraries(threads)
        while True:
            job: Job = pipe.recv()
            send("result", job.function(*job.arguments, callbacks))
    except EOFError:
        return
    except KeyboardInterrupt as interrupt:
        send("interrupted", interrupt)
    except Exception as error:
        error.add_note(traceback.format_exc())  # else it would end with the process
        send("failed", error)


def _prepare_libraries(threads: int) -> None:
    """Sets what a new process does not inherit."""
    import torch

    from train.heic import register_heif

    register_heif()
    torch.set_num_threads(threads)
