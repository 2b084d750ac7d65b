"""What the fields of a results row hold: times, memory, calibration, drift, breakdowns."""

from __future__ import annotations

from pydantic import Field

from mobile_assets.schema import Record

Share = float | None
Bounds = tuple[float, float]


class Latency(Record):
    """Milliseconds from pixels in to probabilities out, of one photo, after the warm-up.

    `p99` is null in results of versions that did not measure it.
    """

    p50: float = Field(ge=0)
    p90: float = Field(ge=0)
    p99: float | None = Field(ge=0, default=None)
    threads: int = Field(ge=1)
    runs: int = Field(ge=1)


class LatencyRatio(Record):
    """A variant's time divided by the float32 file's, from rounds in which both took turns.

    Median, 10 % and 90 % quantile of the rounds' ratios; below 1 is faster than float32.
    """

    median: float = Field(ge=0)
    p10: float = Field(ge=0)
    p90: float = Field(ge=0)
    rounds: int = Field(ge=1)


class MemoryUse(Record):
    """Memory of a fresh process that opens and runs one model, in bytes.

    Attributes:
        runtime_resident: Resident memory that importing the runtime added, before any model.
        model_resident: What opening the model and its first answers added to that, at rest.
        model_private: The same, counting only pages that the process shares with no other and
            that no file backs: what a phone cannot take back. Null where the system does not tell.
        peak_resident: The highest resident memory of the whole process, its start included.
        metric: In words, how each was read.
    """

    runtime_resident: int = Field(ge=0)
    model_resident: int = Field(ge=0)
    model_private: int | None = Field(ge=0, default=None)
    peak_resident: int = Field(ge=0)
    metric: str


class Memory(Record):
    """What a model took of memory, in bytes, and in words what was counted.

    `detail` has runtime and model apart; null where the system or the tool does not tell.
    """

    value: int = Field(ge=0)
    metric: str
    detail: MemoryUse | None = None


class ReliabilityBin(Record):
    """Photos whose first answer was given with a probability in one range.

    Their mean probability, and the share of them whose first answer is right.
    """

    low: float
    high: float
    photos: int = Field(ge=1)
    stated: float
    right: float


class Calibration(Record):
    """How far the probability of the first answer can be believed.

    Attributes:
        bins: The reliability diagram behind the row's calibration error; empty ranges are left out.
        temperature: What the logarithms of the variant's probabilities would be divided by;
            fitted on validation photos; null without validation photos.
        error_with_temperature: The expected calibration error on the test photos after that.
    """

    bins: tuple[ReliabilityBin, ...]
    temperature: float | None = None
    error_with_temperature: float | None = None
    validation_photos: int = Field(ge=0, default=0)


class Drift(Record):
    """How far a variant's probabilities are from the reference's, 0–1.

    Of each photo the largest difference of any object's probability is taken; the largest over all
    photos is the row's `max_probability_drift`.
    """

    mean: float
    p99: float


class FalseMatches(Record):
    """Photos of objects that are not in the register, and how many were called a match.

    Attributes:
        photos: So many were asked about.
        matches: So many of them were called a match.
        promised: The share that the bundle's decision promises not to exceed.
    """

    photos: int = Field(ge=1)
    matches: int = Field(ge=0)
    promised: float = Field(gt=0, lt=1)


class CollectionBin(Record):
    """Accuracy on the objects of one collection."""

    collection: str
    photos: int = Field(ge=1)
    top1: float
    top1_ci95: Bounds


class Device(Record):
    """The phone that a row was measured on, and what executed the graph, as its log tells.

    The battery's temperature is that before and after; null where it does not tell.
    """

    model: str
    android: str
    delegate_asked: str
    delegate_used: str
    temperature_celsius: Bounds | None = None


class Placement(Record):
    """Which of the graph's operations an accelerator library took, and which it left, by kind.

    `partitions`: into how many pieces the graph was cut; each costs a hand-over.
    """

    delegate: str
    taken: int = Field(ge=0)
    total: int = Field(ge=0)
    left: dict[str, int]
    partitions: int = Field(ge=0)


class PhotoBin(Record):
    """Accuracy on the objects of which the register holds `photos_per_object` photos."""

    photos_per_object: int = Field(ge=0)
    photos: int = Field(ge=1)
    top1: float
    top1_ci95: Bounds


class Custody(Record):
    """Hashes that tie a row to exactly what was measured.

    Of `bundle.json`, the run's weights, the variant's file or package (None for the reference), and
    the list of test photos: contents and objects, in order.
    """

    bundle_sha256: str
    model_sha256: str
    variant_sha256: str | None
    test_photos_sha256: str
