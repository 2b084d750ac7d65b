"""The models beside the variants of a bundle, as an export is asked for them."""

from __future__ import annotations

from pathlib import Path

from export.quantise.calibration_photos import Say
from export.variants.auxiliary import Format
from export.variants.build_context import BuildContext
from export.variants.embedding import embedding_precisions, write_embeddings
from export.variants.options import ExportOptions
from export.variants.topk import write_shortlist
from mobile_assets.bundle import AuxiliaryModel

_FORMATS: tuple[Format, ...] = ("tflite", "coreml")


def write_auxiliary_models(
    options: ExportOptions, context: BuildContext, bundle: Path, say: Say
) -> tuple[AuxiliaryModel, ...]:
    """Writes those that were asked for into the bundle, in each format that its variants have.

    Raises:
        CheckFailedError: One does not answer as the network does.
    """
    made: list[AuxiliaryModel] = []
    variants = options.checked_variants()
    formats = {name.partition("-")[0] for name in variants}
    for of in _FORMATS:
        if of in formats and options.embedding:
            say(f"Exporting the embedding ({of}).")
            made += write_embeddings(context, bundle, of, embedding_precisions(variants))
        if of in formats and options.shortlist is not None:
            say(f"Exporting the short list ({of}).")
            made.append(write_shortlist(context, bundle, of, options.shortlist))
    return tuple(made)
