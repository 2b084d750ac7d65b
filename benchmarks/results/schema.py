"""The format of `results.json`: every measurement with what it was made on."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import ConfigDict, Field

from mobile_assets.files import json_text, write_text
from mobile_assets.schema import Record, read_record

RESULTS_SCHEMA = 1
"""Version of the results format; raised when a reader would misread a file."""

REFERENCE_VARIANT = "torch-float32"
REFERENCE_RUNTIME = "torch"

Status = Literal["measured", "converted-only", "check-failed", "given"]
"""How a row came about.

`measured` here; `converted-only`: the file was made and checked but cannot run here;
`check-failed`: it cannot run here and its structure is wrong; `given` by a caller.
"""

Share = float | None
Bounds = tuple[float, float]


class Latency(Record):
    """Milliseconds from pixels in to probabilities out, of one photo.

    Attributes:
        p50: Median.
        p90: 90 % of the runs were as fast or faster.
        p99: 99 % of them; null in results of versions that did not measure it.
        threads: Threads that the runtime was given.
        runs: How many runs were timed, after the warm-up.
    """

    p50: float = Field(ge=0)
    p90: float = Field(ge=0)
    p99: float | None = Field(ge=0, default=None)
    threads: int = Field(ge=1)
    runs: int = Field(ge=1)


class LatencyRatio(Record):
    """A variant's time divided by the float32 file's, from rounds in which both took turns.

    Attributes:
        median: Median of the rounds' ratios; below 1 is faster than float32.
        p10: 10 % quantile of the rounds' ratios.
        p90: 90 % quantile.
        rounds: Number of rounds.
    """

    median: float = Field(ge=0)
    p10: float = Field(ge=0)
    p90: float = Field(ge=0)
    rounds: int = Field(ge=1)


class Memory(Record):
    """Bytes of memory, and in words what was counted."""

    value: int = Field(ge=0)
    metric: str


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


class ReliabilityBin(Record):
    """Photos whose first answer was given with a probability in one range.

    Attributes:
        low: Lower end of the range, 0–1.
        high: Upper end.
        photos: How many photos.
        stated: Their mean probability.
        right: Share of them whose first answer is right.
    """

    low: float
    high: float
    photos: int = Field(ge=1)
    stated: float
    right: float


class Calibration(Record):
    """How far the probability of the first answer can be believed.

    Attributes:
        error: Expected calibration error over 15 bins, 0–1, as the variant answers.
        bins: The reliability diagram behind it; empty ranges are left out.
        temperature: What the logarithms of the variant's probabilities would be divided by;
            fitted on validation photos; null without validation photos.
        error_with_temperature: The expected calibration error on the test photos after that.
        validation_photos: Number of photos that the temperature was fitted on.
    """

    error: float
    bins: tuple[ReliabilityBin, ...]
    temperature: float | None = None
    error_with_temperature: float | None = None
    validation_photos: int = Field(ge=0, default=0)


class Drift(Record):
    """How far a variant's probabilities are from the reference's, 0–1.

    Of each photo the largest difference of any object's probability is taken.

    Attributes:
        mean: Mean over the photos.
        p99: 99 % quantile over the photos.
        max: The largest.
    """

    mean: float
    p99: float
    max: float


class CollectionBin(Record):
    """Accuracy on the objects of one collection."""

    collection: str
    photos: int = Field(ge=1)
    top1: float
    top1_ci95: Bounds


class Device(Record):
    """The phone that a row was measured on.

    Attributes:
        model: Maker and model.
        android: Version of Android, and its API level.
        delegate_asked: What was asked to execute the graph.
        delegate_used: What did, as far as the runtime's own log tells.
        temperature_celsius: Of the battery, before and after; null where it does not tell.
    """

    model: str
    android: str
    delegate_asked: str
    delegate_used: str
    temperature_celsius: Bounds | None = None


class Placement(Record):
    """Which of the graph's operations an accelerator library took.

    Attributes:
        delegate: Name of the library, such as XNNPACK.
        taken: Number of operations that it executes.
        total: Number of operations in the graph.
        left: Operations that it did not take, by kind.
        partitions: Into how many pieces the graph was cut; each costs a hand-over.
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

    Attributes:
        bundle_sha256: Of `bundle.json`.
        model_sha256: Of the run's weights.
        variant_sha256: Of the variant's file or package; None for the reference.
        test_photos_sha256: Of the list of test photos: contents and objects, in order.
    """

    bundle_sha256: str
    model_sha256: str
    variant_sha256: str | None
    test_photos_sha256: str


class Row(Record):
    """One variant on one runtime. Shares are 0–1; a value that is undefined or unknown is null.

    Attributes:
        register_name: Name of the register; the key is `register` in the file.
        min_photos: The threshold data set: objects with at least so many photos.
        unit: What the runtime computes on where it can be asked for, such as a Core ML compute
            unit; empty otherwise.
        status: Whether this was measured here; see `Status`.
        note: A sentence for the reader where the status needs one.
        objects: Number of classes.
        photos: Test photos that the shares are over: readable, of objects seen in training.
        unseen_photos: Further test photos of objects without a training photo (paper split).
        top1_with_unseen: Top-1 when those count as well.
        top1: Share of photos whose first answer is the right object; also top3, top5, top10.
        precision: Macro average over objects, as `metrics.macro_scores`; also recall and f1.
        top1_ci95: Wilson interval.
        agreement: Share of photos with the reference's first answer.
        drop_points: The reference's top-1 minus this one's, in percentage points.
        drop_ci95: Paired bootstrap interval of it.
        right_to_wrong: Photos that the reference had right and this one wrong.
        wrong_to_right: The reverse.
        max_probability_drift: Largest difference of any probability from the reference's, 0–1.
        invalid_answers: Photos answered with a value that is not a finite number.
        drift: Mean, 99 % quantile and largest of the photos' largest differences.
        calibration_error: Expected calibration error of the first answer, 15 bins.
        calibration: The same with its diagram and the effect of a temperature.
        bytes: Size of the file or package; of `model.safetensors` for the reference.
        cold_load_ms: From opening the file in a fresh process to the first answer.
        latency_ms: At the first of the numbers of threads asked for.
        latency_more: At the others.
        latency_ratio: Against the bundle's float32 file.
        end_to_end_ms: Median of decode, resize and inference together, on real photos.
        end_to_end_12mp_ms: The same from a 12-megapixel JPEG, as a phone's camera makes it.
        memory_bytes: What opening and running the model added to a fresh process.
        memory: The same in detail, runtime and model apart.
        busy_share: Share of the machine's processors that other work took while the times of this
            row were measured, 0–1; null where the system does not tell or it was too short to tell.
        placement: Null where the runtime does not tell.
        device: The phone, for rows measured on one.
        by_photos: Accuracy by the object's number of photos.
        by_collection: Accuracy by collection.
        recipe: Training recipe.
        train_seconds: How long training took, where known.
        right_bits: Which of the photos have the right first answer, in their order, as
            `right_bits.pack`; so that later results on the same photos are compared photo by photo.
        custody: Null for rows given by a caller.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True
    )

    register_name: str = Field(alias="register")
    min_photos: int = Field(ge=1)
    backbone: str
    head: str
    seed: int
    variant: str
    runtime: str
    unit: str = ""
    status: Status = "measured"
    note: str | None = None
    objects: int | None = None
    photos: int = Field(ge=0)
    unseen_photos: int = Field(ge=0, default=0)
    top1_with_unseen: Share = None
    top1: Share = None
    top3: Share = None
    top5: Share = None
    top10: Share = None
    precision: Share = None
    recall: Share = None
    f1: Share = None
    top1_ci95: Bounds | None = None
    agreement: Share = None
    drop_points: float | None = None
    drop_ci95: Bounds | None = None
    right_to_wrong: int | None = None
    wrong_to_right: int | None = None
    max_probability_drift: Share = None
    invalid_answers: int | None = None
    drift: Drift | None = None
    calibration_error: Share = None
    calibration: Calibration | None = None
    bytes: int | None = Field(ge=0, default=None)
    cold_load_ms: float | None = None
    latency_ms: Latency | None = None
    latency_more: tuple[Latency, ...] = ()
    latency_ratio: LatencyRatio | None = None
    end_to_end_ms: float | None = None
    end_to_end_12mp_ms: float | None = None
    memory_bytes: Memory | None = None
    memory: MemoryUse | None = None
    busy_share: Share = None
    placement: Placement | None = None
    device: Device | None = None
    by_photos: tuple[PhotoBin, ...] = ()
    by_collection: tuple[CollectionBin, ...] = ()
    recipe: str | None = None
    train_seconds: float | None = None
    right_bits: str | None = None
    custody: Custody | None = None


