"""Decoding in several processes that may die without harm.

Measured on 2 cores, against threads: processes take a quarter longer for JPEG (122 to 98 ms for 12
megapixels in full) and TIFF, as long for HEIC (0.75 s), and less for PNG (255 to 334 ms). They
outlive a photo that kills its decoder, or on which it never ends; and a program that has loaded
torch must not fork. Each is started afresh and reads requests from a pipe, so it ends with its
parent, however that one ends.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mobile_assets.errors import MissingDependencyError
from mobile_assets.photos import PhotoError, load, takes_bounded_time
from mobile_assets.preprocessing import Preprocessing
from train.decode_worker import PhotoFacts, Request

Progress = Callable[[int, int], None]
"""Called with (photos done, photos in all)."""

Answer = tuple[PhotoFacts, NDArray[np.uint8] | None]

_START = (
    "import sys; sys.path.insert(0, sys.argv[1]); from train.decode_worker import serve; serve()"
)
_AHEAD = 4
CRASHED = "its decoder crashed, or ran out of memory"

DECODE_SECONDS = 25.0
"""A decoder that takes longer over a photo is ended. Usual photos take under a second."""

BYTES_PER_SECOND = 10_000_000
"""Long files are given more time: so fast a slow disk reads at least."""

HUNG = "its decoder did not end in time"


class DecoderPool:
    """Decoding processes; a context manager that leaves none behind.

    Memory is bounded: a few photos per process are under way at a time.
    """

    def __init__(self, photos: int) -> None:
        """`photos` is how many there will be, about: a few do not pay for many processes."""
        self.processes = max(1, min(available_cores(), photos // 32))
        self._idle: queue.SimpleQueue[_Decoder] = queue.SimpleQueue()
        self._decoders = [_Decoder() for _ in range(self.processes)]
        self._threads = ThreadPoolExecutor(self.processes)
        for decoder in self._decoders:
            self._idle.put(decoder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for decoder in self._decoders:
            decoder.close()
        self._threads.shutdown(cancel_futures=True)
        for decoder in self._decoders:  # one may have started again just before the shutdown
            decoder.close()

    def examine(self, requests: Iterable[Request]) -> Iterator[Answer]:
        """Yields the answers in the order of the requests."""
        waiting: deque[Future[Answer]] = deque()
        for request in requests:
            waiting.append(self._threads.submit(self.ask, request))
            if len(waiting) > _AHEAD * self.processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def load(
        self, photo: Path, contract: Preprocessing, *, isolated: bool = False
    ) -> NDArray[np.uint8]:
        """What `mobile_assets.photos.load` gives, in bounded time and at no risk.

        Usual photos are decoded here, at once. One whose decoder might never end, or take this
        process with it, is decoded in another. May be called by as many threads as there are
        processes.

        Args:
            isolated: Decode usual photos in another process too.

        Raises:
            PhotoError: The photo cannot be decoded.
        """
        if not isolated and takes_bounded_time(photo):
            return load(photo, contract)
        request = Request(
            file=str(photo),
            height=contract.height,
            width=contract.width,
            pixels=True,
            exact=True,
            hashes=False,
        )
        facts, pixels = self.ask(request)
        if pixels is None:
            raise PhotoError(photo, facts.error or "it cannot be decoded")
        return pixels

    def ask(self, request: Request) -> Answer:
        """The answer to one request, by the next process that is free."""
        decoder = self._idle.get()
        try:
            # Twice: what killed the first may have been the photo beside it, taking all memory.
            for _ in range(2):
                answer = decoder.ask(request)
                if answer is not None:
                    return answer
                if decoder.hung:
                    return PhotoFacts(error=HUNG), None
            return PhotoFacts(error=CRASHED), None
        finally:
            self._idle.put(decoder)


class _Decoder:
    """One process, started when it is needed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False
        self.hung = False

    def ask(self, request: Request) -> Answer | None:
        """The answer; None when the process died over it, `hung` when it had to be ended."""
        process = self._running()
        assert process.stdin is not None
        self.hung = False
        watch = threading.Timer(_seconds(request.file), self._end_hung, (process,))
        watch.daemon = True
        watch.start()
        try:
            process.stdin.write(json.dumps(request.model_dump()).encode("ascii") + b"\n")
            process.stdin.flush()
            return _read_answer(process, (request.height, request.width, 3))
        except (OSError, ValueError):  # the pipe is broken, or closed by `close`
            self._end()
            return None
        finally:
            watch.cancel()

    def _end_hung(self, process: subprocess.Popen[bytes]) -> None:
        self.hung = True
        process.kill()  # whoever reads its answer then comes to the end of the pipe

    def close(self) -> None:
        """Ends the process for good."""
        self._closed = True
        self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._closed:
            raise RuntimeError("the pool of decoders is closed")
        if self._process is None:
            self._process = _start()
        return self._process


def _seconds(file: str) -> float:
    try:
        return DECODE_SECONDS + os.path.getsize(file) / BYTES_PER_SECOND
    except (OSError, ValueError):
        return DECODE_SECONDS


def _start() -> subprocess.Popen[bytes]:
    root = str(Path(__file__).resolve().parents[1])
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            # -P: a folder named `train` where the user stands is not this package.
            [sys.executable, "-P", "-c", _START, root],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            # Ctrl-C is for the parent, which then ends its decoders itself.
            start_new_session=True,
        )
        try:
            _read_answer(process, (0, 0, 0))
        except (OSError, ValueError):
            process.kill()
            process.wait()
            complaints.seek(0)
            reason = complaints.read().decode(errors="replace").strip().splitlines() or ["killed"]
            raise MissingDependencyError(
                f"A process that decodes photos did not start ({reason[-1]}). "
                "Check the installation with `artefact-id doctor`, and the free memory."
            ) from None
    return process


def _read_answer(process: subprocess.Popen[bytes], shape: tuple[int, ...]) -> Answer:
    assert process.stdout is not None
    head = process.stdout.readline()
    length, _, facts = head.partition(b" ")
    wanted = int(length)  # an empty line, of a process that died, is no number: ValueError
    data = process.stdout.read(wanted)
    if len(data) != wanted:
        raise OSError("the process ended in the middle of an answer")
    pixels = np.frombuffer(data, np.uint8).reshape(shape) if wanted else None
    return PhotoFacts.model_validate_json(facts), pixels


def available_cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
