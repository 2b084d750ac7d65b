"""What made a file: the time and the versions of everything that has a say in the result."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform

from mobile_assets.errors import InputError

PACKAGES = (
    "artefact-id",
    "torch",
    "timm",
    "numpy",
    "pillow",
    "litert-torch",
    "litert-converter",
    "ai-edge-litert",
    "ai-edge-quantizer",
    "coremltools",
    "flatbuffers",
)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that are installed, by package name."""
    installed = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            installed[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return installed


def created_now() -> str:
    """The time in UTC; `SOURCE_DATE_EPOCH` sets it, so that an export can be repeated exactly.

    Raises:
        InputError: `SOURCE_DATE_EPOCH` is no whole number of seconds.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch is None:
        now = datetime.datetime.now(datetime.UTC)
    else:
        try:
            now = datetime.datetime.fromtimestamp(int(epoch), datetime.UTC)
        except (ValueError, OverflowError, OSError):
            raise InputError(
                f"SOURCE_DATE_EPOCH is {epoch!r}, which is no time. "
                "Set it to whole seconds since 1970, or unset it."
            ) from None
    return now.isoformat(timespec="seconds")