class SkippedPhoto(Record):
    """A test photo that was not measured on, and why."""

    path: str
    reason: str


class TestSet(Record):
    """What one bundle was measured on.

    Attributes:
        photos: Measured photos, of `objects_shown` different objects.
        unreadable: Photos that could not be used: missing, changed or not decodable.
        in_training: Photos left out because training or validation had them.
        sha256: Hash of the list of measured photos.
    """

    __test__ = False  # not a test class, whatever its name begins with

    register_name: str = Field(alias="register")
    min_photos: int
    seed: int
    photos: int
    objects_shown: int
    unreadable: tuple[SkippedPhoto, ...]
    in_training: tuple[SkippedPhoto, ...]
    sha256: str

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True
    )


class PreprocessingCost(Record):
    """What one way of making the network's input costs, against the toolkit's own way.

    Attributes:
        variant: Variant that was asked, and by which runtime.
        family: `resampling` for a way that some phone goes, `mistake` for an error in an app.
        name: Short name of the way.
        what: One sentence: what is done, and who does it so.
        photos: Test photos asked.
        top1: Share right.
        top1_ci95: Wilson interval.
        agreement: Share of photos with the answer that the toolkit's own way gives.
        drop_points: Top-1 lost against the toolkit's own way, in percentage points.
        drop_ci95: Paired bootstrap interval of it.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True
    )

    register_name: str = Field(alias="register")
    min_photos: int = Field(ge=1)
    seed: int
    variant: str
    runtime: str
    family: Literal["resampling", "mistake"]
    name: str
    what: str
    photos: int = Field(ge=0)
    top1: Share = None
    top1_ci95: Bounds | None = None
    agreement: Share = None
    drop_points: float | None = None
    drop_ci95: Bounds | None = None


class FlippedAnswer(Record):
    """A photo to which a variant gives another first answer than the reference.

    Attributes:
        path: Last parts of the photo's path.
        object_id: The object that it shows.
        reference: The reference's answer, with its probability.
        answer: The variant's; null where it gave no numbers.
    """

    register_name: str = Field(alias="register")
    min_photos: int = Field(ge=1)
    seed: int
    variant: str
    runtime: str
    unit: str = ""
    path: str
    object_id: str
    reference: tuple[str, float]
    answer: tuple[str, float] | None

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True
    )


class GateOutcome(Record):
    """One requirement of a gate held against one row.

    Attributes:
        min_photos: Threshold of the row.
        variant: Variant of the row; with its runtime and unit.
        requirement: What was asked, in words, such as `agreement at least 98.5 %`.
        measured: What was found, in words.
        passed: Whether it holds. What could not be measured does not pass.
    """

    min_photos: int = Field(ge=1)
    variant: str
    runtime: str
    unit: str = ""
    requirement: str
    measured: str
    passed: bool


class Settings(Record):
    """The options that the numbers were measured with."""

    latency_runs: int
    warmup: int
    threads: tuple[int, ...]
    starts: int = 1
    measure_speed: bool
    bootstrap: int
    seed: int
    limit: int | None
    command: str
    runtimes: tuple[str, ...] = ()
    preprocessing: int = 0
    notes: tuple[str, ...] = ()


class Results(Record):
    """The content of `results.json`."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True
    )

    schema_version: int = Field(default=RESULTS_SCHEMA, alias="schema")
    created: str
    host: dict[str, str]
    versions: dict[str, str]
    settings: Settings
    test_sets: tuple[TestSet, ...] = ()
    rows: tuple[Row, ...]
    preprocessing: tuple[PreprocessingCost, ...] = ()
    flipped: tuple[FlippedAnswer, ...] = ()
    gates: tuple[GateOutcome, ...] = ()

    @property
    def text(self) -> str:
        """The content of the file."""
        return json_text(self.model_dump(mode="json", by_alias=True))

    def write(self, path: Path) -> None:
        """Writes `results.json` by an atomic rename."""
        write_text(path, self.text)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads and validates a `results.json`.

        Raises:
            DamagedError: The file is missing, not JSON, of another schema version or incomplete.
        """
        return read_record(cls, path, key="schema", version=RESULTS_SCHEMA)
