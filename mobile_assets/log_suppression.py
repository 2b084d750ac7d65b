"""Keeps the converters' chatter off the user's terminal, without hiding an error."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from typing import BinaryIO

_LOGGERS = ("absl", "litert_torch", "coremltools", "torch", "jax", "tensorflow")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Swallows what third-party code prints while the block runs.

    The converters log from C++ straight to the standard streams, so these are redirected at the
    level of the operating system. If the block fails, what was swallowed is written to standard
    error, since it may say why.
    """
    levels = {name: logging.getLogger(name).level for name in ("", *_LOGGERS)}
    with tempfile.TemporaryFile() as sink, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in levels:
            logging.getLogger(name or None).setLevel(logging.ERROR)
        try:
            with _redirected(sink):
                yield
        except Exception:
            sink.seek(0)
            sys.stderr.write(sink.read().decode("utf-8", "replace"))
            raise
        finally:
            for name, level in levels.items():
                logging.getLogger(name or None).setLevel(level)


@contextlib.contextmanager
def _redirected(sink: BinaryIO) -> Iterator[None]:
    """Points file descriptors 1 and 2 at `sink`."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    saved = [(number, os.dup(number)) for number in (1, 2)]
    try:
        for number, _ in saved:
            os.dup2(sink.fileno(), number)
        # Python's own streams are replaced as well: under a notebook or a test runner they do
        # not end in descriptors 1 and 2.
        with (
            open(os.devnull, "w", encoding="utf-8") as nothing,
            contextlib.redirect_stdout(nothing),
            contextlib.redirect_stderr(nothing),
        ):
            yield
    finally:
        for number, copy in saved:
            os.dup2(copy, number)
            os.close(copy)
