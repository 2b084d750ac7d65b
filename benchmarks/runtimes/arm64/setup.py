"""Prepares the runtime `litert-arm64`: QEMU, a Debian root with Python, and LiteRT's Arm build.

Programs of the root run under QEMU's user emulation, which looks their libraries up there; nothing
is installed on this machine, and no privileges are needed.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.runtimes.arm64.packages import (
    Progress,
    download_debian,
    install_wheels,
    keyring,
    name_and_version,
    pip_command,
    unpack,
)
from benchmarks.runtimes.arm64.runtime import (
    LITERT_VERSION,
    SETUP_COMMAND,
    Arm64Setup,
    launch,
    setup_folder,
)
from benchmarks.runtimes.cached_setup import make_once
from benchmarks.runtimes.subprocess_interpreter import ask_versions
from mobile_assets.errors import DamagedError, InputError, MissingDependencyError

_WORKING_MB = 600
"""What is in use while the set-up is made; about 215 MB stay."""


def set_up_arm64(
    *, mirror: str | None = None, force: bool = False, progress: Progress | None = None
) -> Arm64Setup:
    """Makes the set-up in the user's cache; what is there and complete stays as it is.

    Args:
        mirror: Address of a Debian mirror; None for the one that apt is configured with.

    Raises:
        MissingDependencyError: apt, dpkg, pip or Debian's keys are missing, this is no Linux, or
            the set-up does not run when tried.
        InputError: No mirror is known, something cannot be downloaded, or the disk is too full.
    """
    _check_system()
    report = progress or (lambda _what, _done, _total: None)
    return make_once(
        setup_folder(),
        Arm64Setup,
        lambda folder: _make(folder, mirror_address(mirror), report),
        usable=lambda setup: setup.litert == LITERT_VERSION,
        megabytes=_WORKING_MB,
        force=force,
    )


def mirror_address(address: str | None) -> str:
    """The Debian mirror: the one given, else the first that apt is configured with.

    Raises:
        InputError: Apt is configured with none, as on Ubuntu, or what was given is no address.
    """
    if address is not None:
        if "://" not in address or " " in address:
            raise InputError(
                f"--mirror {address} is no address. Give one such as https://HOST/debian."
            )
        return address
    listing = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=False,
    )
    for line in listing.stdout.splitlines():
        label, _, uri = line.rpartition(" ")
        # The label is known only where lists were downloaded before.
        if label == "Debian" or uri.rstrip("/").endswith("/debian"):
            return uri
    raise InputError(
        "Apt is not configured with a Debian mirror, from which QEMU and an Arm Python come. "
        f"Give one: {SETUP_COMMAND} --mirror https://HOST/debian"
    )


def _check_system() -> None:
    if platform.system() != "Linux":
        raise MissingDependencyError(
            f"QEMU's user emulation runs on Linux only, and this is {platform.system()}. "
            "Use a Linux machine, or a container of Debian."
        )
    if platform.machine() in ("aarch64", "arm64"):
        raise MissingDependencyError(
            "This machine is a 64-bit Arm machine: the runtime litert is the Arm build already, "
            "and there is nothing to set up."
        )
    for program, package in (("apt-get", "apt"), ("dpkg", "dpkg"), ("dpkg-deb", "dpkg")):
        if shutil.which(program) is None:
            raise MissingDependencyError(
                f"The set-up needs {program} (package {package}), which is not on this machine. "
                "Use Debian or a system made from it, such as Ubuntu, or a container of one."
            )
    keyring()
    pip_command()


def _make(folder: Path, mirror: str, progress: Progress) -> dict[str, Any]:
    # Everything that is needed only now lies in here, pip's own temporary files too.
    with tempfile.TemporaryDirectory(prefix="work.", dir=folder) as name:
        work = Path(name)
        packages = download_debian(work, mirror, progress)
        unpack(packages, folder, progress)
        install_wheels(folder / "site", work, progress)
    progress("trying it", 0, 1)
    versions = _try(folder)
    progress("trying it", 1, 1)
    return {
        "litert": LITERT_VERSION,
        "versions": versions,
        "packages": dict(name_and_version(path) for path in packages),
    }


def _try(folder: Path) -> dict[str, str]:
    """Starts the worker once; this also compiles the Python files that it imports."""
    try:
        return ask_versions(launch(folder))
    except (DamagedError, MissingDependencyError) as error:
        raise MissingDependencyError(
            f"The set-up was made but does not run on this machine: {error}"
        ) from None
