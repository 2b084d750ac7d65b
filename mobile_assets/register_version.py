"""Which of two bundles of a register is the newer: an older one must never replace a newer one.

A signature alone does not tell: a bundle of last year is as well signed as today's, and lacks the
objects that were added since. Every bundle therefore names its register and has a serial number
that only rises. Apps and native code do what `update_problem` does before they put a bundle in the
place of another.
"""

from __future__ import annotations

from typing import Self

from pydantic import Field

from mobile_assets.bundle import Bundle
from mobile_assets.bundle_info import MOST_SERIAL
from mobile_assets.errors import CheckFailedError
from mobile_assets.schema import Document


class InstalledBundle(Document):
    """What an app keeps of the bundle that it uses, where no bundle can change it.

    Attributes:
        register_id: The register; empty for a bundle of an early release.
        serial: Its serial number; 0 for a bundle of an early release.
        bundle_sha256: Hash of its `bundle.json`, which holds those of all other files.
    """

    register_id: str
    serial: int = Field(ge=0, le=MOST_SERIAL)
    bundle_sha256: str

    @classmethod
    def of(cls, bundle: Bundle) -> Self:
        """Of a bundle that was read, and so whole and signed as it says."""
        info = bundle.info
        return cls(register_id=info.register_id, serial=info.serial, bundle_sha256=bundle.sha256)


def update_problem(installed: InstalledBundle | None, candidate: InstalledBundle) -> str | None:
    """Why a bundle must not take the place of the one in use; None if it may.

    Args:
        installed: What the app kept of the bundle in use; None at the first installation.
        candidate: The other bundle, its signature checked with the app's own key.
    """
    if installed is None or installed.serial == 0:  # nothing to be older than
        return None
    new, old = candidate.serial, installed.serial
    other = f"{candidate.register_id!r}, and the one in use is of {installed.register_id!r}"
    reasons = (
        (new == 0, "it has no serial number, and the one in use has: it is older"),
        (candidate.register_id != installed.register_id, f"it is of the register {other}"),
        (
            candidate.bundle_sha256 == installed.bundle_sha256,
            f"it is the same bundle, with serial number {old}",
        ),
        (new == old, f"it is another bundle with the same serial number, {old}"),
        (new < old, f"its serial number {new} is lower than {old}: it is older"),
    )
    return next((reason for holds, reason in reasons if holds), None)


def check_update(installed: InstalledBundle | None, candidate: Bundle) -> InstalledBundle:
    """Refuses a bundle that must not take the place of the one in use.

    Args:
        installed: What the app kept; None at the first installation.
        candidate: From `read_bundle`, with the app's own key as `trusted`.

    Returns:
        What the app has to keep, before it uses the bundle.

    Raises:
        CheckFailedError: It is older, the same, or of another register.
    """
    version = InstalledBundle.of(candidate)
    problem = update_problem(installed, version)
    if problem is not None:
        raise CheckFailedError(f"{candidate.folder} was not put in place: {problem}.")
    return version
