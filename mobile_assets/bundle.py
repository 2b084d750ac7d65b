"""The bundle: the folder that is dropped into a field app. Reading and checking it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mobile_assets.bundle_contents import (
    ALONE,
    BUNDLE_FILE,
    MOST_VALUES,
    SIGNATURE_FILE,
    BundleContents,
)
from mobile_assets.bundle_info import (
    INPUT_NAME,
    OUTPUT_NAME,
    AuxiliaryModel,
    BundleInfo,
    Calibration,
    Recommendation,
    Source,
    TensorInfo,
    Variant,
)
from mobile_assets.errors import DamagedError, InputError
from mobile_assets.files import sha256_bytes, sha256_file
from mobile_assets.labels import LabelMap
from mobile_assets.regular_files import read_regular
from mobile_assets.signature import Signature, check_signature
from mobile_assets.visible_text import visible

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

__all__ = [
    "BUNDLE_FILE",
    "INPUT_NAME",
    "LABELS_FILE",
    "LABELS_TEXT_FILE",
    "OUTPUT_NAME",
    "SIGNATURE_FILE",
    "AuxiliaryModel",
    "Bundle",
    "BundleInfo",
    "Calibration",
    "Recommendation",
    "Source",
    "TensorInfo",
    "Variant",
    "hash_files",
    "model_problem",
    "read_bundle",
    "read_description",
]

LABELS_FILE = "labels.json"
LABELS_TEXT_FILE = "labels.txt"

_MOST_BYTES = 32 * 2**20
"""No `bundle.json` is larger: it lists some hundred files and at most thousands of photos."""

_LISTED = 5


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk whose description and label map have been read and agree.

    Attributes:
        contents: Its files, each used as its hash was compared; None for a bundle that is being
            written.
        description: The bytes of `bundle.json` that were read; empty while it is being written.
        signature: The signature, if it has one; it holds.
    """

    folder: Path
    info: BundleInfo
    labels: LabelMap
    contents: BundleContents | None = field(default=None, compare=False, repr=False)
    description: bytes = field(default=b"", compare=False, repr=False)
    signature: Signature | None = field(default=None, compare=False)

    @property
    def sha256(self) -> str:
        """Hash of `bundle.json`, and so of everything that it lists."""
        if self.description:
            return sha256_bytes(self.description)
        return sha256_file(self.folder / BUNDLE_FILE)

    def path(self, model: Variant | AuxiliaryModel) -> Path:
        """A file or package to open: a private copy, of just the bytes that the bundle describes.

        It is there as long as the bundle object is.

        Raises:
            DamagedError: The file is missing or changed.
        """
        if self.contents is None or self.contents.folder != self.folder:
            return self.folder / model.file
        return self.contents.copy(model.file)


def read_bundle(
    folder: Path,
    *,
    check_files: bool = True,
    check_signed: bool = True,
    trusted: Ed25519PublicKey | None = None,
) -> Bundle:
    """Reads a bundle and checks that it is whole.

    A signature that is there must hold. Files are read again when they are used, and used only if
    they are then as the description lists them.

    Args:
        folder: The bundle's folder.
        check_files: Also compare every file with the list of files; without it, the label map and
            whatever is used.
        check_signed: Refuse a signature that does not hold; not where it is to be replaced.
        trusted: The key that must have signed it.

    Raises:
        InputError: `folder` is no folder or holds no `bundle.json`.
        DamagedError: A file is missing, changed, of another schema version, or the label map does
            not fit.
        CheckFailedError: Its signature does not hold, or `trusted` did not sign it.
    """
    description = read_description(folder)
    signature = check_signature(folder, description, trusted) if check_signed else None
    info = BundleInfo.parse(description, folder / BUNDLE_FILE, most_values=MOST_VALUES)
    _refuse(folder, list(info.problems()))
    contents = BundleContents(folder, info.files)
    labels = _read_labels(contents, info)
    if check_files:
        _refuse(folder, contents.problems())
        sizes = (model_problem(contents, model) for model in info.models)
        _refuse(folder, list(filter(None, sizes)))
    return Bundle(folder, info, labels, contents, description, signature)


def read_description(folder: Path) -> bytes:
    """The bytes of a bundle's `bundle.json`, not looked into.

    Raises:
        InputError: `folder` is no folder or holds no `bundle.json`.
        DamagedError: It cannot be read, or is no regular file.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder. Give the folder that `export --out` wrote.")
    try:
        return read_regular(folder / BUNDLE_FILE, most=_MOST_BYTES)
    except FileNotFoundError:
        raise InputError(
            f"{folder} holds no {BUNDLE_FILE}, so it is not a bundle. "
            "Give the folder that `export --out` wrote."
        ) from None


def hash_files(folder: Path) -> dict[str, str]:
    """SHA-256 of every file that `bundle.json` lists, by POSIX path, sorted."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    names = ((path.relative_to(folder).as_posix(), path) for path in files)
    return {name: sha256_file(path) for name, path in names if name not in ALONE}


def model_problem(contents: BundleContents, model: Variant | AuxiliaryModel) -> str | None:
    """Why a model's files are not those of its description; None if they are.

    Its listed files are read to count their bytes, unless they were read before.
    """
    names = contents.names(model.file)
    if not names:
        return f"{visible(model.file)} is not among the files listed"
    try:
        size = sum(contents.size(name) for name in names)
    except DamagedError as error:
        return str(error)
    if size != model.bytes:
        return f"{model.name} has {size:,} bytes instead of {model.bytes:,}"
    if contents.hash(model.file) != model.sha256:
        return f"{model.name} has another SHA-256"
    return None


def _refuse(folder: Path, problems: Sequence[str]) -> None:
    if problems:
        more = f" and {len(problems) - _LISTED} more" if len(problems) > _LISTED else ""
        raise DamagedError(
            f"{folder} does not hold what its {BUNDLE_FILE} lists by name and SHA-256: "
            f"{'; '.join(problems[:_LISTED])}{more}. Copy it again from where it came from, or "
            "export it again."
        )


def _read_labels(contents: BundleContents, info: BundleInfo) -> LabelMap:
    path = contents.folder / LABELS_FILE
    try:
        content = contents.read(LABELS_FILE)
        fits = sha256_bytes(content) == info.labels_sha256
    except DamagedError:
        fits = False
    if not fits:
        raise DamagedError(
            f"{path} is not the label map that {BUNDLE_FILE} describes. "
            "With a wrong label map every answer is wrong: export the bundle again."
        )
    labels = LabelMap.parse(content, path)
    if len(labels) != info.objects:
        raise DamagedError(
            f"{path} is a label map of {len(labels)} objects, and {BUNDLE_FILE} says "
            f"{info.objects}: export the bundle again."
        )
    if contents.read(LABELS_TEXT_FILE) != labels.text.encode("utf-8"):
        raise DamagedError(
            f"{contents.folder / LABELS_TEXT_FILE} does not list the objects of {path}: export the "
            "bundle again."
        )
    return labels
