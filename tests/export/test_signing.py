"""Signatures: a bundle changed by a byte, by a name or by a file is refused."""

from __future__ import annotations

import base64
import json
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from signing_keys import PEM, write_keys
from tampering import relist

from artefact_id.main import main
from export.bundle.signing import PASSWORD_VARIABLE, Signer, check_signature, read_public_key
from mobile_assets.bundle import Bundle
from mobile_assets.errors import CheckFailedError, DamagedError, InputError


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_keys(tmp_path_factory.mktemp("keys"), "key")


@pytest.fixture
def folder(golden_bundle: Bundle, keys: tuple[Path, Path], tmp_path: Path) -> Path:
    """A signed bundle that a test may change."""
    folder = tmp_path / "bundle"
    shutil.copytree(golden_bundle.folder, folder)
    Signer.read(keys[0]).sign(folder)
    return folder


def refused(folder: Path, public: Path) -> bool:
    try:
        check_signature(folder, read_public_key(public))
    except (CheckFailedError, DamagedError):
        return True
    return False


def test_a_signed_bundle_is_accepted(folder: Path, keys: tuple[Path, Path]) -> None:
    made = check_signature(folder, read_public_key(keys[1]))
    assert check_signature(folder) == made
    assert len(base64.b64decode(made.public_key)) == 32


