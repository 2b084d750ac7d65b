"""The format of `results.json`: every measurement with what it was made on."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from benchmarks.results.row_fields import (
    Bounds,
    Calibration,
    CollectionBin,
    Custody,
    Device,
    Drift,
    FalseMatches,
    Latency,
    LatencyRatio,
    Memory,
    MemoryUse,
    PhotoBin,
    Placement,
    Share,
)
from mobile_assets.files import json_text, write_text
from mobile_assets.schema import Record, read_record, without_key

RESULTS_SCHEMA = 1
"""Version of the results format; raised when a reader would misread a file."""

REFERENCE_VARIANT = "torch-float32"
REFERENCE_RUNTIME = "torch"

Status = Literal["measured", "converted-only", "check-failed", "given"]
"""How a row came about.

`measured` here; `converted-only`: the file was made and checked but cannot run here;
`check-failed`: it cannot run here and its structure is wrong; `given` by a caller.
"""


class _Aliased(Record):
    """A record of which a field's name in the file is not the one in Python."""

    model_config = ConfigDict(populate_by_name=True)


class Row(_Aliased):
    """One variant on one runtime. Shares are 0–1; a value that is undefined or unknown is null.

    Attributes:
        min_photos: The threshold data set: objects with at least so many photos.
        status: Whether this was measured here; see `Status`.
        note: A sentence for the reader where the status needs one.
        photos: Test photos that the shares are over: readable, of objects seen in training.
        unseen_photos: Further test photos of objects without a training photo (paper split).
        top1_with_unseen: Top-1 when those count as well.
        top1: Share of photos whose first answer is the right object; also top3, top5, top10.
        precision: Macro average over objects, as `scores.macro_scores`; also recall and f1.
        top1_ci95: Wilson interval.
        agreement: Share of photos with the reference's first answer.
        drop_points: The reference's top-1 minus this one's, in percentage points.
        drop_ci95: 95 % interval of it by a paired bootstrap: whole objects with their photos are
            drawn (in results whose settings say `resampled: photos`, single photos).
        right_to_wrong: Photos that the reference had right and this one wrong.
        max_probability_drift: Largest difference of any probability from the reference's, 0–1.
        invalid_answers: Photos answered with a value that is not a finite number.
        false_matches: Of photos of objects that are not in the register; null where none were
            asked about.
        drift: Mean and 99 % quantile of the photos' largest differences.
        calibration_error: Expected calibration error of the first answer, 15 bins, 0–1.
        calibration: Its diagram and the effect of a temperature.
        bytes: Size of the file or package; of `model.safetensors` for the reference.
        cold_load_ms: From opening the file in a fresh process to the first answer.
        latency_ms: At the first of the numbers of threads asked for.
        latency_more: At the others.
        latency_ratio: Against the bundle's float32 file.
        end_to_end_ms: Median of decode, resize and inference together, on real photos.
        end_to_end_12mp_ms: The same from a 12-megapixel JPEG, as a phone's camera makes it.
        memory_bytes: What opening and running the model added to a fresh process.
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
    false_matches: FalseMatches | None = None
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
    busy_share: Share = None
    placement: Placement | None = None
    device: Device | None = None
    by_photos: tuple[PhotoBin, ...] = ()
    by_collection: tuple[CollectionBin, ...] = ()
    recipe: str | None = None
    train_seconds: float | None = None
    right_bits: str | None = None
    custody: Custody | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_older(cls, value: object) -> object:
        """Fields that stood twice in earlier versions' files: each goes to its one place."""
        if not isinstance(value, dict):
            return value
        row = dict(value)
        for nested, part, flat in (
            ("drift", "max", "max_probability_drift"),
            ("calibration", "error", "calibration_error"),
        ):
            if isinstance(row.get(nested), dict) and part in row[nested]:
                row[nested] = without_key(row[nested], part)
                if row.get(flat) is None:
                    row[flat] = value[nested][part]
        detail = row.pop("memory", None)
        if detail is not None:
            # The peak was not told on every system; what the model takes at rest was.
            whole = {"value": detail["model_resident"], "metric": detail["metric"]}
            row["memory_bytes"] = {**(row.get("memory_bytes") or whole), "detail": detail}
        return row

    @property
    def memory(self) -> MemoryUse | None:
        """Memory in detail, runtime and model apart; None where it was not measured so."""
        return self.memory_bytes.detail if self.memory_bytes else None


class SkippedPhoto(Record):
    """A test photo that was not measured on, and why."""

    path: str
    reason: str


class TestSet(_Aliased):
    """What one bundle was measured on.

    Attributes:
        photos: Measured photos, of `objects_shown` different objects.
        unreadable: Photos that could not be used: missing, changed or not decodable.
        in_training: Photos left out because training or validation had them.
        sha256: Hash of the list of measured photos.
        photo_objects: Class index of each measured photo's object, in order, −1 where the object
            has no training photo, as `correctness_mask.pack_indices`; so that later results can
            be compared with whole objects drawn. Null in results of earlier versions.
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
    photo_objects: str | None = None


class PreprocessingCost(_Aliased):
    """What one way of making the network's input costs, against the toolkit's own way.

    Attributes:
        variant: Variant that was asked, and by which runtime.
        family: `resampling` for a way that some phone goes, `mistake` for an error in an app.
        what: One sentence: what is done, and who does it so.
        top1: Share right.
        agreement: Share of photos with the answer that the toolkit's own way gives.
        drop_points: Top-1 lost against the toolkit's own way, in percentage points.
        drop_ci95: 95 % interval of it by a paired bootstrap, as in a row.
    """

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


class FlippedAnswer(_Aliased):
    """A photo to which a variant gives another first answer than the reference.

    Attributes:
        path: Last parts of the photo's path.
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


class GateOutcome(Record):
    """One requirement of a gate held against one row.

    Attributes:
        requirement: What was asked, in words, such as `agreement at least 98.5 %`.
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
    """The options that the numbers were measured with.

    Attributes:
        bootstrap: Resamples behind the intervals of the drop; 0 for none.
        resampled: What each resample draws: whole objects with all their photos, which are right
            or wrong together, or single photos, as earlier versions did.
    """

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
    resampled: Literal["objects", "photos"] = "photos"
    notes: tuple[str, ...] = ()


class Results(_Aliased):
    """The content of `results.json`."""

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
