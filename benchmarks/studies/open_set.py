r"""Objects that are not in the register: how often they are called a match, and what that costs.

    python -m benchmarks.studies.open_set --photos PHOTOS --strangers PHOTOS --out DIR \
        --seeds 0,1,2 --table benchmarks/studies/open_set.md

`PHOTOS` is a folder `<collection>/<object>/<view>` with many views per object. For each seed a
third of the objects is left out: they are unknown, of the same collections as those that are
registered. Each other object is given as many photos as an object of the paper's Table 2a has, and
the views left over are asked about. The default recipe keeps objects out of its training, on which
the export sets the thresholds. Called again, it keeps what is finished.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from benchmarks.pipeline.bundle_scores import open_search
from benchmarks.results.cluster_bootstrap import Estimate, share_of, tally
from benchmarks.runtimes.litert_embedding import LitertEmbedding
from benchmarks.studies.console import Terminal
from benchmarks.studies.eth80 import draw_photos
from benchmarks.studies.open_set_questions import (
    KINDS,
    SCALE,
    SHOWN,
    Kind,
    Questions,
    auroc,
    by_object,
    holds,
)
from benchmarks.studies.recipe_runs import (
    TrainingJob,
    add_training_options,
    copy_register,
    train_jobs,
    training_options,
)
from benchmarks.studies.study import MeasuredStudy
from benchmarks.studies.study_statistics import Counts, Target
from export import ExportOptions, export_bundle
from mobile_assets.bundle import Bundle, read_bundle
from mobile_assets.errors import InputError
from mobile_assets.fitness import judge
from mobile_assets.identification.decision import ANSWERS, VariantDecision, decide, read_decision
from mobile_assets.identification.gallery import read_gallery
from mobile_assets.identification.scores import combine_photos
from mobile_assets.photos import load
from train.recipes import DISCRIMINANT
from train.registers.readers import read_register
from train.registers.register import Photo
from train.run import Run

LEFT_OUT = 1 / 3
"""Share of the objects that are unknown."""

PHOTOS_ASKED = 20
"""Views of an object that are asked about, at most."""

TOGETHER = (1, 3)
"""Photos of one object that are asked about together."""


class OpenSetStudy(MeasuredStudy):
    """Answers to photos of registered and of unknown objects, by seed and embedding model."""

    NAME: ClassVar[str] = "open_set"

    backbone: str
    registered: Counts
    held_out: Counts
    rates: tuple[float, ...]
    questions: tuple[Questions, ...]

    @property
    def models(self) -> tuple[str, ...]:
        """The embedding models, in the order of the bundle."""
        return tuple(dict.fromkeys(row.model for row in self.questions))

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, ascending."""
        return tuple(sorted({row.seed for row in self.questions}))

    def rows(self, model: str, photos: int, kind: Kind) -> list[Questions]:
        """One row for each seed."""
        wanted = (model, photos, kind)
        return [row for row in self.questions if (row.model, row.photos, row.kind) == wanted]

    def asked(self, model: str, photos: int, kind: Kind) -> int:
        """Number of questions."""
        return sum(len(row.owner) for row in self.rows(model, photos, kind))

    def share(self, model: str, photos: int, kind: Kind, what: str) -> Estimate:
        """Share of the questions of which something holds (`open_set_questions.holds`)."""
        rows = self.rows(model, photos, kind)
        parts = [by_object(row, holds(row, what)) for row in rows]
        return share_of(tally(parts)) if parts else Estimate(None)

    def by_seed(self, model: str, photos: int, kind: Kind, what: str) -> list[float]:
        """The same of each seed alone."""
        return [float(holds(row, what).mean()) for row in self.rows(model, photos, kind)]

    def auroc(self, model: str, photos: int, kind: Kind) -> Estimate:
        """How often a registered object's best score is above an unknown one's; mean of seeds."""
        values = [
            auroc(np.array(known.best), np.array(other.best))
            for known, other in self._pairs(model, photos, kind)
        ]
        return _mean(values)

    def matched_at(self, model: str, photos: int, rate: float) -> Estimate:
        """Right matches at the threshold that so many of the unknown objects asked about reach."""
        values = []
        for known, other in self._pairs(model, photos, "unknown"):
            threshold = np.quantile(np.array(other.best), 1 - rate, method="higher")
            right = np.array(known.rank) == 0
            values.append(float((right & (np.array(known.best) > threshold)).mean()))
        return _mean(values)

    def _pairs(self, model: str, photos: int, kind: Kind) -> Iterator[tuple[Questions, Questions]]:
        """Registered and other objects' questions of each seed."""
        known = {row.seed: row for row in self.rows(model, photos, "register")}
        for other in self.rows(model, photos, kind):
            yield known[other.seed], other

    def values(self) -> Mapping[str, object]:
        """The kinds, and what turns rows into text."""
        return {"kinds": KINDS, "together": TOGETHER, "recipe": DISCRIMINANT.name}

    def targets(self) -> list[Target]:
        """Of every model, by single photos."""
        targets = []
        for model in self.models:
            per_seed = self.by_seed(model, 1, "unknown", "match")
            called = self.share(model, 1, "unknown", "match")
            wrong, right, found = (
                self.share(model, 1, "register", what)
                for what in ("wrong match", "right match", "found")
            )
            targets += [
                Target(f"{model}: unknown called a match", 0.01, called),
                Target(f"{model}: the same, worst seed", 0.025, Estimate(max(per_seed))),
                Target(f"{model}: matched to a wrong object", 0.005, wrong),
                Target(f"{model}: matched rightly at 1 %", 0.45, right, at_least=True),
                Target(f"{model}: AUROC", 0.9, self.auroc(model, 1, "unknown"), at_least=True),
                Target(f"{model}: matched or among {SHOWN}", 0.93, found, at_least=True),
            ]
        return targets

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        """Adds the photos and what to train."""
        parser.add_argument("--photos", type=Path, required=True, help="<collection>/<object>/…")
        parser.add_argument("--strangers", type=Path, help="photos of other things, a register")
        parser.add_argument("--questions", type=int, default=PHOTOS_ASKED, help=argparse.SUPPRESS)
        add_training_options(parser)

    @classmethod
    def measure(cls, arguments: argparse.Namespace) -> Self:
        """Trains and exports what is missing, and asks every embedding model."""
        terminal = Terminal()
        choices = [prepare_choice(arguments, seed) for seed in arguments.seeds]
        runs = train_jobs([choice.job for choice in choices], terminal)
        questions: list[Questions] = []
        rates: tuple[float, ...] = ()
        for choice, run in zip(choices, runs, strict=True):
            bundle = exported(choice, run)
            decision = read_decision(bundle)
            assert decision is not None
            rates = tuple(
                match.false_match_rate
                for match in next(iter(decision.variants.values())).rules[0].matches
            )
            for name in decision.variants:
                terminal.say(f"seed {choice.seed}: asking {name}")
                questions += asked(choice, bundle, name)
        return cls.measured_now(
            backbone=runs[0].info.backbone,
            registered=[run.info.objects for run in runs],
            held_out=[len(run.held_out) for run in runs],
            rates=rates,
            questions=questions,
        )


