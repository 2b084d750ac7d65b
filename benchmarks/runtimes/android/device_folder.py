"""The folder on the phone in which everything happens, and which nothing survives."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from benchmarks.runtimes.android.adb import FOLDER, Phone, PhoneError
from mobile_assets.errors import ArtefactError


class DeviceFolder:
    """`FOLDER` on the phone: empty at the beginning, removed at the end whatever happened."""

    def __init__(self, phone: Phone) -> None:
        self._phone = phone

    def __enter__(self) -> Self:
        """Makes the folder, without what an earlier run may have left.

        Raises:
            PhoneError: It cannot be made.
        """
        self._phone.shell(f"rm -rf {FOLDER} && mkdir -p {FOLDER}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Removes the folder.

        Raises:
            PhoneError: It cannot be removed; the message begins with what went wrong before.
        """
        try:
            self._phone.shell(f"rm -rf {FOLDER}")
        except PhoneError as left:
            if error is not None and not isinstance(error, ArtefactError):
                return  # an interrupt, or a defect with its own trace
            before = f"{error} " if error else ""
            raise PhoneError(
                f"{before}Files may be left on the phone, because {str(left)[:1].lower()}"
                f"{str(left)[1:]} Remove them: adb -s {self._phone.serial} shell rm -rf {FOLDER}"
            ) from error
