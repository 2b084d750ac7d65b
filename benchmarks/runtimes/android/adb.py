"""The conversation with a phone over adb: commands, files, and what goes wrong, in plain words.

adb's own words (`device offline`, `more than one device/emulator`, …) are those that its client
prints; the states in its list (`device`, `offline`, `unauthorized`, `no permissions`, …) are
those of `adb devices`.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from mobile_assets.errors import ArtefactError, InputError, MissingDependencyError
from mobile_assets.files import sha256_file

FOLDER = "/data/local/tmp/artefact-id"
"""Where everything lies on the phone while it is measured; the shell may execute files there."""

ADB_VARIABLE = "ARTEFACT_ID_ADB"
SERIAL_VARIABLE = "ANDROID_SERIAL"

_EXIT = "artefact-id-exit:"
_SHORT = 60

TRANSFER_SECONDS = 600
"""So long may a file take to the phone or back."""

_INSTALL = (
    "Install it (Debian, Ubuntu: apt install adb; macOS: brew install android-platform-tools; "
    f"elsewhere: Android's SDK Platform-Tools), or give its path in {ADB_VARIABLE}."
)
_CONNECT = (
    "On the phone: Settings, About phone, tap Build number seven times; then Developer options, "
    "USB debugging. Connect it by cable and answer the question on its screen with Allow."
)
_STATES = {
    "unauthorized": "does not trust this computer yet: unlock it and answer Allow USB debugging "
    "with Allow; if it does not ask, choose Revoke USB debugging authorisations in its Developer "
    "options and connect it again",
    "offline": "is offline: unlock it, take the cable out and in again, then run adb reconnect",
    "authorizing": "is just being asked whether it trusts this computer: answer Allow on it",
    "connecting": "is still connecting: wait a moment and try again",
    "no permissions": "may not be opened by this user: add the user to the group plugdev and "
    "install the udev rules (Debian: android-sdk-platform-tools-common), then connect it again",
    "bootloader": "is in its bootloader: start Android",
    "recovery": "is in recovery: start Android",
    "sideload": "is in recovery: start Android",
}
_FAILURES = (
    (
        r"device '.*' not found|no devices/emulators found|device offline|error: closed"
        r"|protocol fault|connection reset|couldn't read from device|transport",
        "The phone is no longer there. Check the cable, keep its screen on, and measure again.",
    ),
    (r"unauthorized", "The phone does not trust this computer: unlock it and answer Allow."),
    (
        r"no space left on device",
        "The phone's storage is full. Free some (the model and the tool need a few tens of MB).",
    ),
    (
        r"read-only file system|permission denied|operation not permitted",
        f"The phone does not let adb's shell write or execute in {FOLDER}. Remove that folder "
        f"(adb shell rm -rf {FOLDER}); on a managed phone ask whoever manages it.",
    ),
    (
        r"cannot link executable|not executable: .*elf|exec format error|inaccessible or not found",
        "The phone cannot execute the program: give one that was built for Android on this "
        "phone's processor (android_arm64 for nearly all).",
    ),
)


class PhoneError(ArtefactError):
    """The phone, the cable or a program on the phone failed in the middle."""


@dataclass(frozen=True)
class Reply:
    """What a command answered.

    Attributes:
        code: Exit code; of the program on the phone for a shell command.
    """

    code: int
    text: str
    errors: str = ""


@dataclass(frozen=True)
class ListedDevice:
    """A line of `adb devices -l`."""

    serial: str
    state: str
    model: str

    @property
    def words(self) -> str:
        """For a message."""
        return f"{self.serial} ({self.model or 'unknown model'}, {self.state})"


def find_adb(path: str | None = None) -> str:
    """The adb to use: the one given, that of `ARTEFACT_ID_ADB`, or the one on the path.

    Raises:
        InputError: The one given is not there.
        MissingDependencyError: There is none.
    """
    program = path or os.environ.get(ADB_VARIABLE)
    executable = shutil.which(program or "adb")
    if executable is not None:
        return executable
    if program:
        raise InputError(f"There is no program {program} to use as adb. {_INSTALL}")
    raise MissingDependencyError(f"A phone is reached with adb, which is not installed. {_INSTALL}")


def list_devices(adb: str) -> tuple[ListedDevice, ...]:
    """The phones that adb sees, usable or not.

    Raises:
        PhoneError: adb itself failed.
    """
    reply = _run([adb, "devices", "-l"], _SHORT)
    if reply.code:
        raise PhoneError(f"adb devices failed: {_last(reply.errors or reply.text)}")
    devices = []
    for line in reply.text.splitlines():
        match = re.match(r"(\S+)\s+(no permissions|\S+)(.*)", line)
        if match is None or line.startswith(("List of devices", "*")):
            continue
        model = re.search(r"\bmodel:(\S+)", match[3])
        devices.append(
            ListedDevice(match[1], match[2], model[1].replace("_", " ") if model else "")
        )
    return tuple(devices)


def choose(adb: str, serial: str | None = None) -> Phone:
    """The phone to measure on: the one named, or the only usable one.

    Raises:
        InputError: There is none, several, or it is not usable; the message says what to do.
    """
    chosen = serial or os.environ.get(SERIAL_VARIABLE)
    phones = list_devices(adb)
    if not phones:
        raise InputError(f"adb sees no phone. {_CONNECT}")
    if chosen:
        matching = [phone for phone in phones if phone.serial == chosen]
        if not matching:
            known = ", ".join(phone.words for phone in phones)
            raise InputError(f"adb sees no phone {chosen}. It sees: {known}.")
        phones = tuple(matching)
    usable = [phone for phone in phones if phone.state == "device"]
    if len(usable) > 1:
        known = ", ".join(phone.words for phone in usable)
        raise InputError(
            f"{len(usable)} phones are connected: {known}. Say which one by its serial number, in "
            f"{SERIAL_VARIABLE} or as the option."
        )
    if not usable:
        phone = phones[0]
        what = _STATES.get(phone.state, f"is in the state {phone.state!r}: start Android on it")
        raise InputError(f"The phone {phone.serial} {what}.")
    return Phone(adb, usable[0].serial)


class Phone:
    """One phone, by its serial number."""

    def __init__(self, adb: str, serial: str) -> None:
        self.adb, self.serial = adb, serial

    def shell(self, command: str, *, seconds: int = _SHORT, check: bool = True) -> Reply:
        """Executes a command in the phone's shell.

        The exit code travels in the output: adb before Android 7 does not hand it on, and its
        absence shows that the connection broke off.

        Raises:
            PhoneError: The connection broke off, it took too long, or the command failed.
        """
        reply = self._adb("shell", f"({command}) 2>&1; echo {_EXIT}$?", seconds=seconds)
        text, marker, code = reply.text.rpartition(_EXIT)
        if not marker or not code.strip().isdigit():
            raise self.failure("The phone did not finish a command", reply.text + reply.errors)
        answer = Reply(int(code), text)
        if check and answer.code:
            raise self.failure(f"A command failed on the phone (exit code {answer.code})", text)
        return answer

    def push(self, source: Path, target: str) -> None:
        """Copies a file or folder to the phone.

        Raises:
            PhoneError: It cannot be copied.
        """
        reply = self._adb("push", str(source), target, seconds=TRANSFER_SECONDS)
        if reply.code:
            raise self.failure(
                f"{source.name} cannot be copied to the phone", reply.text + reply.errors
            )

    def push_checked(self, source: Path, target: str) -> None:
        """Copies a file and compares its SHA-256 on the phone.

        Raises:
            PhoneError: It cannot be copied, or arrived with other contents.
        """
        self.push(source, target)
        output = self.shell(f"sha256sum {shlex.quote(target)}").text.split()
        arrived, expected = (output[0] if output else "nothing"), sha256_file(source)
        if arrived != expected:
            raise PhoneError(
                f"{source.name} arrived damaged on the phone {self.serial}: its SHA-256 there is "
                f"{arrived[:16]}…, here {expected[:16]}…. Try another cable or port, and again."
            )

    def pull(self, source: str, target: Path) -> None:
        """Copies a file or folder from the phone.

        Raises:
            PhoneError: It cannot be copied.
        """
        reply = self._adb("pull", source, str(target), seconds=TRANSFER_SECONDS)
        if reply.code:
            raise self.failure(
                f"{source} cannot be copied from the phone", reply.text + reply.errors
            )

    def failure(self, what: str, output: str) -> PhoneError:
        """The error for what adb or a program said, with what to do where that is known."""
        for pattern, advice in _FAILURES:
            if re.search(pattern, output, re.IGNORECASE):
                return PhoneError(f"{what} ({self.serial}: {_last(output)}). {advice}")
        return PhoneError(f"{what} ({self.serial}). It said: {_last(output)}")

    def _adb(self, *arguments: str, seconds: int) -> Reply:
        return _run([self.adb, "-s", self.serial, *arguments], seconds)


def _run(command: list[str], seconds: int) -> Reply:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise PhoneError(
            f"adb {command[3] if command[1] == '-s' else command[1]} did not end within {seconds} "
            "seconds. Unlock the phone, check the cable, and measure again."
        ) from None
    except OSError as error:
        raise MissingDependencyError(
            f"{command[0]} cannot be executed ({error.strerror}). {_INSTALL}"
        ) from None
    text, errors = (part.decode("utf-8", "replace") for part in (done.stdout, done.stderr))
    return Reply(done.returncode, text.replace("\r\n", "\n"), errors)


def _last(output: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "nothing"
