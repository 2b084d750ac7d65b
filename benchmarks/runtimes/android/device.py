"""What phone it is, how warm, and whether a program was built for it.

Read with Android's own commands: `getprop`, `dumpsys battery` (temperature in tenths of a degree
Celsius) and `dumpsys thermalservice` (since Android 10; the statuses are those of `PowerManager`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from benchmarks.runtimes.android.adb import Phone
from mobile_assets.errors import InputError

_STATUSES = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
_MACHINES = {183: "arm64-v8a", 40: "armeabi-v7a", 62: "x86_64", 3: "x86", 243: "riscv64"}
"""The number of the processor in an ELF file's header, and Android's name for it."""


@dataclass(frozen=True)
class DeviceInfo:
    """A phone's facts.

    Attributes:
        abis: Kinds of programs that it executes, the best first.
    """

    name: str
    android: str
    abis: tuple[str, ...]


@dataclass(frozen=True)
class ThermalState:
    """How warm the phone is."""

    celsius: float | None
    status: str | None


def device_info(phone: Phone) -> DeviceInfo:
    """Asks the phone what it is.

    Raises:
        PhoneError: The connection broke off.
    """
    text = phone.shell("getprop").text
    properties = dict(re.findall(r"^\[([^\]]+)\]: \[([^\]]*)\]$", text, re.MULTILINE))
    maker = properties.get("ro.product.manufacturer", "").strip()
    name = properties.get("ro.product.model", "unknown model").strip()
    chip = " ".join(
        properties[key] for key in ("ro.soc.manufacturer", "ro.soc.model") if properties.get(key)
    ) or properties.get("ro.board.platform", "")
    version = properties.get("ro.build.version.release", "?")
    level = properties.get("ro.build.version.sdk", "?")
    abis = properties.get("ro.product.cpu.abilist") or properties.get("ro.product.cpu.abi", "")
    return DeviceInfo(
        f"{maker} {name}".strip() + (f" ({chip})" if chip else ""),
        f"Android {version} (API {level})",
        tuple(part.strip() for part in abis.split(",") if part.strip()),
    )


def thermal_state(phone: Phone) -> ThermalState:
    """Asks the phone how warm it is.

    Raises:
        PhoneError: The connection broke off.
    """
    battery = phone.shell("dumpsys battery", check=False).text
    tenths = re.search(r"^\s*temperature: (-?\d+)\s*$", battery, re.MULTILINE)
    thermal = phone.shell("dumpsys thermalservice", check=False).text
    status = re.search(r"^\s*Thermal Status: (\d+)\s*$", thermal, re.MULTILINE)
    number = int(status[1]) if status else None
    return ThermalState(
        int(tenths[1]) / 10 if tenths else None,
        None
        if number is None
        else _STATUSES[number]
        if number < len(_STATUSES)
        else f"status {number}",
    )


def check_program(path: Path, model: DeviceInfo) -> None:
    """Checks that a program is there and was built for this phone.

    Raises:
        InputError: It is missing, no program, or for another processor or system.
    """
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}). Give the path of a program for Android."
        ) from None
    if head[:4] != b"\x7fELF":
        raise InputError(f"{path} is not a program for Android (it is no ELF file).")
    number = int.from_bytes(head[18:20], "little")
    built = _MACHINES.get(number, f"processor number {number}")
    if built not in model.abis:
        raise InputError(
            f"{path} was built for {built}, and {model.name} executes "
            f"{', '.join(model.abis) or 'nothing that it names'}. Give a build for the phone."
        )
    if b"/ld-linux" in head or b"/ld-musl" in head:
        raise InputError(
            f"{path} was built for Linux, not for Android, and does not start there. Give one that "
            "was built with Android's NDK (android_arm64)."
        )
