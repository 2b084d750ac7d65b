"""An installation without the extra `heic`, whose wheels hold an encoder under the GPL."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import picture

ROOT = Path(__file__).parents[2]
SCRIPT = (
    "import sys; sys.modules['pillow_heif'] = None\n"
    "from artefact_id.main import main; sys.exit(main(sys.argv[1:]))"
)


@pytest.fixture
def register(tmp_path: Path) -> Path:
    for name in ("a/1.jpg", "a/2.heic", "b/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        picture(len(name)).save(tmp_path / name)
    return tmp_path


def run(*words: str, script: str = SCRIPT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *words],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip


def test_a_heic_photo_says_what_to_install_and_others_are_read(register: Path) -> None:
    from artefact_id.options import register_heif
    from mobile_assets.photos import decode

    script = (
        "import sys; sys.modules['pillow_heif'] = None\n"
        "from artefact_id.options import register_heif; register_heif()\n"
        "from mobile_assets.photos import decode\n"
        "print(decode(sys.argv[1]).size)"
    )
    assert run(str(register / "a/1.jpg"), script=script).returncode == 0
    refused = run(str(register / "a/2.heic"), script=script)
    assert refused.returncode != 0
    assert "pip install 'artefact-id[heic]'" in refused.stderr
    register_heif()
    assert decode(register / "a/2.heic").size == (48, 40)


def test_commands_work_without_it(register: Path) -> None:
    done = run("inspect", str(register))
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode in (0, 2)


def test_doctor_explains_it() -> None:
    script = (
        "import sys, importlib.metadata as m; real = m.version\n"
        "def version(name):\n"
        "    if name == 'pillow-heif': raise m.PackageNotFoundError(name)\n"
        "    return real(name)\n"
        "m.version = version\n" + SCRIPT
    )
    done = run("doctor", "--json", script=script)
    (part,) = [part for part in json.loads(done.stdout) if part["name"] == "HEIC photos"]
    assert part["state"] == "missing"
    assert "artefact-id[heic]" in part["remedy"] and "GPL" in part["remedy"]
