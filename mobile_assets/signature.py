"""Checking who signed a bundle: Ed25519 over `bundle.json`, which holds the hash of all else.

The signature is over the file's bytes as they are, so an app or OpenSSL can check it without
anything of this toolkit.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mobile_assets.bundle_contents import BUNDLE_FILE, SIGNATURE_FILE
from mobile_assets.errors import CheckFailedError, DamagedError
from mobile_assets.files import json_text, sha256_bytes
from mobile_assets.regular_files import read_regular
from mobile_assets.schema import Document

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_MOST_BYTES = 4096


class Signature(Document):
    """The content of `signature.json`.

    Attributes:
        algorithm: Ed25519, RFC 8032.
        public_key: The signer's public key, 32 bytes in Base64. It says who claims to have signed;
            whoever verifies must know the key from elsewhere.
        file: What is signed: the bytes of this file.
        sha256: Hash of that file.
        signature: 64 bytes in Base64.
    """

    algorithm: Literal["ed25519"] = "ed25519"
    public_key: str
    file: Literal["bundle.json"] = "bundle.json"
    sha256: str
    signature: str

    @property
    def content(self) -> bytes:
        """The one way in which the file is written; any other bytes are refused."""
        return json_text(self.model_dump(mode="json")).encode("utf-8")


def check_signature(
    folder: Path, description: bytes, trusted: Ed25519PublicKey | None = None
) -> Signature | None:
    """Checks the signature of a bundle's description.

    A signature that is there must hold, whether or not a key is trusted.

    Args:
        folder: The bundle's folder.
        description: The bytes of its `bundle.json` that are going to be used.
        trusted: The key that must have signed it. None takes the key that `signature.json` names,
            which shows that the bundle is whole and not who made it.

    Returns:
        The signature; None if there is none and no key is trusted.

    Raises:
        CheckFailedError: It does not hold, another key made it, or one is asked for and not there.
    """
    signature = _read(folder)
    if signature is None:
        if trusted is None:
            return None
        raise CheckFailedError(f"{folder} is not signed. Do not use it if it should be.")
    if trusted is not None and _decoded(signature.public_key) != trusted.public_bytes_raw():
        raise CheckFailedError(
            f"{folder} is signed with another key than the trusted one. Do not use it."
        )
    if signature.sha256 != sha256_bytes(description) or not _holds(signature, description, trusted):
        raise CheckFailedError(
            f"{BUNDLE_FILE} in {folder} is not the one that was signed. Do not use it."
        )
    return signature


def _read(folder: Path) -> Signature | None:
    path = folder / SIGNATURE_FILE
    try:
        content = read_regular(path, most=_MOST_BYTES)
        signature = Signature.parse(content, path)
    except FileNotFoundError:
        return None
    except DamagedError as error:
        raise CheckFailedError(f"{error} Do not use the bundle.") from None
    if signature.content != content:
        raise CheckFailedError(
            f"{path} is not written as signatures are: it was edited. Do not use the bundle."
        )
    return signature


def _holds(signature: Signature, content: bytes, trusted: Ed25519PublicKey | None) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = trusted or Ed25519PublicKey.from_public_bytes(_decoded(signature.public_key))
        key.verify(_decoded(signature.signature), content)
    except (InvalidSignature, ValueError):
        return False
    return True


def _decoded(text: str) -> bytes:
    """Base64 in its one form; what is none gives nothing, which is no key and no signature."""
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
    # The last digit of Base64 can hold bits that nobody reads.
    return content if base64.b64encode(content).decode("ascii") == text else b""
