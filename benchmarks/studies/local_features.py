r"""Studio picture to phone photo, with and without local features.

    python -m benchmarks.studies.local_features --photos GROCERY --out DIR --seeds 0,1,2 \
        --table benchmarks/studies/local_features.md

Networks are trained on one studio picture per object, as in `domain_shift`, and asked about phone
photos. Their ten best objects are compared with the photo by `mobile_assets.local_features`, whose
numbers were chosen on the development half. Asked again with a third of the objects left out of the
register, the photos of these say how far points in common can be believed. Called again, it keeps
what is finished.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from benchmarks.results.cluster_bootstrap import (
    Estimate,
    Tally,
    drawn_shares,
    interval,
    share_of,
    tally,
)
from benchmarks.studies.console import Terminal
from benchmarks.studies.domain_shift import Half, in_half, read_source
from benchmarks.studies.recipe_runs import whole_numbers
from benchmarks.studies.recipe_tasks import PhotoFile, pixels_of
from benchmarks.studies.study import MeasuredStudy
from benchmarks.studies.study_statistics import Counts, Names, Target, count_by_object
from benchmarks.studies.trained_network import train_network
from mobile_assets.errors import DamagedError, MissingDependencyError
from mobile_assets.local_features import (
    CANDIDATES,
    MISSING,
    WEIGHT,
    LocalFeatures,
    available,
    local_features,
    rerank,
)
from mobile_assets.photos import decode
from mobile_assets.schema import Document, Record
from train.recipes import DISCRIMINANT
from train.training_plan import DEFAULT_BACKBONE, preprocessing_of

REFERENCE_SIDE = 256
"""Pixels of the longer side of a reference picture at the most; smaller ones are not enlarged."""

HALVES: Mapping[Half, str] = {"dev": "development", "test": "test"}
LEAST_TOP1 = 62.0
"""Target: top-1 with local features on the test half, in percent."""

INLIERS = (6, 8, 12, 20, 30)
"""Points in common that are asked about as a threshold."""

Floats = NDArray[np.float32]
Rows = NDArray[np.intp]


class LocalAnswers(Record):
    """How one half of the photos was answered.

    Attributes:
        before: Photos answered rightly by the network alone, by object.
        after: Likewise with local features.
        won: Photos that local features put right.
        lost: Photos that they put wrong.
        milliseconds: Of the local features of a photo and its comparison, the median.
        left_out: Objects left out of the register to be unknown.
        known_right: Of each photo of a registered object 1 if the first candidate is right.
        known_points: Points in common of its first candidate.
        unknown_points: Of each photo of an object left out.
    """

    half: Half
    tested: Counts
    before: Counts
    after: Counts
    won: Counts
    lost: Counts
    milliseconds: float
    left_out: Names
    known_right: Counts
    known_points: Counts
    unknown_points: Counts


class LocalResult(Document):
    """One network."""

    seed: int
    backbone: str
    input_size: int
    recipe: str
    weight: float
    objects: Names
    halves: tuple[LocalAnswers, ...] = Field(min_length=1)


class LocalFeaturesStudy(MeasuredStudy):
    """Networks with and without local features."""

    NAME: ClassVar[str] = "local_features"

    reference_side: int
    results: tuple[LocalResult, ...]

    def counted(self, half: Half, what: str) -> Tally:
        """Photos of one half by object, over all networks, of which `what` are counted."""
        return tally(
            (result.objects, answers.tested, getattr(answers, what))
            for result in self.results
            for answers in result.halves
            if answers.half == half
        )

    def gain(self, half: Half) -> Estimate:
        """Points of top-1 that local features bring; both judged on the same draws of objects."""
        after, before = self.counted(half, "after"), self.counted(half, "before")
        drawn = 100 * (drawn_shares(after) - drawn_shares(before))
        return Estimate(100 * (after.share - before.share), interval(drawn))

    def share_with(self, half: Half, points: int, kind: str) -> str:
        """Share of photos whose first candidate has at least so many points in common."""
        chosen: list[NDArray[np.bool_]] = []
        for result in self.results:
            for answers in (own for own in result.halves if own.half == half):
                right = np.array(answers.known_right, dtype=bool)
                known = np.array(answers.known_points) >= points
                unknown = np.array(answers.unknown_points) >= points
                kinds = {"right": known & right, "wrong": known & ~right, "unknown": unknown}
                chosen.append(kinds[kind])
        return f"{np.concatenate(chosen).mean():.1%}"

    def values(self) -> Mapping[str, object]:
        """Both halves, and thresholds on the points in common."""
        return {
            "halves": HALVES,
            "candidates": CANDIDATES,
            "share": lambda half, what: share_of(self.counted(half, what)).text(".1%"),
            "sum": lambda half, what: int(self.counted(half, what).right.sum()),
            "points": INLIERS,
            "milliseconds": np.median(
                [own.milliseconds for result in self.results for own in result.halves]
            ),
        }

    def targets(self) -> list[Target]:
        """Top-1 with local features on the test half."""
        share = share_of(self.counted("test", "after"))
        bounds = share.bounds and (100 * share.bounds[0], 100 * share.bounds[1])
        value = None if share.value is None else 100 * share.value
        what = "top-1 of phone photos with local features, test half, %"
        return [Target(what, LEAST_TOP1, Estimate(value, bounds), at_least=True)]

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        """Adds the photos and what to train."""
        parser.add_argument("--photos", type=Path, required=True, help="with studio/ and photos/")
        parser.add_argument("--out", type=Path, required=True, help="folder to work in")
        parser.add_argument("--seeds", type=whole_numbers, default=(0, 1, 2), help="default: 0,1,2")
        parser.add_argument("--backbone", default=DEFAULT_BACKBONE, help=argparse.SUPPRESS)
        for name, kind in (("--weights", Path), ("--input-size", int), ("--epochs", int)):
            parser.add_argument(name, type=kind, help=argparse.SUPPRESS)

    @classmethod
    def measure(cls, arguments: argparse.Namespace) -> Self:
        """Measures what is missing."""
        if not available():
            raise MissingDependencyError(MISSING)
        arguments.out.mkdir(parents=True, exist_ok=True)
        results: list[LocalResult] = []
        for seed in arguments.seeds:
            file = arguments.out / f"seed{seed}.json"
            try:
                result = LocalResult.read(file)
            except DamagedError:
                result = measure_network(seed, arguments)
                result.write(file)
                Terminal().say(f"seed {seed}: measured")
            results.append(result)
        return cls.measured_now(reference_side=REFERENCE_SIDE, results=results)


def cosines(
    train: Sequence[PhotoFile],
    asked: Sequence[PhotoFile],
    seed: int,
    arguments: argparse.Namespace,
) -> Floats:
    """Trains a network and returns its cosines, `[asked, objects]`, objects sorted by id."""
    from train.batches import predict_batches
    from train.heads import COSINE_SCALE

    recipe = DISCRIMINANT.for_photos(len(train))
    if arguments.epochs is not None:
        recipe = replace(recipe, epochs=arguments.epochs, head_epochs=arguments.epochs)
    network = train_network(recipe, train, seed, arguments)
    pixels = pixels_of(list(asked), network.contract)
    logits = predict_batches(network.model, pixels, network.compute)
    return np.asarray(logits, np.float32) / COSINE_SCALE


def measure_network(seed: int, arguments: argparse.Namespace) -> LocalResult:
    """Trains one network and asks it about both halves."""
    source = read_source(arguments.photos)
    objects = sorted(source.studio)
    asked = {
        half: [(path, name) for name, paths in in_half(source, half).items() for path in paths]
        for half in HALVES
    }
    every = [photo for photos in asked.values() for photo in photos]
    scores = cosines([(source.studio[name], name) for name in objects], every, seed, arguments)
    references = [features_of(source.studio[name], REFERENCE_SIDE) for name in objects]
    generator = np.random.default_rng(seed)
    left_out = np.sort(generator.permutation(len(objects))[: len(objects) // 3])
    halves: list[LocalAnswers] = []
    for half, photos in asked.items():
        own, scores = scores[: len(photos)], scores[len(photos) :]
        halves.append(answer_half(half, photos, own, objects, references, left_out))
    return LocalResult(
        seed=seed,
        backbone=arguments.backbone,
        input_size=preprocessing_of(arguments.backbone, arguments.input_size).height,
        recipe=DISCRIMINANT.name,
        weight=WEIGHT,
        objects=tuple(objects),
        halves=tuple(halves),
    )


def features_of(path: Path, side: int | None = None) -> LocalFeatures:
    """Local features of a photo, reduced to a side of so many pixels at the most."""
    photo = decode(path)
    if side is not None:
        photo.thumbnail((side, side), Image.Resampling.LANCZOS)
    return local_features(np.asarray(photo))


@dataclass(frozen=True)
class FirstCandidate:
    """What was put first for a photo, with local features: the object and the points in common."""

    index: int
    points: int


def first_candidate(
    photo: LocalFeatures, scores: Floats, references: Sequence[LocalFeatures], among: Rows
) -> FirstCandidate:
    """Asks about some of the objects alone.

    Args:
        scores: `[objects]` cosines.
        among: Indices of the objects that are in the register.
    """
    best = rerank(photo, scores[among].tolist(), [[references[index]] for index in among])[0]
    return FirstCandidate(int(among[best.index]), best.match.inliers if best.match else 0)


def answer_half(
    half: Half,
    photos: Sequence[PhotoFile],
    scores: Floats,
    objects: Sequence[str],
    references: Sequence[LocalFeatures],
    left_out: Rows,
) -> LocalAnswers:
    """Asks about the photos of one half, with all objects registered and with some left out."""
    shown = [object_id for _, object_id in photos]
    truth = np.array([objects.index(object_id) for object_id in shown])
    every = np.arange(len(objects))
    registered = np.setdiff1d(every, left_out)
    all_first: list[int] = []
    partly: list[FirstCandidate] = []
    seconds: list[float] = []
    for (path, _), own in zip(photos, scores, strict=True):
        image = np.asarray(decode(path))
        started = time.perf_counter()
        photo = local_features(image)
        all_first.append(first_candidate(photo, own, references, every).index)
        seconds.append(time.perf_counter() - started)
        partly.append(first_candidate(photo, own, references, registered))
    before, after = scores.argmax(axis=1) == truth, np.array(all_first) == truth
    unknown = np.isin(truth, left_out)
    points = np.array([first.points for first in partly])
    right = np.array([first.index for first in partly]) == truth

    def by_object(chosen: NDArray[np.bool_]) -> tuple[int, ...]:
        return count_by_object(objects, shown, chosen)

    return LocalAnswers(
        half=half,
        tested=by_object(np.ones(len(shown), bool)),
        before=by_object(before),
        after=by_object(after),
        won=by_object(after & ~before),
        lost=by_object(before & ~after),
        milliseconds=round(1e3 * float(np.median(seconds)), 1),
        left_out=tuple(objects[index] for index in left_out),
        known_right=tuple(right[~unknown].astype(int).tolist()),
        known_points=tuple(points[~unknown].tolist()),
        unknown_points=tuple(points[unknown].tolist()),
    )


if __name__ == "__main__":
    sys.exit(LocalFeaturesStudy.main())
