"""From a run to a bundle."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from export.bundle.model_card import model_card
from export.golden.vectors import GoldenPlan, write_golden
from export.network.description import ModelDescription
from export.quantise.calibration_photos import (
    LoadedPhotos,
    Say,
    calibration_noise,
    calibration_photos,
    validation_photos,
)
from export.variants.options import CALIBRATED, ExportOptions
from mobile_assets.bundle import (
    BUNDLE_FILE,
    Bundle,
    BundleInfo,
    Calibration,
    Source,
    Variant,
    hash_files,
    read_bundle,
)
from mobile_assets.decision import DecisionThresholds, choose_thresholds
from mobile_assets.errors import DamagedError, InputError
from mobile_assets.files import check_output, new_folder, write_text
from train.run import Run, RunMetrics, load_model
from train.versions import created_now, versions

if TYPE_CHECKING:
    from export.bundle.signing import Signer
    from export.network.fold import FoldedNetwork
    from export.variants.build_context import BuildContext

PROBE_PHOTOS = 32
"""On how many photos each exported file is compared with the network."""


def export_bundle(
    run: Run,
    out: Path,
    *,
    options: ExportOptions,
    photos: Path | None,
    golden: GoldenPlan | None = None,
    signer: Signer | None = None,
    progress: Callable[[str], None] | None = None,
) -> Bundle:
    """Exports a trained run.

    Args:
        run: From `train.run.read_run`.
        out: The folder to create. It appears complete or not at all.
        options: Variants, name and calibration.
        photos: The register's root, to which the run's photo paths are relative. Needed for
            integer variants and for decision thresholds; without it every answer of the bundle
            is a shortlist.
        golden: Which golden vectors to make, and with what; None for none.
        signer: Signs the bundle once it is complete; None leaves it unsigned.
        progress: Told, in a sentence each, what is done and what is odd.

    Returns:
        The bundle, read back and verified.

    Raises:
        InputError: The output exists, a variant is unknown, or photos are needed and not there.
        DamagedError: The run is damaged.
        CheckFailedError: An exported file does not answer as the network does.
    """
    say: Say = progress or _say_nothing
    names = options.checked_variants()
    check_output(out, force=options.force, what="bundle")
    _check_photos(options, names, photos)
    if options.recommend and photos is None:
        raise InputError(
            "Which variant is good enough is decided on the run's validation photos, and none were "
            "given. Give the register that the run was trained on with --photos PHOTOS."
        )
    if options.embedding:
        _check_embedding(run)
    options.check_shortlist()
    if golden is not None:
        golden.check(run, photos)
    if photos is None:
        say("Without --photos there are no decision thresholds: every answer is a shortlist.")
    gathered = _gather(run, options, photos, say)
    with new_folder(out, force=options.force, what="bundle") as folder:
        info = _write(_Job(run, out, options, gathered, photos, golden), folder, say)
        if signer is not None:
            signer.sign(folder)
        say(f"Wrote {len(info.variants)} variants of {info.objects} objects.")
    return read_bundle(out)


def _check_embedding(run: Run) -> None:
    from export.variants.embedding import check_head

    check_head(run)


def _say_nothing(_message: str) -> None:
    """Stands in where nobody listens."""


def _check_photos(options: ExportOptions, names: tuple[str, ...], photos: Path | None) -> None:
    calibrated = [name for name in names if name in CALIBRATED]
    if photos is None and calibrated and options.calibration == "photos":
        others = ",".join(name for name in names if name not in CALIBRATED) or "tflite-float32"
        raise InputError(
            f"{', '.join(calibrated)} needs photos to be calibrated on, and none were given. "
            "Either give the register that the run was trained on with --photos PHOTOS, "
            f"or export without it: --variants {others}."
        )
    if photos is not None and not photos.is_dir():
        raise InputError(
            f"{photos} is not a folder. Give the register that the run was trained on with "
            "--photos: the folder to which its photo paths are relative."
        )


@dataclass(frozen=True)
class _Gathered:
    """The photos of an export; None where the register was not given or is not needed."""

    calibration: LoadedPhotos | None
    record: Calibration | None
    validation: LoadedPhotos | None


def _gather(run: Run, options: ExportOptions, photos: Path | None, say: Say) -> _Gathered:
    validation = None
    if photos is not None:
        say("Reading photos for the decision thresholds.")
        validation = validation_photos(run, photos, say=say)
    if not CALIBRATED.intersection(options.variants):
        return _Gathered(None, None, validation)
    if options.calibration == "noise":
        say("Calibrating on noise instead of photos: the bundle is not fit for the field.")
        noise, record = calibration_noise(
            run.info.preprocessing, wanted=options.calibration_photos, seed=options.seed
        )
        return _Gathered(noise, record, validation)
    assert photos is not None, "export_bundle asks for photos"
    say("Reading photos for calibration.")
    calibration, record = calibration_photos(
        run, photos, wanted=options.calibration_photos, seed=options.seed, say=say
    )
    return _Gathered(calibration, record, validation)


@dataclass(frozen=True)
class _Job:
    """One export: `run` becomes `out`."""

    run: Run
    out: Path
    options: ExportOptions
    gathered: _Gathered
    photos: Path | None
    golden: GoldenPlan | None

    @property
    def name(self) -> str:
        """The bundle's name."""
        return self.options.name or self.run.info.name


