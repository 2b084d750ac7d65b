r"""How often a photo that cannot be judged is called unfit, and a good one as well.

    python -m benchmarks.studies.photo_fitness NAME=PHOTOS... \
        --table benchmarks/studies/photo_fitness.md

Each `PHOTOS` is a folder of photos, at any depth, on which no limit was chosen. All of them are
judged as they are; some, spread evenly, after each perturbation of `corruptions` and with defects
far beyond what those imitate. Frames without any object are drawn.

The limits were set on ETH-80's objects 1 to 3 of each collection, on studio pictures and on phone
photos of even number of the Grocery Store Dataset, and on a rendered register. The published page
is of ETH-80's other objects, the odd phone photos, and other rendered photos, at 448 pixels.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
from PIL import Image

from benchmarks.results.cluster_bootstrap import Estimate
from benchmarks.studies.console import Terminal
from benchmarks.studies.corruptions import (
    PERTURBATIONS,
    Perturbation,
    Picture,
    Scene,
    blurred,
    compressed,
    exposed,
    generator_of,
    noisy,
    shaken,
)
from benchmarks.studies.study import MeasuredStudy
from benchmarks.studies.study_statistics import Target
from mobile_assets.errors import InputError
from mobile_assets.files import sha256_bytes, sha256_file
from mobile_assets.fitness import DEFAULT_LIMITS, FitnessLimits, UnfitKind, judge
from mobile_assets.photos import decode, is_photo_file
from mobile_assets.schema import Record
from mobile_assets.wilson import wilson_bounds

Severity = Literal["good", "usable", "between", "severe"]

SIDE = 224
"""Input size of the default backbone, at which the limits hold."""

LARGEST_MISS = 0.01
"""Target: so few of the severely damaged photos are called fit."""

LARGEST_ALARM = 0.005
"""Target: so few of the photos as they are are called unfit."""

LARGEST_SCARE = 0.02
"""Target: so few of the photos that are hard, but that a person still knows at a glance."""


SECTIONS: tuple[tuple[Severity, str, str], ...] = (
    (
        "usable",
        "Hard photos",
        "The perturbations of [`robustness.md`](robustness.md): a person still knows the object "
        "at a glance, and so does the network in most cases. They should be fit.",
    ),
    (
        "between",
        "In between",
        "Stronger: either answer is right, as the network still knows some of the objects. However "
        "bright, a photo with dark places still shows them.",
    ),
    (
        "severe",
        "Severe",
        "Hardly anybody could tell the object, or there is none. They should be unfit.",
    ),
)
"""The tables of the page after the first."""


class JudgedPhotos(Record):
    """What was called unfit among photos of one set after one change.

    Attributes:
        photos_from: Name of the set; empty for drawn frames.
        change: What was done to the photos, or what was drawn.
        severity: `good` as they are, `usable` after a perturbation of `corruptions`, `severe` where
            hardly anybody could tell the object, `between` where either answer is right.
        photos: How many.
        unfit: How many were called what.
    """

    photos_from: str
    change: str
    severity: Severity
    photos: int
    unfit: dict[UnfitKind, int]


class PhotoSetFiles(Record):
    """One set of photos: how many, and the hash of their sorted hashes."""

    name: str
    photos: int
    photos_sha256: str


class PhotoFitnessStudy(MeasuredStudy):
    """Called unfit, by what was done to a photo."""

    NAME: ClassVar[str] = "photo_fitness"

    limits: FitnessLimits
    sets: tuple[PhotoSetFiles, ...]
    rows: tuple[JudgedPhotos, ...]

    def rows_of(self, *severities: Severity) -> list[JudgedPhotos]:
        """The rows of some severities."""
        return [row for row in self.rows if row.severity in severities]

    def changes(self, severity: Severity) -> list[str]:
        """What was done at a severity, in the order of measurement."""
        return list(dict.fromkeys(row.change for row in self.rows_of(severity)))

    def of_change(self, severity: Severity, change: str) -> list[JudgedPhotos]:
        """The rows of one change, one a set."""
        return [row for row in self.rows_of(severity) if row.change == change]

    def targets(self) -> list[Target]:
        """Both mistakes, over all sets."""
        severe = [row for row in self.rows_of("severe") if row.photos_from]
        frames = [row for row in self.rows_of("severe") if not row.photos_from]
        good, usable = self.rows_of("good"), self.rows_of("usable")
        return [
            Target("severely damaged photos called fit", LARGEST_MISS, share_called(severe, False)),
            Target(
                "frames without an object called fit", LARGEST_MISS, share_called(frames, False)
            ),
            Target("photos as they are called unfit", LARGEST_ALARM, share_called(good, True)),
            Target("hard photos called unfit", LARGEST_SCARE, share_called(usable, True)),
        ]

    def values(self) -> Mapping[str, object]:
        """What turns rows into text."""
        return {"called": share_called, "kinds": kinds_of, "sections": SECTIONS}

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        """Adds the sets of photos."""
        parser.add_argument("sets", nargs="+", type=named_folder, metavar="NAME=PHOTOS")
        parser.add_argument(
            "--limit", type=int, default=100, help="photos of a set that are changed (100)"
        )

    @classmethod
    def measure(cls, arguments: argparse.Namespace) -> Self:
        """Judges every photo as it is, and some after each change."""
        terminal = Terminal()
        rows: list[JudgedPhotos] = list(judge_frames())
        sets = []
        for name, folder in arguments.sets:
            files = photo_files(folder)
            hashes = sorted(sha256_file(file) for file in files)
            list_hash = sha256_bytes("\n".join(hashes).encode())
            sets.append(PhotoSetFiles(name=name, photos=len(files), photos_sha256=list_hash))
            rows += judge_set(name, files, arguments.limit, terminal)
        return cls.measured_now(limits=DEFAULT_LIMITS, sets=sets, rows=rows)


def share_called(rows: Sequence[JudgedPhotos], unfit: bool) -> Estimate:
    """Share of all photos of some rows called unfit, or called fit, with its Wilson interval."""
    photos = sum(row.photos for row in rows)
    if not photos:
        return Estimate(None)
    called = sum(sum(row.unfit.values()) for row in rows)
    share = (called if unfit else photos - called) / photos
    low, high = wilson_bounds(share, photos)
    return Estimate(share, (float(low), float(high)))


def kinds_of(rows: Sequence[JudgedPhotos]) -> str:
    """What the unfit photos of some rows were called, most frequent first."""
    counts: Counter[str] = Counter()
    for row in rows:
        counts.update(row.unfit)
    return ", ".join(f"{kind} {count:,}" for kind, count in counts.most_common()) or "–"


# --- what is done to photos -----------------------------------------------------------------------


def dim_light(photo: Picture, scene: Scene, *, stops: float, sigma: float) -> Picture:
    """Far too dark, with the sensor's noise."""
    return noisy(exposed(photo, scene, stops=stops), scene, sigma=sigma)


