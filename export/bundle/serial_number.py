"""Where a bundle's register id and serial number come from."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from export.variants.options import ExportOptions
from mobile_assets.bundle import BUNDLE_FILE, read_bundle
from mobile_assets.bundle_info import MOST_SERIAL, BundleInfo
from mobile_assets.errors import ArtefactError, InputError
from train.run import Run

_MOST_CHARACTERS = 200


@dataclass(frozen=True)
class RegisterVersion:
    """Which state of which register a bundle is.

    Attributes:
        register_id: Name of the register.
        serial: Rises from bundle to bundle.
        created: When the export began, as `train.versions.created_now` has it.
    """

    register_id: str
    serial: int
    created: str


def register_version(
    run: Run, out: Path, options: ExportOptions, created: str, say: Callable[[str], None]
) -> RegisterVersion:
    """The register id and serial number of a bundle, before anything is made.

    The serial number is the time in seconds. Where that is not above the bundle which the new one
    follows, by a clock that was wrong or numbers that were given, it is one more than that. The
    same time over the bundle at `out` gives the same number, so that an export can be repeated.

    Args:
        run: It names the register, unless the options do.
        out: Where the bundle is written. A bundle of the same register that is there is followed.
        options: What was asked for.
        created: When the export began.
        say: Told if the bundle at `out` is of another register.

    Raises:
        InputError: The number given is not above the one before, or the register is another one.
        DamagedError: The bundle to follow is damaged.
    """
    register_id = _register_id(run, options)
    clock = max(1, int(datetime.datetime.fromisoformat(created).timestamp()))
    lowest = 1
    if options.newer_than is not None:
        before = read_bundle(options.newer_than).info
        if before.serial and before.register_id != register_id:
            raise InputError(
                f"{options.newer_than} is of the register {before.register_id!r}, and the new "
                f"bundle would be of {register_id!r}: apps would refuse it. If it is the same "
                f"register, give --register-id {before.register_id!r}."
            )
        lowest = before.serial + 1
    replaced = _replaced(out)
    if replaced is not None and replaced.serial:
        if replaced.register_id == register_id:
            # The same time is the same export again, and gives the same number.
            follows = replaced.serial if clock == replaced.serial else replaced.serial + 1
            lowest = max(lowest, replaced.serial if options.serial is not None else follows)
        else:
            say(f"{out} is of the register {replaced.register_id!r}, not {register_id!r}.")
    if options.serial is None:
        return RegisterVersion(register_id, max(clock, lowest), created)
    if not lowest <= options.serial <= MOST_SERIAL:
        raise InputError(
            f"--serial {options.serial}: give a number from {lowest} to {MOST_SERIAL}. Apps refuse "
            "a bundle whose number is not above that of the one before."
        )
    return RegisterVersion(register_id, options.serial, created)


def _register_id(run: Run, options: ExportOptions) -> str:
    if options.register_id is None:
        name = "".join(c for c in run.info.register_name if c.isprintable()).strip()
        return name[:_MOST_CHARACTERS] or "register"
    given = options.register_id
    if not given.strip() or not given.isprintable() or len(given) > _MOST_CHARACTERS:
        raise InputError(
            f"--register-id {given[:40]!r}: give a name of up to {_MOST_CHARACTERS} printable "
            "characters, the same for every bundle of the register."
        )
    return given


def _replaced(out: Path) -> BundleInfo | None:
    """The description of the bundle that is to be replaced; None if none can be read."""
    if not (out / BUNDLE_FILE).is_file():
        return None
    try:
        return read_bundle(out, check_files=False).info
    except ArtefactError:  # damaged: that is why it is replaced
        return None
