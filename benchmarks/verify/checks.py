"""One check of a bundle, and all of them together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from mobile_assets.bundle import Bundle

State = Literal["ok", "failed", "not possible here"]

LISTED = 3
"""More problems of one check are counted, not listed."""


@dataclass(frozen=True)
class Check:
    """What one check found.

    Attributes:
        subject: The variant or auxiliary model that it is about; empty for the whole bundle.
        runtime: What executed the variant, with its compute unit; empty if nothing had to.
        said: What was found, in a phrase.
    """

    name: str
    subject: str
    runtime: str
    state: State
    said: str


@dataclass(frozen=True)
class Verification:
    """All checks of one bundle, in the order in which they were made.

    Attributes:
        bundle: What was checked; None if its description or label map is damaged.
    """

    folder: Path
    bundle: Bundle | None
    checks: tuple[Check, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.state == "failed")

    @property
    def summary(self) -> str:
        """Such as `41 ok, 1 failed, 1 not possible here`."""
        counts = Counter(check.state for check in self.checks)
        states: tuple[State, ...] = ("ok", "failed", "not possible here")
        return ", ".join(f"{counts[state]} {state}" for state in states)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "bundle": str(self.folder),
            "ok": not self.failed,
            "checks": [asdict(check) for check in self.checks],
        }


@dataclass(frozen=True)
class CheckedBundle:
    """A bundle whose description could be read, and what is known of its files.

    Attributes:
        changed: Names of the variants and auxiliary models whose files are not those described:
            they are not opened, since a damaged file can bring a runtime down.
    """

    bundle: Bundle
    changed: frozenset[str]


def check_from_problems(
    name: str,
    problems: Iterable[str],
    good: str,
    *,
    subject: str = "",
    runtime: str = "",
) -> Check:
    """A check that failed if there are problems."""
    wrong = list(problems)
    if not wrong:
        return Check(name, subject, runtime, "ok", good)
    more = f"; and {len(wrong) - LISTED} more" if len(wrong) > LISTED else ""
    return Check(name, subject, runtime, "failed", "; ".join(wrong[:LISTED]) + more)


def skipped_check(name: str, why: str, *, subject: str = "", runtime: str = "") -> Check:
    """A check that cannot be made."""
    return Check(name, subject, runtime, "not possible here", why)
