"""TFLite files in processes of their own, for interpreters that this process cannot hold."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from benchmarks.results.row_fields import Placement
from benchmarks.runtimes import subprocess_main, tflite_model
from benchmarks.runtimes.interface import Pixels, Probabilities, Session
from benchmarks.runtimes.tflite_model import Tensor
from mobile_assets.bundle import Bundle, Variant
from mobile_assets.errors import DamagedError, MissingDependencyError

SCRIPT = Path(subprocess_main.__file__)

_CHUNK = 8
"""Photos per message: a message stays small, and several workers finish at about the same time."""

_SIDES = ("inputs", "outputs")

_LAST_BYTES = 4096
"""How much of what a dead worker wrote is read, to tell its last line."""


@dataclass(frozen=True)
class LaunchCommand:
    """How a worker is started.

    Attributes:
        name: What it is, for messages, such as `TensorFlow's TFLite interpreter`.
        command: Words before the model's path and the number of threads.
        remedy: What to do when its packages are not there.
        seconds: Longest time that opening a file or answering one message may take.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    remedy: str
    seconds: float = 300.0


class Worker:
    """One process with one opened file."""

    def __init__(self, launch: LaunchCommand, arguments: Sequence[str]) -> None:
        """Starts the process, and does not wait for it; `hello` does.

        Raises:
            MissingDependencyError: The program cannot be started.
        """
        self._launch = launch
        self._file = arguments[0] if arguments else ""
        # A file, not a pipe: nobody needs to read it for the worker to go on. Closed by `close`.
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            self._process = subprocess.Popen(
                [*launch.command, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._printed,
                env=dict(launch.environment),
            )
        except OSError as error:
            self._printed.close()
            raise MissingDependencyError(
                f"{launch.name} cannot be started ({error}). {launch.remedy}"
            ) from None
        assert self._process.stdin is not None and self._process.stdout is not None
        self._stdin: BinaryIO = self._process.stdin  # type: ignore[assignment]
        self._stdout: BinaryIO = self._process.stdout  # type: ignore[assignment]

    def hello(self) -> dict[str, Any]:
        """What the worker tells of itself and of the opened file, once it is ready.

        Raises:
            DamagedError: The file cannot be opened, or the process ended.
            MissingDependencyError: Its packages are not installed.
        """
        with self._watched():
            hello: dict[str, Any] = json.loads(self._read(b"H"))
        return hello

    def ask(self, photos: NDArray[Any]) -> bytes:
        """Raw input tensors of some photos → the raw output tensors.

        Raises:
            DamagedError: The process ended, failed, or did not answer in time.
        """
        with self._watched():
            # If it ended, reading finds the reason, if it left one.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                subprocess_main.write_message(self._stdin, b"R", photos.tobytes())
            return self._read(b"A")

    def close(self) -> None:
        """Ends the process."""
        with contextlib.suppress(OSError):  # a message may still wait for a dead reader
            self._stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stdout.close()
        self._printed.close()

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        """Kills the process if the block takes too long, which ends every wait for it."""
        late = threading.Event()

        def kill() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(self._launch.seconds, kill)
        timer.start()
        try:
            yield
        except DamagedError:
            if not late.is_set():
                raise
            raise DamagedError(
                f"{self._launch.name} did not answer within {self._launch.seconds:g} s{self._with} "
                "and was ended. Try again when the machine is less busy."
            ) from None
        finally:
            timer.cancel()

    def _read(self, expected: bytes) -> bytes:
        try:
            message = subprocess_main.read_message(self._stdout)
        except ValueError as error:
            raise DamagedError(
                f"{self._launch.name} wrote {error.args[0]!r} where its answer was expected: "
                "something prints before the worker starts, such as a sitecustomize module. "
                f"{self._launch.remedy}"
            ) from None
        if message is None:
            self._process.wait()
            raise DamagedError(
                f"{self._launch.name} ended unexpectedly{self._with} "
                f"(exit status {self._process.returncode}; last line: {self._last_line()})."
            )
        letter, content = message
        if letter == b"E":
            raise self._failure(**json.loads(content))
        if letter != expected:
            raise DamagedError(f"{self._launch.name} answered {letter!r} instead of {expected!r}.")
        return content

    def _failure(self, what: str, message: str) -> Exception:
        first = (message.splitlines() or ["no reason given"])[0]
        if what == "missing":
            return MissingDependencyError(f"{self._launch.name}: {first}. {self._launch.remedy}")
        if what == "open":
            return DamagedError(
                f"{self._file} cannot be opened by {self._launch.name} ({first}). "
                "It is damaged: export the bundle again."
            )
        return DamagedError(f"{self._launch.name} failed{self._with}: {first}.")

    @property
    def _with(self) -> str:
        return f" with {self._file}" if self._file else ""

    def _last_line(self) -> str:
        size = self._printed.seek(0, 2)
        self._printed.seek(max(0, size - _LAST_BYTES))
        lines = self._printed.read().decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "none")


