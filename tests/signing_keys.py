"""Pairs of Ed25519 keys in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PEM = serialization.Encoding.PEM


def write_keys(folder: Path, name: str, password: str | None = None) -> tuple[Path, Path]:
    """A pair of keys as OpenSSL writes them: private, public."""
    key = Ed25519PrivateKey.generate()
    secret: Any = (
        serialization.NoEncryption()
        if password is None
        else serialization.BestAvailableEncryption(password.encode())
    )
    private, public = folder / f"{name}.pem", folder / f"{name}.public.pem"
    private.write_bytes(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, secret))
    private.chmod(0o600)
    public.write_bytes(
        key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public