@dataclass(frozen=True)
class Choice:
    """One choice of the objects that are registered.

    Attributes:
        asked: Registers of the photos that are asked about, by kind.
    """

    seed: int
    job: TrainingJob
    asked: Mapping[Kind, Path]


def left_out(objects: Sequence[str], seed: int) -> frozenset[str]:
    """The objects that are unknown, drawn from all."""
    order = np.random.default_rng([seed, 1]).permutation(len(objects))
    return frozenset(objects[index] for index in order[: round(LEFT_OUT * len(objects))])


def prepare_choice(arguments: argparse.Namespace, seed: int) -> Choice:
    """Copies the photos of one choice into registers, once.

    Raises:
        InputError: There are too few objects or views.
    """
    register = read_register(arguments.photos)
    drawn, left = draw_photos(register.photos, seed)
    unknown = left_out(sorted({photo.object_id for photo in register.photos}), seed)
    folder = arguments.out / f"seed{seed}"
    parts: dict[str, list[Photo]] = {
        "registered": [photo for photo in drawn if photo.object_id not in unknown],
        "register": [photo for photo in left if photo.object_id not in unknown],
        "unknown": [photo for photo in register.photos if photo.object_id in unknown],
    }
    if not all(parts.values()):
        raise InputError(f"{arguments.photos} has too few objects or views for this study.")
    for name, photos in parts.items():
        chosen = photos if name == "registered" else few(photos, arguments.questions, seed)
        files = [(register.path(photo), photo.path) for photo in chosen]
        copy_register(files, folder / name)
    asked: dict[Kind, Path] = {"register": folder / "register", "unknown": folder / "unknown"}
    if arguments.strangers:
        asked["stranger"] = arguments.strangers
    options = replace(training_options(arguments, DISCRIMINANT.name, seed), hold_out_objects=None)
    job = TrainingJob(
        "open set",
        folder / "run",
        folder / "registered",
        folder / "register",
        replace(options, cache=folder / "prepared"),
    )
    return Choice(seed, job, asked)


