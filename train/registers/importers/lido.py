"""LIDO 1.0 and 1.1, the XML in which museums hand over objects; EODEM is a profile of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from train.registers.importers.xml_records import xml_records

NAMESPACE = "http://www.lido-schema.org"
MAX_BYTES = 200_000_000
"""Tens of thousands of records. They are read one by one, but broken XML as a whole."""

COLUMNS = (
    "workID", "title", "objectWorkType", "materialsTech", "objectMeasurements", "inscriptions",
    "distinguishing features", "subject", "date", "maker", "place made", "collection",
    "linkResource", "other workID", "other title", "classification", "description", "repository",
    "recordID", "lidoRecID", "objectPublishedID", "applicationProfile",
)  # fmt: skip
"""What a record gives, by the names of LIDO's elements where one element says it."""

_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_PRODUCTION = ("lido00007", "lido00012")
"""LIDO's terms Production and Creation."""

_FINDING = ("lido00002", "lido00033")
"""Finding and Excavation: where a thing comes from if nobody knows where it was made."""

_EVENT_WORDS: dict[tuple[str, ...], set[str]] = {
    _PRODUCTION: {
        "production", "creation", "making", "manufacture", "herstellung", "entstehung", "fertigung",
        "fabrication", "création", "vervaardiging", "produzione", "realizzazione", "producción",
    },
    _FINDING: {"finding", "find", "excavation", "fund", "ausgrabung", "fouille", "découverte"},
}  # fmt: skip
_THUMBNAIL = ("thumb", "preview", "list", "lido00451")
"""Kinds of representation that are smaller than what was photographed."""

Texts = list[str]


def read_lido(paths: Iterable[Path], *, language: str | None) -> SourceTable:
    """Reads the records of LIDO files.

    Args:
        paths: One or more files, each with a `lido:lidoWrap`, a single `lido:lido`, or records in
            another envelope, such as that of OAI-PMH.
        language: Where a text stands in several languages, this one is taken, as in `en`; else the
            first.

    Raises:
        InputError: There is one file, and it is no LIDO, or hostile.
    """
    files = list(paths)
    rows: list[SourceRow] = []
    findings: list[Finding] = []
    for path in files:
        try:
            rows += _file_rows(path, language, findings)
        except InputError as error:
            if len(files) == 1:
                raise
            findings.append(Finding("unread", path.name, str(error)))
    named = [name for name in COLUMNS if name in columns_of(rows)]
    name = files[0].name if len(files) == 1 else f"{len(files)} files"
    return SourceTable(name, tuple(named), tuple(rows), tuple(findings), standard=True)


def _file_rows(path: Path, language: str | None, findings: list[Finding]) -> Iterator[SourceRow]:
    check_file(path, most_bytes=MAX_BYTES)
    number = 0
    for record in xml_records(path, namespace=NAMESPACE, name="lido"):
        number = record.number
        place = f"{path.name}, record {number} (line {record.line})"
        if record.element is None:
            findings.append(Finding("row", place, record.error))
        else:
            yield SourceRow(place, _values(record.element, language))
    if not number:
        raise InputError(
            f"{path} holds no lido:lido record (namespace {NAMESPACE}). Export LIDO, or a table."
        )


def _values(record: Any, language: str | None) -> dict[str, tuple[str, ...]]:
    """The texts of a record by column."""
    reader = _Reader(_in_language(record, "descriptiveMetadata", language), language)
    administrative = _Reader(_in_language(record, "administrativeMetadata", language), language)
    whole = _Reader(record, language)
    identification = "objectIdentificationWrap"
    titles = reader.names(f"{identification}/titleWrap/titleSet")
    numbers = _work_numbers(reader)
    texts: dict[str, Texts] = {
        "workID": numbers[:1],
        "other workID": numbers[1:],
        "title": titles[:1],
        "other title": titles[1:],
        "objectWorkType": reader.concepts(
            "objectClassificationWrap/objectWorkTypeWrap/objectWorkType"
        ),
        "classification": reader.concepts(
            "objectClassificationWrap/classificationWrap/classification"
        ),
        "materialsTech": _materials(reader),
        "objectMeasurements": _measurements(reader),
        "inscriptions": reader.texts(
            f"{identification}/inscriptionsWrap/inscriptions/inscriptionTranscription",
            f"{identification}/inscriptionsWrap/inscriptions/inscriptionDescription"
            "/descriptiveNoteValue",
        ),
        **_descriptions(reader),
        "subject": _subjects(reader),
        **_events(reader),
        "collection": _collections(administrative),
        "linkResource": _resources(whole),
        "repository": reader.names(
            f"{identification}/repositoryWrap/repositorySet/repositoryName/legalBodyName"
        )[:1],
        "recordID": administrative.texts("recordWrap/recordID")[:1],
        "lidoRecID": whole.texts("lidoRecID")[:1],
        "objectPublishedID": whole.texts("objectPublishedID"),
        "applicationProfile": whole.texts("applicationProfile"),
    }
    joined = {
        name: tuple(found) if name == "linkResource" else ("; ".join(found),)
        for name, found in texts.items()
    }
    return {name: found for name, found in joined.items() if any(found)}


