"""Signing bundles, and reading keys as OpenSSL writes them.

What is signed, and how it is checked, is in `mobile_assets.signature`.
"""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mobile_assets.bundle import SIGNATURE_FILE, read_bundle
from mobile_assets.errors import CheckFailedError, DamagedError, InputError
from mobile_assets.files import remove_unfinished, sha256_bytes, write_into_finished
from mobile_assets.signature import Signature

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

        key = read_private_key(path, ask=ask, say=say)
        if not isinstance(key, Ed25519PrivateKey):
            raise InputError(f"{path} is a key of another kind than Ed25519. Make one: {MAKE_KEYS}")
        return cls(key)

    def sign(self, folder: Path) -> Signature:
        """Writes `signature.json` into a complete bundle, replacing one that is there.

        Raises:
            DamagedError: The bundle is damaged: its files are not as `bundle.json` lists them.
        """
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        remove_unfinished(folder, SIGNATURE_FILE)
        # What is signed is what was read and checked, whatever stands in the folder by now.
        description = read_bundle(folder, check_signed=False).description
        public = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        made = Signature(
            public_key=base64.b64encode(public).decode("ascii"),
            sha256=sha256_bytes(description),
            signature=base64.b64encode(self._key.sign(description)).decode("ascii"),
        )
        write_into_finished(folder, SIGNATURE_FILE, made.content)
        return made


def read_private_key(
    path: Path, *, ask: Callable[[str], str] | None, say: Callable[[str], None] | None
) -> object:
    """Reads a private key of any kind; the arguments are those of `Signer.read`.

    Raises:
        InputError: It cannot be read, is no private key, or the password is wrong.
    """
    content = _read(path)
    if say is not None and _open_to_others(path):
        say(f"{path} can be read by other users: protect it with chmod 600 {path}.")
    return _private_key(path, content, ask)


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
    try:
        signature = read_bundle(folder, trusted=trusted).signature
    except DamagedError as error:
        raise CheckFailedError(f"{error} Do not use it.") from None
    if signature is None:
        raise CheckFailedError(f"{folder} is not signed. Do not use it if it should be.")
    return signature


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