def test_openssl_agrees(folder: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    signature = json.loads((folder / "signature.json").read_text())["signature"]
    (tmp_path / "signature").write_bytes(base64.b64decode(signature))
    words = [openssl, "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", str(keys[1])]
    words += ["-sigfile", str(tmp_path / "signature"), "-in"]

    def code(path: Path) -> int:
        return subprocess.run([*words, str(path)], capture_output=True, check=False).returncode

    assert code(folder / "bundle.json") == 0
    assert code(folder / "labels.json") != 0


def test_every_byte_counts(folder: Path, keys: tuple[Path, Path]) -> None:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    assert len(files) > 80
    for path in files:
        content = path.read_bytes()
        for place in {0, len(content) // 2, len(content) - 1}:
            changed = bytearray(content)
            changed[place] ^= 1
            path.write_bytes(changed)
            assert refused(folder, keys[1]), (path, place)
        path.write_bytes(content)
    assert not refused(folder, keys[1])


def test_a_file_more_or_less_is_refused(folder: Path, keys: tuple[Path, Path]) -> None:
    def undone(make: Callable[[], object], unmake: Callable[[], object]) -> None:
        make()
        assert refused(folder, keys[1])
        unmake()
        assert not refused(folder, keys[1])

    extra = folder / "models/extra.tflite"
    undone(lambda: extra.write_bytes(b"x"), extra.unlink)
    hidden = folder / ".hidden"
    undone(lambda: hidden.write_bytes(b""), hidden.unlink)
    empty = folder / "golden/empty"
    undone(empty.mkdir, empty.rmdir)
    card, aside = folder / "README.md", folder.parent / "README.md"
    undone(lambda: card.rename(aside), lambda: aside.rename(folder / "README.md"))


def test_a_link_is_refused(folder: Path, keys: tuple[Path, Path]) -> None:
    shutil.copy(folder / "README.md", folder.parent / "README.md")
    (folder / "README.md").unlink()
    (folder / "README.md").symlink_to(folder.parent / "README.md")  # the same bytes, for now
    assert refused(folder, keys[1])


def test_swapped_labels_are_refused_however_well_forged(
    folder: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    path = folder / "labels.json"
    labels = json.loads(path.read_text())
    labels[1]["object_id"], labels[2]["object_id"] = labels[2]["object_id"], labels[1]["object_id"]
    path.write_text(json.dumps(labels, ensure_ascii=False, indent=2) + "\n")
    (folder / "labels.txt").write_text("".join(f"{label['object_id']}\n" for label in labels))
    relist(folder)
    assert refused(folder, keys[1])
    # Signed anew by the forger, it is whole, and still not by the key that is trusted.
    forger, _ = write_keys(tmp_path, "forger")
    Signer.read(forger).sign(folder)
    check_signature(folder)
    assert refused(folder, keys[1])
    # The trusted key's name on the forger's signature does not help.
    signature = json.loads((folder / "signature.json").read_text())
    raw = read_public_key(keys[1]).public_bytes_raw()
    signature["public_key"] = base64.b64encode(raw).decode()
    (folder / "signature.json").write_text(json.dumps(signature))
    assert refused(folder, keys[1])


def test_no_signature_and_an_emptied_list_are_refused(
    folder: Path, keys: tuple[Path, Path]
) -> None:
    relist(folder, files={})
    with pytest.raises(DamagedError, match="lists no files"):
        Signer.read(keys[0]).sign(folder)
    assert refused(folder, keys[1])
    (folder / "signature.json").unlink()
    with pytest.raises(CheckFailedError, match="not signed"):
        check_signature(folder, read_public_key(keys[1]))


@pytest.mark.parametrize(
    "change",
    [{"algorithm": "none"}, {"signature": ""}, {"signature": "!!"}, {"file": "README.md"},
     {"extra": 1}, {"schema_version": 2}],
)  # fmt: skip
def test_an_edited_signature_is_refused(
    folder: Path, keys: tuple[Path, Path], change: dict[str, object]
) -> None:
    path = folder / "signature.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert refused(folder, keys[1])
    with pytest.raises(CheckFailedError):
        check_signature(folder)


def test_a_changed_bundle_is_not_signed(folder: Path, keys: tuple[Path, Path]) -> None:
    (folder / "README.md").write_text("another")
    with pytest.raises(DamagedError, match=r"README\.md is changed"):
        Signer.read(keys[0]).sign(folder)


def test_the_private_key_stays_private(folder: Path, keys: tuple[Path, Path]) -> None:
    signer = Signer.read(keys[0])
    secret = keys[0].read_text().splitlines()[1]
    raw = base64.b64decode(secret)[-32:]
    assert secret not in repr(signer)
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert raw not in content and base64.b64encode(raw) not in content


def test_keys_that_do_not_do(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    rsa = generate_private_key(public_exponent=65537, key_size=2048)
    private, public = tmp_path / "rsa.pem", tmp_path / "rsa.public.pem"
    private.write_bytes(
        rsa.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    public.write_bytes(
        rsa.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    (tmp_path / "text.pem").write_text("not a key")
    for path in (private, tmp_path / "text.pem", tmp_path / "nowhere.pem", tmp_path, keys[1]):
        with pytest.raises(InputError):
            Signer.read(path)
    for path in (public, tmp_path / "text.pem", tmp_path / "nowhere.pem"):
        with pytest.raises(InputError):
            read_public_key(path)
    with pytest.raises(InputError, match="private key"):
        read_public_key(keys[0])


def test_encrypted_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private, _ = write_keys(tmp_path, "key", password="pyramid")
    with pytest.raises(InputError, match=PASSWORD_VARIABLE):
        Signer.read(private)
    with pytest.raises(InputError, match="password is wrong"):
        Signer.read(private, ask=lambda _: "sphinx")
    Signer.read(private, ask=lambda _: "pyramid")
    monkeypatch.setenv(PASSWORD_VARIABLE, "pyramid")
    Signer.read(private)


def test_a_key_that_others_can_read_is_told_of(tmp_path: Path) -> None:
    private, _ = write_keys(tmp_path, "key")
    said: list[str] = []
    Signer.read(private, say=said.append)
    assert said == []
    private.chmod(stat.S_IRUSR | stat.S_IRGRP)
    Signer.read(private, say=said.append)
    assert len(said) == 1 and "chmod 600" in said[0]


def test_sign_and_trust_on_the_command_line(
    golden_bundle: Bundle, keys: tuple[Path, Path], tmp_path: Path, capsys: Any
) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(golden_bundle.folder, folder)
    private, public = map(str, keys)
    assert main(["verify", str(folder), "--trust", public]) == 1
    assert "not signed" in capsys.readouterr().out
    assert main(["sign", str(folder), "--key", private]) == 0
    assert main(["sign", str(folder), "--key", private]) == 2
    assert "already signed" in capsys.readouterr().err
    assert main(["sign", str(folder), "--key", private, "--force"]) == 0
    assert main(["verify", str(folder), "--trust", public]) == 0
    assert "by the trusted key" in capsys.readouterr().out
    assert main(["verify", str(folder), "--trust", private]) == 2
    (folder / "labels.txt").write_text((folder / "labels.txt").read_text().swapcase())
    assert main(["verify", str(folder), "--trust", public]) == 1
    assert main(["sign", str(tmp_path), "--key", private]) == 2
