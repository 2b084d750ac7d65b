"""Bundles of one model put together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from export.bundle.enrolment import check_signer, next_serial
from export.bundle.objects import BundleObject, read_objects
from export.bundle.rebuild import RebuildPlan, rebuild_bundle
from mobile_assets.bundle import Bundle, BundleInfo, read_bundle
from mobile_assets.bundle_info import Enrolment
from mobile_assets.errors import InputError
from mobile_assets.files import check_output
from mobile_assets.plan_checks import check_place
from train.versions import created_now

if TYPE_CHECKING:
    from export.bundle.signing import Signer

Say = Callable[[str], None]

_LISTED = 5


def merge(
    first: Path,
    second: Path,
    out: Path,
    *,
    signer: Signer | None = None,
    serial: int | None = None,
    force: bool = False,
    say: Say,
) -> Bundle:
    """Writes a bundle with the objects of two, by the models of the first.

    An object that is the same in both is there once. One that was withdrawn in either, and is as it
    was in the other, stays withdrawn.

    Raises:
        InputError: They are of different models or registers, an object is another one in each, or
            one of them is signed and there is no key.
        DamagedError: One of them is damaged.
    """
    check_output(out, force=force, what="bundle")
    check_place(out, [first, second], what="bundle")
    bundles = read_bundle(first), read_bundle(second)
    _check_models(*bundles)
    for bundle in bundles:
        check_signer(bundle, signer)
    objects = _union(*bundles, say)
    now = created_now()
    infos = [bundle.info for bundle in bundles]
    plan = RebuildPlan(
        out=out,
        created=now,
        serial=next_serial(infos, now, serial),
        enrolment=_enrolment(infos, frozenset(objects)),
        signer=signer,
        force=force,
    )
    say(f"Writing a bundle of {len(objects)} objects.")
    return rebuild_bundle(bundles[0], objects, plan, say)


def embedding_hashes(info: BundleInfo) -> dict[str, str]:
    """SHA-256 of each embedding model by its name."""
    return {model.name: model.sha256 for model in info.companions if model.kind == "embedding"}


def same_model(first: BundleInfo, second: BundleInfo) -> bool:
    """Whether two bundles embed photos alike: they share embedding models, and none differs."""
    mine, other = embedding_hashes(first), embedding_hashes(second)
    shared = mine.keys() & other.keys()
    return bool(shared) and all(mine[name] == other[name] for name in shared)


def _check_models(first: Bundle, second: Bundle) -> None:
    if not same_model(first.info, second.info):
        raise InputError(
            f"{first.folder} and {second.folder} have different embedding models, so the rows of "
            "one mean nothing in the other. Merge bundles of one export, with objects enrolled or "
            "withdrawn since; or train one model for both registers."
        )
    if first.info.register_id != second.info.register_id:
        raise InputError(
            f"{first.folder} is of the register {first.info.register_id!r}, and {second.folder} of "
            f"{second.info.register_id!r}. Export both with the same --register-id."
        )


def _union(first: Bundle, second: Bundle, say: Say) -> dict[str, BundleObject]:
    mine, other = read_objects(first), read_objects(second)
    conflicts = {
        object_id: changes
        for object_id in sorted(mine.keys() & other.keys())
        if (changes := mine[object_id].changes(other[object_id]))
    }
    if conflicts:
        listed = "; ".join(
            f"{object_id} (its {' and '.join(changes)})"
            for object_id, changes in list(conflicts.items())[:_LISTED]
        )
        more = f" and {len(conflicts) - _LISTED} more" if len(conflicts) > _LISTED else ""
        raise InputError(
            f"{len(conflicts)} objects are not the same in {first.folder} and {second.folder}: "
            f"{listed}{more}. Withdraw each in one of the two with `artefact-id enrol BUNDLE "
            "--withdraw ID`, or give it another id."
        )
    added = {id_: replace(one, class_index=None) for id_, one in other.items()}
    union = added | mine
    gone = [
        object_id
        for object_id in union
        if _stays_withdrawn(object_id, (first.info, mine), (second.info, other))
    ]
    for object_id in gone:
        del union[object_id]
    if gone:
        say(f"Withdrawn in one of the two, and left out: {', '.join(sorted(gone)[:_LISTED])}.")
    return union


def _stays_withdrawn(object_id: str, *sides: tuple[BundleInfo, dict[str, BundleObject]]) -> bool:
    """Whether one side withdrew an object that the other has only never withdrawn."""
    withdrew = any(
        info.enrolment is not None and object_id in info.enrolment.withdrawn for info, _ in sides
    )
    enrolled = any(
        info.enrolment is not None and object_id in info.enrolment.enrolled for info, _ in sides
    )
    return withdrew and not enrolled


def _enrolment(infos: list[BundleInfo], objects: frozenset[str]) -> Enrolment:
    records = [info.enrolment or Enrolment() for info in infos]
    enrolled = {object_id for record in records for object_id in record.enrolled}
    withdrawn = {object_id for record in records for object_id in record.withdrawn}
    return Enrolment(
        enrolled=tuple(sorted(enrolled & objects)), withdrawn=tuple(sorted(withdrawn - objects))
    )
