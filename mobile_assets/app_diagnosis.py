"""An app's answers to all golden photos, held against a bundle: what `explain --golden` finds."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mobile_assets.app_answers import AppAnswers, ImageData, PhotoAnswers
from mobile_assets.golden_diagnosis import (
    STAGES,
    AppOutputs,
    Difference,
    GoldenDiagnosis,
    Numbers,
    Stage,
)


@dataclass(frozen=True)
class AppDiagnosis:
    """Where an app first differs, photo by photo.

    Attributes:
        variant: The variant that the app runs.
        agreeing: Names of the golden photos of which everything shown agrees.
        differences: The others' first differences, by name of the photo.
        label_map: How the app's list of labels differs; None if it was not given or is right.
        left_out: Golden photos that the app was not tried on, with the reason.
    """

    variant: str
    agreeing: tuple[str, ...]
    differences: dict[str, Difference]
    label_map: Difference | None
    left_out: dict[str, str]

    @property
    def agrees(self) -> bool:
        """Whether nothing differs."""
        return self.stage is None

    @property
    def stage(self) -> Stage | None:
        """The earliest stage at which anything differs; what follows from it differs as well."""
        stages = {difference.stage for difference in self.differences.values()}
        if self.label_map is not None:
            stages.add("labels")
        return min(stages, key=STAGES.index, default=None)

    @property
    def photos(self) -> tuple[str, ...]:
        """The photos that differ at that stage."""
        return tuple(name for name, d in self.differences.items() if d.stage == self.stage)

    @property
    def causes(self) -> tuple[tuple[str, int], ...]:
        """The mistakes that this looks like, with the number of photos that each explains.

        A mistake that explains more photos comes first; of equal ones the one whose values are
        nearer. One photo alone often cannot tell two mistakes apart: half a turn undoes itself.
        """
        distances: dict[str, list[float]] = defaultdict(list)
        for name in self.photos:
            for cause in self.differences[name].causes:
                distances[cause.description].append(cause.distance)
        if self.stage == "labels" and self.label_map is not None:
            # The list itself is the proof; what single photos are called follows from it.
            return tuple((c.description, len(self.photos)) for c in self.label_map.causes)
        order = sorted(distances.items(), key=lambda item: (-len(item[1]), np.mean(item[1])))
        return tuple((description, len(apart)) for description, apart in order)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "variant": self.variant,
            "agrees": self.agrees,
            "stage": self.stage,
            "photos": self.photos,
            "causes": [{"description": text, "photos": count} for text, count in self.causes],
            "label_map": None if self.label_map is None else _as_json(self.label_map),
            "differences": {name: _as_json(d) for name, d in self.differences.items()},
            "agreeing": self.agreeing,
            "left_out": self.left_out,
        }


def diagnose_app(diagnosis: GoldenDiagnosis, answers: AppAnswers, folder: Path) -> AppDiagnosis:
    """Compares an app's answers with the golden vectors.

    Args:
        diagnosis: The bundle with the variant that the answers name.
        answers: What the app's test wrote.
        folder: Where the files lie that the answers name.

    Raises:
        InputError: Photos are missing or unknown, or a file cannot be used.
        DamagedError: The bundle's golden vectors are damaged.
    """
    answers.check_photos(tuple(photo.name for photo in diagnosis.golden.info.photos))
    differences: dict[str, Difference] = {}
    for photo in answers.photos:
        difference = diagnosis.first_difference(photo.photo, _outputs(photo, folder))
        if difference is not None:
            differences[photo.photo] = difference
    return AppDiagnosis(
        variant=answers.variant,
        agreeing=tuple(p.photo for p in answers.photos if p.photo not in differences),
        differences=differences,
        label_map=None if answers.labels is None else diagnosis.label_map(answers.labels),
        left_out=answers.left_out,
    )


def _outputs(photo: PhotoAnswers, folder: Path) -> AppOutputs:
    def values(image: ImageData | None) -> Numbers | None:
        return None if image is None else image.read(folder)

    probabilities = photo.probabilities
    return AppOutputs(
        pixels=values(photo.pixels),
        resized=values(photo.resized),
        tensor=values(photo.input),
        probabilities=None if probabilities is None else np.array(probabilities, np.float32),
        label=photo.label,
        verdict=photo.verdict,
    )


def _as_json(difference: Difference) -> dict[str, Any]:
    return {
        "stage": difference.stage,
        "found": difference.found,
        "causes": [asdict(cause) for cause in difference.causes],
    }
