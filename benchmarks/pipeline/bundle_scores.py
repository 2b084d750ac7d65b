"""Scores and verdicts of one model of a bundle: by its embedding, or by its classifier alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mobile_assets.bundle import Bundle, Variant
from mobile_assets.errors import DamagedError, InputError
from mobile_assets.fitness import Fitness, FitnessLimits, judge
from mobile_assets.identification.decision import (
    Decision,
    VariantDecision,
    Verdict,
    decide,
    judged_model,
    read_decision,
)
from mobile_assets.identification.explanation import UNJUDGED, explain
from mobile_assets.identification.gallery import Gallery, read_gallery
from mobile_assets.identification.references import References, read_references
from mobile_assets.identification.scores import GallerySearch, combine_photos
from mobile_assets.shortlist import top_objects

if TYPE_CHECKING:
    from benchmarks.runtimes.interface import PhotoSession
    from benchmarks.runtimes.litert_embedding import LitertEmbedding

PREFERRED = ("tflite-int8", "tflite-int8-weights", "tflite-float16", "tflite-float32")
"""Variants that answer where a bundle recommends none, the one for most phones first."""

_SHORTLIST = 5
"""Length of the shortlists of bundles without thresholds."""

Pixels = NDArray[np.uint8]


def choose_variant(bundle: Bundle, name: str | None) -> Variant:
    """The TFLite variant of a name; the one that a phone would execute if it is None.

    Raises:
        InputError: There is none of that name, or no TFLite file at all.
    """
    if name is not None:
        variant = bundle.info.variant(name)
        if variant.format != "tflite":
            raise InputError(
                f"{name} is a Core ML package, which Core ML alone runs. "
                "Give one of the bundle's TFLite variants with --variant."
            )
        return variant
    there = [variant.name for variant in bundle.info.variants if variant.format == "tflite"]
    recommended = [best.variant for best in bundle.info.recommended]
    for candidate in (*recommended, *PREFERRED, *there):
        if candidate in there:
            return bundle.info.variant(candidate)
    names = ", ".join(variant.name for variant in bundle.info.variants) or "no variant"
    raise InputError(
        f"{bundle.folder} has {names}, and only TFLite variants are executed here. "
        "Export one with --variants tflite-int8."
    )


class BundleScores(ABC):
    """An opened model of a bundle that scores photos.

    Attributes:
        scored_by: What a score is: `score` or `probability`.
        model: What executes the photos.
        references: The bundle's reference pictures; None without any, or where the score is a
            probability, to which the evidence of points cannot be added.
    """

    scored_by: str
    model: str
    references: References | None = None

    def __init__(self, bundle: Bundle, limits: FitnessLimits | None) -> None:
        self.bundle = bundle
        self._limits = limits

    def fitness(self, photos: Mapping[Path, Pixels]) -> dict[Path, Fitness]:
        """How fit photos are, by photo; empty where the bundle has no limits."""
        if self._limits is None:
            return {}
        return {photo: judge(pixels, self._limits) for photo, pixels in photos.items()}

    @abstractmethod
    def score(self, photos: Sequence[Pixels]) -> NDArray[np.float64]:
        """Scores of photos of one object taken together, `[objects]`; at least one photo."""

    @abstractmethod
    def judge(self, scores: NDArray[np.float64], photos: int) -> tuple[Verdict, str]:
        """The verdict on scores of so many fit photos, and the reason for it."""


class EmbeddingScores(BundleScores):
    """Scores by embedding and gallery, judged by `decision.json`."""

    scored_by = "score"

    def __init__(
        self,
        bundle: Bundle,
        session: LitertEmbedding,
        search: GallerySearch,
        decision: Decision,
        *,
        model: str,
        false_match_rate: float | None,
    ) -> None:
        super().__init__(bundle, decision.fitness)
        self.references = read_references(bundle)
        self._session, self._search = session, search
        self.model, self.decision = model, decision.variants[model]
        self._rate = false_match_rate

    def score(self, photos: Sequence[Pixels]) -> NDArray[np.float64]:
        """As the gallery's formula has it."""
        rows = np.stack([self._session.embed(photo) for photo in photos])
        return combine_photos(self._search.scores(rows), self.decision.formula)

    def judge(self, scores: NDArray[np.float64], photos: int) -> tuple[Verdict, str]:
        """By the thresholds of the model."""
        verdict = decide(scores, photos, self.decision, false_match_rate=self._rate)
        return verdict, explain(verdict, self.decision)


