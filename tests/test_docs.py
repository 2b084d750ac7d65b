"""The pages: links lead somewhere, commands, options and files exist, the README is short."""

from __future__ import annotations

import contextlib
import functools
import io
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from artefact_id.main import build_parser

ROOT = Path(__file__).parent.parent
README_LINES = 200
HISTORY = "CHANGELOG.md"

LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.*)$", re.M)
FENCED = re.compile(r"^```[a-z]*\n(.*?)^```$", re.M | re.S)
INLINE = re.compile(r"`([^`]+)`")
COMMAND = re.compile(r"^(?:\$ )?(artefact-id .*)$", re.M)
MODULE = re.compile(r"python -m ([a-z_0-9.]+)")
TARGET = re.compile(r"^(?:\$ )?make ([a-z-]+)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
ROOM_FILE = re.compile(r"(?:artefact_id|benchmarks|export|mobile_assets|tests|train)/[\w/.-]*")


def tracked_pages() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "*.md"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return listed.stdout.split()


def parsed(words: list[str]) -> tuple[int, str]:
    """The exit code of parsing a command line, 0 if it is understood, and what is printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            build_parser().parse_args(words)
        except SystemExit as exit_:
            return int(exit_.code or 0), printed.getvalue()
    return 0, printed.getvalue()


@functools.cache
def help_of(command: str) -> str | None:
    """What `artefact-id COMMAND --help` prints; None if there is no such command."""
    code, printed = parsed([command, "--help"]) if command[0].isalpha() else (2, "")
    return printed if code == 0 else None


def slugs(text: str) -> set[str]:
    """The anchors of a page's headings, as they are formed where the pages are shown."""
    headings = HEADING.findall(FENCED.sub("", text))
    return {re.sub(r"[^\w\- ]", "", h.replace("`", "")).lower().replace(" ", "-") for h in headings}


def link_problems(text: str, page: Path) -> Iterator[str]:
    for link in LINK.findall(FENCED.sub("", text)):
        if link.startswith(("https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path
        if not target.exists():
            yield f"link to {link}, which is not there"
        elif anchor and anchor not in slugs(target.read_text("utf-8") if path else text):
            yield f"link to {link}: there is no such heading"


def command_line_problems(text: str) -> Iterator[str]:
    """Command lines in fenced blocks are complete: the parser takes each as it stands."""
    for block in FENCED.findall(text):
        for line in COMMAND.findall(block.replace("\\\n", " ")):
            code, printed = parsed(shlex.split(line.partition(" | ")[0], comments=True)[1:])
            if code:
                yield f"{line}: {printed.strip().splitlines()[-1]}"


def inline_problems(text: str, *, history: bool) -> Iterator[str]:
    """Commands that a sentence names exist, with the options that it gives them."""
    for span in INLINE.findall(FENCED.sub("", text)):
        words = span.split()
        named = words[0] == "artefact-id" and len(words) > 1 and words[1][0] not in "-<"
        if not named and (history or help_of(words[0]) is None):
            continue
        command = words[1] if named else words[0]
        known = help_of(command) if command != "COMMAND" else ""
        if known is None:
            yield f"`{span}`: there is no such command"
        elif not history and command != "COMMAND":
            missing = [o for o in OPTION.findall(span) if o not in OPTION.findall(known)]
            yield from (f"`{span}`: {option} is not an option" for option in missing)


def file_problems(text: str, *, history: bool) -> Iterator[str]:
    """Modules that are started, files of the rooms and targets of make are there."""
    for module in MODULE.findall(text):
        path = ROOT / module.replace(".", "/")
        if module.split(".")[0] in ("benchmarks", "artefact_id") and not (
            path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()
        ):
            yield f"python -m {module}: there is no such module"
    makefile = (ROOT / "Makefile").read_text("utf-8")
    spans = INLINE.findall(FENCED.sub("", text))
    for span in [*spans, *"".join(FENCED.findall(text)).splitlines()] if not history else ():
        target = TARGET.match(span)
        if target and f"\n{target[1]}:" not in makefile:
            yield f"make {target[1]}: there is no such target"
    for span in spans if not history else ():
        if ROOM_FILE.fullmatch(span) and not (ROOT / span).exists():
            yield f"`{span}` is not there"


def problems(text: str, page: Path) -> list[str]:
    history = page.name == HISTORY
    return [
        *link_problems(text, page),
        *command_line_problems(text),
        *inline_problems(text, history=history),
        *file_problems(text, history=history),
    ]


@pytest.mark.parametrize("name", tracked_pages())
def test_a_page_names_only_what_is_there(name: str) -> None:
    page = ROOT / name
    assert problems(page.read_text("utf-8"), page) == []


def test_the_readme_is_short_and_leads_to_every_room() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert len(text.splitlines()) <= README_LINES
    linked = set(LINK.findall(text))
    rooms = {name for name in tracked_pages() if name.count("/") == 1 and "README" in name}
    assert {"mobile_assets/README.md", "tests/README.md"} <= rooms <= linked


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see [here](no/such.md)", "link to no/such.md"),
        ("see [here](README.md#no-such-part)", "no such heading"),
        ("see [here](#nor-this)\n# Heading", "no such heading"),
        ("`artefact-id recognise photo.jpg`", "no such command"),
        ("`export --quantize auto`", "--quantize is not an option"),
        ("`artefact-id verify bundle --shortlist`", "--shortlist is not an option"),
        ("```\n$ artefact-id inspect photos --colour\n```", "unrecognized arguments: --colour"),
        ("```\n$ artefact-id export run\n```", "required: --out"),
        ("```\nartefact-id train photos \\\n  --out run --split fair\n```", "invalid choice"),
        ("`benchmarks/no_such_file.py`", "is not there"),
        ("```\npython -m benchmarks.studies.none --out DIR\n```", "no such module"),
        ("```\nmake coffee\n```", "no such target"),
        ("`make tea`", "no such target"),
    ],
)
def test_what_is_wrong_in_a_page_is_noticed(text: str, expected: str) -> None:
    found = problems(text, ROOT / "page.md")
    assert len(found) == 1
    assert expected in found[0]


def test_what_is_right_in_a_page_is_let_through() -> None:
    text = (
        "# Heading `x`\n[here](#heading-x), [there](README.md), [away](https://example.org)\n"
        "`artefact-id export RUN --out BUNDLE`, `artefact-id COMMAND --help`, `make test`\n"
        "```\n$ artefact-id identify bundle *.jpg --top 3  # a comment\nmatch\n```\n"
    )
    assert problems(text, ROOT / "page.md") == []