def _write(job: _Job, folder: Path, say: Say) -> BundleInfo:
    """Writes everything into `folder`, which is to become `job.out`."""
    from export.bundle.delegates import delegate_table, delegate_views
    from export.network.fold import fold_network
    from export.variants.auxiliary_writer import write_auxiliary_models
    from export.variants.registry import EXPORTERS

    run = job.run
    say("Folding the network.")
    network = fold_network(load_model(run), run.info.preprocessing)
    thresholds = _thresholds(run, job.gathered.validation, network.probabilities)
    material = _material(job, network)
    variants: list[Variant] = []
    for variant in job.options.checked_variants():
        say(f"Exporting {variant}.")
        variants.append(EXPORTERS[variant].export(material, folder))
    info = _info(job, thresholds, tuple(variants))
    if job.options.recommend:
        info = _recommended(job, material, Bundle(folder, info, run.labels), say)
    made = write_auxiliary_models(job.options, material, folder, say)
    info = info.model_copy(update={"companions": made})
    run.labels.write(folder)
    if job.golden is not None:
        say("Making golden vectors.")
        write_golden(job.golden, Bundle(folder, info, run.labels), run, job.photos)
    card = model_card(
        info,
        run,
        _metrics(run),
        golden=job.golden is not None,
        delegates=delegate_table(
            (model.name, delegate_views(folder / model.file)) for model in info.models
        ),
    )
    write_text(folder / "README.md", card)
    info = info.model_copy(update={"files": hash_files(folder)})
    # Last, so that a folder with a bundle.json is complete even without the rename.
    info.write(folder / BUNDLE_FILE)
    return info


def _recommended(job: _Job, material: BuildContext, made: Bundle, say: Say) -> BundleInfo:
    """The description with the variants to ship."""
    from export.bundle.recommend import answers_of, recommend

    loaded = job.gathered.validation
    assert loaded is not None, "export_bundle asks for photos"
    say(f"Measuring the variants on {len(loaded.photos)} validation photos.")
    expected = np.empty((0, len(made.labels)), dtype=np.float32)
    if loaded.photos:
        expected = material.network.probabilities(loaded.pixels)
    found = recommend(
        made.info.variants,
        answers_of(material, made, loaded.pixels),
        expected,
        _truth(job.run, loaded),
    )
    for one in found:
        say(f"To ship: {one.variant}. {one.why}")
    return made.info.model_copy(update={"recommended": found})


def _material(job: _Job, network: FoldedNetwork) -> BuildContext:
    from export.qat.run_files import read_quantised
    from export.variants.build_context import BuildContext

    run, calibration = job.run, job.gathered.calibration
    probe = _probe(run, job.gathered)
    return BuildContext(
        network=network,
        contract=run.info.preprocessing,
        labels=run.labels,
        description=_description(run, job.name),
        user_defined={
            "artefact-id.bundle": job.name,
            "artefact-id.labels_sha256": run.labels.sha256,
            "artefact-id.model_sha256": run.info.model_sha256,
        },
        calibration=None if calibration is None else calibration.pixels,
        probe=probe,
        expected=network.probabilities(probe),
        learned=read_quantised(run, network),
    )


def _thresholds(
    run: Run,
    validation: LoadedPhotos | None,
    probabilities: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
) -> DecisionThresholds:
    """Chooses the thresholds on the float network's answers to validation photos."""
    objects = len(run.labels)
    if validation is None or not validation.photos:
        empty = np.empty((0, objects), dtype=np.float32)
        return choose_thresholds(empty, np.empty(0, dtype=np.int64))
    return choose_thresholds(probabilities(validation.pixels), _truth(run, validation))


def _truth(run: Run, loaded: LoadedPhotos) -> NDArray[np.int64]:
    """Class indices `[N]` of photos."""
    index = {object_id: i for i, object_id in enumerate(run.labels.object_ids)}
    return np.array([index[photo.object_id] for photo in loaded.photos], dtype=np.int64)


def _probe(run: Run, gathered: _Gathered) -> NDArray[np.uint8]:
    """Photos on which every file is compared with the network: real ones where there are any."""
    for loaded in (gathered.validation, gathered.calibration):
        if loaded is not None and loaded.photos:
            step = max(1, len(loaded.photos) // PROBE_PHOTOS)
            return loaded.pixels[::step][:PROBE_PHOTOS]
    contract = run.info.preprocessing
    noise = np.random.default_rng(0)
    shape = (4, contract.height, contract.width, 3)
    return noise.integers(0, 256, shape, dtype=np.uint8)


def _description(run: Run, name: str) -> ModelDescription:
    return ModelDescription(
        name=name,
        description=(
            f"Identifies {run.info.objects} museum objects of the register "
            f"{run.info.register_name} in a photo."
        ),
        version=run.info.model_sha256[:12],
        author="artefact-id",
        licence="As the register's owner decides; see the bundle's README.md.",
    )


def _info(job: _Job, thresholds: DecisionThresholds, variants: tuple[Variant, ...]) -> BundleInfo:
    run, info = job.run, job.run.info
    return BundleInfo(
        name=job.name,
        created=created_now(),
        objects=len(run.labels),
        labels_sha256=run.labels.sha256,
        preprocessing=info.preprocessing,
        decision=thresholds,
        variants=variants,
        source=Source(
            run=Path(os.path.relpath(run.folder, job.out)).as_posix(),
            model_sha256=info.model_sha256,
            backbone=info.backbone,
            head=info.head,
            recipe=info.recipe,
            seed=info.seed,
            min_photos=info.min_photos,
            photo_list_sha256=info.photo_list_sha256,
            quantised_sha256=info.quantised.sha256 if info.quantised else None,
            temperature=info.temperature.value if info.temperature else 1.0,
        ),
        calibration=job.gathered.record,
        versions=versions(),
    )


def _metrics(run: Run) -> RunMetrics | None:
    """What training measured, or None if the run does not say."""
    path = run.folder / "metrics.json"
    if not path.is_file():
        return None
    try:
        return RunMetrics.read(path)
    except DamagedError:
        raise DamagedError(
            f"{path} is damaged. Delete it to export without a measured accuracy in the model "
            "card, or train the run again."
        ) from None
