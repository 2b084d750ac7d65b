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
    check_description,
    check_files,
    check_newer,
    check_signed,
    check_variant_files,
    read_labels,
)
from benchmarks.verify.golden_vectors import check_vectors
from benchmarks.verify.identification import check_identification
from benchmarks.verify.model_files import check_formats
from mobile_assets.bundle import BUNDLE_FILE, Bundle, BundleInfo, read_bundle, read_description
from mobile_assets.bundle_contents import MOST_VALUES, BundleContents, has_special_files
from mobile_assets.errors import DamagedError, MissingDependencyError
from mobile_assets.identification.gallery import GALLERY_FILE

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def verify_bundle(
    folder: Path,
    *,
    trusted: Ed25519PublicKey | None = None,
    newer_than: Path | None = None,
    runtimes_named: Sequence[str] = (),
    progress: Callable[[Check], None] | None = None,
) -> Verification:
    """Checks a bundle as far as this machine can.

    Args:
        folder: The bundle's folder.
        trusted: The key that must have signed it; None does not ask for a signature.
        newer_than: A bundle of the same register that it is to replace on phones.
        runtimes_named: Runtimes to execute it on besides those that are quick and always tried.
        progress: Told of each check when it is done.

    Raises:
        InputError: `folder` is no bundle, or there is no such runtime.
        MissingDependencyError: A runtime that was named is not here.
    """
    installed = None if newer_than is None else read_bundle(newer_than)
    description = _description(folder)
    chosen = tuple(dict.fromkeys((*DEFAULT, *runtimes_named)))
    for name in runtimes_named:
        missing = runtimes(name)[0].missing()
        if missing is not None:
            raise MissingDependencyError(f"The runtime {name} was asked for. {missing}")
    verifying = _Verifying(folder, description, trusted, installed)
    checks: list[Check] = []
    for check in verifying.checks(chosen):
        checks.append(check)
        if progress is not None:
            progress(check)
    return Verification(folder, verifying.bundle, tuple(checks))


def _description(folder: Path) -> bytes | str:
    """The bytes of `bundle.json`, or why they cannot be read."""
    try:
        return read_description(folder)
    except DamagedError as error:
        return str(error)


class _Verifying:
    """One verification: the bytes of `bundle.json`, and the bundle once its labels are read."""

    def __init__(
        self,
        folder: Path,
        description: bytes | str,
        trusted: Ed25519PublicKey | None,
        installed: Bundle | None,
    ) -> None:
        self._folder, self._description, self._trusted = folder, description, trusted
        self._installed = installed
        self._signed = False
        self.bundle: Bundle | None = None

    def checks(self, chosen: Sequence[str]) -> Iterator[Check]:
        """All checks, in an order in which nothing is used before it is known to be signed."""
        if isinstance(self._description, str):
            yield check_from_problems("schema", [self._description], "")
            return
        signature = check_signed(self._folder, self._description, self._trusted)
        if signature is not None:
            yield signature
            if signature.state == "failed":
                yield skipped_check("all else", "what is not as it was signed is not looked into")
                return
            self._signed = True
        try:
            info = BundleInfo.parse(
                self._description, self._folder / BUNDLE_FILE, most_values=MOST_VALUES
            )
        except DamagedError as error:
            yield check_from_problems("schema", [str(error)], "")
            return
        yield check_from_problems("schema", [], f"version {info.schema_version}")
        yield from self._contents(self._description, info, chosen)

    def _contents(
        self, description: bytes, info: BundleInfo, chosen: Sequence[str]
    ) -> Iterator[Check]:
        contents = BundleContents(self._folder, info.files)
        consistent = check_description(info)
        yield consistent
        if consistent.state == "failed":
            yield skipped_check("all else", "what no export writes is not looked into")
            return
        files = check_files(contents)
        yield files
        if files.state == "failed" and (self._signed or has_special_files(self._folder)):
            yield skipped_check("all else", "what was tampered with is not looked into")
            return
        if info.calibration is not None:
            yield check_calibration(info.calibration)
        variants = list(check_variant_files(contents, info))
        yield from variants
        labels, label_checks = read_labels(contents, info)
        yield from label_checks
        if labels is None:
            yield skipped_check("models", "without a label map nothing can be held against it")
            return
        changed = frozenset(check.subject for check in variants if check.state == "failed")
        self.bundle = Bundle(self._folder, info, labels, contents, description)
        checked = CheckedBundle(self.bundle, changed)
        if self._installed is not None:
            yield check_newer(self._installed, self.bundle)
        yield from check_formats(checked)
        yield from check_auxiliary_models(checked)
        if GALLERY_FILE in contents:
            yield from check_identification(checked)
        yield from check_vectors(checked, chosen)
