"""What made a file: the time and the versions of everything that has a say in the result."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from datetime import UTC, datetime

PACKAGES = (
    "artefact-id",
    "torch",
    "timm",
    "numpy",
    "pillow",
    "litert-torch",
    "ai-edge-litert",
    "ai-edge-quantizer",
    "coremltools",
)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that are installed, by package name."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def created_now() -> str:
    """The time in UTC, ISO 8601; `SOURCE_DATE_EPOCH` sets it where builds must repeat exactly."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    moment = datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)
    return moment.replace(microsecond=0).isoformat()
