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
        "  artefact-id sign bundle --key key.pem\n\n" + KEYS_HELP,
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder that `export` wrote")
    parser.add_argument(
        "--key", type=Path, required=True, metavar="KEY", help="private Ed25519 key, PEM"
    )
    parser.add_argument("--force", action="store_true", help="replace the signature that is there")


def _sign(options: argparse.Namespace) -> None:
    from artefact_id.terminal import Terminal
    from mobile_assets.bundle import SIGNATURE_FILE, read_bundle

    with claimed(options.bundle), Terminal() as terminal:
        signer = read_signer(options.key, terminal.say)
        bundle = read_bundle(options.bundle)
        if (bundle.folder / SIGNATURE_FILE).exists() and not options.force:
            raise InputError(f"{bundle.folder} is already signed. Give --force to sign it anew.")
        signature = signer.sign(bundle.folder)
        terminal.say(f"{bundle.folder}: signed by {signature.public_key}")


def read_signer(key: Path, say: Callable[[str], None]) -> Any:
    """Reads a private key, asking for its password if it has one."""
    from getpass import getpass

    from export.bundle.signing import Signer

    def ask(question: str) -> str:
        return getpass(visible(question))

    return Signer.read(key, ask=ask if sys.stdin.isatty() else None, say=say)
