"""Making golden vectors: photos, their pixels at every stage, and what each variant answers."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from export.golden.photos import Predict, Predictions
from export.golden.synthetic_photos import GoldenPhotoFile
from export.golden.tolerances import answering_tolerance, resizing_tolerance, tolerances
from mobile_assets.bundle import Bundle, Variant
from mobile_assets.errors import InputError
from mobile_assets.files import write_bytes
from mobile_assets.golden import (
    GOLDEN_FILE,
    GOLDEN_FOLDER,
    Golden,
    GoldenPhoto,
    GoldenVariant,
    Pixels,
    Probabilities,
    TopObjects,
    answer_share,
)
from mobile_assets.photos import PhotoError, decode
from mobile_assets.preprocessing import Preprocessing, resize

BEST = 20
"""So many of the best objects of each photo are listed for the eye."""

MOST_DECODED = 1_000_000
"""Photos with more pixels are shipped without a second copy of them."""

_OTHERS = (Image.Resampling.BOX, Image.Resampling.HAMMING, Image.Resampling.BICUBIC)
"""Antialiased like the contract's filter, and what systems use under that name."""

_HOW = (
    "Each photo has the result of every stage. Compare yours in this order; the first that is "
    "outside its tolerance is where the app errs.",
    "decoding: decode `photo`, turn it upright by its EXIF orientation, convert it to sRGB, blend "
    "transparent pixels over white. Compare with the pixels of `decoded`.",
    "resizing: squash the pixels to the input's size with antialiasing. Compare with `tensor`: "
    "width × height × 3 bytes, rows from the top, pixels from the left, red, green, blue. "
    "`resized` is the same as PNG.",
    "network: give `tensor` to the model and compare with `probabilities`: little-endian float32, "
    "one row of `objects` values per photo, in the order of `photos` and of labels.json. Allowed "
    "is a share of the row's highest value: `from_tensor` on a CPU, `on_accelerator` on a GPU or "
    "neural engine.",
    "the whole way: with the app's own pixels, the photo's `answering` is allowed in addition.",
)


def write_golden(photos: Sequence[GoldenPhotoFile], predict: Predict, bundle: Bundle) -> Golden:
    """Writes the folder `golden` of a bundle whose models are already there.

    Args:
        photos: What `GoldenPlan.choose` gave.
        bundle: The bundle, its description in memory only.

    Raises:
        InputError: A photo cannot be read.
    """
    folder = bundle.folder / GOLDEN_FOLDER
    contract = bundle.info.preprocessing
    stages = [_stages(folder, photo, contract) for photo in photos]
    tensors = np.stack([stage.tensor for stage in stages])
    others = [np.stack([stage.others[i] for stage in stages]) for i in range(len(_OTHERS))]
    variants: list[GoldenVariant] = []
    left_out: dict[str, str] = {}
    shares: list[float] | None = None
    for variant in bundle.info.variants:
        answer = predict(bundle, variant, tensors)
        if isinstance(answer, str):
            left_out[variant.name] = answer
            continue
        variants.append(_answers(folder, variant, answer, [stage.photo.name for stage in stages]))
        if shares is None:
            shares = _moved(predict, bundle, variant, answer.probabilities, others)
    golden = Golden(
        how=_HOW,
        width=contract.width,
        height=contract.height,
        objects=bundle.info.objects,
        photos=tuple(
            stage.photo.model_copy(update={"answering": answering_tolerance(share)})
            for stage, share in zip(stages, shares or [0.0] * len(stages), strict=True)
        ),
        variants=tuple(variants),
        left_out=left_out,
    )
    golden.write(folder / GOLDEN_FILE)
    return golden


@dataclass(frozen=True)
class _Stages:
    """A photo on disk with its tensor, and the tensors that other good resamplers give."""

    photo: GoldenPhoto
    tensor: Pixels
    others: tuple[Pixels, ...]


def _stages(folder: Path, photo: GoldenPhotoFile, contract: Preprocessing) -> _Stages:
    """Writes a photo and its pixels at every stage."""
    path = folder / photo.name / photo.file
    write_bytes(path, photo.content)
    try:
        upright = decode(path)
    except PhotoError as error:
        raise InputError(f"The golden photo {photo.name} cannot be read: {error.reason}.") from None
    tensor = resize(upright, contract)
    size = (contract.width, contract.height)
    others = tuple(np.asarray(upright.resize(size, how), dtype=np.uint8) for how in _OTHERS)
    whole = upright.width * upright.height <= MOST_DECODED
    if whole:
        write_bytes(folder / photo.name / "decoded.png", _png(np.asarray(upright)))
    write_bytes(folder / photo.name / "resized.png", _png(tensor))
    write_bytes(folder / photo.name / "tensor.rgb", tensor.tobytes())
    return _Stages(
        GoldenPhoto(
            name=photo.name,
            about=photo.about,
            photo=f"{photo.name}/{photo.file}",
            width=upright.width,
            height=upright.height,
            decoded=f"{photo.name}/decoded.png" if whole else None,
            resized=f"{photo.name}/resized.png",
            tensor=f"{photo.name}/tensor.rgb",
            decoding=photo.decoding,
            resizing=resizing_tolerance(tensor, others),
            answering=answering_tolerance(0.0),
        ),
        tensor,
        others,
    )


def _png(pixels: Pixels) -> bytes:
    """Pixels alone: a colour profile would have them converted again, and holds the time."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=9)
    return buffer.getvalue()


def _moved(
    predict: Predict,
    bundle: Bundle,
    variant: Variant,
    expected: Probabilities,
    others: list[Pixels],
) -> list[float]:
    """How far the answer to each photo moves when another good resampler made the tensor."""
    answers = [predict(bundle, variant, tensors) for tensors in others]
    rows = [answer.probabilities for answer in answers if isinstance(answer, Predictions)]
    return [
        max(answer_share(answer[i], expected[i]) for answer in rows) for i in range(len(expected))
    ]


def _answers(
    folder: Path, variant: Variant, answer: Predictions, photos: list[str]
) -> GoldenVariant:
    file = f"probabilities/{variant.name}.f32"
    write_bytes(folder / file, answer.probabilities.astype("<f4").tobytes())
    tight, accelerated = tolerances(variant)
    return GoldenVariant(
        variant=variant.name,
        runtime=answer.runtime,
        probabilities=file,
        from_tensor=tight,
        on_accelerator=accelerated,
        best=tuple(
            best_objects(photo, row)
            for photo, row in zip(photos, answer.probabilities, strict=True)
        ),
    )


def best_objects(photo: str, row: Probabilities) -> TopObjects:
    """The best objects of one photo, of its probabilities `[objects]`."""
    order = np.argsort(-row, kind="stable")[:BEST]
    return TopObjects(
        photo=photo,
        indices=tuple(int(i) for i in order),
        # Six digits are enough for the eye; the raw file has every bit.
        probabilities=tuple(float(f"{row[i]:.6g}") for i in order),
    )
