"""Reading the records of an XML file one by one: hostile files refused, broken records left out."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mobile_assets.errors import InputError, first_line

MAX_ELEMENTS = 100_000
"""A record with more elements is no record."""

_ENCODING = re.compile(rb"""<\?xml[^>]*encoding=["']([\w.-]+)["']""")
_START_TAG = re.compile(r"<([\w.-]+(?::[\w.-]+)?)(?:\s[^<>]*)?>")


@dataclass(frozen=True)
class XmlRecord:
    """One record, or why it cannot be read.

    Attributes:
        number: Its number in the file, from 1.
        line: The line on which it begins, from 1.
        element: lxml's element, valid until the next record is asked for; None if it is broken.
        error: Why it is broken.
    """

    number: int
    line: int
    element: Any
    error: str = ""


def xml_records(path: Path, *, namespace: str, name: str) -> Iterator[XmlRecord]:
    """Yields the elements of a name, wherever they stand, without the rest in memory.

    Entities are neither defined nor replaced, and nothing is fetched. From where the XML breaks
    on, each record is read alone, so that those that are whole are not lost.

    Args:
        path: The file.
        namespace: The elements' namespace.
        name: Their name within it.

    Raises:
        InputError: The file is no XML or has a document type definition, which could define
            entities; or a record is of a size that none has.
    """
    from lxml import etree

    number = 0
    try:
        for element in _whole(etree, path, f"{{{namespace}}}{name}"):
            number += 1
            yield XmlRecord(number, element.sourceline, element)
    except etree.XMLSyntaxError as error:
        pieces = list(_pieces(path, name))
        if not pieces and not number:
            raise InputError(f"{path} is no XML ({first_line(error)}).") from None
        broken = f"the XML is broken ({first_line(error)})"
        for position, (line, text) in enumerate(pieces[number:], start=number + 1):
            yield _alone(etree, XmlRecord(position, line, None, broken), text)
            broken = ""


def _options() -> dict[str, bool]:
    return {
        "resolve_entities": False,
        "no_network": True,
        "load_dtd": False,
        "huge_tree": False,
        "remove_comments": True,
        "remove_pis": True,
    }


def _whole(etree: Any, path: Path, tag: str) -> Iterator[Any]:
    """Yields the elements of a tag and forgets everything behind them."""
    inside: Any = None
    elements = 0
    for event, element in etree.iterparse(str(path), events=("start", "end"), **_options()):
        if event == "start":
            if element.getparent() is None:
                _refuse_definitions(path, element)
            if inside is None and element.tag == tag:
                inside, elements = element, 0
            elements += 1
            if inside is not None and elements > MAX_ELEMENTS:
                raise InputError(
                    f"{path}, line {inside.sourceline}: a record of over {MAX_ELEMENTS:,} "
                    "elements, which no museum writes."
                )
            continue
        if element is inside:
            yield element
            inside = None
        if inside is None:
            element.clear()
            while element.getprevious() is not None:
                del element.getparent()[0]


def _refuse_definitions(path: Path, root: Any) -> None:
    if root.getroottree().docinfo.internalDTD is not None:
        raise InputError(
            f"{path} has a document type definition (DOCTYPE), which no such file needs and which "
            "can hide an attack. Take it out if you trust the file."
        )


def _pieces(path: Path, name: str) -> Iterator[tuple[int, str]]:
    """Yields first line and text of every record, wrapped in the file's outermost tag."""
    text = _decoded(path)
    outermost = _START_TAG.search(text)
    if outermost is None:
        return
    starts = list(re.finditer(rf"<(?:[\w.-]+:)?{name}(?=[\s>])", text))
    for start, following in zip(starts, [*starts[1:], None], strict=True):
        limit = len(text) if following is None else following.start()
        piece = text[start.start() : limit]
        close = re.search(rf"</(?:[\w.-]+:)?{name}\s*>", piece)
        line = text.count("\n", 0, start.start()) + 1
        whole = piece[: close.end()] if close else piece
        if start.start() == outermost.start():  # a file of one record
            yield line, whole
        else:
            yield line, f"{outermost[0]}{whole}</{outermost[1]}>"


def _alone(etree: Any, record: XmlRecord, text: str) -> XmlRecord:
    """A record that is read by itself; the first one is where the file broke."""
    parser = etree.XMLParser(**_options())
    try:
        root = etree.fromstring(text.encode("utf-8", "replace"), parser)
    except etree.XMLSyntaxError as error:
        reason = record.error or f"the XML is broken ({first_line(error)})"
        return XmlRecord(record.number, record.line, None, reason)
    return XmlRecord(record.number, record.line, root[0] if len(root) else root)


def _decoded(path: Path) -> str:
    data = path.read_bytes()
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    stated = _ENCODING.match(data.removeprefix(codecs.BOM_UTF8))
    try:
        text = data.decode(stated[1].decode("ascii") if stated else "utf-8", "replace")
    except LookupError:
        text = data.decode("utf-8", "replace")
    return text.removeprefix("\ufeff")