def grey_noise(photo: Picture, scene: Scene, *, sigma: float) -> Picture:
    """The same noise in all channels."""
    noise = scene.generator.standard_normal((photo.height, photo.width, 1), dtype=np.float32)
    pixels = np.asarray(photo, np.float32) + np.float32(sigma) * noise
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def as_taken(
    photo: Picture, scene: Scene, *, change: Callable[..., Picture], share: float
) -> Picture:
    """Light blurred on its way to a sensor, which then adds noise; sent as a JPEG."""
    light = change(photo, scene, share=share)
    return compressed(noisy(light, scene, sigma=5), scene, quality=80)


Graded = tuple[Severity, Perturbation]
"""A defect, and how bad it is."""


def _defect(
    severity: Severity, name: str, defect: Callable[..., Picture], /, **how: object
) -> Graded:
    return severity, Perturbation(name, partial(defect, **how))


def _blur(severity: Severity, share: float) -> Graded:
    name = f"out of focus, {share * 100:.0f} % of the side"
    return _defect(severity, name, blurred, share=share)


def _shake(severity: Severity, share: float) -> Graded:
    name = f"shaken by {share * 100:.0f} % of the side"
    return _defect(severity, name, shaken, share=share)


def _dark(severity: Severity, stops: int) -> Graded:
    name = f"{stops} stops darker, with noise"
    return _defect(severity, name, dim_light, stops=-stops, sigma=2)


DEFECTS: tuple[Graded, ...] = (
    _blur("between", 0.03),
    _blur("between", 0.04),
    _blur("severe", 0.06),
    _blur("severe", 0.08),
    _defect("severe", "out of focus, 6 %, with noise", as_taken, change=blurred, share=0.06),
    _shake("between", 0.14),
    _shake("between", 0.2),
    _shake("severe", 0.25),
    _shake("severe", 0.35),
    _defect("severe", "shaken by 25 %, with noise", as_taken, change=shaken, share=0.25),
    _dark("between", 4),
    _dark("between", 6),
    _dark("severe", 8),
    _dark("severe", 9),
    _defect("between", "noise, sigma 60", noisy, sigma=60),
    _defect("between", "noise, sigma 110", noisy, sigma=110),
    _defect("severe", "noise, sigma 150", noisy, sigma=150),
    _defect("between", "grey noise, sigma 110", grey_noise, sigma=110),
    _defect("severe", "grey noise, sigma 200", grey_noise, sigma=200),
    _defect("between", "3 stops brighter", exposed, stops=3),
    _defect("between", "5 stops brighter", exposed, stops=5),
    _defect("between", "7 stops brighter", exposed, stops=7),
)
"""Far beyond the perturbations. The extent of a blur is its sigma, of a shake its length."""


