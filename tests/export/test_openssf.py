"""Signatures for OpenSSF Model Signing: the format, and what the tool itself says where it is."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from signing_keys import PEM, write_keys

from artefact_id.main import main
from export.bundle.openssf import authenticated, statement
from mobile_assets.bundle import Bundle, read_bundle

CURVES = {
    "P-256": (ec.SECP256R1(), hashes.SHA256()),
    "P-384": (ec.SECP384R1(), hashes.SHA384()),
    "P-521": (ec.SECP521R1(), hashes.SHA512()),
}


@pytest.fixture
def folder(golden_bundle: Bundle, tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    shutil.copytree(golden_bundle.folder, folder)
    return folder


def write_key(folder: Path, curve: ec.EllipticCurve) -> tuple[Path, ec.EllipticCurvePublicKey]:
    key = ec.generate_private_key(curve)
    path = folder / "ec.pem"
    path.write_bytes(key.private_bytes(PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    public = key.public_key()
    content = public.public_bytes(PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "ec.public.pem").write_bytes(content)
    return path, public


def sign(folder: Path, key: Path, *more: str) -> int:
    words = ["sign", str(folder), "--key", str(key), "--openssf", str(folder.parent / "bundle.sig")]
    return main([*words, *more])


@pytest.mark.parametrize("name", CURVES)
def test_the_envelope_is_signed_as_dsse_says(folder: Path, tmp_path: Path, name: str) -> None:
    curve, digest = CURVES[name]
    key, public = write_key(tmp_path, curve)
    assert sign(folder, key) == 0
    signature: dict[str, Any] = json.loads((tmp_path / "bundle.sig").read_text())
    pem = (tmp_path / "ec.public.pem").read_bytes()
    assert signature["verificationMaterial"]["publicKey"]["hint"] == hashlib.sha256(pem).hexdigest()
    envelope = signature["dsseEnvelope"]
    payload = base64.b64decode(envelope["payload"])
    assert json.loads(payload) == statement(read_bundle(folder))
    raw = base64.b64decode(envelope["signatures"][0]["sig"])
    # DSSE: the type and the payload, each with its length before it.
    signed = b"DSSEv1 28 application/vnd.in-toto+json %d %s" % (len(payload), payload)
    public.verify(raw, signed, ec.ECDSA(digest))
    assert authenticated(payload) == signed
    with pytest.raises(InvalidSignature):
        public.verify(raw, signed + b" ", ec.ECDSA(digest))


def test_the_statement_lists_every_file(folder: Path) -> None:
    made = statement(read_bundle(folder))
    listed = {item["name"]: item["digest"] for item in made["predicate"]["resources"]}
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert listed == {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }
    assert list(listed) == sorted(listed) and "bundle.json" in listed
    whole = hashlib.sha256(b"".join(map(bytes.fromhex, listed.values()))).hexdigest()
    assert made["subject"] == [{"name": "bundle", "digest": {"sha256": whole}}]


def test_a_bundle_stays_as_it_was(folder: Path, tmp_path: Path) -> None:
    key, _ = write_key(tmp_path, ec.SECP256R1())
    before = read_bundle(folder)
    assert sign(folder, key) == 0 and read_bundle(folder) == before


def test_what_is_not_signed(folder: Path, tmp_path: Path, capsys: Any) -> None:
    key, _ = write_key(tmp_path, ec.SECP256R1())
    ed25519, _ = write_keys(tmp_path, "ed25519")
    assert sign(folder, ed25519) == 2
    assert "P-256" in capsys.readouterr().err
    inside = ["--openssf", str(folder / "bundle.sig")]
    assert sign(folder, key, *inside) == 2
    assert "lies in the bundle" in capsys.readouterr().err
    assert sign(folder, key) == 0 and sign(folder, key) == 2 and sign(folder, key, "--force") == 0
    (folder / "README.md").write_text("another")
    assert sign(folder, key, "--force") == 2
    key, _ = write_key(tmp_path, ec.SECP256K1())
    assert sign(folder, key, "--force") == 2


def test_the_tool_itself_accepts_and_refuses(folder: Path, tmp_path: Path) -> None:
    tool = shutil.which("model_signing")
    if tool is None:
        pytest.skip("model_signing is not on the path: pip install model-signing pyOpenSSL")
    for curve, _ in CURVES.values():
        key, _ = write_key(tmp_path, curve)
        assert sign(folder, key, "--force") == 0
        words = [tool, "verify", "key", str(folder), "--signature", str(tmp_path / "bundle.sig")]
        words += ["--public_key", str(tmp_path / "ec.public.pem")]

        def code(words: list[str] = words) -> int:
            return subprocess.run(words, capture_output=True, check=False).returncode

        assert code() == 0
    ed25519, _ = write_keys(tmp_path, "ed25519")
    assert main(["sign", str(folder), "--key", str(ed25519)]) == 0
    assert code() == 0  # with signature.json, too
    (folder / "extra").write_bytes(b"")
    assert code() != 0
    (folder / "extra").unlink()
    (folder / "labels.txt").write_bytes(b"")
    assert code() != 0
