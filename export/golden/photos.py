"""Which photos the golden vectors of a bundle are made of."""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from export.golden.synthetic_photos import GoldenPhotoFile, drawn_photos
from export.golden.tolerances import HELD_OUT
from mobile_assets.bundle import Bundle, Variant
from mobile_assets.errors import InputError
from mobile_assets.files import sha256_file
from mobile_assets.golden import Pixels, Probabilities
from mobile_assets.photo_metadata import without_metadata
from mobile_assets.photos import PhotoError, decode
from train.run import Run, SplitPhoto


@dataclass(frozen=True)
class Predictions:
    """What a variant answered.

    Attributes:
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
            ones. They show that files agree; an accuracy is quoted on test photos only.
        chosen: Photo files that go into the bundle as well.
        keep_metadata: Leave those photos as they are, with all that their EXIF data tell, and name
            the chosen ones; otherwise they show their picture and nothing else.
    """

    predict: Predict
    held_out: int = 0
    chosen: tuple[Path, ...] = ()
    seed: int = 0
    keep_metadata: bool = False

    def choose(self, run: Run, root: Path | None) -> tuple[GoldenPhotoFile, ...]:
        """Reads the photos, before anything is converted.

        Args:
            root: The register's root; needed for validation photos.

        Raises:
            InputError: They are not there, cannot be read, or changed since training.
        """
        for path in self.chosen:
            decode(path)
        if self.held_out and root is None:
            raise InputError(
                f"--golden {self.held_out} takes validation photos of the register, which was not "
                "given. Give it with --photos, or photo files with --golden PHOTO…."
            )
        available = len(run.split.of("val"))
        if self.held_out < 0 or self.held_out > available:
            raise InputError(
                f"--golden {self.held_out}: the run has {available} validation photos. "
                f"Give a number from 0 to {available}."
            )
        return tuple(self._files(run, root))

    def _files(self, run: Run, root: Path | None) -> Iterator[GoldenPhotoFile]:
        contract = run.info.preprocessing
        yield from drawn_photos(contract.width, contract.height)
        if root is not None:
            for number, photo in enumerate(self._held_out(run), start=1):
                path = root / photo.path
                if not path.is_file() or sha256_file(path) != photo.sha256:
                    raise InputError(
                        f"{path} is missing or changed since training. Give the register that the "
                        "run was trained on with --photos, or leave --golden out."
                    )
                about = f"A validation photo of {photo.object_id}."
                yield self._from_file(path, f"held-out-{number}", about)
        for number, path in enumerate(self.chosen, start=1):
            what = path.name if self.keep_metadata else "A photo"
            yield self._from_file(path, f"chosen-{number}", f"{what}, chosen for this bundle.")

    def _from_file(self, path: Path, name: str, about: str) -> GoldenPhotoFile:
        content, suffix = path.read_bytes(), path.suffix.lower()
        if not self.keep_metadata:
            content, suffix = bare_photo(path, content)
        return GoldenPhotoFile(name, f"photo{suffix}", about, content, HELD_OUT)

    def _held_out(self, run: Run) -> list[SplitPhoto]:
        """Validation photos in an order that only the seed decides, objects before repetitions."""

        def rank(photo: SplitPhoto) -> str:
            return hashlib.sha256(f"{self.seed}\0{photo.path}".encode()).hexdigest()

        counts: dict[str, int] = {}
        turns: list[tuple[int, SplitPhoto]] = []
        for photo in sorted(run.split.of("val"), key=rank):
            turns.append((counts.get(photo.object_id, 0), photo))
            counts[photo.object_id] = counts.get(photo.object_id, 0) + 1
        turns.sort(key=lambda turn: turn[0])  # stable: the seed's order stays within a turn
        return [photo for _, photo in turns[: self.held_out]]


def bare_photo(path: Path, content: bytes) -> tuple[bytes, str]:
    """A photo that tells nothing beside its picture, which is the same to the last pixel.

    JPEG, PNG and WebP stay as they are compressed. Of other formats, and of files that are odd in
    some way, the upright pixels in sRGB are written as PNG.

    Returns:
        The file's content, and the ending of its name.
    """
    expected = decode(path)
    bare = without_metadata(content)
    if bare is not None:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / f"photo{path.suffix.lower()}"
            copy.write_bytes(bare)
            try:
                same = np.array_equal(np.asarray(decode(copy)), np.asarray(expected))
            except PhotoError:
                same = False
        if same:
            return bare, path.suffix.lower()
    stream = io.BytesIO()
    Image.fromarray(np.asarray(expected)).save(stream, "PNG", compress_level=9)
    return stream.getvalue(), ".png"
