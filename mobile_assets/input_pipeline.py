"""One way of making the network's input."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobile_assets.preprocessing import Preprocessing, resize

Picture = Image.Image
Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Values = Pixels | Floats
"""What is handed to a network: raw bytes, or floats where a mistake makes such."""

BLACK, GREY = (0, 0, 0), (128, 128, 128)
"""What the rest of a letterboxed input is filled with."""

Resample = Callable[[Picture, Preprocessing], Pixels]
IntegrationError = Callable[[Pixels, Preprocessing], Values]


@dataclass(frozen=True)
class InputPipeline:
    """From an upright RGB photo to what the network is given.

    Attributes:
        family: `resampling` for a way that some phone goes, `mistake` for an error in an app.
        name: Short name.
        what: One sentence: what is done, and who does it so.
        resample: Photo and contract to `[height, width, 3]` uint8; the contract's own by default.
        distort: What is then done to the pixels, if anything.
    """

    family: Literal["resampling", "mistake"]
    name: str
    what: str
    resample: Resample = resize
    distort: IntegrationError | None = None

    def __call__(self, photo: Picture, contract: Preprocessing) -> Values:
        """The input that this way makes: `[height, width, 3]` uint8 or float32."""
        return self._distorted(self.resample(photo, contract), contract)

    def _distorted(self, pixels: Pixels, contract: Preprocessing) -> Values:
        return pixels if self.distort is None else self.distort(pixels, contract)


def inputs_of(
    photo: Picture, contract: Preprocessing, pipelines: Iterable[InputPipeline]
) -> Iterator[tuple[InputPipeline, Values]]:
    """What each way makes of a photo; ways that begin alike are resampled once."""
    resampled: dict[Resample, Pixels] = {}
    for pipeline in pipelines:
        if pipeline.resample not in resampled:
            resampled[pipeline.resample] = pipeline.resample(photo, contract)
        yield pipeline, pipeline._distorted(resampled[pipeline.resample], contract)


def centred(photo: Picture, contract: Preprocessing) -> tuple[float, float, float, float]:
    """The largest centred box of the input's shape: left, top, right, bottom."""
    scale = min(photo.width / contract.width, photo.height / contract.height)
    width, height = contract.width * scale, contract.height * scale
    left, top = (photo.width - width) / 2, (photo.height - height) / 2
    return left, top, left + width, top + height


def letterboxed(
    photo: Picture,
    contract: Preprocessing,
    *,
    fill: tuple[int, int, int],
    filtered: Image.Resampling = Image.Resampling.BILINEAR,
) -> Pixels:
    """The whole photo in its own shape, centred, the rest of one colour."""
    scale = min(contract.width / photo.width, contract.height / photo.height)
    width, height = (max(1, round(side * scale)) for side in photo.size)
    canvas = Image.new("RGB", (contract.width, contract.height), fill)
    corner = ((contract.width - width) // 2, (contract.height - height) // 2)
    canvas.paste(photo.resize((width, height), filtered), corner)
    return np.asarray(canvas)


def rounded(values: Floats) -> Pixels:
    """To the nearest byte, halves upwards."""
    return np.asarray(np.floor(values + 0.5).clip(0, 255), dtype=np.uint8)