def few(photos: Sequence[Photo], most: int, seed: int) -> list[Photo]:
    """At most so many photos of each object."""
    generator = np.random.default_rng([seed, 2])
    chosen: list[Photo] = []
    for object_id in sorted({photo.object_id for photo in photos}):
        own = [photo for photo in photos if photo.object_id == object_id]
        chosen += [own[index] for index in sorted(generator.permutation(len(own))[:most])]
    return chosen


def exported(choice: Choice, run: Run) -> Bundle:
    """The bundle of a run, exported once."""
    folder = choice.job.folder.parent / "bundle"
    if not folder.is_dir():
        options = ExportOptions(variants=("tflite-int8",))
        export_bundle(run, folder, options=options, photos=choice.job.photos)
    return read_bundle(folder)


def asked(choice: Choice, bundle: Bundle, name: str) -> Iterator[Questions]:
    """Asks one embedding model about all photos, alone and together."""
    decision, gallery = read_decision(bundle), read_gallery(bundle)
    assert decision is not None and gallery is not None, "the export writes both"
    judged = decision.variants[name]
    search = open_search(bundle, gallery, judged)
    model = next(model for model in bundle.info.companions if model.name == name)
    with LitertEmbedding(bundle, model) as session:
        for kind, folder in choice.asked.items():
            register = read_register(folder)
            pixels = [load(register.path(p), bundle.info.preprocessing) for p in register.photos]
            scores = search.scores(np.stack([session.embed(photo) for photo in pixels]))
            limits = decision.fitness
            photos = AskedPhotos(
                shown=[photo.object_id for photo in register.photos],
                scores=scores.astype(np.float64),
                fit=np.array([limits is None or judge(photo, limits).fit for photo in pixels]),
            )
            for count in TOGETHER if kind != "stranger" else (1,):
                groups = grouped(photos.shown, count, choice.seed)
                rows = [_answer(photos, group, bundle, judged) for group in groups]
                yield _questions(choice.seed, name, count, kind, rows)


@dataclass(frozen=True)
class AskedPhotos:
    """Photos with their scores.

    Attributes:
        shown: `[photos]` object ids.
        scores: `[photos, objects]`.
        fit: `[photos]` bool.
    """

    shown: list[str]
    scores: NDArray[np.float64]
    fit: NDArray[np.bool_]


def grouped(shown: Sequence[str], count: int, seed: int) -> list[NDArray[np.int64]]:
    """Groups of so many photos of one object, drawn; no photo stands in two."""
    generator = np.random.default_rng([seed, 3])
    names = np.array(shown)
    groups: list[NDArray[np.int64]] = []
    for name in sorted(set(shown)):
        own = generator.permutation(np.flatnonzero(names == name))
        whole = len(own) // count
        groups += list(own[: whole * count].reshape(whole, count))
    return groups


@dataclass(frozen=True)
class _Row:
    shown: str
    best: int
    rank: int
    answers: tuple[int, int]
    listed: int


def _answer(
    photos: AskedPhotos, group: NDArray[np.int64], bundle: Bundle, judged: VariantDecision
) -> _Row:
    fit = group[photos.fit[group]]
    name = photos.shown[group[0]]
    scores = combine_photos(photos.scores[fit if len(fit) else group], judged.formula)
    rates = [match.false_match_rate for match in judged.rules[0].matches]
    verdicts = [
        decide(scores, len(fit), judged, false_match_rate=rate) for rate in (rates[0], rates[-1])
    ]
    own = bundle.labels.index_of.get(name)
    answers = [ANSWERS.index(verdict.answer) for verdict in verdicts]
    return _Row(
        shown=name,
        best=round(SCALE * float(scores.max())),
        rank=-1 if own is None else int(np.count_nonzero(scores > scores[own])),
        answers=(answers[0], answers[1]),
        listed=len(verdicts[0].objects),
    )


def _questions(seed: int, model: str, photos: int, kind: Kind, rows: Sequence[_Row]) -> Questions:
    objects = sorted({row.shown for row in rows})
    return Questions(
        seed=seed,
        model=model,
        photos=photos,
        kind=kind,
        objects=tuple(objects),
        owner=tuple(objects.index(row.shown) for row in rows),
        best=tuple(row.best for row in rows),
        rank=tuple(row.rank for row in rows),
        answer=tuple(row.answers[0] for row in rows),
        looser=tuple(row.answers[1] for row in rows),
        listed=tuple(row.listed for row in rows),
    )


def _mean(values: Sequence[float]) -> Estimate:
    """The mean over seeds, with the least and the largest."""
    return (
        Estimate(float(np.mean(values)), (min(values), max(values))) if values else Estimate(None)
    )


if __name__ == "__main__":
    sys.exit(OpenSetStudy.main())
