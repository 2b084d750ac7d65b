"""All checks of a bundle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.runtimes import DEFAULT, runtimes
from benchmarks.verify.auxiliary_models import check_auxiliary_models
from benchmarks.verify.checks import (
    Check,
    CheckedBundle,
    Verification,
    check_from_problems,
    skipped_check,
)
from benchmarks.verify.files import (
    check_calibration,
    check_files,
    check_labels,
    check_signature_of,
    check_variant_files,
    read_labels,
)
from benchmarks.verify.golden_vectors import check_vectors
from benchmarks.verify.model_files import check_formats
from mobile_assets.bundle import BUNDLE_FILE, Bundle, BundleInfo
from mobile_assets.errors import DamagedError, InputError, MissingDependencyError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def verify_bundle(
    folder: Path,
    *,
    trusted: Ed25519PublicKey | None = None,
    runtimes_named: Sequence[str] = (),
    progress: Callable[[Check], None] | None = None,
) -> Verification:
    """Checks a bundle as far as this machine can.

    Args:
        folder: The bundle's folder.
        trusted: The key that must have signed it; None does not ask for a signature.
        runtimes_named: Runtimes to execute it on besides those that are quick and always tried.
        progress: Told of each check when it is done.

    Raises:
        InputError: `folder` is no bundle, or there is no such runtime.
        MissingDependencyError: A runtime that was named is not here.
    """
    if not (folder / BUNDLE_FILE).is_file():
        raise InputError(
            f"{folder} holds no {BUNDLE_FILE}, so it is not a bundle. "
            "Give the folder that `artefact-id export --out` wrote."
        )
    chosen = tuple(dict.fromkeys((*DEFAULT, *runtimes_named)))
    for name in runtimes_named:
        missing = runtimes(name)[0].missing()
        if missing is not None:
            raise MissingDependencyError(f"The runtime {name} was asked for. {missing}")
    info = _description(folder)
    checks: list[Check] = []
    for check in _checks(folder, info, trusted, chosen):
        checks.append(check)
        if progress is not None:
            progress(check)
    return Verification(folder, info if isinstance(info, BundleInfo) else None, tuple(checks))


def _description(folder: Path) -> BundleInfo | str:
    """What `bundle.json` says, or what is wrong with it."""
    try:
        return BundleInfo.read(folder / BUNDLE_FILE)
    except DamagedError as error:
        return str(error)


def _checks(
    folder: Path,
    info: BundleInfo | str,
    trusted: Ed25519PublicKey | None,
    chosen: Sequence[str],
) -> Iterator[Check]:
    signature = check_signature_of(folder, trusted)
    if signature is not None:
        yield signature
    if isinstance(info, str):
        yield check_from_problems("schema", [info], "")
        return
    yield check_from_problems("schema", [], f"version {info.schema_version}")
    yield check_files(folder, info)
    if info.calibration is not None:
        yield check_calibration(info.calibration)
    variants = list(check_variant_files(folder, info))
    yield from variants
    labels = read_labels(folder)
    yield from check_labels(folder, info, labels)
    if isinstance(labels, str):
        yield skipped_check("models", "without a label map nothing can be held against it")
        return
    changed = frozenset(check.subject for check in variants if check.state == "failed")
    checked = CheckedBundle(Bundle(folder, info, labels), changed)
    yield from check_formats(checked)
    yield from check_auxiliary_models(checked)
    yield from check_vectors(checked, chosen)