@dataclass(frozen=True)
class _Reader:
    """Texts below an element, by paths of LIDO's element names."""

    element: Any
    language: str | None

    def all(self, path: str) -> list[Any]:
        """The elements at a path."""
        if self.element is None:
            return []
        return list(self.element.iterfind("/".join(f"{{*}}{name}" for name in path.split("/"))))

    def each(self, path: str) -> Iterator[_Reader]:
        """A reader of each element at a path."""
        return (_Reader(element, self.language) for element in self.all(path))

    def texts(self, *paths: str) -> Texts:
        """Distinct texts at some paths, in the language wanted."""
        elements = [element for path in paths for element in self.all(path)]
        return _distinct(_text(element) for element in _spoken(elements, self.language))

    def first_of(self, *ways: Callable[[], Texts]) -> Texts:
        """What the first way gives that gives anything."""
        return next((found for found in (way() for way in ways) if found), [])

    def concepts(self, path: str) -> Texts:
        """The terms of the concepts at a path."""
        return _distinct(text for concept in self.each(path) for text in concept.concept())

    def concept(self) -> Texts:
        """The term of a concept, which LIDO 1.1 may give as SKOS; or plain text."""
        return self.first_of(
            lambda: self.texts("term"),
            lambda: self.texts("Concept/prefLabel"),
            lambda: _distinct([_text(self.element)]),
        )[:1]

    def names(self, path: str) -> Texts:
        """One name of each thing at a path: the preferred one, or the one to display."""
        return _distinct(name for thing in self.each(path) for name in thing._name())

    def _name(self) -> Texts:
        values = _spoken(self.all("appellationValue"), self.language)
        ranked = sorted(values, key=_name_rank)
        return _distinct(_text(value) for value in ranked)[:1]


def _text(element: Any) -> str:
    # White space in XML comes from its layout.
    return one_line(" ".join("".join(element.itertext()).split()))


def _distinct(texts: Iterable[str]) -> Texts:
    return [text for text in dict.fromkeys(texts) if text]


def _attribute(element: Any, name: str) -> str:
    return str(element.get(f"{{{NAMESPACE}}}{name}") or "").strip().lower()


def _name_rank(value: Any) -> int:
    """0 for a preferred or display name, 2 for an alternative one, by word or LIDO's term."""
    words = f"{_attribute(value, 'pref')} {_attribute(value, 'label')}"
    if "altern" in words or "lido00170" in words or "sort name" in words:
        return 2
    return 0 if "prefer" in words or "display" in words or "lido00169" in words else 1


def _spoken(elements: list[Any], language: str | None) -> list[Any]:
    """Of texts in several languages those in the one wanted, else in the first one's."""
    languages = {element.get(_LANGUAGE) for element in elements} - {None}
    if len(languages) < 2:
        return elements
    first = next(found for element in elements if (found := element.get(_LANGUAGE)))
    chosen = language if language in languages else first
    return [element for element in elements if element.get(_LANGUAGE) in (chosen, None)]


def _in_language(record: Any, name: str, language: str | None) -> Any:
    found = _spoken(list(record.iterfind(f"{{*}}{name}")), language)
    return found[0] if found else None


def _work_numbers(reader: _Reader) -> Texts:
    """Inventory numbers, of the current repository first and of other kinds last."""

    def rank(repository: Any) -> int:
        kind = _attribute(repository, "type")
        return 0 if "current" in kind or "lido00475" in kind else 2 if kind else 1

    sets = sorted(reader.all("objectIdentificationWrap/repositoryWrap/repositorySet"), key=rank)
    return _distinct(_text(number) for one in sets for number in one.iterfind("{*}workID"))


def _materials(reader: _Reader) -> Texts:
    """Of the object (LIDO 1.1), else of its production (1.0)."""
    sets = [
        *reader.each("objectIdentificationWrap/objectMaterialsTechWrap/objectMaterialsTechSet"),
        *(m for event in _events_of(reader, _PRODUCTION) for m in event.each("eventMaterialsTech")),
    ]
    return _distinct(
        text
        for one in sets
        for text in one.first_of(
            lambda one=one: one.texts("displayMaterialsTech"),  # type: ignore[misc]
            lambda one=one: one.concepts("materialsTech/termMaterialsTech"),  # type: ignore[misc]
        )
    )


