"""The command `sign`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from artefact_id.options import command
from mobile_assets.errors import InputError
from mobile_assets.output_lock import claimed
from mobile_assets.visible_text import visible

KEYS_HELP = (
    "Make a pair of keys with OpenSSL 3, and keep key.pem to yourself:\n"
    "  openssl genpkey -algorithm ed25519 -out key.pem\n"
    "  openssl pkey -in key.pem -pubout -out public.pem\n"
    "The password of an encrypted key is asked for, or taken from ARTEFACT_ID_KEY_PASSWORD."
)


def add_sign(commands: Any) -> None:
    """Adds the command `sign`."""
    parser = command(
        commands,
        "sign",
        _sign,
        "sign a bundle that is already there, so that `verify --trust` can tell a changed one",
        "  artefact-id sign bundle --key key.pem\n"
        "  artefact-id sign bundle --key ec.pem --openssf bundle.sig\n\n" + KEYS_HELP,
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder that `export` wrote")
    parser.add_argument(
        "--key", type=Path, required=True, metavar="KEY", help="private Ed25519 key, PEM"
    )
    parser.add_argument(
        "--openssf",
        type=Path,
        metavar="FILE",
        help="write a signature for the tools of OpenSSF Model Signing to this file, outside the "
        "bundle, instead of signature.json; KEY is then on the curve P-256, P-384 or P-521",
    )
    parser.add_argument("--force", action="store_true", help="replace the signature that is there")


def _sign(options: argparse.Namespace) -> None:
    from artefact_id.terminal import Terminal
    from mobile_assets.bundle import SIGNATURE_FILE

    with claimed(options.bundle), Terminal() as terminal:
        if options.openssf is not None:
            _sign_openssf(options, terminal.say)
            return
        signer = read_signer(options.key, terminal.say)
        folder = options.bundle
        if (folder / SIGNATURE_FILE).exists() and not options.force:
            raise InputError(f"{folder} is already signed. Give --force to sign it anew.")
        signature = signer.sign(folder)
        terminal.say(f"{folder}: signed by {signature.public_key}")


def _sign_openssf(options: argparse.Namespace, say: Callable[[str], None]) -> None:
    from export.bundle.openssf import ModelSigner
    from mobile_assets.bundle import read_bundle

    path: Path = options.openssf
    if path.exists() and not options.force:
        raise InputError(f"{path} is already there. Give --force to replace it.")
    signer = ModelSigner.read(options.key, ask=_ask(), say=say)
    signer.sign(read_bundle(options.bundle), path)
    say(f"{path}: signature of {options.bundle} for `model_signing verify key`")


def read_signer(key: Path, say: Callable[[str], None]) -> Any:
    """Reads a private key, asking for its password if it has one."""
    from export.bundle.signing import Signer

    return Signer.read(key, ask=_ask(), say=say)


def _ask() -> Callable[[str], str] | None:
    from getpass import getpass

    def ask(question: str) -> str:
        return getpass(visible(question))

    return ask if sys.stdin.isatty() else None
