"""Whether programs that are not ours open a bundle's files and answer as our runtime does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.preprocessing.resampling import mediapipe_cpu
from benchmarks.runtimes import runtimes
from benchmarks.runtimes.compiled_model import open_compiled
from benchmarks.runtimes.interface import Pixels, Probabilities
from benchmarks.runtimes.mediapipe_tasks import setup
from benchmarks.runtimes.mediapipe_tasks.image_classifier import Classification, classify
from benchmarks.verify.checks import Check, Verification, check_from_problems, skipped_check
from benchmarks.verify.synthetic_photos import synthetic_photos
from benchmarks.verify.third_party_answers import (
    RESAMPLED,
    answer_problems,
    difference,
    label_problems,
)
from export.golden.tolerances import tolerances
from mobile_assets.bundle import Bundle, Variant
from mobile_assets.errors import DamagedError, MissingDependencyError
from mobile_assets.input_pipeline import Resample
from mobile_assets.photos import decode
from mobile_assets.preprocessing import resize

MEDIAPIPE = f"MediaPipe {setup.MEDIAPIPE_VERSION}"
COMPILED = "LiteRT CompiledModel"
TENSORFLOW = "TensorFlow's interpreter"


def client_checks(bundle: Bundle, photos: Sequence[Path] = ()) -> tuple[Check, ...]:
    """Opens every TFLite variant in the clients that are here, and compares their answers.

    MediaPipe's ImageClassifier is given images of the input size, where scores must be as near as
    two builds of the same kernels are, and photos at full size, which it resamples itself: there it
    is held against our runtime on pixels resampled in the same way. LiteRT's CompiledModel and
    TensorFlow's interpreter are given images of the input size.

    Args:
        bundle: From `read_bundle`; its files may have changed since.
        photos: What to show them; training or validation photos. Pictures are drawn if there are
            none.

    Raises:
        PhotoError: A photo cannot be decoded.
    """
    inputs = _ClientPhotos(bundle, tuple(photos))
    targets = [
        _expected(bundle, variant, inputs)
        for variant in bundle.info.variants
        if variant.format == "tflite"
    ]
    return tuple(
        check
        for make in (_mediapipe, _compiled_model, _tensorflow)
        for check in make(targets, inputs)
    )


def with_clients(verification: Verification, photos: Sequence[Path] = ()) -> Verification:
    """A verification with the checks of `client_checks` after its own."""
    bundle = verification.bundle
    if verification.failed or bundle is None:
        why = "the bundle is damaged or does not fit: see the checks that failed"
        return replace(
            verification, checks=(*verification.checks, skipped_check("opened by clients", why))
        )
    return replace(verification, checks=(*verification.checks, *client_checks(bundle, photos)))


@dataclass(frozen=True)
class _ClientPhotos:
    """The photos of one verification."""

    bundle: Bundle
    paths: tuple[Path, ...]

    def full(self) -> Iterator[Image.Image]:
        """Each photo at full size, upright, RGB; decoded anew every time, as they may be large."""
        if self.paths:
            yield from (decode(path) for path in self.paths)
        else:
            yield from synthetic_photos()

    @cached_property
    def small(self) -> Pixels:
        """`[photos, height, width, 3]` uint8, resampled as the contract says."""
        return self._all(resize)

    @cached_property
    def as_mediapipe(self) -> Pixels:
        """The same, resampled as MediaPipe does on the CPU."""
        return self._all(mediapipe_cpu)

    def _all(self, resample: Resample) -> Pixels:
        return np.stack([resample(photo, self.bundle.info.preprocessing) for photo in self.full()])


@dataclass(frozen=True)
class _ClientTarget:
    """One variant, with what our runtime answers.

    Attributes:
        error: Why our own runtime cannot open it; empty if it can.
        small: Our answers to pixels of the contract.
        as_mediapipe: Our answers to pixels resampled as MediaPipe does.
    """

    bundle: Bundle
    variant: Variant
    error: str
    small: Probabilities
    as_mediapipe: Probabilities

    @property
    def tolerance(self) -> float:
        """How far two builds of the same kernels may be apart."""
        return tolerances(self.variant)[0].share

    def judge(self, name: str, client: str, problems: Sequence[str], good: str) -> Check:
        """The finished check."""
        return check_from_problems(name, problems, good, subject=self.variant.name, runtime=client)


def _expected(bundle: Bundle, variant: Variant, inputs: _ClientPhotos) -> _ClientTarget:
    try:
        with runtimes("litert")[0].open(bundle, variant) as session:
            answers = session.predict(inputs.small), session.predict(inputs.as_mediapipe)
    except DamagedError as error:
        nothing = np.zeros((0, 0), dtype=np.float32)
        return _ClientTarget(bundle, variant, str(error), nothing, nothing)
    return _ClientTarget(bundle, variant, "", *answers)


def _mediapipe(targets: Sequence[_ClientTarget], inputs: _ClientPhotos) -> Iterator[Check]:
    lacking = setup.missing()
    if lacking is not None:
        yield skipped_check("opened by MediaPipe", lacking, runtime=MEDIAPIPE)
        return
    paths = [target.bundle.path(target.variant) for target in targets]
    try:
        exact = classify(paths, inputs.small)
        full = classify(paths, (np.asarray(photo) for photo in inputs.full()))
    except DamagedError as error:
        yield check_from_problems("opened by MediaPipe", [str(error)], "", runtime=MEDIAPIPE)
        return
    for target, small, large in zip(targets, exact, full, strict=True):
        yield from _mediapipe_variant(target, small, large)


def _mediapipe_variant(
    target: _ClientTarget, small: Classification, large: Classification
) -> Iterator[Check]:
    error = small.error or large.error
    opened = f"as an ImageClassifier, {len(small.names)} categories"
    yield target.judge("opened by MediaPipe", MEDIAPIPE, [error] if error else [], opened)
    if error:
        return
    labels = target.bundle.labels.object_ids
    problems = label_problems(small, labels) + answer_problems(small)
    yield target.judge(
        "labels in MediaPipe",
        MEDIAPIPE,
        problems,
        f"all {len(labels)}, in the order of labels.json",
    )
    yield _compare(
        target,
        "scores in MediaPipe",
        MEDIAPIPE,
        small.probabilities(len(labels)),
        target.small,
        target.tolerance,
    )
    check = _compare(
        target,
        "scores of full-size photos in MediaPipe",
        MEDIAPIPE,
        large.probabilities(len(labels)),
        target.as_mediapipe,
        max(RESAMPLED, target.tolerance),
    )
    if check.state == "ok":
        # What an app's users see: the same photo, resampled by MediaPipe and by the contract.
        cost = difference(large.probabilities(len(labels)), target.small)
        detail = f"{check.said}, with its own resampling; against the contract's: {cost.said}"
        check = replace(check, said=detail)
    yield check


def _compiled_model(targets: Sequence[_ClientTarget], inputs: _ClientPhotos) -> Iterator[Check]:
    name = "scores in CompiledModel"
    for target in targets:
        try:
            with open_compiled(target.bundle, target.variant) as session:
                answers = session.predict(inputs.small)
        except DamagedError as error:
            yield target.judge(name, COMPILED, [str(error)], "")
        except MissingDependencyError as error:
            yield skipped_check(name, str(error), subject=target.variant.name, runtime=COMPILED)
        else:
            yield _compare(target, name, COMPILED, answers, target.small, target.tolerance)


def _tensorflow(targets: Sequence[_ClientTarget], inputs: _ClientPhotos) -> Iterator[Check]:
    name, runtime = "scores in TensorFlow", runtimes("tensorflow")[0]
    lacking = runtime.missing()
    for target in targets:
        if lacking is not None:
            yield skipped_check(name, lacking, runtime=TENSORFLOW)
            return
        try:
            with runtime.open(target.bundle, target.variant) as session:
                answers = session.predict(inputs.small)
        except DamagedError as error:
            yield target.judge(name, TENSORFLOW, [str(error)], "")
        else:
            yield _compare(target, name, TENSORFLOW, answers, target.small, target.tolerance)


def _compare(
    target: _ClientTarget,
    name: str,
    client: str,
    answers: Probabilities,
    expected: Probabilities,
    tolerance: float,
) -> Check:
    if target.error:
        return target.judge(name, client, [f"our own runtime: {target.error}"], "")
    if answers.shape != expected.shape:
        wrong = f"{answers.shape[1]} scores instead of {expected.shape[1]}"
        return target.judge(name, client, [wrong], "")
    measured = difference(answers, expected)
    problems = [] if measured.within(tolerance) else [f"{measured.said}, {tolerance:.0e} allowed"]
    return target.judge(name, client, problems, measured.said)
