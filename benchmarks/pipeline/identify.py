"""Answering photos from a bundle alone, as the phone would. Never imports torch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.pipeline.bundle_scores import BundleScores, choose_variant, open_scores
from benchmarks.pipeline.matched_points import MatchedPoints, matched_points
from mobile_assets.bundle import read_bundle
from mobile_assets.fitness import ADVICE, Fitness
from mobile_assets.identification.decision import Verdict
from mobile_assets.labels import Label
from mobile_assets.photos import PhotoError
from mobile_assets.shortlist import top_objects
from train.decode_pool import DecoderPool

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Candidate:
    """One object of an answer.

    Attributes:
        score: Of the embedding, at most 1; or the classifier's probability, 0–1.
        named: Whether the verdict names it: as the match, or in the shortlist.
        points: What a photo has in common with a reference picture of it; None if that was not
            looked at.
    """

    label: Label
    score: float
    named: bool
    points: MatchedPoints | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Identification:
    """The answer to one photo, or to several photos of one object.

    Attributes:
        photos: The photos that were asked about.
        verdict: The answer; None if no photo could be read.
        reason: Why it is so, for a person; why it could not be read if there is no answer.
        candidates: The best objects, best first, with all that the verdict names.
        scored_by: What the candidates' score is.
        model: What executed the photos.
        errors: Why photos could not be read, by photo.
        fitness: How fit the others are, by photo; empty where the bundle has no limits.
        pixels: What the model saw of the photos that were read, `[height, width, 3]` each.
    """

    photos: tuple[Path, ...]
    verdict: Verdict | None
    reason: str
    candidates: tuple[Candidate, ...] = ()
    scored_by: str = "score"
    model: str = ""
    errors: dict[Path, str] = field(default_factory=dict)
    fitness: dict[Path, Fitness] = field(default_factory=dict)
    pixels: dict[Path, Pixels] = field(default_factory=dict, compare=False, repr=False)

    @property
    def unfit(self) -> dict[Path, Fitness]:
        """The photos that nothing can be told from."""
        return {photo: fitness for photo, fitness in self.fitness.items() if not fitness.fit}

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        name: dict[str, Any] = {"photo": str(self.photos[0])}
        if len(self.photos) > 1:
            name = {"photos": [str(photo) for photo in self.photos]}
        errors = [{"photo": str(photo), "error": why} for photo, why in self.errors.items()]
        if self.verdict is None:
            return name | {"error": self.reason, "errors": errors}
        return {
            **name,
            "verdict": self.verdict.answer,
            "reason": self.reason,
            "score": _rounded(self.verdict.score),
            "threshold": _rounded(self.verdict.threshold),
            "promise": self.verdict.promise,
            "model": self.model,
            "candidates": [self._candidate(candidate) for candidate in self.candidates],
            "fitness": [
                {
                    "photo": str(photo),
                    "unfit": fitness.kind,
                    "advice": fitness.advice and ADVICE[fitness.advice],
                    "measures": fitness.measures.model_dump(),
                }
                for photo, fitness in self.fitness.items()
            ],
            "errors": errors,
        }

    def _candidate(self, candidate: Candidate) -> dict[str, Any]:
        """One object, with its descriptive fields if the bundle has any."""
        label = candidate.label
        record = label.record.as_json() if label.record is not None else {}
        return {
            "object_id": label.object_id,
            "collection": label.collection,
            "title": label.title,
            self.scored_by: _rounded(candidate.score),
            "named": candidate.named,
            **(_points(candidate.points) if candidate.points else {}),
            **({"record": record} if record else {}),
        }


def _points(points: MatchedPoints) -> dict[str, Any]:
    return {
        "matched_points": points.match.inliers,
        "points": {
            "photo": str(points.photo),
            "reference": points.reference.file,
            "pairs": points.match.as_json(),
        },
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


@contextmanager
def identifier(
    folder: Path,
    *,
    variant: str | None = None,
    trusted: Ed25519PublicKey | None = None,
    false_match_rate: float | None = None,
) -> Iterator[BundleScores]:
    """Opens a bundle for identification; its files are compared with their hashes first.

    Args:
        folder: The bundle.
        variant: A TFLite variant of the bundle, whose embedding model answers if there is one; if
            None, the variant that the bundle recommends, or else the first that it has.
        trusted: The key that must have signed the bundle; None for any key or none.
        false_match_rate: What a match promises; None for the bundle's default.

    Raises:
        InputError: `folder` is no bundle, or has no such variant or rate.
        DamagedError: The bundle is damaged.
        CheckFailedError: Its signature does not hold, or `trusted` did not sign it.
    """
    bundle = read_bundle(folder, trusted=trusted)
    chosen = choose_variant(bundle, variant)
    with open_scores(bundle, chosen, false_match_rate=false_match_rate) as scores:
        yield scores


def identify_photos(
    scores: BundleScores, photos: Sequence[Path], *, top: int, together: bool = False
) -> tuple[Identification, ...]:
    """Identifies photos with an opened bundle.

    Args:
        scores: From `identifier`.
        photos: Photo files; one that cannot be read gets an error instead of an answer.
        top: How many candidates are listed at least.
        together: Whether the photos are all of one object, and get one answer.
    """
    groups = [tuple(photos)] if together else [(photo,) for photo in photos]
    with DecoderPool(len(photos)) as pool:
        return tuple(identify_together(scores, pool, group, top=top) for group in groups)


def identify(
    folder: Path,
    photos: Sequence[Path],
    *,
    variant: str | None = None,
    top: int,
    together: bool = False,
    trusted: Ed25519PublicKey | None = None,
) -> tuple[Identification, ...]:
    """Identifies photos with one TFLite model of a bundle; see `identifier`, `identify_photos`."""
    with identifier(folder, variant=variant, trusted=trusted) as scores:
        return identify_photos(scores, photos, top=top, together=together)


def identify_together(
    scores: BundleScores, pool: DecoderPool, photos: tuple[Path, ...], *, top: int
) -> Identification:
    """The answer to photos of one object.

    Unfit photos are left out unless all are; of photos with the same pixels one counts.
    """
    pixels: dict[Path, Pixels] = {}
    errors: dict[Path, str] = {}
    for photo in photos:
        try:
            pixels[photo] = pool.load(photo, scores.bundle.info.preprocessing)
        except PhotoError as error:
            errors[photo] = error.reason
    if not pixels:
        return Identification(photos, None, "; ".join(errors.values()), errors=errors)
    fitness = scores.fitness(pixels)
    fit = _distinct(
        [pixels[photo] for photo in pixels if photo not in fitness or fitness[photo].fit]
    )
    # Unfit photos are scored all the same, for a list of candidates that nothing is promised of.
    values = scores.score(fit or list(pixels.values()))
    verdict, reason = scores.judge(values, len(fit))
    if not fit:
        reason = _unfit_reason(fitness)
    if verdict.promise is None:  # a list that promises nothing is as long as asked for
        verdict = replace(verdict, objects=verdict.objects[:top])
    listed = max(top, len(verdict.objects))
    return Identification(
        photos,
        verdict,
        reason,
        candidates=_candidates(scores, values, verdict, pixels, listed=listed),
        scored_by=scores.scored_by,
        model=scores.model,
        errors=errors,
        fitness=fitness,
        pixels=pixels,
    )


def _candidates(
    scores: BundleScores,
    values: NDArray[np.float64],
    verdict: Verdict,
    pixels: dict[Path, Pixels],
    *,
    listed: int,
) -> tuple[Candidate, ...]:
    """The best objects; a shortlist in the order of score and matched points together."""
    labels = scores.bundle.labels
    best = top_objects(values, listed).tolist()
    points = matched_points(pixels, [labels[index].object_id for index in best], scores.references)
    candidates = [
        Candidate(
            labels[index],
            float(values[index]),
            index in verdict.objects,
            points.get(labels[index].object_id),
        )
        for index in best
    ]
    if verdict.answer == "shortlist":
        candidates.sort(key=_place)
    return tuple(candidates)


def _place(candidate: Candidate) -> tuple[bool, float]:
    points = candidate.points.evidence if candidate.points else 0.0
    return not candidate.named, -(candidate.score + points)


def _distinct(photos: Sequence[Pixels]) -> list[Pixels]:
    """The same photo given twice is no second look at the object."""
    by_hash = {hashlib.sha256(photo.tobytes()).digest(): photo for photo in photos}
    return list(by_hash.values())


def _unfit_reason(fitness: dict[Path, Fitness]) -> str:
    kinds = {f.kind: ADVICE[f.advice] for f in fitness.values() if f.kind and f.advice}
    return " ".join(f"{str(kind).capitalize()}: {advice}" for kind, advice in kinds.items())