class WorkerSession(Session):
    """A variant opened by one or several workers that share the photos."""

    def __init__(
        self,
        launch: LaunchCommand,
        bundle: Bundle,
        variant: Variant,
        *,
        threads: int,
        processes: int = 1,
    ) -> None:
        """Starts the workers and holds what they opened against the bundle.

        Raises:
            DamagedError: The file cannot be opened, or does not fit the bundle's contract.
            MissingDependencyError: What the workers need is not installed.
        """
        path = bundle.path(variant)
        self._workers: list[Worker] = []
        try:
            for _ in range(processes):
                self._workers.append(Worker(launch, (str(path.absolute()), str(threads))))
            self.hello, *_ = [worker.hello() for worker in self._workers]
            self._image, self._probabilities = tflite_model.check_tensors(
                path, *([Tensor.of(tensor) for tensor in self.hello[side]] for side in _SIDES)
            )
            tflite_model.check_contract(bundle, path, self._image, self._probabilities)
        except BaseException:
            self._end()
            raise
        self._free: SimpleQueue[Worker] = SimpleQueue()
        for worker in self._workers:
            self._free.put(worker)
        self._pool = ThreadPoolExecutor(processes)

    def predict(self, batch: Pixels) -> Probabilities:
        """`[N, H, W, 3]` uint8 RGB 0–255 → `[N, objects]` float32 probabilities."""
        chunks = [batch[start : start + _CHUNK] for start in range(0, len(batch), _CHUNK)]
        empty = np.zeros((0, self._probabilities.shape[1]), dtype=np.float32)
        return np.concatenate([empty, *self._pool.map(self._chunk, chunks)])

    def placement(self) -> Placement | None:
        """Which operations XNNPACK took; None if the interpreter does not list them."""
        operations = self.hello["operations"]
        return None if operations is None else tflite_model.placement(operations)

    def close(self) -> None:
        """Ends the workers."""
        self._pool.shutdown(cancel_futures=True)
        self._end()

    def _chunk(self, photos: Pixels) -> Probabilities:
        worker = self._free.get()
        try:
            raw = worker.ask(tflite_model.as_input(photos, self._image))
        finally:
            self._free.put(worker)
        values = np.frombuffer(raw, dtype=self._probabilities.dtype)
        objects = self._probabilities.shape[1]
        return tflite_model.as_probabilities(
            values.reshape(len(photos), objects), self._probabilities
        )

    def _end(self) -> None:
        while self._workers:
            self._workers.pop().close()


def ask_versions(launch: LaunchCommand) -> dict[str, str]:
    """Starts a worker without a model; the versions that it tells.

    Raises:
        DamagedError: It ended without telling them.
        MissingDependencyError: It cannot be started, or its packages are not installed.
    """
    worker = Worker(launch, ())
    try:
        versions = worker.hello()
    finally:
        worker.close()
    return {str(name): str(value) for name, value in versions.items()}
