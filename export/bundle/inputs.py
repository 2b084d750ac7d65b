"""What an export is made of: its request checked, its photos read and its network folded, once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from export.golden.photos import GoldenPlan
from export.golden.synthetic_photos import GoldenPhotoFile
from export.network.description import ModelDescription
from export.quantise.calibration_photos import (
    LoadedPhotos,
    calibration_noise,
    calibration_photos,
    validation_photos,
)
from export.variants.options import CALIBRATED, ExportOptions, variant_packages
from mobile_assets.bundle import Calibration
from mobile_assets.errors import InputError
from mobile_assets.files import check_output
from mobile_assets.plan_checks import check_packages, check_place, check_room
from train.run import MODEL_FILE, Run, load_model

if TYPE_CHECKING:
    from export.network.fold import FoldedNetwork
    from export.variants.build_context import BuildContext

PROBE_PHOTOS = 32
"""On how many photos each exported file is compared with the network."""

_OTHER_BYTES = 50_000_000
"""Golden vectors, labels and cards, about."""


@dataclass(frozen=True)
class ExportInputs:
    """Everything that a bundle is written from.

    Attributes:
        context: What every variant is made of.
        validation: `[N, H, W, 3]` uint8, the run's validation photos; N is 0 where no register was
            given.
        truth: Their class indices, `[N]`.
        answers: The network's probabilities of them in float32, `[N, objects]`.
        calibration: What the bundle says of the calibration photos; None without any.
        golden: The photos of the golden vectors; None for no such vectors.
    """

    context: BuildContext
    validation: NDArray[np.uint8]
    truth: NDArray[np.int64]
    answers: NDArray[np.float32]
    calibration: Calibration | None
    golden: tuple[GoldenPhotoFile, ...] | None


def check_request(run: Run, out: Path, options: ExportOptions, photos: Path | None) -> None:
    """Refuses, before anything is read, what cannot be exported.

    Raises:
        InputError: The output exists, an option is wrong, or photos are needed and not there.
    """
    names = options.checked_variants()
    check_output(out, force=options.force, what="bundle")
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
    if options.recommend and photos is None:
        raise InputError(
            "Which variant is good enough is decided on the run's validation photos, and none were "
            "given. Give the register that the run was trained on with --photos PHOTOS."
        )
    if options.embedding:
        from export.variants.embedding import check_head

        check_head(run)
    options.check_shortlist()
    options.check_gallery()
    if options.seed < 0:
        raise InputError(f"--seed {options.seed}: give 0 or more.")
    check_place(out, [run.folder, photos], what="bundle")
    check_packages(variant_packages(names))
    if photos is not None:
        _check_photos(run, photos)
    # A variant has at most the run's bytes; it is written once more while it is converted.
    models = (len(names) + 1) * (run.folder / MODEL_FILE).stat().st_size
    check_room(out, models + _OTHER_BYTES, what=f"A bundle of {len(names)} variants")


def _check_photos(run: Run, photos: Path) -> None:
    """Finds out that `photos` is another register before any of its photos is read.

    Raises:
        InputError: Not one of the run's training or validation photos is there.
    """
    wanted = [*run.split.of("val"), *run.split.of("train")]
    if wanted and not any((photos / photo.path).is_file() for photo in wanted):
        raise InputError(
            f"None of the run's {len(wanted)} photos is in {photos} (first: {wanted[0].path}). "
            "Give the register that the run was trained on with --photos."
        )


def gather(
    run: Run,
    options: ExportOptions,
    photos: Path | None,
    golden: GoldenPlan | None,
    say: Callable[[str], None],
) -> ExportInputs:
    """Reads every photo that an export needs, folds the network and has it answer them, once.

    Raises:
        InputError: Too few of the run's photos are under `photos`.
        DamagedError: The run is damaged.
        CheckFailedError: The folded network does not answer as the trained one.
    """
    from export.network.fold import fold_network

    golden_photos = None if golden is None else golden.choose(run, photos)
    validation = _validation(run, options, photos, say)
    calibration, record = _calibration(run, options, photos, say)
    say("Folding the network.")
    network = fold_network(load_model(run), run.info.preprocessing)
    if validation.photos:
        answers = network.probabilities(validation.pixels)
        probe, expected = _spread(validation.pixels), _spread(answers)
    else:
        answers = np.empty((0, len(run.labels)), dtype=np.float32)
        probe = _probe(run, calibration, record)
        expected = network.probabilities(probe)
    return ExportInputs(
        context=_context(run, options, network, calibration, probe, expected),
        validation=validation.pixels,
        truth=run.class_indices(validation.photos),
        answers=answers,
        calibration=record,
        golden=golden_photos,
    )


def _validation(
    run: Run, options: ExportOptions, photos: Path | None, say: Callable[[str], None]
) -> LoadedPhotos:
    if photos is None:
        say("Without --photos there is no gallery: every answer is a shortlist.")
        contract = run.info.preprocessing
        none = np.empty((0, contract.height, contract.width, 3), dtype=np.uint8)
        return LoadedPhotos((), none, 0)
    say("Reading validation photos.")
    return validation_photos(run, photos, say=say, cache=options.cache)


def _calibration(
    run: Run, options: ExportOptions, photos: Path | None, say: Callable[[str], None]
) -> tuple[NDArray[np.uint8] | None, Calibration | None]:
    if not CALIBRATED.intersection(options.variants):
        return None, None
    wanted, seed = options.calibration_photos, options.seed
    if options.calibration == "noise":
        say("Calibrating on noise instead of photos: the bundle is not fit for the field.")
        loaded, record = calibration_noise(run.info.preprocessing, wanted=wanted, seed=seed)
    else:
        assert photos is not None, "check_request asks for photos"
        say("Reading photos for calibration.")
        loaded, record = calibration_photos(
            run, photos, wanted=wanted, seed=seed, say=say, cache=options.cache
        )
    return loaded.pixels, record


def _probe(
    run: Run, calibration: NDArray[np.uint8] | None, record: Calibration | None
) -> NDArray[np.uint8]:
    """Photos to compare files on where there are no validation photos: noise if need be."""
    if calibration is not None and record is not None and record.photos:
        return _spread(calibration)
    contract = run.info.preprocessing
    shape = (4, contract.height, contract.width, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def _spread(rows: NDArray[Any]) -> NDArray[Any]:
    """At most `PROBE_PHOTOS` of the rows, evenly spread."""
    return rows[:: max(1, len(rows) // PROBE_PHOTOS)][:PROBE_PHOTOS]


def _context(
    run: Run,
    options: ExportOptions,
    network: FoldedNetwork,
    calibration: NDArray[np.uint8] | None,
    probe: NDArray[np.uint8],
    expected: NDArray[np.float32],
) -> BuildContext:
    from export.variants.build_context import BuildContext

    name = options.name or run.info.name
    return BuildContext(
        network=network,
        contract=run.info.preprocessing,
        labels=run.labels,
        description=ModelDescription(
            name=name,
            description=(
                f"Identifies {run.info.objects} museum objects of the register "
                f"{run.info.register_name} in a photo."
            ),
            version=run.info.model_sha256[:12],
            author="artefact-id",
            licence="As the register's owner decides; see the bundle's README.md.",
        ),
        user_defined={
            "artefact-id.bundle": name,
            "artefact-id.labels_sha256": run.labels.sha256,
            "artefact-id.model_sha256": run.info.model_sha256,
        },
        calibration=calibration,
        probe=probe,
        expected=expected,
    )
