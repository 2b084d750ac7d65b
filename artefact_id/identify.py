"""The command `identify`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artefact_id.options import add_trust, command, register_heif, trusted_key
from mobile_assets.errors import InputError

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
        "  artefact-id identify bundle *.jpg --top 10 --json\n"
        "  artefact-id identify bundle photo.jpg --trust public.pem\n\n"
        "Nothing of a bundle is used before its files are compared with their hashes, and none of "
        "it where a signature is there that does not hold.",
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder that `export` wrote")
    parser.add_argument("pictures", type=Path, nargs="+", metavar="PHOTO", help="photos")
    parser.add_argument(
        "--variant",
        help="default: the one that the bundle recommends, or else the first that it has of "
        "tflite-int8, -int8-weights, -float16 and -float32",
    )
    parser.add_argument("--top", type=int, default=5, help="length of the shortlist (default: 5)")
    add_trust(parser)
    parser.add_argument("--json", action="store_true", help="print the answers as JSON")


def _identify(options: argparse.Namespace) -> int:
    from artefact_id.terminal import print_json
    from benchmarks.pipeline.identify import identify

    register_heif()
    if options.top < 1:
        raise InputError(f"--top {options.top}: give 1 or more.")
    answers = identify(
        options.bundle,
        options.pictures,
        variant=options.variant,
        top=options.top,
        trusted=trusted_key(options),
    )
    if options.json:
        print_json([answer.as_json() for answer in answers])
    else:
        _print(answers)
    # Photos that could be read are answered; the others still make the call a failed one.
    return 2 if any(answer.error for answer in answers) else 0


def _print(answers: Sequence[Identification]) -> None:
    """Prints what the phone would answer to each photo."""
    from rich.table import Table

    from artefact_id.terminal import cell, output
    from mobile_assets.visible_text import visible

    console = output()
    for identification in answers:
        answer = identification.answer
        result = identification.error if answer is None else answer.verdict
        console.print(visible(f"{identification.photo}: {result}"), markup=False, soft_wrap=True)
        if answer is None:
            continue
        table = Table("", "object", "title", "collection", "probability")
        for rank, candidate in enumerate(answer.candidates, start=1):
            label = candidate.label
            words = (label.object_id, label.title, label.collection)
            table.add_row(str(rank), *map(cell, words), f"{candidate.probability:.1%}")
        console.print(table)
        for candidate in answer.candidates:
            if line := _record_line(candidate.label):
                console.print(visible(line), markup=False, soft_wrap=True)


def _record_line(label: Label) -> str:
    """An object's descriptive fields in one line; empty if it has none."""
    fields = label.record.as_json() if label.record is not None else {}
    texts = "; ".join(f"{name.replace('_', ' ')}: {text}" for name, text in fields.items())
    return f"{label.object_id}: {texts}" if texts else ""
