"""The command `identify`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artefact_id.options import command, register_heif
from mobile_assets.errors import InputError
from mobile_assets.files import json_text
from mobile_assets.visible_text import visible, visible_json

if TYPE_CHECKING:
    from benchmarks.pipeline.identify import Identification
    from mobile_assets.labels import Label


def add_identify(commands: Any) -> None:
    """Adds the command `identify`."""
    parser = command(
        commands,
        "identify",
        _identify,
        "answer as the phone would, from the bundle alone",
        "  artefact-id identify bundle photo.jpg\n"
        "  artefact-id identify bundle *.jpg --top 10 --json",
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder that `export` wrote")
    parser.add_argument("pictures", type=Path, nargs="+", metavar="PHOTO", help="photos")
    parser.add_argument(
        "--variant", help="default: the one that the bundle recommends, or else tflite-int8"
    )
    parser.add_argument("--top", type=int, default=5, help="length of the shortlist (default: 5)")
    parser.add_argument("--json", action="store_true", help="print the answers as JSON")


def _identify(options: argparse.Namespace) -> int:
    from benchmarks.pipeline.identify import identify

    register_heif()
    if options.top < 1:
        raise InputError(f"--top {options.top}: give 1 or more.")
    answers = identify(options.bundle, options.pictures, variant=options.variant, top=options.top)
    if options.json:
        sys.stdout.write(visible_json(json_text([answer.as_json() for answer in answers])))
    else:
        _print(answers)
    # Photos that could be read are answered; the others still make the call a failed one.
    return 2 if any(answer.error for answer in answers) else 0


def _print(answers: Sequence[Identification]) -> None:
    """Prints what the phone would answer to each photo."""
    from rich.markup import escape
    from rich.table import Table

    from artefact_id.terminal import output

    console = output()
    for identification in answers:
        answer = identification.answer
        result = identification.error if answer is None else answer.verdict
        console.print(f"{identification.photo}: {result}", markup=False, soft_wrap=True)
        if answer is None:
            continue
        table = Table("", "object", "title", "collection", "probability")
        for rank, candidate in enumerate(answer.candidates, start=1):
            label = candidate.label
            words = (label.object_id, label.title, label.collection)
            shown = (escape(visible(word)) for word in words)
            table.add_row(str(rank), *shown, f"{candidate.probability:.1%}")
        console.print(table)
        for candidate in answer.candidates:
            if line := _record_line(candidate.label):
                console.print(line, markup=False, soft_wrap=True)


def _record_line(label: Label) -> str:
    """An object's descriptive fields in one line; empty if it has none."""
    fields = label.record.as_json() if label.record is not None else {}
    if not fields:
        return ""
    texts = (f"{name.replace('_', ' ')}: {visible(text)}" for name, text in fields.items())
    return f"{visible(label.object_id)}: {'; '.join(texts)}"
