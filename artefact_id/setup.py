"""The command `setup`."""

from __future__ import annotations

import argparse
from typing import Any

from artefact_id.options import command
from mobile_assets.errors import InputError


def add_setup(commands: Any) -> None:
    """Adds the command `setup`."""
    parser = command(
        commands,
        "setup",
        _setup,
        "prepare a runtime or client that pip alone cannot bring",
        "  artefact-id setup litert-arm64\n"
        "  artefact-id setup mediapipe\n"
        "  artefact-id benchmark bundle --photos photos --runtimes litert,litert-arm64 --out report"
        "\n\n"
        "litert-arm64 is the 64-bit Arm build of LiteRT, with the kernels that a phone uses,\n"
        "executed by the emulator QEMU: what a phone answers, without a phone. Its times are an\n"
        "emulator's and are never reported.\n\n"
        "Downloads about 140 MB: QEMU and an Arm Python from a Debian mirror, LiteRT and numpy\n"
        "from the package index that pip is configured with. They are unpacked in\n"
        "~/.cache/artefact-id/arm64 (or $XDG_CACHE_HOME/artefact-id/arm64) and take 215 MB; 600\n"
        "MB must be free. Nothing is installed, root is not needed; delete the folder to undo it.\n"
        "Needs Linux with apt-get, dpkg, pip and Debian's keys (debian-archive-keyring).\n\n"
        "mediapipe is MediaPipe Tasks, whose ImageClassifier `verify --clients` asks. Its\n"
        "packages do not fit the toolkit's and get an environment of their own beside it: 520 MB.",
    )
    parser.add_argument("part", choices=("litert-arm64", "mediapipe"), help="what to prepare")
    parser.add_argument(
        "--mirror",
        metavar="URL",
        help="Debian mirror, such as https://HOST/debian (default: the one apt is configured with)",
    )
    parser.add_argument(
        "--force", action="store_true", help="prepare it anew though it is there and complete"
    )


def _setup(options: argparse.Namespace) -> None:
    if options.part == "mediapipe":
        _setup_mediapipe(options)
        return
    from artefact_id.terminal import Terminal, output
    from benchmarks.runtimes.arm64.runtime import setup_folder
    from benchmarks.runtimes.arm64.setup import set_up_arm64

    with Terminal() as terminal:
        made = set_up_arm64(mirror=options.mirror, force=options.force, progress=terminal.progress)
    output().print(
        f"{options.part} is ready: LiteRT {made.litert}, Python {made.versions['python']}, "
        f"numpy {made.versions['numpy']}, {made.bytes / 1e6:.0f} MB in {setup_folder()}",
        markup=False,
        soft_wrap=True,
    )


def _setup_mediapipe(options: argparse.Namespace) -> None:
    from artefact_id.terminal import Terminal, output
    from benchmarks.runtimes.mediapipe_tasks.setup import set_up_mediapipe, setup_folder

    if options.mirror is not None:
        raise InputError("--mirror is of litert-arm64: MediaPipe comes from pip's package index.")
    with Terminal() as terminal:
        made = set_up_mediapipe(force=options.force, progress=terminal.progress)
    output().print(
        f"mediapipe is ready: MediaPipe {made.mediapipe}, Python {made.versions['python']}, "
        f"numpy {made.versions['numpy']}, {made.bytes / 1e6:.0f} MB in {setup_folder()}",
        markup=False,
        soft_wrap=True,
    )
