"""The command `export`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artefact_id.options import add_out, command, photo_root, register_heif
from artefact_id.sign import KEYS_HELP, read_signer
from export.variants.options import (
    CALIBRATION_PHOTOS,
    GALLERY_PHOTOS,
    REFERENCE_SIZE,
    REFERENCES,
)
from mobile_assets.errors import InputError
from mobile_assets.visible_text import visible

if TYPE_CHECKING:
    from mobile_assets.bundle import Bundle


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
    parser.add_argument("--name", help="name of the bundle (default: the folder's)")
    _add_quantisation(parser.add_argument_group("quantisation"))
    _add_golden(parser.add_argument_group("golden vectors"))
    _add_auxiliary(parser.add_argument_group("further models"))
    _add_gallery(parser.add_argument_group("gallery"))
    _add_origin(parser.add_argument_group("register and signature"))


def _add_quantisation(group: Any) -> None:
    group.add_argument(
        "--quantise",
        choices=("auto",),
        help="auto: measure the variants on the run's validation photos and recommend, for TFLite "
        "and for Core ML, the smallest that is good enough",
    )
    group.add_argument(
        "--calibration-photos",
        type=int,
        default=CALIBRATION_PHOTOS,
        help=f"default: {CALIBRATION_PHOTOS}",
    )
    group.add_argument(
        "--calibration",
        choices=("photos", "noise"),
        default="photos",
        help="noise: measure how bad 8 bits are without photos; the bundle is marked as not fit "
        "for the field, and `verify` fails it (default: photos)",
    )
    group.add_argument("--seed", type=int, default=0, help="of the choice of photos")


def _add_golden(group: Any) -> None:
    group.add_argument(
        "--golden",
        nargs="+",
        metavar="N|PHOTO",
        default=(),
        help="golden vectors of N validation photos, or of these photos, besides the drawn ones "
        "that every bundle has; their pictures alone go into the bundle, nothing of what their "
        "EXIF data tell, such as the place",
    )
    group.add_argument(
        "--keep-metadata",
        action="store_true",
        help="put photos of --golden into the bundle as they are, with EXIF, place, names and "
        "comments",
    )
    group.add_argument(
        "--no-golden", dest="make_golden", action="store_false", help="no golden vectors at all"
    )


def _add_auxiliary(group: Any) -> None:
    group.add_argument(
        "--embedding",
        action="store_true",
        help="also write the embedding as a model of its own, to compare photos by; the run must "
        "have been trained with --head embedding",
    )
    group.add_argument(
        "--shortlist",
        type=int,
        metavar="K",
        help="also write a model that answers with the K best objects (1 to 100) instead of all: "
        "quicker to read where there are thousands",
    )


def _add_gallery(group: Any) -> None:
    group.add_argument(
        "--no-gallery",
        dest="gallery",
        action="store_false",
        help="no gallery, no reference pictures and no thresholds: every answer is a shortlist",
    )
    group.add_argument(
        "--gallery-photos",
        type=int,
        metavar="N",
        default=GALLERY_PHOTOS,
        help=f"at most N photos of each object, 0 for none (default: {GALLERY_PHOTOS})",
    )
    group.add_argument(
        "--references",
        type=int,
        metavar="N",
        default=REFERENCES,
        help="at most N pictures of each object to compare with by eye, 0 for none "
        f"(default: {REFERENCES})",
    )
    group.add_argument(
        "--reference-size",
        type=int,
        metavar="PIXELS",
        default=REFERENCE_SIZE,
        help=f"their longer side (default: {REFERENCE_SIZE})",
    )


def _add_origin(group: Any) -> None:
    group.add_argument(
        "--register-id",
        metavar="NAME",
        help="the register's name in the bundle, the same for every bundle of it: apps refuse a "
        "bundle of another register (default: the name of the folder or manifest of the training)",
    )
    group.add_argument(
        "--serial",
        type=int,
        metavar="N",
        help="the bundle's serial number: apps refuse a bundle whose number is not above that of "
        "the one they have (default: the seconds since 1970)",
    )
    group.add_argument(
        "--newer-than",
        type=Path,
        metavar="BUNDLE",
        help="a bundle that phones have: the new one is of the same register, with a higher number",
    )
    group.add_argument(
        "--sign", type=Path, metavar="KEY", help="sign the bundle with this private Ed25519 key"
    )


def _export(options: argparse.Namespace) -> None:
    from artefact_id.terminal import Terminal
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
        gallery=options.gallery,
        gallery_photos=options.gallery_photos,
        references=options.references,
        reference_size=options.reference_size,
        shortlist=options.shortlist,
        register_id=options.register_id,
        serial=options.serial,
        newer_than=options.newer_than,
        force=options.force,
    )
    if options.keep_metadata and not options.golden:
        raise InputError("--keep-metadata is about the photos of --golden: give --golden as well.")
    if options.golden and not options.make_golden:
        raise InputError("--golden and --no-golden exclude each other. Give one of them.")
    with Terminal() as terminal:
        bundle = export_bundle(
            read_run(options.source),
            options.out,
            options=chosen,
            photos=photo_root(options.photos),
            golden=golden_plan(
                options.golden, seed=options.seed, keep_metadata=options.keep_metadata
            )
            if options.make_golden
            else None,
            signer=read_signer(options.sign, terminal.say) if options.sign else None,
            progress=terminal.say,
        )
    _print(bundle)


def _print(bundle: Bundle) -> None:
    """Lists a bundle's variants."""
    from rich.table import Table

    from artefact_id.terminal import cell, messages, output

    table = Table("variant", "file", "bytes", "input", "output")
    for variant in bundle.info.variants:
        table.add_row(
            cell(variant.name),
            cell(variant.file),
            f"{variant.bytes:,}",
            ", ".join(f"{cell(tensor.name)} {tensor.dtype}" for tensor in variant.inputs),
            ", ".join(f"{cell(tensor.name)} {tensor.dtype}" for tensor in variant.outputs),
        )
    output().print(table)
    messages().print(
        visible(f"{bundle.folder}: {bundle.info.objects} objects"), markup=False, soft_wrap=True
    )
