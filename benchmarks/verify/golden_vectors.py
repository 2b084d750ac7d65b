"""Checks with the golden vectors: the photos' stages, and every variant on every runtime here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.runtimes import Pixels, Probabilities, Runtime, runtimes
from benchmarks.verify.checks import Check, CheckedBundle, check_from_problems, skipped_check
from export.variants.parity_check import SUM_TOLERANCE
from mobile_assets.bundle import Bundle, Variant
from mobile_assets.errors import ArtefactError, DamagedError, InputError, MissingDependencyError
from mobile_assets.golden import (
    GOLDEN_FOLDER,
    GoldenPhoto,
    GoldenVariant,
    GoldenVectors,
    PixelTolerance,
    answers_differ,
    pixels_differ,
)
from mobile_assets.photos import decode
from mobile_assets.preprocessing import resize

_OURS = PixelTolerance(
    mean=0.25, largest=1, why="The same code; another release of Pillow may round differently."
)
_EXACT = PixelTolerance(mean=0, largest=0, why="Two files of the same pixels.")


@dataclass(frozen=True)
class _Inputs:
    """What goes into the models.

    Attributes:
        tensors: The golden tensors, `[photos, H, W, 3]`.
        own: What this machine makes of the photos, the same shape.
    """

    golden: GoldenVectors
    tensors: Pixels
    own: Pixels


def check_vectors(checked: CheckedBundle, chosen: Sequence[str]) -> Iterator[Check]:
    """All checks with golden vectors.

    Raises:
        InputError: There is no runtime of such a name.
    """
    bundle = checked.bundle
    if bundle.contents is None or GOLDEN_FOLDER not in bundle.contents:
        yield skipped_check(
            "golden vectors", "the bundle holds none; `artefact-id export` makes them"
        )
        return
    try:
        golden = GoldenVectors.read(bundle)
        yield check_from_problems(
            "golden vectors", _description_problems(golden, bundle), _counted(golden)
        )
        checks, own = _stages(golden, bundle)
        yield from checks
        inputs = _Inputs(golden, golden.tensors, own)
    # Lists of other lengths than they should be, and indices of no object.
    except (ArtefactError, ValueError, IndexError) as error:
        yield check_from_problems("golden vectors", [str(error)], "")
        return
    for name in chosen:
        yield from _on_runtimes(checked, inputs, runtimes(name))


def _counted(golden: GoldenVectors) -> str:
    return f"{len(golden.info.photos)} photos, {len(golden.info.variants)} variants"


def _description_problems(golden: GoldenVectors, bundle: Bundle) -> Iterator[str]:
    contract = bundle.info.preprocessing
    shape = (golden.info.height, golden.info.width, golden.info.objects)
    expected_shape = (contract.height, contract.width, bundle.info.objects)
    if shape != expected_shape:
        yield f"height, width, objects are {shape} instead of {expected_shape}"
    for variant in golden.info.variants:
        expected = golden.expected(variant)
        for row, best in zip(expected, variant.best, strict=True):
            listed = np.array(best.probabilities, dtype=np.float32)
            same = np.allclose(row[list(best.indices)], listed, rtol=1e-4, atol=0)
            if not same or row.argmax() != best.indices[0]:
                yield f"best objects of {best.photo} are not those of {variant.variant}'s answer"


def _stages(golden: GoldenVectors, bundle: Bundle) -> tuple[list[Check], Pixels]:
    """The stages before the network, on this machine; and the model's inputs made by them."""
    decoding: list[str] = []
    resizing: list[str] = []
    own: list[Pixels] = []
    for photo in golden.info.photos:
        upright = decode(golden.path(photo))
        wrong = _decoding_problem(golden, photo, np.asarray(upright, dtype=np.uint8))
        decoding += [f"{photo.name}: {wrong}"] if wrong else []
        own.append(resize(upright, bundle.info.preprocessing))
        wrong = _resizing_problem(golden, photo, bundle, own[-1])
        resizing += [f"{photo.name}: {wrong}"] if wrong else []
    count = f"{len(own)} photos"
    checks = [
        check_from_problems("golden decoding", decoding, count),
        check_from_problems("golden resizing", resizing, count),
    ]
    return checks, np.stack(own)


