"""The golden vectors of a bundle whose objects are others than those that they were made for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from export.golden.vectors import best_objects
from mobile_assets.bundle import Bundle
from mobile_assets.errors import ArtefactError
from mobile_assets.files import write_bytes
from mobile_assets.golden import GOLDEN_FILE, GOLDEN_FOLDER, GoldenVectors


def rewrite_golden(
    base: Bundle, bundle: Bundle, answers: Mapping[str, NDArray[np.float32]]
) -> None:
    """Writes the golden photos of a bundle into another with the answers of its own classifiers.

    Args:
        base: From `read_bundle`; without golden vectors nothing is written.
        bundle: The one that is being written.
        answers: Probabilities `[photos, objects]` by variant.
    """
    try:
        golden = GoldenVectors.read(base)
    except ArtefactError:
        return
    assert base.contents is not None, "from read_bundle"
    folder = bundle.folder / GOLDEN_FOLDER
    written = {f"{GOLDEN_FOLDER}/{variant.probabilities}" for variant in golden.info.variants}
    written.add(f"{GOLDEN_FOLDER}/{GOLDEN_FILE}")
    for name in base.contents.names(GOLDEN_FOLDER):
        if name not in written:
            write_bytes(bundle.folder / name, base.contents.read(name))
    photos = [photo.name for photo in golden.info.photos]
    variants = []
    for variant in golden.info.variants:
        if variant.variant not in answers:
            continue
        rows = answers[variant.variant]
        write_bytes(folder / variant.probabilities, rows.astype("<f4").tobytes())
        best = tuple(best_objects(photo, row) for photo, row in zip(photos, rows, strict=True))
        variants.append(variant.model_copy(update={"best": best}))
    names = {variant.name for variant in bundle.info.variants}
    golden.info.model_copy(
        update={
            "objects": bundle.info.objects,
            "variants": tuple(variants),
            "left_out": {k: v for k, v in golden.info.left_out.items() if k in names},
        }
    ).write(folder / GOLDEN_FILE)
