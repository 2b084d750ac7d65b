"""What an app answered to a bundle's golden photos, compared stage by stage."""

from __future__ import annotations

from pathlib import Path

from benchmarks.preprocessing.resampling import RESAMPLINGS, antialiased
from benchmarks.verify.golden_predictor import opened_predictor
from mobile_assets.app_answers import AppAnswers
from mobile_assets.app_diagnosis import AppDiagnosis, diagnose_app
from mobile_assets.bundle import read_bundle
from mobile_assets.errors import InputError
from mobile_assets.golden import GOLDEN_FOLDER, GoldenVectors
from mobile_assets.golden_diagnosis import GoldenDiagnosis
from mobile_assets.integration_errors import DOUBLE_NORMALISATION, INTEGRATION_ERRORS

RECOGNISED = (
    *INTEGRATION_ERRORS,
    DOUBLE_NORMALISATION,
    # It antialiases as the contract does, so it never explains a difference, and it needs torch.
    *(pipeline for pipeline in RESAMPLINGS if pipeline.resample is not antialiased),
)
"""Ways of making the input that a difference is compared with: mistakes, and phones' resampling."""


def explain_answers(folder: Path, answers_file: Path) -> AppDiagnosis:
    """Names the first stage at which an app differs, and the mistake that it looks like.

    Raises:
        InputError: The answers cannot be used, or the bundle holds no golden vectors of the
            variant.
        DamagedError: The bundle or its golden vectors are damaged.
    """
    answers = AppAnswers.read(answers_file)
    bundle = read_bundle(folder)
    if bundle.contents is None or GOLDEN_FOLDER not in bundle.contents:
        raise InputError(
            f"{folder} holds no golden vectors. Export it again without --no-golden, and have the "
            "app answer those photos."
        )
    golden = GoldenVectors.read(bundle)
    golden.variant(answers.variant)
    with opened_predictor(bundle, bundle.info.variant(answers.variant)) as predict:
        diagnosis = GoldenDiagnosis(
            bundle,
            golden,
            answers.variant,
            accelerator=answers.accelerator,
            pipelines=RECOGNISED,
            predict=predict,
        )
        return diagnose_app(diagnosis, answers, answers_file.parent)
