"""IIIF Presentation manifests, version 2 and 3, whose images are already on disk.

Read without a library: the one for version 3, iiif-prezi3, does not go with Pillow 13, knows no
version 2, and refuses a manifest as a whole where one part of it is broken.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from mobile_assets.errors import InputError
from train.registers.importers.source import (
    ALTERNATIVE,
    Finding,
    SourceRow,
    SourceTable,
    check_file,
    columns_of,
    one_line,
)

MAX_BYTES = 32_000_000
"""Larger than any manifest, and small enough to be read whatever it holds."""

OWN_COLUMNS = ("manifest", "label", "summary")
"""What a manifest has of itself; other columns are the labels of its metadata."""

IMAGES = "image"
_TAG = re.compile(r"<[^<>]*>")
_NO_NAMES = frozenset({"manifest", "manifest.json", "iiif", "2", "3", "v2", "v3", "presentation"})
"""Parts of an address that do not identify the object."""


def read_iiif(paths: Iterable[Path], *, language: str | None) -> SourceTable:
    """Reads manifests: each is one row, with its images and its metadata.

    Args:
        paths: Files with a manifest each, or with a collection that holds manifests.
        language: Where a text stands in several languages, this one is taken, as in `en`; else the
            first.

    Raises:
        InputError: There is one file, and it is no manifest.
    """
    files = list(paths)
    rows: list[SourceRow] = []
    findings: list[Finding] = []
    for path in files:
        try:
            for place, manifest in _manifests(path, findings):
                rows.append(SourceRow(place, _values(manifest, language, place, findings)))
        except InputError as error:
            if len(files) == 1:
                raise
            findings.append(Finding("unread", path.name, str(error)))
    others = [name for name in columns_of(rows) if name not in (*OWN_COLUMNS, IMAGES)]
    columns = (*OWN_COLUMNS, IMAGES, *others)
    name = files[0].name if len(files) == 1 else f"{len(files)} files"
    return SourceTable(name, columns, tuple(rows), tuple(findings))


def _manifests(path: Path, findings: list[Finding]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the place and JSON object of each manifest in a file."""
    check_file(path, most_bytes=MAX_BYTES)
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits is a ValueError too
        raise InputError(f"{path} is no JSON ({error}).") from None
    if not isinstance(document, dict) or _type(document) not in ("Manifest", "Collection"):
        raise InputError(
            f"{path} is no IIIF manifest: its type is neither Manifest nor Collection."
        )
    if _type(document) == "Manifest":
        yield path.name, document
        return
    members = [
        member
        for name in ("items", "manifests", "members", "collections")
        for member in _list(document.get(name))
        if isinstance(member, dict)
    ]
    for number, member in enumerate(members, start=1):
        place = f"{path.name}, member {number}"
        if _type(member) == "Manifest" and ("items" in member or "sequences" in member):
            yield place, member
        else:
            reason = "the collection only refers to it: download its manifest and import that"
            findings.append(Finding("row", place, reason, value=_identifier(member)))


def _values(
    manifest: dict[str, Any], language: str | None, place: str, findings: list[Finding]
) -> dict[str, tuple[str, ...]]:
    """The texts of a manifest by column."""
    values: dict[str, tuple[str, ...]] = {
        "manifest": (_name_in(_identifier(manifest)),),
        "label": (_text(manifest.get("label"), language),),
        "summary": (_text(manifest.get("summary", manifest.get("description")), language),),
        IMAGES: tuple(_images(manifest, place, findings)),
    }
    for entry in _list(manifest.get("metadata")):
        label = _text(entry.get("label"), language) if isinstance(entry, dict) else ""
        text = _text(entry.get("value"), language) if label else ""
        name = f"metadata {label}" if label in values else label
        if text:
            values[name] = (*values.get(name, ()), text)
    joined = {
        name: texts if name == IMAGES else ("; ".join(texts),) for name, texts in values.items()
    }
    return {name: texts for name, texts in joined.items() if any(texts)}


