"""Checks of the folder: files, hashes, sizes, the label map, the signature."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.verify.checks import Check, check_from_problems, skipped_check
from mobile_assets.bundle import (
    BUNDLE_FILE,
    SIGNATURE_FILE,
    AuxiliaryModel,
    BundleInfo,
    Calibration,
    Variant,
    content_problems,
)
from mobile_assets.errors import CheckFailedError, DamagedError
from mobile_assets.files import sha256_file, sha256_path, size_of
from mobile_assets.labels import LabelMap

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def check_files(folder: Path, info: BundleInfo) -> Check:
    """Every file is there and as listed, and nothing else is."""
    if not info.files:
        return skipped_check("files", f"{BUNDLE_FILE} lists no files: it is of an earlier release")
    good = f"{len(info.files)} files as listed, nothing else"
    return check_from_problems("files", content_problems(folder, info), good)


def check_calibration(calibration: Calibration) -> Check:
    """8-bit variants were made on photos: on noise they are for measuring, not for shipping."""
    problems = []
    if calibration.noise_images:
        problems.append(
            f"8-bit variants were made on {calibration.noise_images} images of noise, for "
            "measuring: not fit for the field. Export again with --calibration photos"
        )
    elif len(set(calibration.photos)) < len(calibration.photos) or not calibration.photos:
        problems.append(f"{len(calibration.photos)} calibration photos, some twice or none at all")
    good = f"{len(calibration.photos)} training photos, seed {calibration.seed}"
    return check_from_problems("calibration", problems, good)


def check_variant_files(folder: Path, info: BundleInfo) -> Iterator[Check]:
    """Each variant and auxiliary model is of the size and hash that its description says."""
    for variant in info.models:
        good = f"{variant.bytes:,} bytes"
        problems = _model_problems(folder, info, variant)
        yield check_from_problems("size and hash", problems, good, subject=variant.name)


def _model_problems(
    folder: Path, info: BundleInfo, variant: Variant | AuxiliaryModel
) -> Iterator[str]:
    path = folder / variant.file
    if not path.resolve().is_relative_to(folder.resolve()):
        yield f"{variant.file} lies outside the bundle"
    elif not path.exists():
        yield f"{variant.file} is missing"
    elif size_of(path) != variant.bytes:
        yield f"{size_of(path):,} bytes instead of {variant.bytes:,}"
    elif sha256_path(path) != variant.sha256:
        yield "another SHA-256"
    elif info.files and not any(f"{name}/".startswith(f"{variant.file}/") for name in info.files):
        yield f"{variant.file} is not among the files listed"


def read_labels(folder: Path) -> LabelMap | str:
    """The label map, or what is wrong with it."""
    try:
        return LabelMap.read(folder / "labels.json")
    except (DamagedError, OSError) as error:
        return str(error)


def check_labels(folder: Path, info: BundleInfo, labels: LabelMap | str) -> Iterator[Check]:
    """The label map is the one described, and `labels.txt` says the same."""
    if isinstance(labels, str):
        yield check_from_problems("label map", [labels], "")
        yield skipped_check("labels.txt", "labels.json cannot be read")
        return
    problems = []
    if sha256_file(folder / "labels.json") != info.labels_sha256:
        problems.append(f"labels.json is not the one that {BUNDLE_FILE} describes")
    if len(labels) != info.objects:
        problems.append(f"{len(labels)} labels for {info.objects} objects")
    yield check_from_problems("label map", problems, f"{len(labels)} objects")
    yield check_from_problems(
        "labels.txt", _text_problems(folder / "labels.txt", labels), "as labels.json"
    )


def _text_problems(path: Path, labels: LabelMap) -> Iterator[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        yield f"it cannot be read ({error})"
        return
    if text != labels.text:
        yield "it does not list the objects of labels.json"


def check_signature_of(folder: Path, trusted: Ed25519PublicKey | None) -> Check | None:
    """The signature, if there is one or one is asked for."""
    if trusted is None and not (folder / SIGNATURE_FILE).exists():
        return None
    from export.bundle.signing import check_signature

    try:
        signature = check_signature(folder, trusted)
    except (CheckFailedError, DamagedError) as error:
        return check_from_problems("signature", [str(error)], "")
    if trusted is None:
        good = f"by {signature.public_key}; give --trust to hold it against a key you know"
    else:
        good = "by the trusted key"
    return check_from_problems("signature", [], good)
