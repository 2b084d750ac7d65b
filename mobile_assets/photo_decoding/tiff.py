"""A TIFF's first page as pictures of 8 bits a sample, band by band."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobile_assets.photo_decoding import tiff_tags as tag
from mobile_assets.photo_decoding.errors import UnreadableError
from mobile_assets.photo_decoding.sample_range import RangeFinder, to_bytes
from mobile_assets.photo_decoding.tiff_blocks import Samples, TiffLayout, bands, read_layout

_COLOURS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3, 9: 3}
_MODES = {0: "L", 1: "L", 2: "RGB", 3: "RGB", 5: "CMYK", 6: "YCbCr", 8: "LAB", 9: "LAB"}
_WHITE_IS_ZERO, _GREY, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB = 0, 1, 2, 3, 5, 6, 8
_PREMULTIPLIED, _STRAIGHT = 1, 2


@dataclass(frozen=True)
class TiffPicture:
    """A page whose samples are read here, not by Pillow.

    Attributes:
        page: The tags.
        layout: Where the samples are.
        photometric: What they mean, as in TIFF's tag of this name.
        alpha: 1 if colours are multiplied with the alpha sample, 2 if not, 0 without alpha.
    """

    page: tag.TiffPage
    layout: TiffLayout
    photometric: int
    alpha: int

    @property
    def mode(self) -> str:
        """How the colours are stored, as Pillow names it, with the bits when they are not 8."""
        mode = _MODES[self.photometric] if self.photometric != _PALETTE else "P"
        mode += "A" if self.alpha else ""
        return mode if self.layout.bits == 8 else f"{mode};{self.layout.bits}"

    def bands(self, file: BinaryIO) -> Iterator[tuple[int, Image.Image]]:
        """Yields (first row, picture) from the top, in modes of 8 bits a sample."""
        white = self._white(file)
        for top, samples in bands(self.layout, file):
            yield top, self._picture(samples, white)

    def _white(self, file: BinaryIO) -> float:
        layout = self.layout
        full = float((1 << layout.bits) - 1)
        searched = layout.bits >= 16 and self.photometric in (_WHITE_IS_ZERO, _GREY, _RGB)
        if not searched and layout.format != 3:
            return full
        finder = RangeFinder()
        for _, samples in bands(layout, file):
            finder.look_at(samples[..., : _COLOURS[self.photometric]])
            if finder.certain(layout.dtype):
                break
        return finder.white(layout.dtype, layout.bits)

    def _picture(self, samples: Samples, white: float) -> Image.Image:
        colours = _COLOURS[self.photometric]
        if self.photometric == _PALETTE:
            return Image.fromarray(self._palette()[samples[..., 0]])
        pixels = self._bytes(samples[..., : colours + (1 if self.alpha else 0)], white)
        if self.photometric == _WHITE_IS_ZERO:
            pixels = np.concatenate([255 - pixels[..., :1], pixels[..., 1:]], axis=2)
        size = (pixels.shape[1], pixels.shape[0])
        mode = _MODES[self.photometric] + ("A" if self.alpha else "")
        raw = mode
        if self.alpha == _PREMULTIPLIED:
            mode, raw = ("La", "La") if colours == 1 else (mode, "RGBa")
        # Pillow's raw LAB has a and b signed, as CIELAB; ICC's LAB has them with an offset.
        if self.photometric > _LAB:
            pixels = pixels ^ np.array([0, 0x80, 0x80], np.uint8)
        return Image.frombytes(mode, size, np.ascontiguousarray(pixels).data, "raw", raw)

    def _bytes(self, samples: Samples, white: float) -> NDArray[np.uint8]:
        if samples.dtype.itemsize == 1 and self.layout.bits == 8:
            return samples.view(np.uint8)  # signed bytes are taken for unsigned ones
        if self.photometric >= _LAB:
            return (samples.view("u2") >> 8).astype(np.uint8)
        if samples.dtype == np.uint16 and white == 65535 and _COLOURS[self.photometric] > 1:
            return np.asarray(samples >> np.uint16(8)).astype(np.uint8)
        return to_bytes(samples, white)

    def _palette(self) -> NDArray[np.uint8]:
        """`[colours, 3]`; some programs write it with 8 bits though TIFF wants 16."""
        entries = 1 << self.layout.bits
        stored = np.array(self.page.tags[tag.COLOUR_MAP][: 3 * entries], np.uint16).reshape(3, -1)
        deep = stored >> 8 if stored.max(initial=0) > 255 else stored
        return np.ascontiguousarray(deep.T).astype(np.uint8)


def read_tiff_picture(page: tag.TiffPage) -> TiffPicture | None:
    """The page, if its kind of samples is read here; None for JPEG, fax and the like.

    Raises:
        UnreadableError: The tags contradict each other, or nothing reads such a page rightly.
    """
    photometric = page.number(tag.PHOTOMETRIC, 0)
    if photometric == _YCBCR and page.number(tag.COMPRESSION, 1) not in (6, 7):
        if list(page.tags.get(tag.SUBSAMPLING, (2, 2))) != [1, 1]:
            raise UnreadableError("a TIFF of a kind that is not read (subsampled without JPEG)")
    elif photometric == _YCBCR:
        return None
    layout = read_layout(page) if photometric in _COLOURS else None
    if layout is None or not _known(page, layout, photometric):
        return None
    if layout.samples < _COLOURS[photometric]:
        raise UnreadableError("damaged (a TIFF has fewer samples than colours)")
    return TiffPicture(page, layout, photometric, _alpha(page, layout, photometric))


def _known(page: tag.TiffPage, layout: TiffLayout, photometric: int) -> bool:
    if photometric == _PALETTE:
        entries = 3 << layout.bits
        return layout.bits <= 16 and len(page.tags.get(tag.COLOUR_MAP, ())) >= entries
    if photometric in (_CMYK, _YCBCR):
        return layout.bits in ((8, 16) if photometric == _CMYK else (8,)) and layout.format == 1
    return photometric < _LAB or (layout.bits in (8, 16) and layout.format != 3)


def _alpha(page: tag.TiffPage, layout: TiffLayout, photometric: int) -> int:
    spare = layout.samples - _COLOURS[photometric]
    if spare < 1 or photometric not in (_WHITE_IS_ZERO, _GREY, _RGB):
        return 0
    # RGB with a fourth sample of which nothing is said: programs that write it mean alpha.
    unsaid = _STRAIGHT if photometric == _RGB and spare == 1 else 0
    kind = page.number(tag.EXTRA_SAMPLES, unsaid)
    return {_PREMULTIPLIED: _PREMULTIPLIED, _STRAIGHT: _STRAIGHT, 999: _STRAIGHT}.get(kind, 0)