class ClassifierScores(BundleScores):
    """Probabilities of a classifier; nothing is known of unknown objects, so nothing is a match."""

    scored_by = "probability"

    def __init__(
        self, bundle: Bundle, session: PhotoSession, limits: FitnessLimits | None, *, model: str
    ) -> None:
        super().__init__(bundle, limits)
        self._session, self.model = session, model

    def score(self, photos: Sequence[Pixels]) -> NDArray[np.float64]:
        """The mean of the photos' probabilities."""
        rows = self._session.predict(np.stack(photos))
        mean: NDArray[np.float64] = np.asarray(rows, dtype=np.float64).mean(axis=0)
        return mean

    def judge(self, scores: NDArray[np.float64], photos: int) -> tuple[Verdict, str]:
        """Always a shortlist, of fit photos."""
        if photos == 0:
            return Verdict("photo unfit"), "No photo can be judged."
        order = top_objects(scores, _SHORTLIST).tolist()
        return Verdict("shortlist", tuple(order), float(scores[order[0]])), UNJUDGED


@contextmanager
def open_scores(
    bundle: Bundle, variant: Variant, *, false_match_rate: float | None = None
) -> Iterator[BundleScores]:
    """Opens the embedding that stands beside a variant; where there is none, the variant itself.

    Raises:
        InputError: The bundle promises no such false-match rate.
        DamagedError: Gallery, decision or model are damaged or do not fit together.
    """
    decision, gallery = read_decision(bundle), read_gallery(bundle)
    model = decision and gallery and judged_model(bundle, decision, variant.name)
    if not (decision and gallery and model):
        from benchmarks.runtimes.litert_runtime import open_litert

        if false_match_rate is not None:
            raise InputError(
                f"{bundle.folder} has no thresholds, so no false-match rate can be promised. "
                "Leave the rate out, or export the bundle again."
            )
        limits = decision.fitness if decision else None
        with open_litert(bundle, variant.name) as session:
            yield ClassifierScores(bundle, session, limits, model=variant.name)
        return
    from benchmarks.runtimes.litert_embedding import LitertEmbedding

    judged = decision.variants[model.name]
    check_rate(judged, false_match_rate)
    search = open_search(bundle, gallery, judged)
    with LitertEmbedding(bundle, model) as embedding:
        if embedding.dimensions != gallery.dimensions:
            raise DamagedError(
                f"{bundle.folder / model.file} gives rows of {embedding.dimensions} values, and "
                f"the gallery has {gallery.dimensions}: export the bundle again."
            )
        yield EmbeddingScores(
            bundle,
            embedding,
            search,
            decision,
            model=model.name,
            false_match_rate=false_match_rate,
        )


def open_search(bundle: Bundle, gallery: Gallery, decision: VariantDecision) -> GallerySearch:
    """The search by a model's formula.

    Raises:
        DamagedError: The gallery lacks what the formula needs.
    """
    try:
        return GallerySearch(gallery, decision.formula)
    except ValueError as error:
        raise DamagedError(f"{bundle.folder}: {error}. Export the bundle again.") from None


def check_rate(decision: VariantDecision, rate: float | None) -> None:
    """Refuses a false-match rate that nothing is known of.

    Raises:
        InputError: The decision has other ones.
    """
    rates = [match.false_match_rate for match in decision.rules[0].matches]
    if rate is not None and rate not in rates:
        known = ", ".join(f"{100 * known:g}" for known in rates)
        raise InputError(
            f"{100 * rate:g} % false matches: the bundle has thresholds for {known} %. "
            "Give one of these."
        )
