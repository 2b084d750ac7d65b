"""Which variant to ship: the smallest that answers nearly as the network does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from mobile_assets.bundle import Bundle, Recommendation, Variant
from mobile_assets.decision import lower_bound

if TYPE_CHECKING:
    from export.variants import Material

Format = Literal["tflite", "coreml"]
_AS_IT_IS: dict[Format, str] = {"tflite": "tflite-float32", "coreml": "coreml-float16"}
"""What is recommended when nothing smaller is good enough or can be judged: Core ML computes in
float16 wherever it can, whatever the weights are."""


@dataclass(frozen=True)
class Limits:
    """What a variant must keep of the network's answers.

    Attributes:
        drop_points: Most that the share of right answers may fall, in percentage points.
        agreement: Least share of photos with the same best object.
    """

    drop_points: float
    agreement: float


SMALLER_WEIGHTS = Limits(drop_points=0.2, agreement=0.995)
INTEGER = Limits(drop_points=0.5, agreement=0.985)
"""Also for weights of a few values."""


def limits(variant: str) -> Limits:
    """What is asked of a variant: as much as its kind can be expected to keep."""
    weights_only = variant.endswith(("float32", "float16", "int8-weights"))
    return SMALLER_WEIGHTS if weights_only else INTEGER


@dataclass(frozen=True)
class Judged:
    """A variant's answers beside the network's."""

    variant: Variant
    agreement: float
    drop_points: float

    @property
    def good(self) -> bool:
        """Whether it keeps within its limits."""
        wanted = limits(self.variant.name)
        # Shares of few photos are quotients: 0.3 - 0.1 must not be more than 0.2.
        return (
            self.agreement >= wanted.agreement - 1e-9
            and self.drop_points <= wanted.drop_points + 1e-9
        )


def judge(
    variant: Variant,
    found: NDArray[np.float32],
    expected: NDArray[np.float32],
    truth: NDArray[np.int64],
) -> Judged:
    """Compares probabilities `[N, objects]` of a variant with the network's; N at least 1."""
    best, wanted = found.argmax(axis=1), expected.argmax(axis=1)
    drop = float((wanted == truth).mean() - (best == truth).mean())
    return Judged(variant, float((best == wanted).mean()), 100 * drop)


def recommend(
    variants: Iterable[Variant],
    answers: Callable[[Variant], NDArray[np.float32] | None],
    expected: NDArray[np.float32],
    truth: NDArray[np.int64],
) -> tuple[Recommendation, ...]:
    """Recommends one variant of each format that is there.

    Args:
        variants: Those of the bundle.
        answers: A variant's probabilities `[N, objects]` of the validation photos, or None if it
            cannot be run here.
        expected: The network's, in float32.
        truth: The photos' objects, `[N]`; N may be 0.
    """
    by_size = sorted(variants, key=lambda variant: variant.bytes)
    return tuple(
        _recommend(format_, mine, answers, expected, truth)
        for format_ in _AS_IT_IS
        if (mine := [variant for variant in by_size if variant.format == format_])
    )


def _recommend(
    format_: Format,
    by_size: list[Variant],
    answers: Callable[[Variant], NDArray[np.float32] | None],
    expected: NDArray[np.float32],
    truth: NDArray[np.int64],
) -> Recommendation:
    missed: list[str] = []
    for variant in by_size if len(truth) else ():
        found = answers(variant)
        if found is None:
            missed.append(f"{variant.name} cannot be run here")
            continue
        judged = judge(variant, found, expected, truth)
        if judged.good:
            return _meets(judged, len(truth), missed)
        missed.append(
            f"{variant.name} gives {judged.agreement:.1%} of them the network's answer and loses "
            f"{judged.drop_points:.1f} points"
        )
    names = {variant.name: variant for variant in by_size}
    kept = names.get(_AS_IT_IS[format_], by_size[-1])
    why = "; ".join(missed) if len(truth) else "there are no validation photos to judge by"
    return Recommendation(
        format=format_,
        variant=kept.name,
        met=False,
        photos=len(truth),
        why=f"No smaller variant is known to be good enough: {why}.",
    )


def _meets(judged: Judged, photos: int, missed: list[str]) -> Recommendation:
    wanted, name = limits(judged.variant.name), judged.variant.name
    same = round(judged.agreement * photos)
    low = float(lower_bound(np.array(judged.agreement), np.array(photos)))
    smaller = f" Smaller ones do not: {'; '.join(missed)}." if missed else ""
    return Recommendation(
        format=judged.variant.format,
        variant=name,
        met=True,
        photos=photos,
        agreement=judged.agreement,
        agreement_low=low,
        drop_points=judged.drop_points,
        why=(
            f"The smallest that keeps at least {wanted.agreement:.1%} of the network's answers and "
            f"loses at most {wanted.drop_points} points: it gives {same} of {photos} validation "
            f"photos the same answer (with 95 % confidence at least {low:.1%} of all) and loses "
            f"{judged.drop_points:.1f} points.{smaller}"
        ),
    )


def answers_of(
    material: Material, bundle: Bundle, photos: NDArray[np.uint8]
) -> Callable[[Variant], NDArray[np.float32] | None]:
    """Gives a variant's probabilities `[N, objects]` of `[N, H, W, 3]` uint8 photos.

    TFLite files are run. Core ML runs on Apple systems only: of packages with 8 bits the rounded
    network that they were converted from is run in torch, others cannot be judged.
    """
    from export.coreml_w8a8 import rounded_twin
    from export.network import run_photos
    from export.tflite import run_tflite

    def run(variant: Variant) -> NDArray[np.float32] | None:
        if variant.format == "tflite":
            found: NDArray[np.float32] = run_tflite(bundle.path(variant).read_bytes(), photos)
            return found
        if variant.precision == "int8-weights":
            return run_photos(material.integer_weights.network, photos)
        if variant.precision == "w8a8":
            assert material.calibration is not None, "export_bundle gives integer variants photos"
            return run_photos(rounded_twin(material.integer.network, material.calibration), photos)
        return None

    return run
