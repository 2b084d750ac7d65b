"""Which variant to ship: the smallest that answers nearly as the network does."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from mobile_assets.bundle import Bundle, Recommendation, Variant
from mobile_assets.decision import lower_bound

if TYPE_CHECKING:
    from export.variants.build_context import BuildContext

Format = Literal["tflite", "coreml"]
_AS_IT_IS: dict[Format, str] = {"tflite": "tflite-float32", "coreml": "coreml-float16"}
"""What is recommended when nothing smaller is good enough or can be judged: Core ML computes in
float16 wherever it can, whatever the weights are."""


@dataclass(frozen=True)
class ShipLimits:
    """What a variant must keep of the network's answers.

    Attributes:
        drop_points: Most that the share of right answers may fall, in percentage points.
        agreement: Least share of photos with the same best object.
    """

    drop_points: float
    agreement: float


SMALLER_WEIGHTS = ShipLimits(drop_points=0.2, agreement=0.995)
INTEGER = ShipLimits(drop_points=0.5, agreement=0.985)
"""Also for weights of a few values."""


def limits(variant: str) -> ShipLimits:
    """What is asked of a variant: as much as its kind can be expected to keep."""
    weights_only = variant.endswith(("float32", "float16", "int8-weights"))
    return SMALLER_WEIGHTS if weights_only else INTEGER


@dataclass(frozen=True)
class JudgedVariant:
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
) -> JudgedVariant:
    """Compares probabilities `[N, objects]` of a variant with the network's; N at least 1."""
    best, wanted = found.argmax(axis=1), expected.argmax(axis=1)
    drop = float((wanted == truth).mean() - (best == truth).mean())
    return JudgedVariant(variant, float((best == wanted).mean()), 100 * drop)


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
    photos = len(truth)
    missed: dict[str, str] = {}
    strict = 0
    for variant in by_size if photos else ():
        found = answers(variant)
        if found is None:
            missed[variant.name] = "cannot be run here"
            continue
        judged = judge(variant, found, expected, truth)
        if judged.good:
            return _meets(judged, photos, _listed(missed), _few(photos, strict))
        missed[variant.name] = (
            f"gives {_same_words(judged, photos)} ({judged.agreement:.1%}) the network's answer "
            f"and {_lost_words(judged)}"
        )
        if round((1 - judged.agreement) * photos) == 1:
            strict = max(strict, _needed(variant.name))
    names = [variant.name for variant in by_size]
    kept = _AS_IT_IS[format_] if _AS_IT_IS[format_] in names else names[-1]
    smaller = {name: why for name, why in missed.items() if name in names[: names.index(kept)]}
    return Recommendation(
        format=format_,
        variant=kept,
        met=False,
        photos=photos,
        why=_as_it_is(kept, photos, _listed(smaller), missed.get(kept)) + _few(photos, strict),
    )


def _as_it_is(kept: str, photos: int, smaller: str, itself: str | None) -> str:
    """Why a variant is taken that did not show itself good enough; `itself` is what it showed."""
    why = smaller if photos else "there are no validation photos to judge by"
    said = (
        f"No smaller variant is known to be good enough: {why}." if why else "There is no smaller."
    )
    return f"{said} {kept} itself {itself}." if itself else said


def _listed(missed: dict[str, str]) -> str:
    return "; ".join(f"{name} {why}" for name, why in missed.items())


def _same_words(judged: JudgedVariant, photos: int) -> str:
    return f"{round(judged.agreement * photos)} of {photos}"


def _lost_words(judged: JudgedVariant) -> str:
    lost = round(judged.drop_points, 1)
    return f"{'gains' if lost < 0 else 'loses'} {abs(lost):.1f} points"


def _needed(variant: str) -> int:
    """From how many photos on a variant may give one of them another answer than the network."""
    return math.ceil(1 / (1 - limits(variant).agreement) - 1e-9)


def _few(photos: int, needed: int) -> str:
    """Said where photos are so few that one of them decided; `needed` is 0 where none did."""
    if photos >= needed:
        return ""
    return (
        f" With fewer than {needed} validation photos a single changed answer is one too many: "
        "more of them would judge better."
    )


def _meets(judged: JudgedVariant, photos: int, missed: str, few: str) -> Recommendation:
    wanted, name = limits(judged.variant.name), judged.variant.name
    low = float(lower_bound(np.array(judged.agreement), np.array(photos)))
    smaller = f" Smaller ones do not: {missed}." if missed else ""
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
            f"loses at most {wanted.drop_points} points: it gives {_same_words(judged, photos)} "
            f"validation photos the same answer (lower end of the 95 % interval: {low:.1%}) and "
            f"{_lost_words(judged)}.{smaller}{few}"
        ),
    )


def answers_of(
    material: BuildContext, bundle: Bundle, photos: NDArray[np.uint8]
) -> Callable[[Variant], NDArray[np.float32] | None]:
    """Gives a variant's probabilities `[N, objects]` of `[N, H, W, 3]` uint8 photos.

    TFLite files are run. Core ML runs on Apple systems only: of packages with 8 bits or fewer the
    rounded network that they were converted from is run in torch, others cannot be judged.
    """
    from export.network.fold import run_photos
    from export.tflite.convert import run_tflite

    def run(variant: Variant) -> NDArray[np.float32] | None:
        if variant.format == "tflite":
            found: NDArray[np.float32] = run_tflite(bundle.path(variant).read_bytes(), photos)
            return found
        if variant.precision == "int8-weights":
            return run_photos(material.integer_weights.network, photos)
        if variant.precision.startswith("palette"):
            bits = int(variant.precision.removeprefix("palette"))
            return run_photos(material.palettised(bits).network, photos)
        if variant.precision == "w8a8":
            return run_photos(material.fake_quantised, photos)
        return None

    return run
