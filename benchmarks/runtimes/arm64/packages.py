"""What the set-up of `litert-arm64` downloads and unpacks: Debian's packages and Python wheels.

Nothing is installed and no privileges are needed: apt downloads into a folder of its own, checks
the signatures against Debian's keys, and the packages are unpacked side by side.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import unquote

from benchmarks.runtimes.arm64.runtime import LITERT_VERSION, PYTHON
from mobile_assets.errors import DamagedError, InputError, MissingDependencyError

Progress = Callable[[str, int, int], None]
"""Called with what is done, megabytes so far, and about how many there will be."""

_SUITE = "trixie"  # Debian 13: its QEMU 10 runs LiteRT 2.3, which crashes under Debian 12's QEMU 7
_KEYRINGS = tuple(
    Path("/usr/share/keyrings") / f"debian-archive-keyring.{suffix}" for suffix in ("gpg", "pgp")
)
_PACKAGES = ("python3-minimal", "libpython3-stdlib", "libstdc++6")
_WHEELS = (f"ai-edge-litert=={LITERT_VERSION}", "numpy>=2,<3")
_PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")

_APT = """\
#clear APT::Architectures;
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
APT::Architecture "arm64";
APT::Architectures {{ "arm64"; "{host}"; }};
APT::Install-Recommends "false";
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
Debug::NoLocking "true";
Dir::State "{folder}";
Dir::State::lists "{folder}/lists";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}";
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
"""
"""A state of apt's own, that knows nothing installed. The system's proxies still apply."""


def keyring() -> Path:
    """Debian's public keys.

    Raises:
        MissingDependencyError: They are not installed.
    """
    for path in _KEYRINGS:
        if path.is_file():
            return path
    raise MissingDependencyError(
        f"Debian's keys ({_KEYRINGS[0]}) are missing, without which packages cannot be checked. "
        "Install them with: apt-get install debian-archive-keyring"
    )


def pip_command() -> list[str]:
    """A pip of any Python: it downloads for another one anyway.

    Raises:
        MissingDependencyError: There is none.
    """
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    program = shutil.which("pip3") or shutil.which("pip")
    if program is None:
        raise MissingDependencyError(
            "The set-up needs pip, which is neither in this environment nor on PATH. "
            "Install it with: python -m ensurepip"
        )
    return [program]


def download_debian(work: Path, mirror: str, progress: Progress) -> list[Path]:
    """Downloads QEMU for this machine, and Python with all that it needs for Arm.

    Raises:
        InputError: Something cannot be downloaded.
    """
    host = _output(["dpkg", "--print-architecture"])
    for part in ("lists/partial", "archives/partial"):
        (work / part).mkdir(parents=True)
    (work / "status").touch()
    (work / "sources.list").write_text(
        f"deb [signed-by={keyring()}] {mirror} {_SUITE} main\n", encoding="utf-8"
    )
    (work / "apt.conf").write_text(_APT.format(host=host, folder=work), encoding="utf-8")
    apt = ["apt-get", "-c", str(work / "apt.conf"), "-q", "-y"]
    where = f"from {mirror}; give another mirror with --mirror"
    _run([*apt, "update"], work / "lists", ("lists of packages", 20), where, progress)
    packages = [f"qemu-user:{host}", *_PACKAGES]
    _run(
        [*apt, "install", "--download-only", *packages],
        work / "archives",
        ("Debian packages", 88),
        where,
        progress,
    )
    return sorted((work / "archives").glob("*.deb"))


def unpack(packages: Sequence[Path], folder: Path, progress: Progress) -> None:
    """Unpacks the emulator to `folder/qemu`, all else below `folder/root`.

    Raises:
        DamagedError: A package cannot be unpacked.
    """
    (folder / "root" / "usr" / "lib").mkdir(parents=True)
    # Programs ask for their loader in /lib, which an installed Debian makes this link.
    (folder / "root" / "lib").symlink_to("usr/lib")
    for done, package in enumerate(packages, start=1):
        if package.name.startswith("qemu-user_"):
            _unpack_qemu(package, folder / "qemu")
        else:
            _output(["dpkg-deb", "-x", str(package), str(folder / "root")])
        progress("unpacking packages", done, len(packages))


def _unpack_qemu(package: Path, program: Path) -> None:
    """Takes the one emulator that is needed out of several dozens."""
    with (
        subprocess.Popen(
            ["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE
        ) as unpacking,
        tarfile.open(fileobj=unpacking.stdout, mode="r|") as archive,
    ):
        for member in archive:
            if member.name.endswith("/bin/qemu-aarch64"):
                content = archive.extractfile(member)
                assert content is not None
                program.write_bytes(content.read())
                program.chmod(0o755)
    if not program.is_file():
        raise DamagedError(f"{package.name} holds no emulator for 64-bit Arm.")


def install_wheels(site: Path, work: Path, progress: Progress) -> None:
    """Downloads LiteRT and numpy for Arm, and what they need, and unpacks them in `site`.

    Raises:
        InputError: Something cannot be downloaded.
    """
    platforms = [word for name in _PLATFORMS for word in ("--platform", f"{name}_aarch64")]
    command = [
        *(*pip_command(), "install", "--target", str(site), "--only-binary=:all:", "--no-compile"),
        *("--implementation", "cp", "--python-version", PYTHON.removeprefix("python")),
        *("--disable-pip-version-check", "--no-input", "--quiet", *platforms, *_WHEELS),
    ]
    where = "from the package index that pip is configured with"
    _run(command, work / "pip", ("Python packages", 30), where, progress)


def _run(
    command: Sequence[str], folder: Path, what: tuple[str, int], where: str, progress: Progress
) -> None:
    """Runs a program that downloads into `folder`, and shows how much of it is there.

    Raises:
        InputError: It failed; the message holds what it complained of.
    """
    name, expected = what
    folder.mkdir(exist_ok=True)
    environment = os.environ | {"LC_ALL": "C", "TMPDIR": str(folder)}
    with tempfile.TemporaryFile() as printed:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        try:
            while process.poll() is None:
                progress(
                    f"downloading {name} (MB)", min(_megabytes(folder), expected - 1), expected
                )
                time.sleep(0.2)
        finally:
            process.kill()
            process.wait()
        printed.seek(0)
        text = printed.read().decode("utf-8", "replace")
    if process.returncode:
        raise InputError(
            f"The {name} could not be downloaded {where}. {_complaint(text)} "
            "Check the network and the free space, then run the command again."
        )
    progress(f"downloading {name} (MB)", expected, expected)


def _megabytes(folder: Path) -> int:
    """Size of a folder in which files and folders come and go."""
    total = 0
    for base, _, names in os.walk(folder):  # passes over folders that are gone
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(base) / name).stat().st_size
    return total // 1_000_000


def _complaint(text: str) -> str:
    """The line of apt's or pip's output that says best what is wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for kind in ("E: ", "ERROR: ", "Err:", "W: "):
        for line in lines:
            if line.startswith(kind):
                return line.rstrip(".") + "."
    return (lines[-1] if lines else "It gave no reason").rstrip(".") + "."


def _output(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except subprocess.CalledProcessError as error:
        raise DamagedError(
            f"{' '.join(command[:2])} failed: {_complaint(error.stderr)} "
            "A download may be damaged, or the disk full: run the command again."
        ) from None
    return done.stdout.strip()


def name_and_version(package: Path) -> tuple[str, str]:
    """From a file name such as `zlib1g_1%3a1.2.13_arm64.deb`."""
    name, version, _ = unquote(package.stem).split("_")
    return name, version
