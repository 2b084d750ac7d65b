"""From runs to phones: `export`, `verify`, `sign` and `identify`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from artefact_id.options import add_out, command, photo_root, register_heif
from mobile_assets.errors import InputError

KEYS_HELP = (
    "Make a pair of keys with OpenSSL 3, and keep key.pem to yourself:\n"
    "  openssl genpkey -algorithm ed25519 -out key.pem\n"
    "  openssl pkey -in key.pem -pubout -out public.pem\n"
    "The password of an encrypted key is asked for, or taken from ARTEFACT_ID_KEY_PASSWORD."
)


def add_export(commands: Any) -> None:
    """Adds the command `export`."""
    parser = command(
        commands,
        "export",
        _export,
        "convert and quantise a run, write a bundle for the phone",
        "  artefact-id export run --photos photos --out bundle\n"
        "  artefact-id export run --photos photos --out bundle --variants tflite-int8\n"
        "  artefact-id export run --photos photos --out bundle --quantise auto\n"
        "  artefact-id export run --photos photos --out bundle --embedding --shortlist 10\n"
        "  artefact-id export run --photos photos --out bundle --golden 5 --sign key.pem\n\n"
        + KEYS_HELP,
    )
    parser.add_argument("source", type=Path, metavar="RUN", help="folder that `train` wrote")
    parser.add_argument(
        "--photos", type=Path, help="the register that the run was trained on, for calibration"
    )
    add_out(parser, "BUNDLE")
    parser.add_argument("--variants", help="comma-separated names (default: all)")
    parser.add_argument(
        "--quantise",
        choices=("auto",),
        help="auto: measure the variants on the run's validation photos and recommend, for TFLite "
        "and for Core ML, the smallest that is good enough",
    )
    parser.add_argument("--name", help="name of the bundle (default: the folder's)")
    parser.add_argument("--calibration-photos", type=int, default=128, help="default: 128")
    parser.add_argument(
        "--calibration",
        choices=("photos", "noise"),
        default="photos",
        help="noise: measure how bad 8 bits are without photos; the bundle is marked as not fit "
        "for the field, and `verify` fails it (default: photos)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the choice of photos")
    parser.add_argument(
        "--golden",
        nargs="+",
        metavar="N|PHOTO",
        default=(),
        help="golden vectors of N validation photos, or of these photos, besides the drawn ones "
        "that every bundle has; the photos go into the bundle as they are, with all that their "
        "EXIF data tell, such as the place",
    )
    parser.add_argument(
        "--no-golden", dest="make_golden", action="store_false", help="no golden vectors at all"
    )
    parser.add_argument(
        "--embedding",
        action="store_true",
        help="also write the embedding as a model of its own, to compare photos by; the run must "
        "have been trained with --head embedding",
    )
    parser.add_argument(
        "--shortlist",
        type=int,
        metavar="K",
        help="also write a model that answers with the K best objects (1 to 100) instead of all: "
        "quicker to read where there are thousands",
    )
    parser.add_argument(
        "--sign", type=Path, metavar="KEY", help="sign the bundle with this private Ed25519 key"
    )


def _export(options: argparse.Namespace) -> None:
    from benchmarks.pipeline.terminal import Terminal
    from benchmarks.verify.golden_predictor import golden_plan
    from export import VARIANTS, ExportOptions, export_bundle
    from train.run import read_run

    register_heif()
    chosen = ExportOptions(
        variants=tuple(options.variants.split(",")) if options.variants else VARIANTS,
        name=options.name or options.out.name,
        calibration_photos=options.calibration_photos,
        calibration=options.calibration,
        seed=options.seed,
        recommend=options.quantise == "auto",
        embedding=options.embedding,
        shortlist=options.shortlist,
        force=options.force,
    )
    if options.golden and not options.make_golden:
        raise InputError("--golden and --no-golden exclude each other. Give one of them.")
    with Terminal() as terminal:
        bundle = export_bundle(
            read_run(options.source),
            options.out,
            options=chosen,
            photos=photo_root(options.photos),
            golden=golden_plan(options.golden, seed=options.seed) if options.make_golden else None,
            signer=_signer(options.sign, terminal.say) if options.sign else None,
            progress=terminal.say,
        )
        terminal.exported(bundle)


def _signer(key: Path, say: Callable[[str], None]) -> Any:
    """Reads a private key, asking for its password if it has one."""
    from getpass import getpass

    from export.bundle.signing import Signer

    return Signer.read(key, ask=getpass if sys.stdin.isatty() else None, say=say)


def add_verify(commands: Any) -> None:
    """Adds the command `verify`."""
    parser = command(
        commands,
        "verify",
        _verify,
        "check a bundle: files, labels, metadata, golden vectors on every runtime here, signature",
        "  artefact-id verify bundle\n"
        "  artefact-id verify bundle --trust public.pem --junit verify.xml\n"
        "  artefact-id verify bundle --runtimes tensorflow,litert-arm64\n"
        "  artefact-id verify bundle --clients --photos photos/a.jpg photos/b.jpg\n\n"
        "Exit codes: 0 nothing failed; 1 a check failed; 2 this is no bundle, or the machine lacks "
        "what was asked for.\n\n" + KEYS_HELP,
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder that `export` wrote")
    parser.add_argument(
        "--trust", type=Path, metavar="KEY", help="refuse it unless this public key signed it"
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
    from benchmarks.pipeline.terminal import Terminal
    from benchmarks.verify import verify_bundle
    from benchmarks.verify.console import print_verification, write_verification_junit

    register_heif()
    if options.photos and not options.clients:
        raise InputError("--photos are what --clients shows: give --clients, or leave them out.")
    trusted = None
    if options.trust:
        from export.bundle.signing import read_public_key

        trusted = read_public_key(options.trust)
    with Terminal() as terminal:
        found = verify_bundle(
            options.bundle,
            trusted=trusted,
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


def add_sign(commands: Any) -> None:
    """Adds the command `sign`."""
    parser = command(
        commands,
        "sign",
        _sign,
        "sign a bundle that is already there, so that `verify --trust` can tell a changed one",
        "  artefact-id sign bundle --key key.pem\n\n" + KEYS_HELP,
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder that `export` wrote")
    parser.add_argument(
        "--key", type=Path, required=True, metavar="KEY", help="private Ed25519 key, PEM"
    )
    parser.add_argument("--force", action="store_true", help="replace the signature that is there")


def _sign(options: argparse.Namespace) -> None:
    from benchmarks.pipeline.terminal import Terminal
    from mobile_assets.bundle import SIGNATURE_FILE, read_bundle

    with Terminal() as terminal:
        signer = _signer(options.key, terminal.say)
        bundle = read_bundle(options.bundle)
        if (bundle.folder / SIGNATURE_FILE).exists() and not options.force:
            raise InputError(f"{bundle.folder} is already signed. Give --force to sign it anew.")
        signature = signer.sign(bundle.folder)
        terminal.say(f"{bundle.folder}: signed by {signature.public_key}")


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
    from benchmarks.pipeline.terminal import Terminal

    register_heif()
    if options.top < 1:
        raise InputError(f"--top {options.top}: give 1 or more.")
    with Terminal() as terminal:
        answers = identify(
            options.bundle, options.pictures, variant=options.variant, top=options.top
        )
        terminal.answers(answers, json=options.json)
    # Photos that could be read are answered; the others still make the call a failed one.
    return 2 if any(answer.error for answer in answers) else 0
