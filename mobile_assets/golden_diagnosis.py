"""Which stage of an app differs from the golden vectors, and which mistake is likely."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobile_assets.golden import (
    Difference,
    GoldenPhoto,
    GoldenVectors,
    Pixels,
    PixelTolerance,
    Probabilities,
    answers_differ,
    pixels_differ,
)

Values = NDArray[np.generic]
Explanations = Iterator[tuple[str, Callable[[], Pixels]]]


def find_stage(
    golden: GoldenVectors,
    photo: str,
    variant: str,
    *,
    pixels: Values | None = None,
    tensor: Values | None = None,
    probabilities: Probabilities | None = None,
    labels: Sequence[str] | None = None,
    expected_labels: Sequence[str] | None = None,
    accelerator: bool = False,
) -> Difference | None:
    """Finds the first stage at which an app differs from the golden vectors.

    Whatever the app cannot show is left out. With the tensor equal to the golden one, the
    probabilities are held to the variant's tight tolerance; otherwise to the photo's as well.

    Args:
        golden: The bundle's golden vectors.
        photo: Name of the photo.
        variant: Name of the variant.
        pixels: The app's decoded photo, `[height, width, 3]`.
        tensor: What the app gives to the model, `[H, W, 3]`, raw RGB 0–255.
        probabilities: What the app gets from the model, `[objects]`.
        labels: The object ids that the app puts to the probabilities, in their order.
        expected_labels: The bundle's object ids; needed with `labels`.
        accelerator: Whether a GPU or neural engine computed.

    Returns:
        The first stage that differs, None if none does.

    Raises:
        InputError: There is no such photo or variant.
        DamagedError: A golden file is missing or damaged.
    """
    wanted = golden.photo(photo)
    if pixels is not None:
        difference = _decoding(golden, wanted, pixels)
        if difference is not None:
            return difference
    if tensor is not None:
        difference = _resizing(golden, wanted, tensor)
        if difference is not None:
            return difference
    if probabilities is not None:
        exact = tensor is not None and np.array_equal(tensor, golden.tensor(wanted))
        difference = _network(
            golden, wanted, variant, probabilities, exact=exact, accelerator=accelerator
        )
        if difference is not None:
            return difference
    if labels is not None and expected_labels is not None:
        return _labels(labels, expected_labels)
    return None


def _decoding(golden: GoldenVectors, photo: GoldenPhoto, pixels: Values) -> Difference | None:
    expected = golden.decoded(photo)
    if expected is None:
        if pixels.shape == (photo.height, photo.width, 3):
            return None
        found = f"of shape {pixels.shape} instead of {(photo.height, photo.width, 3)}"
        return Difference("decoding", f"The decoded photo is {found}.")
    found_text = pixels_differ(pixels, expected, photo.decoding)
    if found_text is None:
        return None
    likely = _first(pixels, _decoding_mistakes(golden, photo, expected), photo.decoding)
    return Difference("decoding", f"The decoded photo is {found_text}.", likely)


def _decoding_mistakes(golden: GoldenVectors, photo: GoldenPhoto, expected: Pixels) -> Explanations:
    def stored() -> Pixels:
        with Image.open(golden.path(photo)) as opened:
            return np.asarray(opened.convert("RGB"), dtype=np.uint8)

    # A conversion to sRGB that is missing as well would hide a turn that is missing.
    yield "The EXIF orientation, or the colour profile, is ignored.", stored
    yield "Red and blue are exchanged.", lambda: expected[..., ::-1]
    yield "The photo is upside down.", lambda: expected[::-1]
    yield "The photo is mirrored.", lambda: expected[:, ::-1]
    yield "The photo is turned twice, or the wrong way.", lambda: expected[::-1, ::-1]


def _resizing(golden: GoldenVectors, photo: GoldenPhoto, tensor: Values) -> Difference | None:
    expected = golden.tensor(photo)
    found = pixels_differ(tensor, expected, photo.resizing)
    if found is None:
        return None
    likely = _scaled(tensor, expected, photo.resizing) or _first(
        tensor, _resizing_mistakes(golden, photo, expected), photo.resizing
    )
    return Difference("resizing", f"The model's input is {found}.", likely)


def _resizing_mistakes(golden: GoldenVectors, photo: GoldenPhoto, expected: Pixels) -> Explanations:
    yield "Red and blue are exchanged.", lambda: expected[..., ::-1]
    decoded = golden.decoded(photo)
    if decoded is None:
        return
    upright = Image.fromarray(decoded)
    size = (golden.info.width, golden.info.height)
    bilinear = Image.Resampling.BILINEAR

    def made(box: tuple[float, float, float, float], how: Image.Resampling = bilinear) -> Pixels:
        return np.asarray(upright.resize(size, how, box=box), dtype=np.uint8)

    width, height = upright.size
    shape = min(width / size[0], height / size[1])
    left, top = (width - size[0] * shape) / 2, (height - size[1] * shape) / 2
    yield (
        "The photo is cropped to the input's shape instead of squashed.",
        lambda: made((left, top, width - left, height - top)),
    )
    yield "The photo is padded instead of squashed.", lambda: _padded(upright, size)
    yield (
        "The photo is resampled without antialiasing or interpolation.",
        lambda: made((0, 0, width, height), Image.Resampling.NEAREST),
    )


def _padded(upright: Image.Image, size: tuple[int, int]) -> Pixels:
    scale = min(size[0] / upright.width, size[1] / upright.height)
    fitted = (max(1, round(upright.width * scale)), max(1, round(upright.height * scale)))
    made = Image.new("RGB", size)
    place = ((size[0] - fitted[0]) // 2, (size[1] - fitted[1]) // 2)
    made.paste(upright.resize(fitted, Image.Resampling.BILINEAR), place)
    return np.asarray(made, dtype=np.uint8)


def _scaled(tensor: Values, expected: Pixels, tolerance: PixelTolerance) -> str:
    """Says so if the app normalised the values, which the model does itself."""
    if tensor.shape != expected.shape:
        return ""
    values = tensor.astype(np.float64)
    for name, back in (("0 to 1", values * 255), ("-1 to 1", (values + 1) * 127.5)):
        if pixels_differ(back, expected, tolerance) is None:
            return f"The values are scaled to {name}; the model takes 0 to 255."
    return ""


def _network(
    golden: GoldenVectors,
    photo: GoldenPhoto,
    variant: str,
    probabilities: Probabilities,
    *,
    exact: bool,
    accelerator: bool,
) -> Difference | None:
    of = golden.variant(variant)
    allowed = (of.on_accelerator if accelerator else of.from_tensor).share
    if not exact:
        allowed += photo.answering.share
    expected = golden.expected(of)[golden.info.photos.index(photo)]
    found = answers_differ(probabilities, expected, allowed)
    if found is None:
        return None
    return Difference(
        "network", f"The answer differs: {found}.", _moved(probabilities, expected, allowed)
    )


def _moved(found: Probabilities, expected: Probabilities, allowed: float) -> str:
    """Says so if the values are right and stand in other places."""
    for step in (1, -1):
        if answers_differ(found, np.roll(expected, step), allowed) is None:
            return f"The classes are shifted by {abs(step)}: a background class, or another list."
    if answers_differ(np.sort(found), np.sort(expected), allowed) is None:
        return "The values are right and stand in another order: another label map."
    return ""


def _labels(labels: Sequence[str], expected: Sequence[str]) -> Difference | None:
    if list(labels) == list(expected):
        return None
    if len(labels) != len(expected):
        found = f"There are {len(labels)} labels instead of {len(expected)}"
        likely = "A line too many or too few." if abs(len(labels) - len(expected)) == 1 else ""
        return Difference("labels", f"{found}.", likely)
    at = next(i for i, (a, b) in enumerate(zip(labels, expected, strict=True)) if a != b)
    found = f"Class {at} is called {labels[at]!r} instead of {expected[at]!r}."
    shifted = list(labels) in (
        [*expected[1:], expected[0]],
        [expected[-1], *expected[:-1]],
    )
    return Difference("labels", found, "The labels are shifted by 1." if shifted else "")


def _first(values: Values, mistakes: Explanations, tolerance: PixelTolerance) -> str:
    """The first mistake that gives these values."""
    for name, make in mistakes:
        if pixels_differ(values, make(), tolerance) is None:
            return name
    return ""
