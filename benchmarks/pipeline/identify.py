"""Answering photos from a bundle alone, as the phone would. Never imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobile_assets.bundle import read_bundle
from mobile_assets.decision import Answer, answer
from mobile_assets.errors import InputError
from mobile_assets.photos import PhotoError
from train.decode_pool import DecoderPool

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


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
            "candidates": [
                {
                    "object_id": candidate.label.object_id,
                    "collection": candidate.label.collection,
                    "title": candidate.label.title,
                    "probability": round(candidate.probability, 6),
                }
                for candidate in self.answer.candidates
            ],
        }


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
        variant: A TFLite variant of the bundle; if None, the one that it recommends, or else
            `tflite-int8`.
        trusted: The key that must have signed the bundle; None for any key or none.

    Raises:
        InputError: `folder` is no bundle, has no such variant, or no photo could be read.
        DamagedError: The bundle is damaged.
        CheckFailedError: Its signature does not hold, or `trusted` did not sign it.
    """
    from benchmarks.runtimes.litert_runtime import open_litert

    bundle = read_bundle(folder, trusted=trusted)
    if variant is None:
        known = {best.format: best.variant for best in bundle.info.recommended}
        variant = known.get("tflite", "tflite-int8")
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
