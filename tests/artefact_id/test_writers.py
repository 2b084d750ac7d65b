"""Commands that write: killed, two at once, on a full disk. Real processes."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from artefact_id.main import build_parser, main
from mobile_assets.bundle import Bundle, read_bundle
from train.run import Run

ROOT = Path(__file__).parents[2]
HOLD = """
import sys
from pathlib import Path
from mobile_assets.output_lock import claimed
with claimed(Path(sys.argv[1])):
    print("writing", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key.pem"
    path.write_bytes(
        Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    path.chmod(0o600)
    return path


def test_sign_killed_at_any_step_can_sign_again(
    golden_bundle: Bundle, key: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests/kills.py"), "sign", str(tmp_path / "root"),
         str(golden_bundle.folder), str(key)],
        capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["code"] for row in rows] == [-9] * (len(rows) - 1) + [0]
    assert len(rows) >= 4
    for row in rows:
        assert row["more"] in ([], ["signature.json"])  # nothing that is half-written
        assert row["again"] == 0
        assert row["end"] == ["out"]


def commands() -> dict[str, argparse.ArgumentParser]:
    (action,) = (a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(action.choices)


def words_of(name: str, parser: argparse.ArgumentParser, out: Path) -> list[str]:
    """The shortest call of a command that writes `out`."""
    words = [name]
    for action in parser._actions:
        if not action.option_strings:
            words.append("nowhere")
        elif "--out" in action.option_strings:
            words += ["--out", str(out)]
        elif action.required:
            words += [action.option_strings[-1], "nowhere"]
    return words


WRITERS = sorted(
    name
    for name, parser in commands().items()
    if any("--out" in action.option_strings for action in parser._actions)
)


def test_every_writer_is_known() -> None:
    assert {"benchmark", "demo", "evaluate", "export", "sweep", "train"} <= set(WRITERS)


def test_a_second_command_with_the_same_out_is_refused_at_its_start(
    tmp_path: Path, key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(out)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    ) as first:  # fmt: skip
        assert first.stdout is not None
        assert first.stdout.readline() == "writing\n"
        calls = [words_of(name, commands()[name], out) for name in WRITERS]
        calls.append(["sign", str(out), "--key", str(key)])
        for words in calls:
            assert main(words) == 2, words
            assert f"{out} is being written by another process" in capsys.readouterr().err, words
        first.communicate("\n")
    assert main(calls[0]) == 2
    assert "being written" not in capsys.readouterr().err


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.slow
def test_export_killed_at_random_moments(
    golden_run: Run, register_folder: Path, tmp_path: Path
) -> None:
    """Whatever the moment, there is a whole bundle, and the next export leaves nothing behind."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "SOURCE_DATE_EPOCH": "1700000000"}
    out = tmp_path / "out" / "bundle"

    def start() -> subprocess.Popen[bytes]:
        words = ["export", str(golden_run.folder), "--photos", str(register_folder)]
        words += ["--out", str(out), "--variants", "tflite-float32", "--force"]
        return subprocess.Popen(
            [sys.executable, "-m", "artefact_id", *words],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment,
        )  # fmt: skip

    begun = time.monotonic()
    first = start()
    assert first.wait() == 0, first.stderr.read() if first.stderr else ""
    seconds, wanted = time.monotonic() - begun, files(out)
    draw = random.Random(12)
    for _ in range(8):
        process = start()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds * draw.uniform(0.3, 1.0))
        process.kill()
        process.wait()
        assert files(out) == wanted
        assert read_bundle(out).info.objects == golden_run.info.objects
        names = {path.name for path in out.parent.iterdir()}
        assert names <= {"bundle", ".bundle.lock", ".bundle.unfinished"}
    assert start().wait() == 0
    assert [path.name for path in out.parent.iterdir()] == ["bundle"]
    assert files(out) == wanted
