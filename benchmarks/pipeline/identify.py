"""Answering photos from a bundle alone, as the phone would. Never imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobile_assets.bundle import Bundle, read_bundle
from mobile_assets.decision import Answer, Candidate, answer
from mobile_assets.errors import InputError
from mobile_assets.photos import PhotoError
from train.decode_pool import DecoderPool

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


PREFERRED = ("tflite-int8", "tflite-int8-weights", "tflite-float16", "tflite-float32")
"""Variants that answer where a bundle recommends none, the one for most phones first."""


@dataclass(frozen=True)
class Identification:
    """One photo's answer, or the reason why it could not be read."""

    photo: Path
    answer: Answer | None
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        if self.answer is None:
            return {"photo": str(self.photo), "error": self.error}
        return {
            "photo": str(self.photo),
            "verdict": self.answer.verdict,
            "candidates": [_candidate(candidate) for candidate in self.answer.candidates],
        }


def _candidate(candidate: Candidate) -> dict[str, Any]:
    """One object of the shortlist, with its descriptive fields if the bundle has any."""
    label = candidate.label
    record = label.record.as_json() if label.record is not None else {}
    return {
        "object_id": label.object_id,
        "collection": label.collection,
        "title": label.title,
        "probability": round(candidate.probability, 6),
        **({"record": record} if record else {}),
    }


def _default_variant(bundle: Bundle) -> str:
    """The variant that a phone would execute.

    Raises:
        InputError: None of them is a TFLite file.
    """
    there = [variant.name for variant in bundle.info.variants if variant.format == "tflite"]
    recommended = [best.variant for best in bundle.info.recommended]
    for name in (*recommended, *PREFERRED, *there):
        if name in there:
            return name
    names = ", ".join(variant.name for variant in bundle.info.variants) or "no variant"
    raise InputError(
        f"{bundle.folder} has {names}, and only TFLite variants are executed here. "
        "Export one with --variants tflite-int8."
    )


def identify(
    folder: Path,
    photos: Sequence[Path],
    *,
    variant: str | None = None,
    top: int,
    trusted: Ed25519PublicKey | None = None,
) -> tuple[Identification, ...]:
    """Identifies photos with one TFLite variant of a bundle.

    Args:
        photos: Photo files; one that cannot be read gets an error instead of an answer.
        variant: A TFLite variant of the bundle; if None, the one that it recommends, or else the
            first of `PREFERRED` that it has.
        trusted: The key that must have signed the bundle; None for any key or none.

    Raises:
        InputError: `folder` is no bundle, has no such variant, or no photo could be read.
        DamagedError: The bundle is damaged.
        CheckFailedError: Its signature does not hold, or `trusted` did not sign it.
    """
    from benchmarks.runtimes.litert_runtime import open_litert

    bundle = read_bundle(folder, trusted=trusted)
    if variant is None:
        variant = _default_variant(bundle)
    if bundle.info.variant(variant).format != "tflite":
        raise InputError(
            f"{variant} is a Core ML package, which Core ML alone runs. "
            "Give one of the bundle's TFLite variants with --variant."
        )
    contract = bundle.info.preprocessing
    results: list[Identification] = []
    with DecoderPool(len(photos)) as pool, open_litert(bundle, variant) as session:
        for photo in photos:
            try:
                pixels = pool.load(photo, contract)
            except PhotoError as error:
                results.append(Identification(photo, None, error.reason))
                continue
            probabilities = session.predict(pixels[None])[0]
            decided = answer(probabilities, bundle.labels, bundle.info.decision, top=top)
            results.append(Identification(photo, decided))
    return tuple(results)
