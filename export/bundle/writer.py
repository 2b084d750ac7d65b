"""From a run to a bundle."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from export.bundle.golden_embeddings import write_golden_embeddings
from export.bundle.inputs import ExportInputs, check_request, gather
from export.bundle.model_card import write_card
from export.bundle.serial_number import RegisterVersion, register_version
from export.golden.photos import GoldenPlan
from export.golden.vectors import write_golden
from export.variants.options import ExportOptions
from mobile_assets.bundle import (
    BUNDLE_FILE,
    Bundle,
    BundleInfo,
    Recommendation,
    Source,
    Variant,
    hash_files,
    read_bundle,
)
from mobile_assets.decision import DecisionThresholds
from mobile_assets.files import new_folder
from train.run import Run
from train.versions import created_now, versions

if TYPE_CHECKING:
    from export.bundle.signing import Signer

Say = Callable[[str], None]

_NO_MATCHES = DecisionThresholds(match=1.0, reject=0.0, validation_photos=0)
"""Probabilities of validation photos say nothing of unknown objects: whoever reads the classifier
alone has a shortlist. What is called a match stands in `decision.json`."""

_FITTED_TOO = (
    "The network was fitted to these photos too; on others a variant may agree with it less often, "
    "as `artefact-id benchmark` measures."
)


def export_bundle(
    run: Run,
    out: Path,
    *,
    options: ExportOptions,
    photos: Path | None,
    golden: GoldenPlan | None = None,
    signer: Signer | None = None,
    progress: Say | None = None,
) -> Bundle:
    """Exports a trained run.

    Args:
        run: From `train.run.read_run`.
        out: The folder to create. It appears complete or not at all.
        options: Variants, name and calibration.
        photos: The register's root, to which the run's photo paths are relative. Needed for
            integer variants, the gallery and its thresholds; without it every answer of the
            bundle is a shortlist.
        golden: Which golden vectors to make, and with what; None for none.
        signer: Signs the bundle once it is complete; None leaves it unsigned.
        progress: Called with a sentence on what is done or what is odd.

    Returns:
        The bundle, read back and verified.

    Raises:
        InputError: The output exists, a variant is unknown, or photos are needed and not there.
        DamagedError: The run is damaged.
        CheckFailedError: An exported file does not answer as the network does.
    """
    say: Say = progress or (lambda _sentence: None)
    options = _with_gallery(run, options, photos)
    check_request(run, out, options, photos)
    version = register_version(run, out, options, created_now(), say)
    inputs = gather(run, options, photos, golden, say)
    with new_folder(out, force=options.force, what="bundle") as folder:
        info = _write_models(run, out, options, version, inputs, folder, say)
        bundle = Bundle(folder, info, run.labels)
        if options.gallery and photos is not None:
            _write_gallery(run, photos, bundle, options, inputs, say)
        if golden is not None and inputs.golden is not None:
            say("Making golden vectors.")
            write_golden(inputs.golden, golden.predict, bundle)
            write_golden_embeddings(bundle)
        _complete(bundle, run)
        if signer is not None:
            signer.sign(folder)
        say(f"Wrote {len(info.variants)} variants of {info.objects} objects.")
    return read_bundle(out)


def _with_gallery(run: Run, options: ExportOptions, photos: Path | None) -> ExportOptions:
    """The options with what a gallery needs, or without one where nothing is there for it."""
    from train.heads import embedding_size

    gallery = options.gallery and photos is not None and embedding_size(run.info.head) is not None
    return replace(options, gallery=gallery, embedding=options.embedding or gallery)


def _write_gallery(
    run: Run, photos: Path, bundle: Bundle, options: ExportOptions, inputs: ExportInputs, say: Say
) -> None:
    from export.bundle.gallery import write_gallery

    say("Making the gallery.")
    models = tuple(model for model in bundle.info.companions if model.kind == "embedding")
    write_gallery(run, photos, bundle.folder, options, inputs.context, models, say)


def _write_models(
    run: Run,
    out: Path,
    options: ExportOptions,
    version: RegisterVersion,
    inputs: ExportInputs,
    folder: Path,
    say: Say,
) -> BundleInfo:
    """Writes every model into `folder`, which is to become `out`, and describes them."""
    from export.variants.auxiliary_writer import write_auxiliary_models
    from export.variants.registry import EXPORTERS

    context = inputs.context
    variants: list[Variant] = []
    for name in options.checked_variants():
        say(f"Exporting {name}.")
        variants.append(EXPORTERS[name].export(context, folder))
    info = BundleInfo(
        name=context.description.name,
        created=version.created,
        register_id=version.register_id,
        serial=version.serial,
        objects=len(run.labels),
        labels_sha256=run.labels.sha256,
        preprocessing=run.info.preprocessing,
        decision=_NO_MATCHES,
        variants=tuple(variants),
        source=_source(run, out),
        calibration=inputs.calibration,
        versions=versions(),
    )
    recommended: tuple[Recommendation, ...] = ()
    if options.recommend:
        recommended = _recommend(Bundle(folder, info, run.labels), run, inputs, say)
    auxiliary = write_auxiliary_models(options, context, folder, say)
    return info.model_copy(update={"recommended": recommended, "companions": auxiliary})


def _source(run: Run, out: Path) -> Source:
    info = run.info
    return Source(
        run=Path(os.path.relpath(run.folder, out)).as_posix(),
        model_sha256=info.model_sha256,
        backbone=info.backbone,
        head=info.head,
        recipe=info.recipe,
        seed=info.seed,
        min_photos=info.min_photos,
        photo_list_sha256=info.photo_list_sha256,
        temperature=info.temperature.value if info.temperature else 1.0,
    )


def _recommend(
    bundle: Bundle, run: Run, inputs: ExportInputs, say: Say
) -> tuple[Recommendation, ...]:
    from export.bundle.recommend import answers_of, recommend

    say(f"Measuring the variants on {len(inputs.validation)} validation photos.")
    recommended = recommend(
        bundle.info.variants,
        answers_of(inputs.context, bundle, inputs.validation),
        inputs.answers,
        inputs.truth,
    )
    if run.info.validation_fitted:
        recommended = tuple(
            recommendation.model_copy(update={"why": f"{recommendation.why} {_FITTED_TOO}"})
            for recommendation in recommended
        )
    for recommendation in recommended:
        say(f"To ship: {recommendation.variant}. {recommendation.why}")
    return recommended


def _complete(bundle: Bundle, run: Run) -> None:
    """Writes what is written last: labels, the model card, and the description of all files."""
    bundle.labels.write(bundle.folder)
    write_card(bundle, run)
    info = bundle.info.model_copy(update={"files": hash_files(bundle.folder)})
    # Last, so that a folder with a bundle.json is complete even without the rename.
    info.write(bundle.folder / BUNDLE_FILE)
