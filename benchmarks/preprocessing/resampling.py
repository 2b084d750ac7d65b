"""How phones and browsers bring an upright photo to the size of the network's input.

Each function takes an upright RGB photo and the contract and gives `[height, width, 3]` uint8. What
each was held against is in its docstring, as mean difference in grey levels (0–255) per channel.
Nothing here was compared with a phone or a Mac; none was at hand.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from PIL import Image

from benchmarks.preprocessing import resampling_kernels
from benchmarks.preprocessing.resampling_kernels import Bytes
from mobile_assets.input_pipeline import (
    BLACK,
    InputPipeline,
    Picture,
    centred,
    letterboxed,
    rounded,
)
from mobile_assets.preprocessing import Preprocessing

_IN_JPEG = (8, 4, 2)
"""Divisors of the size at which libjpeg itself can decode."""


def mediapipe_cpu(photo: Picture, contract: Preprocessing) -> Bytes:
    """MediaPipe Tasks on the CPU: OpenCV's warpPerspective, bilinear, corners held.

    MediaPipe's `image_to_tensor_converter_opencv.cc` maps the photo's corners to the input's, so
    pixel `i` is read at `i · scale`, up to half a step too far to the left and top; OpenCV knows
    places to 1/32 of a pixel. Held against the tensor that ImageClassifier of MediaPipe 1.2.2
    handed to a model which returns its input: equal to the bit, except where a place lies just
    between two 32ths and the warp's own rounding errors decide (0.6 to 1.0 on pure noise).
    """
    pixels = np.asarray(photo)
    x, y = (
        np.rint(resampling_kernels.corners(source, target) * 32) / 32
        for source, target in ((photo.width, contract.width), (photo.height, contract.height))
    )
    return rounded(resampling_kernels.sample(pixels, x, y))


def bilinear(photo: Picture, contract: Preprocessing) -> Bytes:
    """Four pixels, half-pixel centres, no antialiasing: what a GPU's sampler and Skia do.

    MediaPipe's GPU path (`image_to_tensor_converter_gl_buffer.cc`: a `GL_LINEAR` sampler at
    `(i + 0.5) / size`), Android's `Bitmap.createScaledBitmap(…, filter = true)` (Skia's linear
    sampling without mip maps), TFLite Support's `ResizeOp(BILINEAR)`, which calls that, and
    torchvision's `resize(…, antialias=False)`. Held against Skia m144: 0.002, 1 at most. A GPU
    rounds later and in its own way, which is not imitated.
    """
    return rounded(resampling_kernels.bilinear(np.asarray(photo), contract.height, contract.width))


def nearest(photo: Picture, contract: Preprocessing) -> Bytes:
    """The nearest pixel: `createScaledBitmap(…, filter = false)`, `ResizeOp(NEAREST_NEIGHBOR)`.

    Held against Skia m144 on noise of six sizes: equal on five; from 256 to 224 pixels, where every
    seventh centre lies on a border, Skia's own rounding decides for 18 % of the pixels.
    """
    return resampling_kernels.nearest(np.asarray(photo), contract.height, contract.width)


def canvas_low(photo: Picture, contract: Preprocessing) -> Bytes:
    """A canvas draws an ImageBitmap, a video or a canvas; `imageSmoothingQuality` low, the default.

    Held against Chromium 150.0.7871.100, headless, on seven pictures of 300 × 400 to 4032 × 3024
    pixels: 0.0 on six; 0.10 from 1600 × 1200, where places lie on sixteenths of a pixel exactly
    and Skia's fixed point decides. Of tiny pictures up to 0.9, for the same reason.
    """
    return resampling_kernels.coarse_bilinear(np.asarray(photo), contract.height, contract.width)


def canvas_high(photo: Picture, contract: Preprocessing) -> Bytes:
    """The same with quality medium or high: mip maps, blended; the two are equal when shrinking.

    Held against Chromium as `canvas_low`: 0.0 on all seven, 1 at most. Android's hardware canvas
    with `Bitmap.setHasMipMap(true)` samples by Skia's mip maps too; that it blends them alike is
    taken for granted here.
    """
    return resampling_kernels.trilinear(np.asarray(photo), contract.height, contract.width)


def canvas_image(photo: Picture, contract: Preprocessing) -> Bytes:
    """A canvas draws an `<img>`: Chromium halves it when decoding, whatever the quality asked for.

    It is decoded to the smallest halving that is no smaller than the target, then drawn as
    `canvas_low` does. Held against Chromium as there: at most 0.004 on six, 0.04 on that one.
    """
    pixels, level = np.asarray(photo), 0

    def side(length: int, halvings: int) -> int:
        return (length + (1 << halvings) - 1) >> halvings

    while (
        side(photo.height, level + 1) >= contract.height
        and side(photo.width, level + 1) >= contract.width
    ):
        level += 1
    if level:
        height, width = side(photo.height, level), side(photo.width, level)
        pixels = resampling_kernels.from_nearest_mip(pixels, height, width)
    return resampling_kernels.coarse_bilinear(pixels, contract.height, contract.width)


def sample_size(photo: Picture, contract: Preprocessing) -> Bytes:
    """Android's `inSampleSize`, the largest power of two that leaves enough, then `bilinear`.

    What Android's guide to large bitmaps shows. A JPEG is decoded by libjpeg at a half, a quarter
    or an eighth; held against Pillow's libjpeg-turbo, means of blocks of the full photo are 0.3
    to 0.5 from that. Beyond an eighth every nth pixel is taken.
    """
    size = 1
    while (
        photo.height // (2 * size) >= contract.height
        and photo.width // (2 * size) >= contract.width
    ):
        size *= 2
    return bilinear(sampled_decode(photo, size), contract)


def target_size(photo: Picture, contract: Preprocessing) -> Bytes:
    """Android's `ImageDecoder.setTargetSize`: decoded in steps as small as suffices, then bilinear.

    By hwui's `ImageDecoder.cpp` and Skia's `SkAndroidCodec`: the largest whole `n` for which every
    nth pixel is enough; of its factors libjpeg takes 8, 4 or 2 (`sample_size`), the rest is left
    to taking every so manieth pixel, which aliases. Imitated from the source; not run.
    """
    size = max(1, min(photo.width // contract.width, photo.height // contract.height))
    return bilinear(sampled_decode(photo, size), contract)


def sampled_decode(photo: Picture, size: int) -> Picture:
    """The photo as Skia decodes a JPEG with this sample size."""
    for divisor in _IN_JPEG:
        if size % divisor == 0:
            photo, size = photo.reduce(divisor), size // divisor
            break
    if size == 1:
        return photo
    pixels = np.asarray(photo)
    start = size // 2
    height, width = (max(1, side // size) for side in pixels.shape[:2])
    return Image.fromarray(pixels[start::size, start::size][:height, :width])


def vision_fill(photo: Picture, contract: Preprocessing) -> Bytes:
    """Vision's `scaleFill`: the whole photo squashed, as the contract; the filter is assumed.

    Documented: that the photo is stretched to the input. Not documented: by which filter. Assumed:
    Lanczos over three lobes, widened when shrinking, which is what Apple documents for vImage and
    offers in Core Image and Metal. Should a version of Vision sample on the GPU without
    antialiasing, `bilinear` is what it costs.
    """
    return _lanczos(photo, contract, (0, 0, photo.width, photo.height))


def vision_crop(photo: Picture, contract: Preprocessing) -> Bytes:
    """Vision's `centerCrop`, its default: the largest centred part of the input's shape.

    Documented: that the short side is scaled and the long one cut. The filter is assumed as in
    `vision_fill`.
    """
    return _lanczos(photo, contract, centred(photo, contract))


def vision_fit(photo: Picture, contract: Preprocessing) -> Bytes:
    """Vision's `scaleFit`: the whole photo in its own shape, the rest black.

    Documented: that the long side is scaled to fit. Assumed: the filter, and that the rest is
    black and on both sides alike.
    """
    return letterboxed(photo, contract, fill=BLACK, filtered=Image.Resampling.LANCZOS)


def crop_then_bilinear(photo: Picture, contract: Preprocessing) -> Bytes:
    """TFLite Support: `ResizeWithCropOrPadOp` to the short side, then `ResizeOp(BILINEAR)`.

    What TensorFlow's example apps for Android do: a centred square, whatever the input's shape.
    """
    side = min(photo.size)
    left, top = (photo.width - side) // 2, (photo.height - side) // 2
    return bilinear(photo.crop((left, top, left + side, top + side)), contract)


def antialiased(photo: Picture, contract: Preprocessing) -> Bytes:
    """Torchvision's `resize(…, antialias=True)` of a uint8 tensor: torch itself is asked."""
    import torch

    pixels = torch.from_numpy(np.array(photo)).permute(2, 0, 1)[None]
    made = torch.nn.functional.interpolate(
        pixels, (contract.height, contract.width), mode="bilinear", antialias=True
    )
    resized: Bytes = made[0].permute(1, 2, 0).contiguous().numpy()
    return resized


