"""The folder on the phone in which everything happens, and which nothing survives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.runtimes.android.adb import FOLDER, Phone, PhoneError
from mobile_assets.errors import ArtefactError


@contextmanager
def device_folder(phone: Phone) -> Iterator[None]:
    """`FOLDER` on the phone: empty at the beginning, removed at the end whatever happened.

    Raises:
        PhoneError: It cannot be made or removed; the message begins with what went wrong before.
    """
    phone.shell(f"rm -rf {FOLDER} && mkdir -p {FOLDER}")
    try:
        yield
    except BaseException as error:
        _remove(phone, error)
        raise
    _remove(phone, None)


def _remove(phone: Phone, error: BaseException | None) -> None:
    try:
        phone.shell(f"rm -rf {FOLDER}")
    except PhoneError as left:
        if error is not None and not isinstance(error, ArtefactError):
            return  # an interrupt, or a defect with its own trace
        before = f"{error} " if error else ""
        raise PhoneError(
            f"{before}Files may be left on the phone, because {str(left)[:1].lower()}"
            f"{str(left)[1:]} Remove them: adb -s {phone.serial} shell rm -rf {FOLDER}"
        ) from error
