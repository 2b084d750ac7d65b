"""A bundle made anew for other objects, by the models that it has: no training, no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from export.bundle.model_card import rewrite_card
from export.bundle.objects import BundleObject, gallery_of, label_map
from export.bundle.references import write_references
from export.bundle.remade_models import RemadeModels, remake_models
from export.bundle.thresholds import (
    NO_OBJECTS,
    fit_variant,
    formula_of,
    refit,
    stored_scores,
    write_decision,
)
from export.golden.other_objects import rewrite_golden
from mobile_assets.bundle import BUNDLE_FILE, Bundle, BundleInfo, hash_files, read_bundle
from mobile_assets.bundle_info import Enrolment
from mobile_assets.errors import InputError
from mobile_assets.files import new_folder
from mobile_assets.identification.decision import Decision, VariantDecision, read_decision
from mobile_assets.identification.gallery import Gallery, read_gallery
from mobile_assets.identification.references import read_references

if TYPE_CHECKING:
    from export.bundle.signing import Signer

Say = Callable[[str], None]

FEWEST_OBJECTS = 2


@dataclass(frozen=True)
class RebuildPlan:
    """What a bundle is rebuilt as.

    Attributes:
        out: The folder to create.
        created: The time, as `train.versions.created_now` has it.
        serial: Above those of the bundles that it follows.
        enrolment: What was done to its objects since the training.
        signer: Signs it; None leaves it unsigned.
        force: Replace what is at `out`.
    """

    out: Path
    created: str
    serial: int
    enrolment: Enrolment
    signer: Signer | None
    force: bool


def rebuild_bundle(
    base: Bundle, objects: Mapping[str, BundleObject], plan: RebuildPlan, say: Say
) -> Bundle:
    """Writes a bundle of other objects with the models of a bundle.

    Args:
        base: From `read_bundle`, with a gallery.
        objects: What the new bundle holds, by id.

    Raises:
        InputError: Fewer than two objects are left, or no classifier can be made for them.
        CheckFailedError: A classifier made anew does not answer as the old one.
    """
    if len(objects) < FEWEST_OBJECTS:
        raise InputError(
            f"{len(objects)} objects would be left: a bundle has {FEWEST_OBJECTS} at least."
        )
    with new_folder(plan.out, force=plan.force, what="bundle") as folder:
        labels = label_map(objects)
        ordered = [objects[object_id] for object_id in labels.object_ids]
        remade = remake_models(base, ordered, labels, folder, say)
        gallery = gallery_of(ordered)
        gallery.write(folder)
        if (references := read_references(base)) is not None:
            pictures = [pair for one in ordered for pair in one.references]
            size = references.info.size
            write_references(folder, pictures, size=size, order=labels.index_of)
        decision = read_decision(base) or Decision(variants={})
        refitted = _refitted(base, decision.variants, gallery)
        write_decision(folder, decision.model_copy(update={"variants": refitted}))
        info = _description(base, plan, remade).model_copy(
            update={"objects": len(labels), "labels_sha256": labels.sha256}
        )
        bundle = Bundle(folder, info, labels)
        rewrite_golden(base, bundle, remade.answers)
        labels.write(folder)
        rewrite_card(bundle, base)
        info.model_copy(update={"files": hash_files(folder)}).write(folder / BUNDLE_FILE)
        if plan.signer is not None:
            plan.signer.sign(folder)
    return read_bundle(plan.out)


def _refitted(
    base: Bundle, own: Mapping[str, VariantDecision], gallery: Gallery
) -> dict[str, VariantDecision]:
    before_gallery = read_gallery(base)
    assert before_gallery is not None, "its objects were read from it"
    fitted = []
    for one in (before_gallery, gallery):
        formula = formula_of(one)
        fitted.append(fit_variant(stored_scores(one, formula), formula, why=NO_OBJECTS))
    if not own:
        names = [model.name for model in base.info.companions if model.kind == "embedding"]
        return dict.fromkeys(names, fitted[1])
    return refit(own, *fitted)


def _description(base: Bundle, plan: RebuildPlan, remade: RemadeModels) -> BundleInfo:
    left_out = {*(base.info.enrolment.left_out if base.info.enrolment else ()), *remade.left_out}
    names = {variant.name for variant in remade.variants}
    return base.info.model_copy(
        update={
            "created": plan.created,
            "serial": plan.serial,
            "variants": remade.variants,
            "companions": remade.companions,
            "recommended": tuple(r for r in base.info.recommended if r.variant in names),
            "enrolment": plan.enrolment.model_copy(update={"left_out": tuple(sorted(left_out))}),
        }
    )
