"""Signatures of bundles for the tools of OpenSSF Model Signing.

A signature is one JSON file: a Sigstore bundle around a DSSE envelope around an in-toto statement,
which lists the SHA-256 of every file. `model_signing verify key` checks it without anything of this
toolkit. The format is written here with `cryptography` alone; `export/README.md` says why.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.bundle.signing import read_private_key
from mobile_assets.bundle import BUNDLE_FILE, SIGNATURE_FILE, Bundle
from mobile_assets.errors import InputError
from mobile_assets.files import write_bytes

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"
MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"

MAKE_EC_KEYS = (
    "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ec.pem && "
    "openssl pkey -in ec.pem -pubout -out ec.public.pem"
)
"""How a pair of keys is made; the tools know no Ed25519."""

_IGNORED = (".git", ".gitattributes", ".github", ".gitignore", SIGNATURE_FILE)
"""Left out by the tools as well. `signature.json` may be made later, and signs the same bytes."""


@dataclass(frozen=True)
class ModelSigner:
    """Makes signatures with one private key, which never leaves it."""

    _key: EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def read(
        cls,
        path: Path,
        *,
        ask: Callable[[str], str] | None = None,
        say: Callable[[str], None] | None = None,
    ) -> ModelSigner:
        """Reads a private key on one of the curves P-256, P-384 and P-521.

        The arguments are those of `export.bundle.signing.Signer.read`.

        Raises:
            InputError: It cannot be read, is of another kind, or the password is wrong.
        """
        from cryptography.hazmat.primitives.asymmetric import ec

        key = read_private_key(path, ask=ask, say=say)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name not in _hashes():
            raise InputError(
                f"{path} is no key on the curve P-256, P-384 or P-521, which OpenSSF Model Signing "
                f"needs. Make one: {MAKE_EC_KEYS}"
            )
        return cls(key)

    def sign(self, bundle: Bundle, path: Path) -> None:
        """Writes the signature of a bundle to a file beside it.

        Args:
            bundle: From `read_bundle`, so that its list of files is that of its folder.
            path: The file.

        Raises:
            InputError: It lies in the bundle, which then would have a file that is not listed.
        """
        from cryptography.hazmat.primitives.asymmetric import ec

        if path.absolute().resolve().is_relative_to(bundle.folder.resolve()):
            raise InputError(f"{path} lies in the bundle. Give a place outside, such as beside it.")
        payload = json.dumps(statement(bundle), ensure_ascii=False).encode("utf-8")
        signature = self._key.sign(
            authenticated(payload), ec.ECDSA(_hashes()[self._key.curve.name])
        )
        envelope = {
            "payload": _base64(payload),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": _base64(signature), "keyid": ""}],
        }
        content = {
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": {"publicKey": {"hint": self._hint}, "tlogEntries": []},
            "dsseEnvelope": envelope,
        }
        write_bytes(path, json.dumps(content).encode("utf-8"))

    @property
    def _hint(self) -> str:
        """By what the tools recognise the public key: SHA-256 of its PEM file."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        public = self._key.public_key()
        content = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(content).hexdigest()


def statement(bundle: Bundle) -> dict[str, Any]:
    """The in-toto statement: which files the bundle has, by their SHA-256."""
    hashes = dict(sorted((bundle.info.files | {BUNDLE_FILE: bundle.sha256}).items()))
    whole = hashlib.sha256(b"".join(map(bytes.fromhex, hashes.values()))).hexdigest()
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": bundle.folder.absolute().name, "digest": {"sha256": whole}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": list(_IGNORED),
            },
            "resources": [
                {"name": name, "algorithm": "sha256", "digest": digest}
                for name, digest in hashes.items()
            ],
        },
    }


def authenticated(payload: bytes) -> bytes:
    """What is signed: DSSE's pre-authentication encoding of the payload and its type."""
    start = f"DSSEv1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} {len(payload)} "
    return start.encode("ascii") + payload


def _hashes() -> dict[str, Any]:
    from cryptography.hazmat.primitives import hashes

    return {
        "secp256r1": hashes.SHA256(),
        "secp384r1": hashes.SHA384(),
        "secp521r1": hashes.SHA512(),
    }


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