def _images(manifest: dict[str, Any], place: str, findings: list[Finding]) -> Iterator[str]:
    """One text per picture that is painted on a canvas: the names that it may have on disk."""
    for number, canvas in enumerate(_canvases(manifest), start=1):
        names = [
            ALTERNATIVE.join(dict.fromkeys(alternatives))
            for content in _painted(canvas)
            if (alternatives := [name for image in _choices(content) for name in _names(image)])
        ]
        if not names:
            reason = "a canvas without an image, or broken"
            findings.append(Finding("note", f"{place}, canvas {number}", reason))
        yield from names


def _canvases(manifest: dict[str, Any]) -> Iterator[Any]:
    """Of version 3, or of every sequence of version 2."""
    yield from _list(manifest.get("items"))
    for sequence in _list(manifest.get("sequences")):
        if isinstance(sequence, dict):
            yield from _list(sequence.get("canvases"))


def _painted(canvas: Any) -> Iterator[Any]:
    """What is painted on a canvas: bodies (3) or resources (2) of its annotations."""
    if not isinstance(canvas, dict):
        return
    for page in _list(canvas.get("items")):
        for annotation in _list(page.get("items")) if isinstance(page, dict) else []:
            if isinstance(annotation, dict) and "painting" in _list(annotation.get("motivation")):
                yield from _list(annotation.get("body"))
    for annotation in _list(canvas.get("images")):
        if isinstance(annotation, dict):
            yield from _list(annotation.get("resource"))


def _choices(content: Any) -> Iterator[dict[str, Any]]:
    """The images of a choice, such as one photo in several lights, or the one that there is."""
    if not isinstance(content, dict):
        return
    kind = _type(content)
    if kind == "Choice":  # oa:Choice has a default and others
        names = ("items", "default", "item")
        yield from (c for name in names for c in _list(content.get(name)) if isinstance(c, dict))
    elif kind == "SpecificResource":
        yield from (
            c for c in _list(content.get("source", content.get("full"))) if isinstance(c, dict)
        )
    else:
        yield content


def _names(image: dict[str, Any]) -> Iterator[str]:
    """What a picture may be called on disk: its address, or that of its image service."""
    if address := _identifier(image):
        yield address
    for service in _list(image.get("service")):
        if isinstance(service, dict) and (address := _identifier(service)):
            yield address


def _type(thing: dict[str, Any]) -> str:
    """`Manifest` of `Manifest` and of `sc:Manifest`."""
    kinds = _list(thing.get("type", thing.get("@type")))
    return str(kinds[0]).rpartition(":")[2] if kinds else ""


def _identifier(thing: dict[str, Any]) -> str:
    found = thing.get("id", thing.get("@id"))
    return one_line(found) if isinstance(found, str) else ""


def _name_in(address: str) -> str:
    """The last part of a manifest's address that can identify the object."""
    try:
        path = unquote(urlsplit(address).path or address)
    except ValueError:
        return ""
    parts = [part for part in path.split("/") if part and part.casefold() not in _NO_NAMES]
    return parts[-1].removesuffix(".json") if parts else ""


def _text(value: Any, language: str | None) -> str:
    """Plain text of a label or value of either version.

    Version 3 has `{"en": ["…"]}`; version 2 a text, `{"@value": "…", "@language": "en"}`, or a list
    of these.
    """
    by_language: dict[str | None, list[str]] = {}
    for one in _list(value):
        if isinstance(one, str | int | float) and not isinstance(one, bool):
            by_language.setdefault(None, []).append(str(one))
        elif isinstance(one, dict) and "@value" in one:
            spoken = one.get("@language")
            known = spoken if isinstance(spoken, str) else None
            by_language.setdefault(known, []).append(str(one["@value"]))
        elif isinstance(one, dict):
            for spoken, texts in one.items():
                by_language.setdefault(spoken, []).extend(
                    text for text in _list(texts) if isinstance(text, str)
                )
    if not by_language:
        return ""
    chosen = language if language in by_language else next(iter(by_language))
    return one_line("; ".join(map(_without_markup, by_language[chosen])))


def _without_markup(text: str) -> str:
    """A text less its HTML, which is such if it begins and ends with a tag."""
    if not (text.startswith("<") and text.endswith(">")):
        return text
    return html.unescape(_TAG.sub("", text))


def _list(value: Any) -> list[Any]:
    """A value that may be one thing, a list of things or nothing, as a list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
