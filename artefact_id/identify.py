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
        "  artefact-id identify bundle front.jpg back.jpg --together --html answer.html\n"
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
    parser.add_argument(
        "--together",
        action="store_true",
        help="the photos are all of one object, and get one answer",
    )
    parser.add_argument(
        "--false-match-rate",
        type=float,
        metavar="SHARE",
        help="how often an unknown object may be called a match, such as 0.05; one of those that "
        "the bundle promises (default: the lowest)",
    )
    parser.add_argument(
        "--top", type=int, default=5, help="list so many candidates at least (default: 5)"
    )
    add_trust(parser)
    parser.add_argument("--json", action="store_true", help="print the answers as JSON")
    parser.add_argument(
        "--html",
        type=Path,
        metavar="FILE",
        help="also write a page with the photos beside the candidates' reference pictures",
    )
    parser.add_argument("--force", action="store_true", help="replace a page that is there")


def _identify(options: argparse.Namespace) -> int:
    from artefact_id.terminal import print_json
    from benchmarks.pipeline.identify import identifier, identify_photos
    from mobile_assets.files import check_output

    register_heif()
    if options.top < 1:
        raise InputError(f"--top {options.top}: give 1 or more.")
    if options.html is not None:
        check_output(options.html, force=options.force, what="page")
    with identifier(
        options.bundle,
        variant=options.variant,
        trusted=trusted_key(options),
        false_match_rate=options.false_match_rate,
    ) as scores:
        answers = identify_photos(
            scores, options.pictures, top=options.top, together=options.together
        )
        if options.html is not None:
            from benchmarks.pipeline.identification_page import write_page

            write_page(options.html, scores.bundle, answers)
    if options.json:
        print_json([answer.as_json() for answer in answers])
    else:
        _print(answers)
    # Photos that could be read are answered; the others still make the call a failed one.
    return 2 if any(answer.errors for answer in answers) else 0


def _print(answers: Sequence[Identification]) -> None:
    """Prints what the phone would answer to each photo."""
    from rich.table import Table

    from artefact_id.terminal import cell, output
    from mobile_assets.visible_text import visible

    console = output()

    def line(text: str) -> None:
        console.print(visible(text), markup=False, soft_wrap=True)

    for identification in answers:
        names = ", ".join(map(str, identification.photos))
        verdict = identification.verdict
        if verdict is None:
            line(f"{names}: {identification.reason}")
            continue
        line(f"{names}: {verdict.answer}")
        line(f"  {identification.reason}")
        for photo, reason in identification.errors.items():
            line(f"  left out: {photo}: {reason}")
        for photo, fitness in identification.unfit.items():
            line(f"  unfit: {photo}: {fitness.kind}")
        table = Table("", "object", "title", "collection", identification.scored_by, "points")
        for rank, candidate in enumerate(identification.candidates, start=1):
            label = candidate.label
            words = (label.object_id, label.title, label.collection)
            # A list beside "not in the register" is of what comes nearest, no answer.
            mark = f"{rank}" if candidate.named else f"({rank})"
            number = "{:.3f}" if identification.scored_by == "score" else "{:.1%}"
            points = "" if candidate.points is None else str(candidate.points.match.inliers)
            table.add_row(mark, *map(cell, words), number.format(candidate.score), points)
        console.print(table)
        for candidate in identification.candidates:
            if text := _record_line(candidate.label):
                line(text)


def _record_line(label: Label) -> str:
    """An object's descriptive fields in one line; empty if it has none."""
    fields = label.record.as_json() if label.record is not None else {}
    texts = "; ".join(f"{name.replace('_', ' ')}: {text}" for name, text in fields.items())
    return f"{label.object_id}: {texts}" if texts else ""
