"""What makes a register unusable: gathered while it is read, and told all at once."""

from __future__ import annotations

from pathlib import Path

from mobile_assets.errors import InputError

LISTED = 20
"""So many reasons are listed in one message; the others are counted."""


class Refusals:
    """Reasons why a register is refused, in the order in which they were found."""

    def __init__(self, source: Path) -> None:
        """Starts without a reason.

        Args:
            source: The folder or manifest, for the message.
        """
        self._source = source
        self._reasons: list[str] = []

    def add(self, place: str, reason: str) -> None:
        """Adds what is wrong and what to do; `place` is the file, and its line where it has one."""
        self._reasons.append(f"{place}: {reason}")

    def check(self) -> None:
        """Refuses the register if anything was added.

        Raises:
            InputError: Lists what is wrong.
        """
        if not self._reasons:
            return
        if len(self._reasons) == 1:
            raise InputError(self._reasons[0])
        shown = "".join(f"\n  {reason}" for reason in self._reasons[:LISTED])
        more = len(self._reasons) - LISTED
        raise InputError(
            f"{self._source} cannot be used before these {len(self._reasons)} things are mended:"
            f"{shown}" + (f"\n  and {more} more" if more > 0 else "")
        )
