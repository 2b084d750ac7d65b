"""An environment for MediaPipe: its packages do not fit the toolkit's, so it gets its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.runtimes.cached_setup import CachedSetup, cached_folder, make_once, read_marker
from benchmarks.runtimes.mediapipe_tasks import client_main
from mobile_assets.errors import InputError, MissingDependencyError

MEDIAPIPE_VERSION = "1.2.2"
"""The release that the exported files are held against."""

SETUP_COMMAND = "artefact-id setup mediapipe"
SCRIPT = Path(client_main.__file__)

_WORKING_MB = 1000
"""What is in use while the set-up is made; about 520 MB stay."""

_SECONDS = 120.0
"""Longest time that MediaPipe may take to be imported: it reads 500 MB from a cold disk."""

_ADVICE = (
    "Check that pip reaches its package index, and that this Python is one that MediaPipe "
    "has a build for"
)


class MediapipeSetup(CachedSetup):
    """MediaPipe and what it needs.

    Attributes:
        mediapipe: Version of MediaPipe, the key by which an older set-up is known.
    """

    mediapipe: str


def setup_folder() -> Path:
    """Where the set-up lies: in the user's cache."""
    return cached_folder(f"mediapipe-{MEDIAPIPE_VERSION}")


def read_setup() -> MediapipeSetup | None:
    """The description of the complete set-up; None if there is none that this release can use."""
    setup = read_marker(setup_folder(), MediapipeSetup)
    return setup if setup and setup.mediapipe == MEDIAPIPE_VERSION else None


def missing() -> str | None:
    """What is missing for MediaPipe to be asked, and how to get it; None if nothing is."""
    if read_setup() is None:
        return f"MediaPipe's environment is not prepared. Run: {SETUP_COMMAND}"
    return None


def command(folder: Path | None = None) -> tuple[str, ...]:
    """Words that start the client: the environment's Python, seeing nothing but its own packages.

    Args:
        folder: Of the set-up; None for the one in the user's cache.
    """
    return (str(_python(folder or setup_folder())), "-I", str(SCRIPT))


def set_up_mediapipe(
    *, force: bool = False, progress: Callable[[str, int, int], None] | None = None
) -> MediapipeSetup:
    """Makes the environment in the user's cache; what is there and complete stays as it is.

    Raises:
        InputError: MediaPipe cannot be installed, or the disk is too full.
        MissingDependencyError: There is no pip, or what was installed does not run.
    """
    report = progress or (lambda _what, _done, _total: None)
    return make_once(
        setup_folder(),
        MediapipeSetup,
        lambda folder: _make(folder, report),
        usable=lambda setup: setup.mediapipe == MEDIAPIPE_VERSION,
        megabytes=_WORKING_MB,
        force=force,
    )


def _make(folder: Path, progress: Callable[[str, int, int], None]) -> dict[str, Any]:
    progress("installing MediaPipe", 0, 1)
    # Links, as the folder is renamed when it is complete; without pip, as ours installs into it.
    venv.EnvBuilder(symlinks=os.name != "nt", with_pip=False).create(folder)
    _install(folder)
    progress("installing MediaPipe", 1, 1)
    return {"mediapipe": MEDIAPIPE_VERSION, "versions": _try(folder)}


def _install(folder: Path) -> None:
    from benchmarks.runtimes.arm64.packages import pip_command

    requirement = f"mediapipe=={MEDIAPIPE_VERSION}"
    arguments = (
        *pip_command(),
        *("--python", str(_python(folder)), "install", "--quiet"),
        *("--disable-pip-version-check", "--only-binary", ":all:", requirement),
    )
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = lines[-1] if lines else f"pip ended with exit status {done.returncode}"
        raise InputError(
            f"{requirement} cannot be installed ({reason}). {_ADVICE} ({sys.version[:6]})."
        )


def _try(folder: Path) -> dict[str, str]:
    """Starts the client once; this also finds a build that needs another processor or library."""
    arguments = command(folder)
    try:
        done = subprocess.run(
            arguments, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
        versions: dict[str, str] = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, json.JSONDecodeError) as error:
        last = str(error)
        if isinstance(error, json.JSONDecodeError):
            last = (done.stderr.strip().splitlines() or ["nothing said"])[-1]
        raise MissingDependencyError(
            f"MediaPipe {MEDIAPIPE_VERSION} was installed but does not run on this machine: {last}"
        ) from None
    return versions


def _python(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