def soft_noise(generator: np.random.Generator, cells: int) -> Picture:
    """Colours of `cells` × `cells` squares, drawn and enlarged without edges."""
    drawn = generator.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
    return Image.fromarray(drawn).resize((320, 320), Image.Resampling.BICUBIC)


def noise_frame(generator: np.random.Generator, channels: int) -> Picture:
    """Each pixel drawn for itself."""
    drawn = generator.integers(0, 256, (SIDE, SIDE, channels), dtype=np.uint8)
    return Image.fromarray(np.broadcast_to(drawn, (SIDE, SIDE, 3)).copy())


def blank_frame(generator: np.random.Generator, fall: float, sigma: float) -> Picture:
    """A plain wall whose light falls off by a share, with the sensor's noise."""
    wall = Image.new("RGB", (320, 320), tuple(generator.integers(70, 250, 3).tolist()))
    y, x = np.mgrid[-1:1:320j, -1:1:320j]
    angle = generator.uniform(0, 2 * np.pi)
    along = (x * np.cos(angle) + y * np.sin(angle) + x * x / 2) / 3
    lit = np.asarray(wall) * (1 - fall * (along + 0.5))[..., None]
    lit = lit + generator.standard_normal(lit.shape) * sigma
    return Image.fromarray(lit.clip(0, 255).astype(np.uint8))


FRAMES: tuple[tuple[str, Callable[[np.random.Generator], Picture]], ...] = (
    *(
        (f"soft colour noise, {cells} × {cells}", partial(soft_noise, cells=cells))
        for cells in (4, 7, 14, 28, 56)
    ),
    ("colour noise", partial(noise_frame, channels=3)),
    ("grey noise", partial(noise_frame, channels=1)),
    ("plain wall", partial(blank_frame, fall=0.0, sigma=2.0)),
    ("plain wall, light falling off", partial(blank_frame, fall=0.4, sigma=3.0)),
)
"""Pictures without any object."""

FRAMES_EACH = 100


# --- judging --------------------------------------------------------------------------------------


def called(photo: Picture) -> UnfitKind | None:
    """The answer for a photo of any size."""
    pixels = photo.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return judge(np.asarray(pixels, dtype=np.uint8)).kind


def counted(
    photos_from: str, change: str, severity: Severity, answers: Sequence[UnfitKind | None]
) -> JudgedPhotos:
    """One row."""
    unfit = Counter(kind for kind in answers if kind is not None)
    return JudgedPhotos(
        photos_from=photos_from,
        change=change,
        severity=severity,
        photos=len(answers),
        unfit=dict(sorted(unfit.items())),
    )


def judge_frames() -> Iterator[JudgedPhotos]:
    """Judges pictures without an object."""
    for name, frame in FRAMES:
        answers = [called(frame(generator_of(str(n), name))) for n in range(FRAMES_EACH)]
        yield counted("", name, "severe", answers)


def judge_set(
    name: str, files: Sequence[Path], limit: int, terminal: Terminal
) -> Iterator[JudgedPhotos]:
    """Judges all photos as they are, and at most `limit` after each change."""
    usable = [p for p in PERTURBATIONS if not p.needs]
    changes: list[tuple[Severity, Perturbation]] = [("usable", p) for p in usable] + list(DEFECTS)
    answers: list[list[UnfitKind | None]] = [[] for _ in changes]
    clean: list[UnfitKind | None] = []
    count = min(limit, len(files))
    chosen = set(np.linspace(0, len(files) - 1, count).round().astype(int).tolist())
    for number, file in enumerate(files):
        photo = decode(file)
        clean.append(called(photo))
        if number in chosen:
            digest = sha256_file(file)
            for (_, change), own in zip(changes, answers, strict=True):
                scene = Scene(generator_of(digest, change.name), (SIDE, SIDE))
                own.append(called(change(photo, scene)))
        terminal.step(f"{name}: photos", number + 1, len(files))
    yield counted(name, "as they are", "good", clean)
    for (severity, change), own in zip(changes, answers, strict=True):
        yield counted(name, change.name, severity, own)


def named_folder(text: str) -> tuple[str, Path]:
    """`NAME=FOLDER`."""
    name, separator, folder = text.partition("=")
    if not (name and separator and folder):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=PHOTOS")
    return name, Path(folder)


def photo_files(folder: Path) -> list[Path]:
    """All photos below a folder, sorted.

    Raises:
        InputError: There are none.
    """
    files = sorted(path for path in folder.rglob("*") if is_photo_file(path))
    if not files:
        raise InputError(f"{folder} holds no photos. Give a folder of photos, at any depth.")
    return files


if __name__ == "__main__":
    sys.exit(PhotoFitnessStudy.main())
