"""The commands `enrol`, `merge` and `diff`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artefact_id.options import (
    PHOTOS_HELP,
    add_layout,
    add_out,
    add_trust,
    command,
    register_heif,
    trusted_key,
)
from artefact_id.sign import KEYS_HELP, read_signer
from mobile_assets.visible_text import visible

if TYPE_CHECKING:
    from export.bundle.difference import BundleDifference
    from mobile_assets.bundle import Bundle


def add_enrol(commands: Any) -> None:
    """Adds the command `enrol`."""
    parser = command(
        commands,
        "enrol",
        _enrol,
        "add objects to a bundle, or withdraw some, without training",
        "  artefact-id enrol bundle new-photos --out bundle2\n"
        "  artefact-id enrol bundle --withdraw EGY-1889-0001 --out bundle2\n"
        "  artefact-id enrol bundle new-photos --out bundle2 --key key.pem\n\n"
        "The bundle needs a gallery and a TFLite embedding. Core ML classifiers know the objects\n"
        "of the training only, and are left out of the new bundle.\n\n" + KEYS_HELP,
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder that `export` wrote")
    parser.add_argument("photos", type=Path, nargs="?", metavar="PHOTOS", help=PHOTOS_HELP)
    add_layout(parser)
    add_out(parser, "BUNDLE2")
    parser.add_argument(
        "--withdraw",
        nargs="+",
        action="extend",
        default=[],
        metavar="ID",
        help="objects to take out; one that is among the photos is replaced",
    )
    _add_key(parser)
    add_trust(parser)


def add_merge(commands: Any) -> None:
    """Adds the command `merge`."""
    parser = command(
        commands,
        "merge",
        _merge,
        "put two bundles of one model together",
        "  artefact-id merge bundle-north bundle-south --out bundle\n\n"
        "Both must have the same embedding model: bundles of one export, with objects enrolled or\n"
        "withdrawn since. An object that is not the same in both is refused.\n\n" + KEYS_HELP,
    )
    for name in ("first", "second"):
        parser.add_argument(name, type=Path, metavar="BUNDLE", help="folder of a bundle")
    add_out(parser, "BUNDLE")
    _add_key(parser)


def add_diff(commands: Any) -> None:
    """Adds the command `diff`."""
    parser = command(
        commands,
        "diff",
        _diff,
        "show which objects of a bundle are new, gone or changed against another",
        "  artefact-id diff bundle bundle2\n  artefact-id diff bundle bundle2 --json",
    )
    parser.add_argument("first", type=Path, metavar="BUNDLE", help="the earlier bundle")
    parser.add_argument("second", type=Path, metavar="BUNDLE", help="the later bundle")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _add_key(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--key", type=Path, metavar="KEY", help="sign the new bundle with this private Ed25519 key"
    )
    parser.add_argument(
        "--serial",
        type=int,
        metavar="N",
        help="the new bundle's serial number (default: the seconds since 1970, or one more than "
        "the bundle that it follows)",
    )


def _enrol(options: argparse.Namespace) -> None:
    from artefact_id.terminal import Terminal
    from export.bundle.enrolment import EnrolOptions, enrol
    from train.registers.readers import read_register

    register_heif()
    with Terminal() as terminal:
        register = None
        if options.photos is not None:
            register = read_register(options.photos, layout=options.layout)
        bundle = enrol(
            options.bundle,
            register,
            options.out,
            EnrolOptions(
                withdraw=tuple(options.withdraw),
                signer=read_signer(options.key, terminal.say) if options.key else None,
                trusted=trusted_key(options),
                serial=options.serial,
                force=options.force,
            ),
            terminal.say,
        )
    _print(bundle)


def _merge(options: argparse.Namespace) -> None:
    from artefact_id.terminal import Terminal
    from export.bundle.merge import merge

    with Terminal() as terminal:
        bundle = merge(
            options.first,
            options.second,
            options.out,
            signer=read_signer(options.key, terminal.say) if options.key else None,
            serial=options.serial,
            force=options.force,
            say=terminal.say,
        )
    _print(bundle)


def _print(bundle: Bundle) -> None:
    from artefact_id.terminal import messages

    info = bundle.info
    messages().print(
        visible(f"{bundle.folder}: {info.objects} objects, serial number {info.serial}"),
        markup=False,
        soft_wrap=True,
    )


def _diff(options: argparse.Namespace) -> None:
    from artefact_id.terminal import print_json
    from export.bundle.difference import difference
    from mobile_assets.bundle import read_bundle

    compared = difference(read_bundle(options.first), read_bundle(options.second))
    if options.json:
        print_json(compared.as_json())
    else:
        _print_difference(compared)


def _print_difference(compared: BundleDifference) -> None:
    from artefact_id.terminal import output

    lines = [f"{compared.objects[0]} objects before, {compared.objects[1]} now"]
    if not compared.same_model:
        lines.append("the embedding models differ: photos and directions were not compared")
    if not compared.same_register:
        lines.append("they are of different registers")
    lines += [f"new: {object_id}" for object_id in compared.new]
    lines += [f"gone: {object_id}" for object_id in compared.gone]
    lines += [f"changed: {one.object_id} ({', '.join(one.changes)})" for one in compared.changed]
    if compared.empty:
        lines.append("the objects are the same")
    for line in lines:
        output().print(visible(line), markup=False, soft_wrap=True)
