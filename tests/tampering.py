"""Bundles that are changed, and whole again by all their sizes and hashes."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.pipeline.identify import identify
from benchmarks.verify import verify_bundle
from mobile_assets.bundle import Bundle, BundleInfo, hash_files, read_bundle
from mobile_assets.errors import ArtefactError
from mobile_assets.files import sha256_file, sha256_path, size_of
from mobile_assets.labels import LabelMap


def relist(folder: Path, **changes: object) -> None:
    """Makes every size and hash fit again, so that only the deeper checks can see the change."""
    info = BundleInfo.read(folder / "bundle.json")
    fitting = {
        kind: tuple(
            model.model_copy(
                update={
                    "bytes": size_of(folder / model.file),
                    "sha256": sha256_path(folder / model.file),
                }
            )
            for model in models
        )
        for kind, models in (("variants", info.variants), ("companions", info.companions))
    }
    hashes = {"files": hash_files(folder), "labels_sha256": sha256_file(folder / "labels.json")}
    info.model_copy(update=fitting | hashes | changes).write(folder / "bundle.json")


def replaced(
    bundle: Bundle, folder: Path, files: Mapping[str, bytes], labels: LabelMap | None = None
) -> Bundle:
    """A copy with other files by the variants' names, or with other labels."""
    shutil.copytree(bundle.folder, folder)
    for name, content in files.items():
        (folder / bundle.info.variant(name).file).write_bytes(content)
    (labels or bundle.labels).write(folder)
    relist(folder)
    return read_bundle(folder)


def without_labels(content: bytes) -> bytes:
    """A TFLite file less the archive of labels at its end."""
    return content[: content.index(b"PK\x03\x04")]


def write(path: Path, content: bytes) -> None:
    """In the place of what is there, which other copies share."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def refused_by_verify(folder: Path, trusted: Any = None) -> bool:
    try:
        return bool(verify_bundle(folder, trusted=trusted).failed)
    except ArtefactError as error:
        return error.exit_code in {1, 2}


def refused_by_identify(folder: Path, photo: Path, trusted: Any = None) -> bool:
    more = {} if trusted is None else {"trusted": trusted}
    try:
        identify(folder, [photo], variant="tflite-int8", top=1, **more)
    except ArtefactError as error:
        return error.exit_code in {1, 2}
    return False


def assert_refused(folder: Path, photo: Path) -> None:
    assert (refused_by_verify(folder), refused_by_identify(folder, photo)) == (True, True)
