"""Adding objects to a bundle, and withdrawing them, without training and without torch.

The embedding is computed by the bundle's own TFLite file. This room may start LiteRT's interpreter
since every export does (`export.tflite.interpreter`), and enrolment writes a bundle, which nothing
above `export` does.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from export.bundle.embedded_photos import EmbeddedPhotos, ObjectPhoto, embed_photos, spread
from export.bundle.leave_one_out import mean_direction
from export.bundle.objects import BundleObject, read_objects
from export.bundle.rebuild import RebuildPlan, rebuild_bundle
from export.bundle.references import differing_rows, picture_of
from export.bundle.tflite_embedding import tflite_embed
from export.variants.options import GALLERY_PHOTOS, REFERENCES
from mobile_assets.bundle import Bundle, BundleInfo, read_bundle
from mobile_assets.bundle_info import MOST_SERIAL, Enrolment
from mobile_assets.errors import InputError
from mobile_assets.files import check_output, sha256_file
from mobile_assets.identification.gallery import QuantisedRows
from mobile_assets.identification.references import ReferencePicture, read_references
from mobile_assets.labels import Label
from mobile_assets.plan_checks import check_place
from train.photo_pixels import PhotoPixels
from train.registers.register import Register
from train.versions import created_now

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from export.bundle.signing import Signer

Say = Callable[[str], None]

_PRECISIONS = ("float32", "float16", "", "int8")
"""Embedding files by how near they are to the network; bundles of before do not say."""

_LISTED = 5


@dataclass(frozen=True)
class EnrolOptions:
    """How objects are enrolled.

    Attributes:
        withdraw: Ids of objects to take out; one that is among the photos is replaced.
        signer: Signs the new bundle; needed where the old one is signed.
        trusted: The key that must have signed the old one; None for any key or none.
        serial: Serial number of the new bundle; None for one above the old one's.
        cache: Folder of decoded photos; None for the user's cache folder.
        force: Replace what is at the output.
    """

    withdraw: tuple[str, ...] = ()
    signer: Signer | None = None
    trusted: Ed25519PublicKey | None = None
    serial: int | None = None
    cache: Path | None = None
    force: bool = False


def enrol(
    folder: Path, register: Register | None, out: Path, options: EnrolOptions, say: Say
) -> Bundle:
    """Writes a bundle with further objects, or without some.

    Args:
        folder: The bundle.
        register: Photos of the objects to add; None for none.
        out: The folder to create.

    Raises:
        InputError: Nothing is asked for, an object is there already or not at all, a photo cannot
            be read, or a signed bundle is given without a key.
        DamagedError: The bundle is damaged.
        CheckFailedError: Its signature does not hold.
    """
    check_output(out, force=options.force, what="bundle")
    check_place(out, [folder, register.root if register else None], what="bundle")
    base = read_bundle(folder, trusted=options.trusted)
    check_signer(base, options.signer)
    now = created_now()
    serial = next_serial([base.info], now, options.serial)
    objects = read_objects(base)
    gone = _withdrawn(base, objects, options.withdraw)
    kept = {object_id: one for object_id, one in objects.items() if object_id not in gone}
    added = {} if register is None else _added(base, register, kept, options, say)
    if not added and not gone:
        raise InputError("Nothing to do: give photos of objects to enrol, or --withdraw ID.")
    plan = RebuildPlan(
        out=out,
        created=now,
        serial=serial,
        enrolment=_enrolment(base.info, frozenset(added), gone),
        signer=options.signer,
        force=options.force,
    )
    say(f"Writing a bundle of {len(kept) + len(added)} objects.")
    return rebuild_bundle(base, kept | added, plan, say)


def check_signer(base: Bundle, signer: Signer | None) -> None:
    """Refuses to make an unsigned bundle of a signed one.

    Raises:
        InputError: It is signed, and there is no key.
    """
    if base.signature is not None and signer is None:
        raise InputError(
            f"{base.folder} is signed, and phones would refuse what is made of it without a "
            "signature. Give the private key with --key."
        )


def next_serial(followed: Sequence[BundleInfo], created: str, given: int | None) -> int:
    """A serial number above those of the bundles that are followed: the time, or one more.

    Raises:
        InputError: The number given is not above them.
    """
    lowest = 1 + max(info.serial for info in followed)
    clock = int(datetime.datetime.fromisoformat(created).timestamp())
    if given is None:
        return max(clock, lowest)
    if not lowest <= given <= MOST_SERIAL:
        raise InputError(
            f"--serial {given}: give a number from {lowest} to {MOST_SERIAL}. Apps refuse a bundle "
            "whose number is not above that of the one before."
        )
    return given


def _withdrawn(
    base: Bundle, objects: dict[str, BundleObject], ids: Sequence[str]
) -> frozenset[str]:
    unknown = [object_id for object_id in ids if object_id not in objects]
    if unknown:
        raise InputError(
            f"--withdraw {unknown[0]}: {base.folder} has no such object. `artefact-id diff` and "
            "labels.txt list those it has."
        )
    return frozenset(ids)


def _enrolment(info: BundleInfo, added: frozenset[str], gone: frozenset[str]) -> Enrolment:
    before = info.enrolment or Enrolment()
    enrolled = (frozenset(before.enrolled) - gone) | added
    withdrawn = (frozenset(before.withdrawn) | gone) - added
    return Enrolment(enrolled=tuple(sorted(enrolled)), withdrawn=tuple(sorted(withdrawn)))


def _added(
    base: Bundle,
    register: Register,
    kept: dict[str, BundleObject],
    options: EnrolOptions,
    say: Say,
) -> dict[str, BundleObject]:
    there = [object_id for object_id in register.object_ids if object_id in kept]
    if there:
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise InputError(
            f"{there[0]}{more} is in {base.folder} already. To replace it, withdraw it in the same "
            f"call: --withdraw {there[0]}."
        )
    photos = [
        ObjectPhoto(register.path(photo), sha256_file(register.path(photo)), photo.object_id)
        for photo in register.photos
    ]
    say(f"Reading {len(photos)} photos of {len(register.object_ids)} objects.")
    pixels = PhotoPixels(base.info.preprocessing, root=register.root, cache=options.cache)
    embed = tflite_embed(_embedding(base))
    embedded = embed_photos(photos, {"": embed}, pixels)
    _report_unreadable(register, photos, embedded, say)
    sizes = read_references(base)
    labels = register.label_map()
    return {
        label.object_id: _entry(
            label, embedded, size=sizes.info.size if sizes is not None else None
        )
        for label in labels.labels
    }


def _report_unreadable(
    register: Register, photos: Sequence[ObjectPhoto], embedded: EmbeddedPhotos, say: Say
) -> None:
    """Says which photos are left out, and refuses objects that have no other.

    Raises:
        InputError: An object has no photo that can be read.
    """
    unreadable = len(photos) - len(embedded.photos)
    lacking = [id_ for id_ in register.object_ids if id_ not in embedded.places]
    if lacking:
        raise InputError(
            f"No photo of {', '.join(lacking[:_LISTED])} can be read. `artefact-id inspect "
            f"{register.root}` says why; leave the object out, or give another photo."
        )
    if unreadable:
        say(f"{unreadable} photos cannot be read: `artefact-id inspect` lists them.")


def _embedding(base: Bundle) -> bytes:
    """The TFLite embedding model nearest to the network.

    Raises:
        InputError: There is none.
    """
    models = {
        model.precision: model
        for model in base.info.companions
        if model.kind == "embedding" and model.format == "tflite"
    }
    for precision in _PRECISIONS:
        if precision in models:
            return base.path(models[precision]).read_bytes()
    raise InputError(
        f"{base.folder} has no TFLite embedding, which alone can be executed here. Export the run "
        "with a TFLite variant too."
    )


def _entry(label: Label, embedded: EmbeddedPhotos, *, size: int | None) -> BundleObject:
    places = embedded.places[label.object_id]
    rows = embedded.rows[""][places]
    stored = spread(range(len(places)), GALLERY_PHOTOS)
    hashes = [bytes.fromhex(embedded.photos[place].sha256) for place in places]
    return BundleObject(
        label=label.model_copy(update={"photos": len(places)}),
        direction=QuantisedRows.of(mean_direction(rows)[None]),
        rows=QuantisedRows.of(rows[stored]),
        photos=np.stack([np.frombuffer(hashes[place], np.uint8) for place in stored]),
        unseen=True,
        class_index=None,
        references=() if size is None else tuple(_pictures(label, embedded, size)),
    )


def _pictures(
    label: Label, embedded: EmbeddedPhotos, size: int
) -> list[tuple[ReferencePicture, bytes]]:
    places = embedded.places[label.object_id]
    chosen = differing_rows(embedded.rows[""][places], REFERENCES)
    photos = [embedded.photos[places[row]] for row in chosen]
    return [pair for photo in photos if (pair := picture_of(photo, size)) is not None]
