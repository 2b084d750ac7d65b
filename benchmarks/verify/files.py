"""Checks of the folder: files, hashes, sizes, the label map, the signature."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.verify.checks import Check, check_from_problems, skipped_check
from mobile_assets.bundle import (
    BUNDLE_FILE,
    LABELS_FILE,
    LABELS_TEXT_FILE,
    Bundle,
    BundleInfo,
    Calibration,
    model_problem,
)
from mobile_assets.bundle_contents import BundleContents
from mobile_assets.bundle_paths import path_problem
from mobile_assets.errors import CheckFailedError, DamagedError
from mobile_assets.labels import LabelMap
from mobile_assets.register_version import InstalledBundle, update_problem
from mobile_assets.signature import check_signature
from mobile_assets.visible_text import visible

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def check_description(info: BundleInfo) -> Check:
    """`bundle.json` says nothing that no export writes."""
    number = (
        f"{visible(info.register_id)}, serial number {info.serial}" if info.serial else "unnumbered"
    )
    good = f"{number}; {len(info.variants)} variants, {len(info.recommended)} recommended"
    return check_from_problems("description", info.problems(), good)


def check_files(contents: BundleContents) -> Check:
    """Every file is there and as listed, and nothing else is."""
    good = f"{len(contents.hashes)} files as listed, nothing else"
    return check_from_problems("files", contents.problems(), good)


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


def check_variant_files(contents: BundleContents, info: BundleInfo) -> Iterator[Check]:
    """Each variant and auxiliary model is of the size and hash that its description says."""
    for variant in info.models:
        problem = path_problem(variant.file) or model_problem(contents, variant)
        problems = [problem] if problem else []
        good = f"{variant.bytes:,} bytes"
        yield check_from_problems("size and hash", problems, good, subject=variant.name)


def read_labels(contents: BundleContents, info: BundleInfo) -> tuple[LabelMap | None, list[Check]]:
    """The label map, if it can be read; whether it is the one described, and `labels.txt` too."""
    try:
        content = contents.read(LABELS_FILE)
    except DamagedError as error:
        why = "labels.json, which it must repeat, is not the one listed"
        return None, [
            check_from_problems("label map", [str(error)], ""),
            check_from_problems("labels.txt", [why], ""),
        ]
    try:
        labels = LabelMap.parse(content, contents.folder / LABELS_FILE)
    except DamagedError as error:
        return None, [
            check_from_problems("label map", [str(error)], ""),
            skipped_check("labels.txt", "labels.json cannot be read"),
        ]
    problems = []
    if contents.hash(LABELS_FILE) != info.labels_sha256:
        problems.append(f"labels.json is not the one that {BUNDLE_FILE} describes")
    if len(labels) != info.objects:
        problems.append(f"{len(labels)} labels for {info.objects} objects")
    return labels, [
        check_from_problems("label map", problems, f"{len(labels)} objects"),
        check_from_problems("labels.txt", _text_problems(contents, labels), "as labels.json"),
    ]


def _text_problems(contents: BundleContents, labels: LabelMap) -> Iterator[str]:
    try:
        text = contents.read(LABELS_TEXT_FILE)
    except DamagedError as error:
        yield str(error)
        return
    if text != labels.text.encode("utf-8"):
        yield "it does not list the objects of labels.json"


def check_signed(
    folder: Path, description: bytes, trusted: Ed25519PublicKey | None
) -> Check | None:
    """The signature of `bundle.json`, if there is one or one is asked for."""
    try:
        signature = check_signature(folder, description, trusted)
    except CheckFailedError as error:
        return check_from_problems("signature", [str(error)], "")
    if signature is None:
        return None
    if trusted is None:
        good = f"by {signature.public_key}; give --trust to hold it against a key you know"
    else:
        good = "by the trusted key"
    return check_from_problems("signature", [], good)


def check_newer(installed: Bundle, candidate: Bundle) -> Check:
    """Whether a bundle may replace another one on phones."""
    old, new = InstalledBundle.of(installed), InstalledBundle.of(candidate)
    problem = update_problem(old, new)
    good = f"{new.register_id}, serial number {new.serial} after {old.serial or 'none'}"
    return check_from_problems("newer", [problem] if problem else [], good)
