"""The list of licences, and the look-up of known weaknesses where there is no network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import audit

PROGRAM = Path(audit.__file__)


def test_licences_with_duties_are_marked_and_every_package_stands_once() -> None:
    lines = [line for line in audit.licences() if line.startswith("  ")]
    names = [line.split()[0] for line in lines]
    assert len(names) == len(set(names)) > 20
    (heif,) = [line for line in lines if " 1" in line and line.strip().startswith("pillow-heif ")]
    assert "x265 (GPL 2)" in heif and heif.endswith("<- look here")
    (pydantic,) = [line for line in lines if line.strip().startswith("pydantic ")]
    assert pydantic.endswith(": MIT")


def test_without_the_database_it_says_so() -> None:
    # A proxy that is not there stands for a missing network; so does pip-audit not installed.
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"),
                            "http://127.0.0.1:9")  # fmt: skip
    done = subprocess.run(
        [sys.executable, str(PROGRAM)],
        capture_output=True, text=True, check=False, env=os.environ | proxies,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "weaknesses were not looked up" in done.stdout or "could be looked up" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
