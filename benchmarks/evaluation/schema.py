"""The format of `evaluation.json`: the accuracy of runs, and what it was measured on."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from benchmarks.results.row_fields import Bounds
from benchmarks.results.schema import SkippedPhoto
from mobile_assets.files import json_text
from mobile_assets.schema import Document, Record

ENSEMBLE = "ensemble"


class Accuracy(Record):
    """A share of photos, 0–1; null of no photos.

    Attributes:
        ci95: Wilson's interval, as if photos were independent.
        ci95_objects: Bootstrap over objects, whose photos are alike; null without resamples.
    """

    value: float | None
    right: int
    photos: int
    ci95: Bounds
    ci95_objects: Bounds | None = None


class Estimate(Record):
    """A score, 0–1, null of no photos, with its interval by bootstrap over objects."""

    value: float | None
    ci95_objects: Bounds | None = None


class Scores(Record):
    """A row of Table 3 or 4: one model on all photos, or on those of one collection.

    Attributes:
        model: Name of the run, or `ensemble`.
        objects_shown: Of them, with a test photo and a training photo.
        photos: Test photos of objects seen in training: what the scores are over.
        unseen_photos: Further ones of objects without a training photo.
        top1: Right object first; also `top3`, `top5`, `top10`.
        top1_with_unseen: Top-1 when photos of unseen objects count as well, always wrong.
        precision: Mean over objects; also `recall` and `f1`.
        weighted_precision: Mean weighted by the objects' photos; also recall and F1.
        paper_precision: The paper's quantity of that name: right answers by photos of the object,
            weighted by photos, unseen objects one null class.
        paper_recall: The paper's: right answers by answers that name the object.
        paper_f1: The paper's.
        invalid_answers: Photos answered with a value that is not a finite number.
    """

    model: str
    collection: str | None = None
    objects: int
    objects_shown: int
    photos: int
    unseen_photos: int = 0
    top1: Accuracy
    top3: Accuracy
    top5: Accuracy
    top10: Accuracy
    top1_with_unseen: Accuracy
    precision: Estimate
    recall: Estimate
    f1: Estimate
    weighted_precision: Estimate
    weighted_recall: Estimate
    weighted_f1: Estimate
    paper_precision: Estimate
    paper_recall: Estimate
    paper_f1: Estimate
    invalid_answers: int = 0


class PhotoGroup(Record):
    """Accuracy on the objects with `first` to `last` photos, null for no limit.

    Counted are photos in the register or training photos.
    """

    model: str
    basis: Literal["register", "training"]
    first: int
    last: int | None
    objects: int
    top1: Accuracy
    top3: Accuracy
    top5: Accuracy

    @property
    def label(self) -> str:
        """Such as `3` or `10+`."""
        return str(self.first) if self.last is not None else f"{self.first}+"


class Comparison(Record):
    """Top-1 of one model minus another's on the same photos, in percentage points.

    Intervals are paired bootstraps, over objects and over photos; `won` counts photos that only the
    first has right, `lost` those that only the second has.
    """

    model: str
    against: str
    points: float
    ci95_objects: Bounds | None
    ci95: Bounds | None
    won: int
    lost: int


class Member(Record):
    """One run; `val_top1` is that at training, `latency_ms` the median of one photo in torch.

    `network_colour` is the order of the channels that the network reads.
    """

    name: str
    backbone: str
    head: str
    recipe: str
    seed: int
    weights: str
    split: str
    split_seed: int
    input: tuple[int, int]
    network_colour: str
    parameters: int
    head_parameters: int
    val_top1: float | None
    latency_ms: float | None = None
    model_sha256: str


class Tested(Record):
    """The answered test photos, of objects seen in training or not, and the hash of their list."""

    photos: int
    objects_shown: int
    unseen_photos: int
    left_out: tuple[SkippedPhoto, ...]
    sha256: str


class Curve(Record):
    """How accuracy grows with the photos per object, in this register.

    `logit(top-1) = intercept + slope · ln(photos)`, fitted on all held-out photos.

    Attributes:
        intercept: At one photo.
        slope: Null where all objects have the same number of photos.
        slope_ci95: Bootstrap over objects.
        prior_photos: How many held-out photos the curve is worth beside an object's own.
        evidence_photos: Held-out photos that it was fitted on, validation and test.
        target: Photos per object that the gain is estimated for.
    """

    intercept: float
    slope: float | None
    slope_ci95: Bounds | None
    prior_photos: float
    evidence_photos: int
    target: int


class Confusion(Record):
    """An object that another is taken for, or looks like.

    By `answers`: mean probability that it got on held-out photos; by `look`: cosine of the mean
    features of the training photos.
    """

    object_id: str
    by: Literal["answers", "look"]
    value: float


class Outlook(Record):
    """One object: how well it is recognised and what more photos of it would bring.

    Attributes:
        held_out: Validation and test photos that were answered, `right` of them rightly.
        expected: Estimated top-1 on new photos, with its 95 % interval.
        own_probability: Mean probability of the right object on the held-out photos.
        nearest: Objects that it is taken for or looks like, the nearest first.
        photos_to_take: Missing to the target.
        gain: Estimated gain of top-1 with the target's photos, 0–1; null where the register cannot
            tell.
        gain_ci95: From the interval of the curve's slope.
    """

    object_id: str
    title: str
    collection: str
    photos: int
    training_photos: int
    held_out: int
    right: int
    expected: float
    expected_ci95: Bounds
    own_probability: float | None
    nearest: tuple[Confusion, ...]
    photos_to_take: int
    gain: float | None
    gain_ci95: Bounds | None


class EvaluationSettings(Record):
    """The options that the numbers were computed with."""

    resamples: int
    seed: int
    latency_runs: int
    threads: int
    command: str


class Evaluation(Document):
    """The content of `evaluation.json`.

    Attributes:
        lead: The member with the best validation accuracy; figures of one network are of it.
    """

    created: str
    register_name: str
    labels_sha256: str
    objects: int = Field(ge=2)
    min_photos: int
    host: dict[str, str]
    versions: dict[str, str]
    settings: EvaluationSettings
    members: tuple[Member, ...]
    lead: str
    tested: Tested
    rows: tuple[Scores, ...]
    collections: tuple[Scores, ...]
    by_photos: tuple[PhotoGroup, ...]
    comparisons: tuple[Comparison, ...]
    curve: Curve
    photograph_again: tuple[Outlook, ...]
    figures: tuple[str, ...] = ()

    @property
    def main(self) -> str:
        """The model that the evaluation is about: the ensemble, or the one run."""
        return self.rows[-1].model

    @property
    def text(self) -> str:
        """The content of the file."""
        return json_text(self.model_dump(mode="json"))
