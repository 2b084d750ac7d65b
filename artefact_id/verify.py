"""The command `verify`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from artefact_id.options import add_trust, command, register_heif, trusted_key
from artefact_id.sign import KEYS_HELP
from mobile_assets.errors import InputError


def add_verify(commands: Any) -> None:
    """Adds the command `verify`."""
    parser = command(
        commands,
        "verify",
        _verify,
        "check a bundle: files, labels, metadata, golden vectors on every runtime here, signature",
        "  artefact-id verify bundle\n"
        "  artefact-id verify bundle --trust public.pem --junit verify.xml\n"
        "  artefact-id verify bundle --trust public.pem --newer-than bundle-on-phones\n"
        "  artefact-id verify bundle --runtimes tensorflow,litert-arm64\n"
        "  artefact-id verify bundle --clients --photos photos/a.jpg photos/b.jpg\n\n"
        "Exit codes: 0 nothing failed; 1 a check failed; 2 this is no bundle, or the machine lacks "
        "what was asked for.\n\n" + KEYS_HELP,
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder that `export` wrote")
    add_trust(parser)
    parser.add_argument(
        "--newer-than",
        type=Path,
        metavar="BUNDLE",
        help="fail unless it may replace this one: of the same register, with a higher serial "
        "number",
    )
    parser.add_argument(
        "--runtimes",
        metavar="NAMES",
        help="comma-separated, besides those that are quick and here: tensorflow, litert-arm64, "
        "android",
    )
    parser.add_argument(
        "--clients",
        action="store_true",
        help="also open it as apps do: MediaPipe's ImageClassifier, LiteRT's CompiledModel, "
        "TensorFlow's interpreter (`artefact-id setup mediapipe` brings the first)",
    )
    parser.add_argument(
        "--photos",
        type=Path,
        nargs="+",
        metavar="PHOTO",
        help="what --clients shows them (default: drawn pictures)",
    )
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write the checks as JUnit XML")
    parser.add_argument("--json", action="store_true", help="print the checks as JSON")


def _verify(options: argparse.Namespace) -> int:
    from artefact_id.terminal import Terminal
    from benchmarks.verify import verify_bundle
    from benchmarks.verify.console import print_verification, write_verification_junit

    register_heif()
    if options.photos and not options.clients:
        raise InputError("--photos are what --clients shows: give --clients, or leave them out.")
    trusted = trusted_key(options)
    with Terminal() as terminal:
        found = verify_bundle(
            options.bundle,
            trusted=trusted,
            newer_than=options.newer_than,
            runtimes_named=tuple(options.runtimes.split(",")) if options.runtimes else (),
            progress=lambda check: terminal.say(
                " ".join(filter(None, (check.name, check.subject, check.runtime)))
            ),
        )
        if options.clients:
            from benchmarks.verify.third_party import with_clients

            terminal.say("showing it to MediaPipe, CompiledModel and TensorFlow")
            found = with_clients(found, options.photos or ())
    print_verification(found, json=options.json)
    if options.junit:
        write_verification_junit(options.junit, found)
    return 1 if found.failed else 0
