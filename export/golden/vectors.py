"""Making golden vectors: photos, their pixels at every stage, and what each variant answers."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from export.golden.synthetic_photos import drawn_photos
from export.golden.tolerances import HELD_OUT, answering_tolerance, resizing_tolerance, tolerances
from mobile_assets.bundle import Bundle, Variant
from mobile_assets.errors import InputError
from mobile_assets.files import sha256_file, write_bytes
from mobile_assets.golden import (
    GOLDEN_FILE,
    GOLDEN_FOLDER,
    Golden,
    GoldenPhoto,
    GoldenVariant,
    Pixels,
    PixelTolerance,
    Probabilities,
    TopObjects,
    answer_share,
)
from mobile_assets.photos import PhotoError, decode
from mobile_assets.preprocessing import Preprocessing, resize
from train.run import Run, SplitPhoto

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


@dataclass(frozen=True)
class Predictions:
    """What a variant answered.

    Attributes:
        runtime: Name of what computed it.
        probabilities: `[N, objects]` float32.
    """

    runtime: str
    probabilities: Probabilities


Predict = Callable[[Bundle, Variant, Pixels], Predictions | str]
"""Answers `[N, H, W, 3]` with a variant of a bundle, or says why nothing here can."""


@dataclass(frozen=True)
class GoldenPlan:
    """Which golden vectors an export makes.

    Attributes:
        predict: Executes a variant. Given from outside, since this room has no runtimes.
        held_out: How many of the run's validation photos go into the bundle, besides the drawn
            ones. Nothing was trained on them, and an accuracy is quoted on test photos only.
        chosen: Photo files that go into the bundle as well.
        seed: Seed of the choice of validation photos.
    """

    predict: Predict
    held_out: int = 0
    chosen: tuple[Path, ...] = ()
    seed: int = 0

    def check(self, run: Run, photos: Path | None) -> None:
        """Checks, before anything is converted, that the photos are there.

        Raises:
            InputError: They are not, or cannot be read.
        """
        for path in self.chosen:
            decode(path)
        if self.held_out and photos is None:
            raise InputError(
                f"--golden {self.held_out} takes validation photos of the register, which was not "
                "given. Give it with --photos, or photo files with --golden PHOTO…."
            )
        there = len(run.split.of("val"))
        if self.held_out < 0 or self.held_out > there:
            raise InputError(
                f"--golden {self.held_out}: the run has {there} validation photos. "
                f"Give a number from 0 to {there}."
            )
        if photos is not None:
            _held_out_files(self, run, photos)


@dataclass(frozen=True)
class _Photo:
    """A photo that goes into the bundle."""

    name: str
    file: str
    about: str
    content: bytes
    decoding: PixelTolerance


def write_golden(plan: GoldenPlan, bundle: Bundle, run: Run, photos: Path | None) -> Golden:
    """Writes the folder `golden` of a bundle whose models are already there.

    Args:
        plan: What to make.
        bundle: The bundle, its description in memory only.
        run: The run that it is made of.
        photos: The register's root; needed for held-out photos.

    Returns:
        The content of `golden.json`.

    Raises:
        InputError: A photo cannot be read, or changed since training.
    """
    folder = bundle.folder / GOLDEN_FOLDER
    contract = bundle.info.preprocessing
    made = [_stages(folder, photo, contract) for photo in _photos(plan, run, photos)]
    tensors = np.stack([stage.tensor for stage in made])
    others = [np.stack([stage.others[i] for stage in made]) for i in range(len(_OTHERS))]
    variants: list[GoldenVariant] = []
    left_out: dict[str, str] = {}
    shares: list[float] | None = None
    for variant in bundle.info.variants:
        answer = plan.predict(bundle, variant, tensors)
        if isinstance(answer, str):
            left_out[variant.name] = answer
            continue
        variants.append(_answers(folder, variant, answer, [stage.photo.name for stage in made]))
        if shares is None:
            shares = _moved(plan.predict, bundle, variant, answer.probabilities, others)
    golden = Golden(
        how=_HOW,
        width=contract.width,
        height=contract.height,
        objects=bundle.info.objects,
        photos=tuple(
            stage.photo.model_copy(update={"answering": answering_tolerance(share)})
            for stage, share in zip(made, shares or [0.0] * len(made), strict=True)
        ),
        variants=tuple(variants),
        left_out=left_out,
    )
    golden.write(folder / GOLDEN_FILE)
    return golden


def _photos(plan: GoldenPlan, run: Run, root: Path | None) -> Iterator[_Photo]:
    contract = run.info.preprocessing
    for drawn in drawn_photos(contract.width, contract.height):
        yield _Photo(drawn.name, drawn.file, drawn.about, drawn.content, drawn.decoding)
    if root is not None:
        for number, (path, of) in enumerate(_held_out_files(plan, run, root), start=1):
            yield _from_file(path, f"held-out-{number}", f"A validation photo of {of}.")
    for number, path in enumerate(plan.chosen, start=1):
        yield _from_file(path, f"chosen-{number}", f"{path.name}, chosen for this bundle.")


def _held_out_files(plan: GoldenPlan, run: Run, root: Path) -> list[tuple[Path, str]]:
    """The chosen validation photos' files, with the object that each shows."""
    files = []
    for photo in _held_out(plan, run):
        path = root / photo.path
        if not path.is_file() or sha256_file(path) != photo.sha256:
            raise InputError(
                f"{path} is missing or changed since training. Give the register that the run was "
                "trained on with --photos, or leave --golden out."
            )
        files.append((path, photo.object_id))
    return files


def _from_file(path: Path, name: str, about: str) -> _Photo:
    return _Photo(name, f"photo{path.suffix.lower()}", about, path.read_bytes(), HELD_OUT)


def _held_out(plan: GoldenPlan, run: Run) -> list[SplitPhoto]:
    """Validation photos in an order that only the seed decides, objects before repetitions."""

    def place(photo: SplitPhoto) -> str:
        return hashlib.sha256(f"{plan.seed}\0{photo.path}".encode()).hexdigest()

    seen: dict[str, int] = {}
    turns: list[tuple[int, SplitPhoto]] = []
    for photo in sorted(run.split.of("val"), key=place):
        turns.append((seen.get(photo.object_id, 0), photo))
        seen[photo.object_id] = seen.get(photo.object_id, 0) + 1
    turns.sort(key=lambda turn: turn[0])  # stable: the seed's order stays within a turn
    return [photo for _, photo in turns[: plan.held_out]]


@dataclass(frozen=True)
class _Stages:
    """A photo on disk with its tensor, and the tensors that other good resamplers give."""

    photo: GoldenPhoto
    tensor: Pixels
    others: tuple[Pixels, ...]


def _stages(folder: Path, photo: _Photo, contract: Preprocessing) -> _Stages:
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
            _best(photo, row) for photo, row in zip(photos, answer.probabilities, strict=True)
        ),
    )


def _best(photo: str, row: Probabilities) -> TopObjects:
    order = np.argsort(-row, kind="stable")[:BEST]
    return TopObjects(
        photo=photo,
        indices=tuple(int(i) for i in order),
        # Six digits are enough for the eye; the raw file has every bit.
        probabilities=tuple(float(f"{row[i]:.6g}") for i in order),
    )
