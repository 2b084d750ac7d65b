"""The suites by name."""

from __future__ import annotations

from collections.abc import Callable

from bundle_suite import BundleSuite
from fault_suite import FaultSuite
from manifest_suite import ManifestSuite
from photo_suite import PhotoSuite
from run_suite import CheckpointSuite, RunSuite
from suite import Suite

SUITES: dict[str, Callable[[], Suite]] = {
    "photos": PhotoSuite,
    "manifests": ManifestSuite,
    "bundles": BundleSuite,
    "runs": RunSuite,
    "checkpoints": CheckpointSuite,
}


def suite_named(name: str) -> Suite:
    """A new suite; `faults` is the one by which the harness itself is tested."""
    return FaultSuite() if name == "faults" else SUITES[name]()