def _measurements(reader: _Reader) -> Texts:
    sets = reader.each("objectIdentificationWrap/objectMeasurementsWrap/objectMeasurementsSet")
    found: Texts = []
    for one in sets:
        shown = one.texts("displayObjectMeasurements")
        if not shown:
            extents = one.concepts("objectMeasurements/extentMeasurements")
            numbers = [
                " ".join(
                    part
                    for path in ("measurementType", "measurementValue", "measurementUnit")
                    for part in measured.concepts(path)[:1]
                )
                for measured in one.each("objectMeasurements/measurementsSet")
            ]
            joined = ", ".join(number for number in numbers if number)
            shown = [f"{joined} ({', '.join(extents)})" if extents and joined else joined]
        found += shown
    return _distinct(found)


def _descriptions(reader: _Reader) -> dict[str, Texts]:
    """Descriptions; those that a type or label calls distinguishing features are such."""
    found: dict[str, Texts] = {"distinguishing features": [], "description": []}
    path = "objectIdentificationWrap/objectDescriptionWrap/objectDescriptionSet"
    for one in reader.each(path):
        notes = one.all("descriptiveNoteValue")
        kinds = [_attribute(one.element, "type"), *(_attribute(note, "label") for note in notes)]
        target = (
            "distinguishing features" if any("distinguish" in k for k in kinds) else "description"
        )
        found[target] += one.texts("descriptiveNoteValue")
    return {name: _distinct(texts) for name, texts in found.items()}


def _subjects(reader: _Reader) -> Texts:
    found: Texts = []
    for one in reader.each("objectRelationWrap/subjectWrap/subjectSet"):
        found += one.texts("displaySubject") or [
            *one.concepts("subject/subjectConcept"),
            *one.texts("subject/subjectActor/displayActor"),
            *one.texts("subject/subjectPlace/displayPlace"),
            *one.texts("subject/subjectEvent/displayEvent"),
            *one.texts("subject/subjectObject/displayObject"),
        ]
    return _distinct(found)


def _events_of(reader: _Reader, kinds: tuple[str, ...]) -> list[_Reader]:
    """Events of some kinds, known by LIDO's term or by a word for it."""
    found = []
    for event in reader.each("eventWrap/eventSet/event"):
        identifiers = [_text(element) for element in event.all("eventType/conceptID")] + [
            str(value) for c in event.all("eventType/Concept") for value in c.attrib.values()
        ]
        terms = [*event.texts("eventType/term"), *event.texts("eventType/Concept/prefLabel")]
        named = any(identifier.rstrip("/").endswith(kinds) for identifier in identifiers)
        if named or any(term.casefold() in _EVENT_WORDS[kinds] for term in terms):
            found.append(event)
    return found


def _events(reader: _Reader) -> dict[str, Texts]:
    """Date, maker and place of the production, or at least the place of the finding."""
    production = _events_of(reader, _PRODUCTION)
    makers = _distinct(name for event in production for name in _actors(event))
    cultures = _distinct(name for event in production for name in event.concepts("culture"))
    places = _distinct(name for event in production for name in _places(event))
    finding = _events_of(reader, _FINDING) if not places else []
    return {
        "date": _distinct(date for event in production for date in _dates(event)),
        "maker": makers or cultures,
        "place made": places or _distinct(name for event in finding for name in _places(event)),
    }


def _actors(event: _Reader) -> Iterator[str]:
    for actor in event.each("eventActor"):
        yield from (
            actor.texts("displayActorInRole")[:1]
            or actor.names("actorInRole/actor/nameActorSet")[:1]
        )


def _places(event: _Reader) -> Iterator[str]:
    for place in event.each("eventPlace"):
        yield from place.texts("displayPlace")[:1] or place.names("place/namePlaceSet")[:1]


def _dates(event: _Reader) -> Texts:
    shown = event.texts("eventDate/displayDate") or event.concepts("periodName")
    if shown:
        return shown
    ends = (event.texts(f"eventDate/date/{name}")[:1] for name in ("earliestDate", "latestDate"))
    years = _distinct(text for end in ends for text in end)
    return [" – ".join(years)] if years else []


def _collections(administrative: _Reader) -> Texts:
    """LIDO 1.1 only: what the record says that the object belongs to."""
    found: Texts = []
    for one in administrative.each("recordWrap/collection"):
        found += one.texts("displayObject") or one.names("object/objectName")
    return _distinct(found)[:1]


def _resources(record: _Reader) -> Texts:
    """One text per resource: its representations, largest kind first, then its identifiers."""
    found: Texts = []
    for one in record.each("administrativeMetadata/resourceWrap/resourceSet"):
        representations = sorted(
            one.all("resourceRepresentation"),
            key=lambda each: any(word in _attribute(each, "type") for word in _THUMBNAIL),
        )
        links = [
            _text(link) for each in representations for link in each.iterfind("{*}linkResource")
        ]
        names = _distinct([*links, *(_text(each) for each in one.all("resourceID"))])
        if names:
            found.append(ALTERNATIVE.join(names))
    return _distinct(found)
