"""Standard streams as they really are: closed, full, read by `head`, of an old encoding."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from conftest import object_picture

from artefact_id.main import main
from artefact_id.terminal import Terminal, cell, messages, output
from mobile_assets.bundle import Bundle

ROOT = Path(__file__).parents[2]
RAW = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029]")

HOSTILE = "Bowl\x1b]0;owned\x07\x1b[2J\x9b31m\u202egpj.exe\u2028\rartefact-id: all is well"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A register whose titles, collections and file names command a terminal."""
    root = tmp_path_factory.mktemp("hostile")
    lines = []
    for number, name in enumerate(("a", "b\x1b[31m", "c\x9b2J")):
        for view in range(3):
            path = root / f"{name}{view}.png"
            object_picture(number, view).save(path)
            row = {"path": path.name, "object_id": f"Krüg {number}", "title": HOSTILE}
            lines.append(json.dumps(row | {"collection": HOSTILE}))
    (root / "bad\x1b[5m.png").write_bytes(b"no picture")
    lines.append(json.dumps({"path": "bad\x1b[5m.png", "object_id": "Krüg 0"}))
    (root / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    return root / "manifest.jsonl"


def start(
    words: list[str], redirection: str = "", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["bash", "-c", f'"$0" -m artefact_id "$@" {redirection}', sys.executable, *words],
        capture_output=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
    )


@cache
def usual_code(*words: str) -> int:
    """The exit code where nothing is odd about the streams."""
    return start(list(words)).returncode


NO_READER = '| true; exit "${PIPESTATUS[0]}"'


@pytest.mark.parametrize(
    ("redirection", "code"),
    [
        (">&-", 0),
        ("2>&-", 0),
        (">&- 2>&- <&-", 0),
        (NO_READER, 0),
        (f"2>&1 {NO_READER}", 0),
        (">/dev/full", 2),
        ("2>/dev/full", 0),
        (">/dev/full 2>/dev/full", 2),
    ],
)
def test_streams_that_take_nothing(hostile: Path, redirection: str, code: int) -> None:
    if "full" in redirection and not Path("/dev/full").exists():
        pytest.skip("this system has no full device")
    words = ["inspect", str(hostile), *(["--json"] if code else [])]
    done = start(words, redirection)
    said = (done.stdout + done.stderr).decode()
    assert "Traceback" not in said and "Exception ignored" not in said
    # What `inspect` thinks of this register comes before what the stream does.
    assert done.returncode == (usual_code(*words) or code), said
    if redirection == ">/dev/full":
        assert "standard output: No space left on device" in said or usual_code(*words)


@pytest.mark.parametrize(
    ("words", "code"), [(["--help"], 0), (["--version"], 0), (["train"], 2), (["explain", "x"], 2)]
)
def test_exit_codes_do_not_depend_on_the_streams(words: list[str], code: int) -> None:
    for redirection in ("", ">&-", NO_READER, "2>&-"):
        done = start(words, redirection)
        assert done.returncode == code, redirection
        assert b"Traceback" not in done.stderr


def test_a_check_that_fails_stays_failed_without_a_reader(
    golden_bundle: Bundle, tmp_path: Path
) -> None:
    import shutil

    shutil.copytree(golden_bundle.folder, tmp_path / "bundle")
    # What is wrong with the description itself is found before any model is opened.
    description = tmp_path / "bundle" / "bundle.json"
    value = json.loads(description.read_text()) | {"variants": []}
    description.write_text(json.dumps(value))
    for redirection in (NO_READER, ">&-"):
        done = start(["verify", str(tmp_path / "bundle")], redirection)
        assert (done.returncode, b"Traceback" in done.stderr) == (1, False), done.stderr


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_narrow_encodings(hostile: Path, environment: dict[str, str]) -> None:
    coding = environment.get("PYTHONIOENCODING", "utf-8")
    for more in ([], ["--json"]):
        words = ["inspect", str(hostile), *more]
        done = start(words, **environment)
        assert done.returncode == usual_code(*words), done.stderr
        assert b"Traceback" not in done.stderr
        assert not RAW.search(done.stdout.decode(coding))
        if more and done.stdout:
            assert json.loads(done.stdout.decode(coding))["objects"] >= 2


def test_json_brings_the_very_names(hostile: Path) -> None:
    done = start(["inspect", str(hostile), "--json"])
    found = json.loads(done.stdout)
    assert not RAW.search(done.stdout.decode())
    assert "bad\x1b[5m.png" in [problem["path"] for problem in found["problems"]]


@pytest.mark.parametrize(
    "words",
    [
        ["inspect", "HOSTILE"],
        ["inspect", f"nowhere{HOSTILE}"],
        ["export", f"nowhere{HOSTILE}", "--out", "OUT"],
        ["identify", f"nowhere{HOSTILE}", "x.jpg"],
        ["gate", f"nowhere{HOSTILE}"],
    ],
)
def test_no_command_reaches_the_terminal(
    words: list[str], hostile: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([w.replace("HOSTILE", str(hostile)).replace("OUT", str(tmp_path / "o")) for w in words])
    said = capsys.readouterr()
    assert "\\u001b" in said.out + said.err
    assert not RAW.search(said.out) and not RAW.search(said.err)
    # A line break in a name does not begin a line that looks like the toolkit's.
    assert not re.search(r"^artefact-id: all is well", said.err, re.MULTILINE)


@pytest.mark.parametrize("words", [[HOSTILE], ["identify", "b", "p", "--no\x1b[2J\x9b"]])
def test_the_parser_quotes_safely(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert not RAW.search(capsys.readouterr().err)


def test_consoles_progress_and_cells_are_safe(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table("title")
    table.add_row(cell(HOSTILE))
    table.add_row(HOSTILE.replace("[", "\\["))
    table.add_row(Text(HOSTILE))
    output().print(table)
    messages().print(HOSTILE, markup=False)
    with Terminal() as terminal:
        terminal.say(f"{HOSTILE}\nartefact-id: fine")
        terminal.progress(HOSTILE, 1, 1)
    said = capsys.readouterr()
    assert said.out.count("\\u001b") >= 3
    assert not RAW.search(said.out) and not RAW.search(said.err)
    assert "\nartefact-id: fine" not in said.err


def test_what_others_print_is_safe_as_well() -> None:
    script = (
        "import sys, warnings; from artefact_id.streams import protect_streams; protect_streams()\n"
        f"print({HOSTILE!r}); warnings.warn({HOSTILE!r}); raise ValueError({HOSTILE!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=False, cwd=ROOT
    )
    assert b"ValueError" in done.stderr and b"UserWarning" in done.stderr
    for text in (done.stdout.decode(), done.stderr.decode()):
        assert "\\u001b" in text
        assert not RAW.search(text)
