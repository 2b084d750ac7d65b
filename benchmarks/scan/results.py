"""What a scan found, as a table for other programs and a page to look through."""

from __future__ import annotations

import base64
import io
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.scan.photo_store import AnsweredPhoto
from mobile_assets.csv_table import csv_text
from mobile_assets.files import write_text
from mobile_assets.labels import LabelMap
from mobile_assets.output_lock import unfinished
from mobile_assets.photos import decode
from mobile_assets.visible_text import visible

CSV_FILE = "results.csv"
PAGE_FILE = "results.html"

CSV_CANDIDATES = 3

_COLUMNS = (
    "path",
    "answer",
    "score",
    *(f"{what}_{n}" for n in range(1, CSV_CANDIDATES + 1) for what in ("object", "score")),
    "shortlist",
    "error",
    "sha256",
)
_ROWS_AT_ONCE = 1000
_PICTURE_SIDE = 256


def write_csv(folder: Path, photos: Iterator[AnsweredPhoto], extra: Sequence[str]) -> None:
    """Writes every photo's answer, best first; memory does not grow with their number.

    Args:
        photos: All of them.
        extra: Columns of the table that was scanned, put behind ours.
    """
    names = [*_COLUMNS, *(_extra(name) for name in extra)]
    header = csv_text((), names)
    part = unfinished(folder / CSV_FILE)
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            file.write(header)
            while rows := [_row(photo) for photo in itertools.islice(photos, _ROWS_AT_ONCE)]:
                file.write(csv_text(rows, names).removeprefix(header))
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, folder / CSV_FILE)
    finally:
        part.unlink(missing_ok=True)


def _extra(name: str) -> str:
    return f"table_{name}" if name in _COLUMNS else name


def _row(photo: AnsweredPhoto) -> dict[str, object]:
    row: dict[str, object] = {_extra(name): text for name, text in photo.columns.items()}
    row |= {
        "path": photo.path,
        "answer": photo.answer,
        "score": photo.score,
        "error": photo.error,
        "sha256": photo.sha256,
        "shortlist": len(photo.shortlist) or None,
    }
    for n, (object_id, score) in enumerate(photo.candidates[:CSV_CANDIDATES], start=1):
        row |= {f"object_{n}": object_id, f"score_{n}": score}
    return row


@dataclass(frozen=True)
class Picture:
    """A picture inside the page.

    Attributes:
        data: As a data URI; empty where there is none.
        caption: What it shows.
        detail: A second line.
    """

    data: str
    caption: str
    detail: str = ""


@dataclass(frozen=True)
class PageRow:
    """A photo beside its candidates."""

    photo: Picture
    answer: str
    candidates: tuple[Picture, ...]


def write_page(
    folder: Path,
    photos: Iterator[AnsweredPhoto],
    *,
    root: Path,
    labels: LabelMap,
    reference: Callable[[str], bytes | None],
    most: int,
    counts: Mapping[str, int],
    source: str,
    bundle: str,
) -> None:
    """Writes the page of the best answers: each photo beside its candidates, best first.

    Args:
        photos: Best first; those of unfit photos and of unknown objects are left out.
        reference: A candidate's reference picture as WebP by its object id; None for none.
        most: Photos on the page.
        counts: Photos by answer.
        source: What was scanned.
        bundle: What it was compared with.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    found = (photo for photo in photos if photo.answer in ("match", "shortlist"))
    rows = [_page_row(photo, root, labels, reference) for photo in itertools.islice(found, most)]
    pages = Environment(
        loader=PackageLoader("benchmarks.scan", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = pages.get_template("results.html.j2").render(
        rows=rows,
        counts=counts,
        left_out=counts.get("match", 0) + counts.get("shortlist", 0) - len(rows),
        source=visible(source),
        bundle=visible(bundle),
        csv=CSV_FILE,
    )
    write_text(folder / PAGE_FILE, text)


def _page_row(
    photo: AnsweredPhoto,
    root: Path,
    labels: LabelMap,
    reference: Callable[[str], bytes | None],
) -> PageRow:
    candidates = []
    for object_id, score in photo.candidates[:CSV_CANDIDATES]:
        label = labels[labels.index_of[object_id]]
        picture = reference(object_id)
        data = "" if picture is None else _uri(picture)
        words = " · ".join(filter(None, (label.title, label.collection, f"{score:.3f}")))
        candidates.append(Picture(data, visible(object_id), visible(words)))
    columns = "; ".join(f"{name}: {text}" for name, text in photo.columns.items())
    own = Picture(_thumbnail(root / photo.path), visible(photo.path), visible(columns))
    return PageRow(own, photo.answer, tuple(candidates))


def _thumbnail(path: Path) -> str:
    """A photo, small and without its metadata; empty where it cannot be read any more."""
    try:
        image = decode(path, at_least=_PICTURE_SIDE)
        image.thumbnail((_PICTURE_SIDE, _PICTURE_SIDE))
        file = io.BytesIO()
        image.save(file, "WEBP", quality=75)
    except (OSError, ValueError, MemoryError):
        return ""
    return _uri(file.getvalue())


def _uri(webp: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(webp).decode('ascii')}"
