"""The 64-bit Arm build of LiteRT, with the kernels that a phone uses, executed by QEMU.

For accuracy and agreement: its answers are a phone's, its times are an emulator's and mean nothing.
`benchmarks.runtimes.arm64.setup` prepares what it needs.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

from benchmarks.runtimes.cached_setup import CachedSetup, cached_folder, read_marker
from benchmarks.runtimes.interface import Runtime
from benchmarks.runtimes.subprocess_interpreter import SCRIPT, LaunchCommand, WorkerSession
from mobile_assets.bundle import Bundle, Variant
from train.decode_pool import available_cores

SETUP_COMMAND = "artefact-id setup litert-arm64"

LITERT_VERSION = "2.3.0"
"""The release that the toolkit itself was tested with, so that only the processor differs."""

PYTHON = "python3.13"
"""Python of Debian 13, whose packages make up the root."""

_CPU = "cortex-a76"  # a phone's core since 2018; it has the integer dot product and float16
_MOST_PROCESSES = 8


class Arm64Setup(CachedSetup):
    """Debian's packages and LiteRT's wheels.

    Attributes:
        litert: Version of ai-edge-litert, the key by which an older set-up is known.
    """

    litert: str
    packages: dict[str, str]


class LitertArm64Runtime(Runtime):
    """Opens the TFLite variants of a bundle in the Arm build of LiteRT."""

    name = "litert-arm64"
    format = "tflite"
    timed = False
    limit = 200

    def missing(self) -> str | None:
        """Whether the set-up was made; only its description is read."""
        if platform.machine() in ("aarch64", "arm64"):
            return "Not needed: the runtime litert is the 64-bit Arm build on this machine already."
        setup = read_setup()
        if setup is None:
            return (
                f"The Arm build of LiteRT and the emulator are not prepared. Run: {SETUP_COMMAND}"
            )
        if setup.litert != LITERT_VERSION:
            return (
                f"{setup_folder()} holds LiteRT {setup.litert}, and {LITERT_VERSION} is needed. "
                f"Run: {SETUP_COMMAND}"
            )
        return None

    def _open(self, bundle: Bundle, variant: Variant, threads: int) -> WorkerSession:
        # Emulated threads wait for one another: processes of one thread that share the photos are
        # quicker.
        processes = min(max(1, threads), available_cores(), _MOST_PROCESSES)
        return WorkerSession(
            launch(setup_folder()), bundle, variant, threads=1, processes=processes
        )


def setup_folder() -> Path:
    """Where the set-up lies: in the user's cache."""
    return cached_folder("arm64")


def read_setup() -> Arm64Setup | None:
    """The description of the complete set-up; None if there is none that this release can use."""
    return read_marker(setup_folder(), Arm64Setup)


def launch(folder: Path) -> LaunchCommand:
    """How a worker is started by the set-up in `folder`: `qemu`, `root` and `site` in it."""
    root = folder / "root"
    return LaunchCommand(
        name=f"the Arm build of LiteRT {LITERT_VERSION}",
        command=(
            str(folder / "qemu"),
            *("-cpu", _CPU),
            *("-L", str(root)),
            str(root / "usr" / "bin" / PYTHON),
            str(SCRIPT),
            "litert",
        ),
        # Nothing of this machine's: its libraries and packages are another processor's.
        environment={
            "PATH": os.defpath,
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(folder / "site"),
            "PYTHONNOUSERSITE": "1",
        },
        remedy=f"Prepare it anew with: {SETUP_COMMAND} --force",
    )


RUNTIMES = (LitertArm64Runtime(),)
