"""Signatures of bundles: Ed25519 over `bundle.json`, which holds the hash of every other file.

The signature is over the file's bytes as they are, so an app or OpenSSL can check it without
anything of this toolkit.
"""

from __future__ import annotations

import base64
import binascii
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mobile_assets.bundle import BUNDLE_FILE, SIGNATURE_FILE, BundleInfo, content_problems
from mobile_assets.errors import CheckFailedError, DamagedError, InputError
from mobile_assets.files import json_text, remove_unfinished, sha256_bytes, write_into_finished
from mobile_assets.schema import Document

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

PASSWORD_VARIABLE = "ARTEFACT_ID_KEY_PASSWORD"
"""Environment variable with the password of an encrypted private key."""

MAKE_KEYS = (
    "openssl genpkey -algorithm ed25519 -out key.pem && "
    "openssl pkey -in key.pem -pubout -out public.pem"
)
"""How a pair of keys is made."""

MOST_BYTES = 64 * 1024
"""No key file is larger."""


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


@dataclass(frozen=True)
class Signer:
    """Signs bundles. The private key never leaves it."""

    _key: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def read(
        cls,
        path: Path,
        *,
        ask: Callable[[str], str] | None = None,
        say: Callable[[str], None] | None = None,
    ) -> Signer:
        """Reads a private key.

        Args:
            path: PEM file, PKCS #8, possibly encrypted.
            ask: Asks a person for the password if it is encrypted and the environment variable
                `PASSWORD_VARIABLE` is not set; None asks nobody.
            say: Told if others can read the file.

        Raises:
            InputError: It cannot be read, is no private Ed25519 key, or the password is wrong.
        """
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        content = _read(path)
        if say is not None and _open_to_others(path):
            say(f"{path} can be read by other users: protect it with chmod 600 {path}.")
        key = _private_key(path, content, ask)
        if not isinstance(key, Ed25519PrivateKey):
            raise InputError(f"{path} is a key of another kind than Ed25519. Make one: {MAKE_KEYS}")
        return cls(key)

    def sign(self, folder: Path) -> Signature:
        """Writes `signature.json` into a complete bundle, replacing one that is there.

        Raises:
            DamagedError: Its `bundle.json` is damaged, or does not list its files as they are.
        """
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        remove_unfinished(folder, SIGNATURE_FILE)
        problems = unlisted(folder)
        if problems:
            raise DamagedError(f"{folder} was not signed: {problems}. Export the bundle again.")
        content = (folder / BUNDLE_FILE).read_bytes()
        public = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        made = Signature(
            public_key=base64.b64encode(public).decode("ascii"),
            sha256=sha256_bytes(content),
            signature=base64.b64encode(self._key.sign(content)).decode("ascii"),
        )
        text = json_text(made.model_dump(mode="json"))
        write_into_finished(folder, SIGNATURE_FILE, text.encode("utf-8"))
        return made


def read_public_key(path: Path) -> Ed25519PublicKey:
    """Reads a trusted public key.

    Args:
        path: PEM file, as `openssl pkey -pubout` writes it.

    Raises:
        InputError: It cannot be read, or is no public Ed25519 key.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    content = _read(path)
    if b"PRIVATE KEY" in content:
        raise InputError(
            f"{path} is a private key: keep it secret, and give the public one, which "
            f"`openssl pkey -in {path} -pubout` prints."
        )
    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        raise InputError(f"{path} is no public key in PEM form. Make a pair: {MAKE_KEYS}") from None
    if not isinstance(key, Ed25519PublicKey):
        raise InputError(f"{path} is a key of another kind than Ed25519. Make one: {MAKE_KEYS}")
    return key


def check_signature(folder: Path, trusted: Ed25519PublicKey | None = None) -> Signature:
    """Checks a bundle's signature, and that it covers every byte of the bundle.

    Args:
        folder: The bundle's folder.
        trusted: The key that must have signed it. None takes the key that `signature.json` names,
            which shows that the bundle is whole and not who made it.

    Returns:
        The signature.

    Raises:
        CheckFailedError: There is none, another key made it, or anything was changed since.
    """
    signature = _signature(folder)
    content = (folder / BUNDLE_FILE).read_bytes()
    if trusted is not None and _decoded(signature.public_key) != _raw(trusted):
        raise CheckFailedError(
            f"{folder} is signed with another key than the trusted one. Do not use it."
        )
    if signature.sha256 != sha256_bytes(content) or not _signed(signature, content, trusted):
        raise CheckFailedError(
            f"{BUNDLE_FILE} in {folder} is not the one that was signed. Do not use it."
        )
    problems = unlisted(folder)
    if problems:
        raise CheckFailedError(f"{folder} was changed since it was signed: {problems}.")
    return signature


def unlisted(folder: Path) -> str:
    """What in a bundle is not as its description lists it; empty if every byte is.

    Raises:
        DamagedError: `bundle.json` is missing or damaged.
    """
    info = BundleInfo.read(folder / BUNDLE_FILE)
    if not info.files:
        return f"{BUNDLE_FILE} lists no files"
    problems = content_problems(folder, info)
    more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
    return "; ".join(problems[:5]) + more


def _signature(folder: Path) -> Signature:
    if not (folder / SIGNATURE_FILE).is_file():
        raise CheckFailedError(f"{folder} is not signed. Do not use it if it should be.")
    try:
        return Signature.read(folder / SIGNATURE_FILE)
    except DamagedError as error:
        raise CheckFailedError(str(error)) from None


def _signed(signature: Signature, content: bytes, trusted: Ed25519PublicKey | None) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = trusted or Ed25519PublicKey.from_public_bytes(_decoded(signature.public_key))
        key.verify(_decoded(signature.signature), content)
    except (InvalidSignature, ValueError):
        return False
    return True


def _decoded(text: str) -> bytes:
    """Base64; what is none gives nothing, which is no key and no signature."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _raw(key: Ed25519PublicKey) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _private_key(path: Path, content: bytes, ask: Callable[[str], str] | None) -> object:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if b"PUBLIC KEY" in content:
        raise InputError(f"{path} is a public key; signing takes the private one. {MAKE_KEYS}")
    password = _password(path, ask) if b"ENCRYPTED" in content else None
    try:
        return load_pem_private_key(content, password)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # The library's own words are left out: they may speak of the key's content.
        wrong = " or its password is wrong" if password is not None else ""
        raise InputError(
            f"{path} is no private key in PEM form{wrong}. Make a pair: {MAKE_KEYS}"
        ) from None


def _password(path: Path, ask: Callable[[str], str] | None) -> bytes:
    password = os.environ.get(PASSWORD_VARIABLE)
    if password is None and ask is not None:
        password = ask(f"Password of {path}: ")
    if not password:
        raise InputError(f"{path} is encrypted. Give its password in {PASSWORD_VARIABLE}.")
    return password.encode("utf-8")


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES)
    except OSError as error:
        raise InputError(f"The key {path} cannot be read ({error.strerror}).") from None


def _open_to_others(path: Path) -> bool:
    return os.name == "posix" and bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))
