"""The register: museum objects with their photos, as read from disk."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from mobile_assets.labels import LabelMap
from mobile_assets.object_record import ObjectRecord

ProblemKind = Literal["unreadable", "ignored", "duplicate", "warning"]


@dataclass(frozen=True, order=True)
class Photo:
    """One picture of one object.

    Attributes:
        path: Relative to the register's root, POSIX slashes.
        collection: Subdivision of the register, empty where there is none.
        title: What the object is called, empty where unknown.
        split: The manifest's `split` column; None where there is none.
        line: Line of the manifest, from 1; None where there is no manifest.
    """

    object_id: str
    path: str
    collection: str = ""
    title: str = ""
    split: str | None = None
    line: int | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Problem:
    """Something in the photos that the user should know of: what, where, why."""

    kind: ProblemKind
    path: str
    reason: str


@dataclass(frozen=True)
class Register:
    """All objects with their photos, sorted by object id and then by path.

    Attributes:
        root: Folder that the photos' paths are relative to.
        photos: All photos. Never in the file system's order.
    """

    root: Path
    photos: tuple[Photo, ...]
    problems: tuple[Problem, ...] = ()
    records: Mapping[str, ObjectRecord] = field(default_factory=dict, hash=False)

    @property
    def name(self) -> str:
        """The folder's name; the root of a drive has none."""
        return self.root.resolve().name or "register"

    @property
    def object_ids(self) -> tuple[str, ...]:
        """All object ids, sorted: the order of labels."""
        return tuple(sorted({photo.object_id for photo in self.photos}))

    @property
    def photos_per_object(self) -> dict[str, int]:
        """Number of photos of each object, in label order."""
        return dict(sorted(Counter(photo.object_id for photo in self.photos).items()))

    def path(self, photo: Photo) -> Path:
        """Where the photo lies."""
        return self.root / photo.path

    def threshold(self, min_photos: int) -> Register:
        """The threshold data set: the objects with at least `min_photos` photos."""
        counts = self.photos_per_object
        kept = tuple(photo for photo in self.photos if counts[photo.object_id] >= min_photos)
        return replace(self, photos=kept)

    def without(self, paths: Iterable[str], problems: Iterable[Problem] = ()) -> Register:
        """The register less some photos, with what is wrong with them added to the problems."""
        gone = set(paths)
        kept = tuple(photo for photo in self.photos if photo.path not in gone)
        return replace(self, photos=kept, problems=(*self.problems, *problems))

    def unreadable(self, reasons: Mapping[str, str]) -> Register:
        """The register less the photos that cannot be read, each with why among the problems.

        Args:
            reasons: Why, by the photo's path.
        """
        lines = {photo.path: photo.line for photo in self.photos}
        problems = [
            Problem(
                "unreadable", path, f"{reason} (line {line} of the manifest)" if line else reason
            )
            for path, reason in sorted(reasons.items())
            for line in (lines.get(path),)
        ]
        return self.without(reasons, problems)

    def label_map(self) -> LabelMap:
        """One label per object; collection and title are those of its first photo that has any."""
        photos: dict[str, list[Photo]] = defaultdict(list)
        for photo in self.photos:
            photos[photo.object_id].append(photo)
        return LabelMap.of(
            [
                (
                    object_id,
                    next((p.collection for p in photos[object_id] if p.collection), ""),
                    next((p.title for p in photos[object_id] if p.title), ""),
                    len(photos[object_id]),
                )
                for object_id in self.object_ids
            ],
            self.records,
        )


def make_register(
    root: Path,
    photos: Iterable[Photo],
    problems: Iterable[Problem],
    records: Mapping[str, ObjectRecord] | None = None,
) -> Register:
    """A register with photos and problems in their fixed order."""
    ordered = sorted(photos, key=lambda photo: (photo.object_id, photo.path))
    noted = sorted(problems, key=lambda problem: (problem.kind, problem.path))
    return Register(root, tuple(ordered), tuple(noted), records or {})
