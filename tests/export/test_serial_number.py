"""A newer register is never replaced by an older one: register ids and serial numbers."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from signing_keys import write_keys
from tampering import write

from artefact_id.main import main
from benchmarks.verify import verify_bundle
from export import ExportOptions, export_bundle
from export.bundle.serial_number import register_version
from export.bundle.signing import Signer
from mobile_assets.bundle import Bundle, read_bundle
from mobile_assets.errors import CheckFailedError, DamagedError, InputError
from mobile_assets.files import json_text
from mobile_assets.register_version import InstalledBundle, check_update, update_problem
from train.run import Run

EPOCH = 1_700_000_000
CREATED = "2023-11-14T22:13:20+00:00"

Copies = Callable[..., Path]


@pytest.fixture
def copies(golden_bundle: Bundle, tmp_path: Path) -> Copies:
    """Copies of a bundle with another description."""

    def copy(name: str, **changes: Any) -> Path:
        folder = tmp_path / name
        shutil.copytree(golden_bundle.folder, folder, copy_function=os.link)
        value = json.loads((folder / "bundle.json").read_text())
        write(folder / "bundle.json", json_text(value | changes).encode())
        return folder

    return copy


def installed(serial: int, register_id: str = "museum", content: str = "a") -> InstalledBundle:
    return InstalledBundle(register_id=register_id, serial=serial, bundle_sha256=content)


def test_an_export_is_numbered_by_the_time(golden_bundle: Bundle) -> None:
    assert (golden_bundle.info.register_id, golden_bundle.info.serial) == ("patterns", EPOCH)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (None, installed(5), None),
        (installed(5), installed(6, content="b"), None),
        (installed(0, ""), installed(1, content="b"), None),  # of before there were numbers
        (installed(0, ""), installed(0, "", content="b"), None),
        (installed(6), installed(5, content="b"), "older"),
        (installed(6), installed(6, content="b"), "another bundle with the same serial"),
        (installed(6), installed(6), "the same bundle"),
        (installed(6), installed(0, "", content="b"), "no serial"),
        (installed(6), installed(7, "other", content="b"), "of the register 'other'"),
    ],
)
def test_what_may_replace_what(
    old: InstalledBundle | None, new: InstalledBundle, problem: str | None
) -> None:
    found = update_problem(old, new)
    assert (found is None) == (problem is None)
    assert found is None or str(problem) in found


def test_an_app_keeps_what_it_installed_and_refuses_the_one_before(
    copies: Copies, tmp_path: Path
) -> None:
    old, new = read_bundle(copies("old", serial=7)), read_bundle(copies("new", serial=8))
    kept = check_update(check_update(None, old), new)
    kept.write(tmp_path / "installed.json")
    kept = InstalledBundle.read(tmp_path / "installed.json")
    with pytest.raises(CheckFailedError, match="serial number 7 is lower than 8"):
        check_update(kept, old)


def test_verify_fails_what_phones_would_refuse(copies: Copies, capsys: Any) -> None:
    old, new = copies("old", serial=7), copies("new", serial=8)
    other = copies("other", serial=9, register_id="another museum")
    early = copies("early", serial=0, register_id="")

    def failed(candidate: Path, before: Path) -> list[str]:
        return [check.name for check in verify_bundle(candidate, newer_than=before).failed]

    assert failed(new, old) == failed(new, early) == []
    for candidate, before in ((old, new), (new, new), (other, new), (early, new)):
        assert failed(candidate, before) == ["newer"]
    assert main(["verify", str(old), "--newer-than", str(new)]) == 1
    assert "lower than 8" in " ".join(capsys.readouterr().out.split())
    assert main(["verify", str(old), "--newer-than", str(old.parent)]) == 2


@pytest.mark.parametrize(
    "change",
    [{"serial": -1}, {"serial": 2**53}, {"serial": 1.0}, {"serial": True}, {"serial": "1"},
     {"serial": 0}, {"register_id": ""}, {"register_id": "x" * 201}],
)  # fmt: skip
def test_numbers_that_are_none_are_refused(copies: Copies, change: dict[str, object]) -> None:
    with pytest.raises(DamagedError):
        read_bundle(copies("bad", **change))


def test_the_number_is_signed(copies: Copies, tmp_path: Path) -> None:
    folder = copies("signed", serial=7)
    Signer.read(write_keys(tmp_path, "key")[0]).sign(folder)
    text = (folder / "bundle.json").read_text()
    write(folder / "bundle.json", text.replace('"serial": 7', '"serial": 8').encode())
    with pytest.raises(CheckFailedError, match="not the one that was signed"):
        read_bundle(folder)


def version(run: Run, out: Path, created: str = CREATED, **options: Any) -> tuple[str, int]:
    made = register_version(run, out, ExportOptions(**options), created, lambda _: None)
    return made.register_id, made.serial


def test_where_the_number_of_an_export_comes_from(
    golden_run: Run, copies: Copies, tmp_path: Path
) -> None:
    nowhere = tmp_path / "nowhere"
    assert version(golden_run, nowhere) == ("patterns", EPOCH)
    assert version(golden_run, nowhere, register_id="Museum", serial=3) == ("Museum", 3)
    later, small = copies("later", serial=EPOCH + 100), copies("small", serial=3)
    # By a clock that is behind, the number rises all the same.
    assert version(golden_run, nowhere, newer_than=later) == ("patterns", EPOCH + 101)
    assert version(golden_run, later) == ("patterns", EPOCH + 101)
    assert version(golden_run, nowhere, newer_than=small) == ("patterns", EPOCH)
    assert version(golden_run, small, serial=4) == ("patterns", 4)
    # The same time over the same bundle is the same export again.
    same = copies("same", serial=EPOCH)
    assert version(golden_run, same) == ("patterns", EPOCH)
    assert version(golden_run, nowhere, newer_than=same) == ("patterns", EPOCH + 1)
    # What cannot be read, is of another register, or has no number, is followed by nothing.
    (later / "bundle.json").unlink()
    other = copies("other", serial=EPOCH + 9, register_id="another museum")
    early = copies("early", serial=0, register_id="")
    for out in (later, other, early):
        assert version(golden_run, out) == ("patterns", EPOCH)
    assert version(golden_run, nowhere, newer_than=early) == ("patterns", EPOCH)


@pytest.mark.parametrize(
    "options",
    [{"serial": 0}, {"serial": -1}, {"serial": 2**53}, {"register_id": ""}, {"register_id": " "},
     {"register_id": "a\nb"}, {"register_id": "x" * 201}],
)  # fmt: skip
def test_numbers_and_names_that_do_not_do(
    golden_run: Run, tmp_path: Path, options: dict[str, Any]
) -> None:
    with pytest.raises(InputError):
        version(golden_run, tmp_path / "nowhere", **options)


def test_a_number_that_phones_would_refuse_is_refused_before_anything_is_made(
    golden_run: Run, copies: Copies, tmp_path: Path
) -> None:
    old, other = copies("old", serial=7), copies("other", serial=7, register_id="Museum")
    for options, message in (
        ({"newer_than": old, "serial": 7}, "from 8"),
        ({"newer_than": other}, "--register-id 'Museum'"),
        ({"newer_than": tmp_path}, "not a bundle"),
    ):
        said: list[str] = []
        with pytest.raises(InputError, match=message):
            export_bundle(
                golden_run,
                tmp_path / "out",
                options=ExportOptions(variants=("tflite-float32",), **options),
                photos=None,
                progress=said.append,
            )
        assert said == []
