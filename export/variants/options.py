"""What a user may choose of an export."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mobile_assets.errors import InputError

VARIANTS: tuple[str, ...] = (
    "tflite-float32",
    "tflite-float16",
    "tflite-int8-weights",
    "tflite-int8",
    "coreml-float32",
    "coreml-float16",
    "coreml-int8-weights",
    "coreml-palette6",
    "coreml-w8a8",
)
"""Names of the variants of a bundle unless others are asked for, in the order of export."""

ON_REQUEST: tuple[str, ...] = ("coreml-palette8", "coreml-palette4")
"""Names of further variants."""

CALIBRATED: frozenset[str] = frozenset(
    name for name in (*VARIANTS, *ON_REQUEST) if not name.endswith(("float32", "float16"))
)
"""Variants whose weights are rounded, and activation ranges taken, on training photos."""

CALIBRATION_PHOTOS = 128
"""From so many training photos activation ranges are taken unless another number is given."""


GALLERY_PHOTOS = 16
"""So many photos of an object are in the gallery unless another number is given."""

REFERENCES = 3
"""So many reference pictures an object has unless another number is given."""

REFERENCE_SIZE = 256
"""The longer side of a reference picture in pixels, unless another is given."""


def variant_packages(variants: Iterable[str]) -> tuple[str, ...]:
    """The top-level modules that variants are made with."""
    formats = {name.partition("-")[0] for name in variants}
    tflite = ("litert_torch", "ai_edge_quantizer", "flatbuffers") if "tflite" in formats else ()
    coreml = ("coremltools",) if "coreml" in formats else ()
    return ("torch", "timm", "safetensors", *tflite, *coreml)


@dataclass(frozen=True)
class ExportOptions:
    """How a run is exported.

    Attributes:
        variants: Which of `VARIANTS` and `ON_REQUEST`; the order given does not matter.
        name: Name of the bundle; the run's name if None.
        calibration_photos: How many training photos the integer variants' ranges are taken from.
        calibration: `photos`, or `noise` to measure how bad a calibration without photos is; such a
            bundle is marked as not fit for the field.
        recommend: Measure the variants on validation photos and recommend one of each format.
        embedding: Write the embedding as a file of its own, too, in each format of the variants.
        gallery: Write a gallery and thresholds set on held-out objects, and the embedding with
            them, where the register is given and the run's head has an embedding.
        gallery_photos: How many photos of an object the gallery has at most; 0 for the objects'
            directions alone.
        references: How many reference pictures an object has at most.
        reference_size: Their longer side in pixels.
        shortlist: Of how many objects models with a short list are written, in each format of the
            variants; None for no such models.
        cache: Folder of prepared photos; None for the user's cache folder.
        register_id: Name of the register in the bundle; None for the run's name of it.
        serial: Serial number of the bundle; None for the seconds since 1970, or more if the bundle
            that it follows has as many.
        newer_than: A bundle of the same register that this one is to replace on phones.
        force: Replace a bundle that is already there, once the new one is complete.
    """

    variants: tuple[str, ...] = VARIANTS
    name: str | None = None
    calibration_photos: int = CALIBRATION_PHOTOS
    calibration: Literal["photos", "noise"] = "photos"
    seed: int = 0
    recommend: bool = False
    embedding: bool = False
    gallery: bool = True
    gallery_photos: int = GALLERY_PHOTOS
    references: int = REFERENCES
    reference_size: int = REFERENCE_SIZE
    shortlist: int | None = None
    cache: Path | None = None
    register_id: str | None = None
    serial: int | None = None
    newer_than: Path | None = None
    force: bool = False

    def checked_variants(self) -> tuple[str, ...]:
        """The chosen variants in the order of export, each once.

        Raises:
            InputError: There is none, an unknown one, or no calibration photo is asked for.
        """
        every = (*VARIANTS, *ON_REQUEST)
        known = ", ".join(every)
        for name in self.variants:
            if name not in every:
                raise InputError(f"There is no variant {name!r}. Choose from: {known}.")
        if not self.variants:
            raise InputError(f"No variant was chosen. Choose from: {known}.")
        if self.calibration_photos < 1:
            raise InputError(
                f"{self.calibration_photos} calibration photos cannot give activation ranges. "
                f"Give at least 1; {CALIBRATION_PHOTOS} is the default."
            )
        return tuple(name for name in every if name in self.variants)

    def check_gallery(self) -> None:
        """Refuses sizes of a gallery that cannot be made.

        Raises:
            InputError: A number is out of range.
        """
        from mobile_assets.identification.references import (
            MOST_SIDE,
        )  # Pillow; `--help` does without

        for name, value, least, most in (
            ("--gallery-photos", self.gallery_photos, 0, 1000),
            ("--references", self.references, 0, 20),
            ("--reference-size", self.reference_size, 32, MOST_SIDE),
        ):
            if not least <= value <= most:
                raise InputError(f"{name} {value}: give a number from {least} to {most}.")

    def check_shortlist(self) -> None:
        """Refuses a short list that is none.

        Raises:
            InputError: It would name no object, or so many that it is not short.
        """
        from mobile_assets.shortlist import MOST  # numpy; `--help` does without

        if self.shortlist is not None and not 1 <= self.shortlist <= MOST:
            raise InputError(
                f"--shortlist {self.shortlist}: give a number from 1 to {MOST}, as many objects as "
                "the app ever shows for one photo."
            )
