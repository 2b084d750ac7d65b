"""Bundles that somebody has tampered with: refused by `verify` and by `identify`, every one."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import object_picture
from signing_keys import write_keys
from tampering import assert_refused, refused_by_identify, refused_by_verify, write

from artefact_id.main import main
from export.bundle.signing import Signer, read_public_key
from mobile_assets.bundle import Bundle
from mobile_assets.files import json_text

Tampering = Callable[[Path], None]

FILES = (
    "bundle.json", "signature.json", "labels.json", "labels.txt", "README.md", "DETAILS.md",
    "models/artefact-id.float32.tflite", "models/artefact-id.int8.tflite",
    "models/artefact-id.float16.mlpackage/Manifest.json",
    "models/artefact-id.float16.mlpackage/Data/com.apple.CoreML/model.mlmodel",
    "models/artefact-id.float16.mlpackage/Data/com.apple.CoreML/weights/weight.bin",
    "golden/golden.json", "golden/grey/photo.jpg", "golden/grey/decoded.png",
    "golden/grey/resized.png", "golden/grey/tensor.rgb", "golden/probabilities/tflite-int8.f32",
)  # fmt: skip
"""One file of every kind in a bundle."""


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_keys(tmp_path_factory.mktemp("keys"), "key")


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    object_picture(1, 0).save(path)
    return path


@pytest.fixture(scope="module")
def signed(
    golden_bundle: Bundle, keys: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("signed") / "bundle"
    shutil.copytree(golden_bundle.folder, folder)
    Signer.read(keys[0]).sign(folder)
    return folder


@pytest.fixture
def folder(signed: Path, tmp_path: Path) -> Path:
    """A signed bundle that a test may tamper with: links to the files of one, made anew."""
    folder = tmp_path / "bundle"
    shutil.copytree(signed, folder, copy_function=os.link)
    return folder


def test_what_nobody_tampered_with_is_accepted(
    folder: Path, photo: Path, keys: tuple[Path, Path]
) -> None:
    trusted = read_public_key(keys[1])
    assert not refused_by_verify(folder) and not refused_by_verify(folder, trusted)
    assert not refused_by_identify(folder, photo)
    assert not refused_by_identify(folder, photo, trusted)


# --- a signed bundle, of which a byte or a file is other than it was ------------------------------


def flip(place: Callable[[int], int]) -> Tampering:
    def tamper(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[place(len(content))] ^= 1
        write(path, bytes(content))

    return tamper


def link(path: Path) -> None:
    """To a copy outside, of the same bytes for now."""
    outside = path.parent.parent.parent / f"outside-{path.name}"
    shutil.copy(path, outside)
    path.unlink()
    path.symlink_to(outside)


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


def sparse(path: Path) -> None:
    path.unlink()
    with path.open("wb") as file:
        file.truncate(5 * 2**30)


def device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def other_case(path: Path) -> None:
    path.rename(path.with_name(path.name.swapcase()))


CHANGES: dict[str, Tampering] = {
    "first byte": flip(lambda _: 0),
    "middle byte": flip(lambda size: size // 2),
    "last byte": flip(lambda size: size - 1),
    "longer": lambda path: write(path, path.read_bytes() + b"\n"),
    "shorter": lambda path: write(path, path.read_bytes()[:-1]),
    "empty": lambda path: write(path, b""),
    "link": link,
    "FIFO": fifo,
    "device": device,
    "folder": folder_instead,
    "5 GB": sparse,
    "other case": other_case,
}


@pytest.mark.parametrize("change", [*CHANGES, "missing"])
@pytest.mark.parametrize("file", FILES)
def test_a_changed_file_is_refused(
    folder: Path, photo: Path, keys: tuple[Path, Path], file: str, change: str
) -> None:
    path = folder / file
    CHANGES.get(change, Path.unlink)(path)
    trusted = read_public_key(keys[1])
    if (file, change) not in {("signature.json", "missing")}:  # then it is an unsigned bundle
        assert_refused(folder, photo)
    assert refused_by_verify(folder, trusted) and refused_by_identify(folder, photo, trusted)


@pytest.mark.parametrize(
    "name",
    ["extra.txt", ".hidden", "models/extra.tflite", "golden/empty/", "Bundle.json", "golden.json",
     "models/artefact-id.float16.mlpackage/Data/extra.bin", "signature.json.bak", "a\nb",
     "b\udcff"],
)  # fmt: skip
def test_a_file_more_is_refused(folder: Path, photo: Path, name: str) -> None:
    path = folder / name
    path.mkdir() if name.endswith("/") else path.write_bytes(b"x")
    assert_refused(folder, photo)
    assert main(["verify", str(folder)]) == 1  # whatever the name, it can be printed


def signature_of(folder: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((folder / "signature.json").read_text())
    return value


def tail_bits(text: str) -> str:
    """The same bytes to a lenient reader: the last digit of Base64 has bits that nobody reads."""
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    end = text.rstrip("=")
    other = digits[digits.index(end[-1]) ^ 1]
    assert base64.b64decode(end[:-1] + other + "=" * (len(text) - len(end))) == base64.b64decode(
        text
    )
    return end[:-1] + other + "=" * (len(text) - len(end))


SIGNATURES: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "compact": lambda value: json.dumps(value).encode(),
    "no line end": lambda value: json_text(value).encode()[:-1],
    "two line ends": lambda value: json_text(value).encode() + b"\n",
    "CR LF": lambda value: json_text(value).replace("\n", "\r\n").encode(),
    "byte order mark": lambda value: b"\xef\xbb\xbf" + json_text(value).encode(),
    "other order": lambda value: json_text(dict(sorted(value.items()))).encode(),
    "escaped": lambda value: json_text(value).replace("ed25519", "\\u0065d25519").encode(),
    "without a default": lambda value: json_text(
        {key: item for key, item in value.items() if key != "file"}
    ).encode(),
    "key twice": lambda value: (
        json_text(value).replace("{", '{\n  "file": "bundle.json",', 1).encode()
    ),
    "version 1.0": lambda value: json_text(value | {"schema_version": 1.0}).encode(),
    "version true": lambda value: json_text(value | {"schema_version": True}).encode(),
    "unread bits of the signature": lambda value: json_text(
        value | {"signature": tail_bits(value["signature"])}
    ).encode(),
    "unread bits of the key": lambda value: json_text(
        value | {"public_key": tail_bits(value["public_key"])}
    ).encode(),
    "white space in Base64": lambda value: json_text(
        value | {"signature": value["signature"] + "\n"}
    ).encode(),
    "no padding": lambda value: json_text(
        value | {"signature": value["signature"].rstrip("=")}
    ).encode(),
    "capital hash": lambda value: json_text(value | {"sha256": value["sha256"].upper()}).encode(),
    "another field": lambda value: json_text(value | {"note": ""}).encode(),
    "no algorithm": lambda value: json_text(value | {"algorithm": "none"}).encode(),
    "nothing": lambda _: b"{}",
    "huge": lambda value: json_text(value).encode() + b" " * 2**20,
    "nested": lambda _: b"[" * 100_000,
}  # fmt: skip


@pytest.mark.parametrize("form", SIGNATURES)
def test_another_form_of_the_same_signature_is_refused(
    folder: Path, photo: Path, form: str
) -> None:
    write(folder / "signature.json", SIGNATURES[form](signature_of(folder)))
    assert_refused(folder, photo)


def test_every_byte_of_the_signature_counts(folder: Path, photo: Path) -> None:
    path = folder / "signature.json"
    content = path.read_bytes()
    for place in range(len(content)):
        for bit in (1, 32):
            changed = bytearray(content)
            changed[place] ^= bit
            write(path, bytes(changed))
            assert refused_by_identify(folder, photo), (place, bit)