def _lanczos(
    photo: Picture, contract: Preprocessing, box: tuple[float, float, float, float]
) -> Bytes:
    size = (contract.width, contract.height)
    return np.asarray(photo.resize(size, Image.Resampling.LANCZOS, box=box))


_of = partial(InputPipeline, "resampling")

RESAMPLINGS: tuple[InputPipeline, ...] = (
    _of("mediapipe-cpu", "MediaPipe Tasks on the CPU: bilinear without antialiasing, off by up to "
        "half a step", mediapipe_cpu),
    _of("bilinear", "Bilinear without antialiasing: MediaPipe on the GPU, Android's "
        "createScaledBitmap with filter, TFLite Support's ResizeOp, torchvision's antialias=False",
        bilinear),
    _of("nearest", "Nearest pixel: Android's createScaledBitmap without filter, ResizeOp's "
        "NEAREST_NEIGHBOR", nearest),
    _of("android-sample-size", "Android: decoded with inSampleSize, then createScaledBitmap",
        sample_size),
    _of("android-target-size", "Android: ImageDecoder.setTargetSize", target_size),
    _of("android-crop", "TensorFlow's Android examples: centred square, then bilinear",
        crop_then_bilinear),
    _of("vision-scale-fill", "iOS: Vision's scaleFill (Lanczos assumed)", vision_fill),
    _of("vision-center-crop", "iOS: Vision's centerCrop, its default (Lanczos assumed)",
        vision_crop),
    _of("vision-scale-fit", "iOS: Vision's scaleFit, black beside the photo (Lanczos assumed)",
        vision_fit),
    _of("canvas-low", "Browser: canvas from a camera, ImageBitmap or canvas, default quality",
        canvas_low),
    _of("canvas-high", "Browser: the same with imageSmoothingQuality medium or high; Skia's mip "
        "maps", canvas_high),
    _of("canvas-image", "Browser: canvas from an <img>, any quality", canvas_image),
    _of("torchvision", "torchvision's resize with antialias=True", antialiased),
)  # fmt: skip
"""Ways that some phone, browser or desk goes, in the order of the tables."""
