"""An answer as a page to show: the photos beside the candidates' reference pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from PIL import Image

from benchmarks.pipeline.identify import Candidate, Identification
from benchmarks.pipeline.matched_points import MatchedPoints
from mobile_assets.bundle import Bundle
from mobile_assets.files import write_text
from mobile_assets.identification.references import References, read_references
from mobile_assets.match_picture import GAP, SideBySide, svg
from mobile_assets.photos import PhotoError, decode, takes_bounded_time
from mobile_assets.visible_text import visible

_SIDE = 480
"""Longer side of a photo on the page, in pixels."""

_MATCHED_HEIGHT = 240
"""Height of pictures with lines between them, in pixels."""

_STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
img { max-width: 100%; max-height: 15rem; border-radius: 4px }
figure { margin: 0; display: inline-block; vertical-align: top; max-width: 20rem }
figcaption { font-size: .85rem; overflow-wrap: anywhere }
.photos, .candidate { display: flex; flex-wrap: wrap; gap: 1rem; margin: 1rem 0 }
.candidate { border-top: 1px solid #8888; padding-top: 1rem }
.candidate h3 { flex-basis: 100%; margin: 0; font-size: 1rem }
.unnamed { opacity: .6 }
.points { position: relative; white-space: nowrap; overflow-x: auto; line-height: 0 }
.points img { height: 240px; max-width: none; max-height: none; border-radius: 0 }
.points svg { position: absolute; left: 0; top: 0 }
dl { margin: 0 } dt { font-size: .85rem } dd { margin: 0 0 .3rem }
"""


def write_page(path: Path, bundle: Bundle, answers: Sequence[Identification]) -> None:
    """Writes the page, complete in one file, by an atomic rename.

    Raises:
        DamagedError: The bundle's reference pictures are damaged.
    """
    references = read_references(bundle)
    body = "\n".join(_answer(answer, references) for answer in answers)
    name = escape(visible(bundle.info.name))
    write_text(
        path,
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Identification: {name}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>Identification</h1>\n<p>Bundle {name}, serial number {bundle.info.serial}, "
        f"{bundle.info.objects} objects.</p>\n{body}\n</body>\n</html>\n",
    )


def _answer(answer: Identification, references: References | None) -> str:
    photos = "".join(_photo(answer, photo) for photo in answer.photos)
    verdict = "cannot be read" if answer.verdict is None else answer.verdict.answer
    candidates = "".join(
        _candidate(rank, candidate, answer, references)
        for rank, candidate in enumerate(answer.candidates, start=1)
    )
    missing = "" if references else "<p>The bundle has no reference pictures to compare with.</p>"
    return (
        f"<section>\n<h2>{escape(verdict[0].upper() + verdict[1:])}</h2>\n"
        f'<p>{_text(answer.reason)}</p>\n<div class="photos">{photos}</div>\n'
        f"{missing if answer.candidates else ''}{candidates}\n</section>"
    )


def _photo(answer: Identification, photo: Path) -> str:
    caption = _text(photo.name)
    if photo in answer.errors:
        return f"<figure><figcaption>{caption}: {_text(answer.errors[photo])}</figcaption></figure>"
    if photo in answer.unfit:
        caption += f": {_text(str(answer.unfit[photo].kind))}"
    source = _jpeg(_view(answer, photo))
    return f'<figure><img src="{source}" alt="photo"><figcaption>{caption}</figcaption></figure>'


def _view(answer: Identification, photo: Path) -> Image.Image:
    """The photo; what the model saw of it where decoding it again might take for ever."""
    try:
        if takes_bounded_time(photo):
            picture = decode(photo, at_least=_SIDE)
            picture.thumbnail((_SIDE, _SIDE))
            return picture
    except PhotoError:  # it has gone or was changed meanwhile
        pass
    return Image.fromarray(answer.pixels[photo])


def _candidate(
    rank: int, candidate: Candidate, answer: Identification, references: References | None
) -> str:
    label = candidate.label
    title = " · ".join(filter(None, (label.object_id, label.title, label.collection)))
    number = (
        f"score {candidate.score:.3f}"
        if answer.scored_by == "score"
        else f"probability {candidate.score:.1%}"
    )
    pictures = "".join(_references(label.object_id, references))
    record = label.record.as_json() if label.record is not None else {}
    facts = "".join(
        f"<dt>{_text(name.replace('_', ' '))}</dt><dd>{_text(str(text))}</dd>"
        for name, text in record.items()
    )
    if candidate.points is not None and candidate.points.match.inliers and references:
        pictures = _matched(candidate.points, answer, references)
    unnamed = "" if candidate.named else " unnamed"
    return (
        f'<div class="candidate{unnamed}"><h3>{rank}. {_text(title)} – {number}</h3>'
        f"{pictures}{f'<dl>{facts}</dl>' if facts else ''}</div>\n"
    )


def _matched(points: MatchedPoints, answer: Identification, references: References) -> str:
    """Photo and reference picture beside each other, with lines between the points in common."""
    photo = _view(answer, points.photo)
    size = (points.reference.width, points.reference.height)
    place = SideBySide.of(photo.size, size, _MATCHED_HEIGHT)
    left, right = _jpeg(photo), _source("webp", references.content(points.reference))
    images = (
        f'<img src="{left}" width="{place.photo_width}" alt="photo" '
        f'style="margin-right:{GAP}px"><img src="{right}" width="{place.reference_width}" '
        'alt="reference picture">'
    )
    return (
        f'<figure style="max-width:100%"><div class="points">{images}{svg(points.match, place)}'
        f"</div><figcaption>{points.match.inliers} points in common</figcaption></figure>"
    )


def _references(object_id: str, references: References | None) -> Iterator[str]:
    for picture in references.by_object.get(object_id, ()) if references else ():
        assert references is not None
        source = _source("webp", references.content(picture))
        yield f'<figure><img src="{source}" alt="reference picture"></figure>'


def _jpeg(picture: Image.Image) -> str:
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=85)
    return _source("jpeg", content.getvalue())


def _source(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _text(text: str) -> str:
    return escape(visible(text))