def _decoding_problem(golden: GoldenVectors, photo: GoldenPhoto, pixels: Pixels) -> str | None:
    expected = golden.decoded(photo)
    if expected is not None:
        return pixels_differ(pixels, expected, photo.decoding)
    size = (photo.height, photo.width, 3)
    return None if pixels.shape == size else f"of shape {pixels.shape} instead of {size}"


def _resizing_problem(
    golden: GoldenVectors, photo: GoldenPhoto, bundle: Bundle, own: Pixels
) -> str | None:
    from PIL import Image

    tensor, decoded = golden.tensor(photo), golden.decoded(photo)
    twice = pixels_differ(golden.resized(photo), tensor, _EXACT)
    if twice:
        return f"{photo.resized} and {photo.tensor}: {twice}"
    if decoded is None:
        return pixels_differ(own, tensor, photo.resizing)
    return pixels_differ(resize(Image.fromarray(decoded), bundle.info.preprocessing), tensor, _OURS)


def _on_runtimes(
    checked: CheckedBundle, inputs: _Inputs, candidates: Sequence[Runtime]
) -> Iterator[Check]:
    variants = [v for v in checked.bundle.info.variants if v.format == candidates[0].format]
    if not variants:
        return
    missing = candidates[0].missing()
    if missing is not None:
        yield skipped_check("golden answers", missing, runtime=candidates[0].name)
        return
    for runtime in candidates:
        for variant in variants:
            if variant.name in checked.changed:
                why = "its file is not the one described"
                yield skipped_check(
                    "golden answers", why, subject=variant.name, runtime=runtime.name
                )
            else:
                yield from _answers(checked.bundle, variant, runtime, inputs)


def _answers(
    bundle: Bundle, variant: Variant, runtime: Runtime, inputs: _Inputs
) -> Iterator[Check]:
    on = {"subject": variant.name, "runtime": f"{runtime.name} {runtime.unit}".strip()}
    try:
        with runtime.open(bundle, variant) as session:
            golden_answers = session.predict(inputs.tensors)
            same = np.array_equal(inputs.own, inputs.tensors)
            own_answers = golden_answers if same else session.predict(inputs.own)
    except MissingDependencyError as error:
        yield skipped_check("golden answers", str(error), **on)
        return
    except (InputError, DamagedError) as error:
        yield check_from_problems("golden answers", [str(error)], "", **on)
        return
    yield check_from_problems(
        "sums to 1", sum_problems(golden_answers), f"within {SUM_TOLERANCE:g}", **on
    )
    known = {golden.variant: golden for golden in inputs.golden.info.variants}
    if variant.name not in known:
        why = inputs.golden.info.left_out.get(variant.name, "golden.json has no answers of it")
        yield skipped_check("golden answers", why, **on)
        return
    # Core ML's other units are, or may hand work to, a GPU or the Neural Engine.
    accelerator = runtime.name == "coreml" and runtime.unit != "cpu"
    yield _compared(
        "golden tensors", golden_answers, inputs.golden, known[variant.name], accelerator, on
    )
    yield _compared(
        "golden photos", own_answers, inputs.golden, known[variant.name], accelerator, on
    )


def _compared(
    name: str,
    answers: Probabilities,
    golden: GoldenVectors,
    variant: GoldenVariant,
    accelerator: bool,
    on: dict[str, str],
) -> Check:
    """Answers held against the golden ones; from photos, their own tolerance is added."""
    base = (variant.on_accelerator if accelerator else variant.from_tensor).share
    problems = []
    expected = golden.expected(variant)
    for photo, is_, should in zip(golden.info.photos, answers, expected, strict=True):
        allowed = base + (photo.answering.share if name == "golden photos" else 0.0)
        wrong = answers_differ(is_, should, allowed)
        problems += [f"{photo.name}: {wrong}"] if wrong else []
    return check_from_problems(
        name, problems, f"{len(expected)} photos, expected of {variant.runtime}", **on
    )


def sum_problems(answers: Probabilities) -> Iterator[str]:
    """What keeps answers from being probabilities that sum to 1; at most one thing."""
    sums = answers.sum(axis=1, dtype=np.float64)
    if not np.isfinite(answers).all() or answers.min() < 0:
        yield "it gives values that are no probabilities"
    elif np.abs(sums - 1).max() > SUM_TOLERANCE:
        yield f"its probabilities sum to {sums[np.abs(sums - 1).argmax()]:.4f}"
