"""Importing LIDO 1.0, LIDO 1.1 and its profile EODEM; broken and hostile XML."""

from __future__ import annotations

from pathlib import Path

import pytest
from museum_exports import (
    LIDO_NAMESPACES,
    import_checked,
    lido_record,
    lido_wrap,
    listed,
    photos_of,
    put_photos,
    write_text,
)

from mobile_assets.errors import InputError
from mobile_assets.object_record import ObjectRecord
from train.registers.importers import xml_records

TERM = "http://terminology.lido-schema.org/"

EODEM = lido_wrap(f"""<lido:lido>
  <lido:lidoRecID lido:type="{TERM}lido00100">NG-1</lido:lidoRecID>
  <lido:applicationProfile lido:type="{TERM}lido00099"
    >https://lido-schema.org/schema/v1.1/lido-v1.1-profile-EODEM-v1.0.xsd</lido:applicationProfile>
  <lido:descriptiveMetadata xml:lang="en">
    <lido:objectClassificationWrap><lido:objectWorkTypeWrap>
      <lido:objectWorkType><lido:conceptID lido:type="{TERM}lido00099">aat:1</lido:conceptID>
        <lido:term>jug</lido:term></lido:objectWorkType>
    </lido:objectWorkTypeWrap></lido:objectClassificationWrap>
    <lido:objectIdentificationWrap>
      <lido:titleWrap>
        <lido:titleSet lido:type="alternative"><lido:appellationValue xml:lang="en"
          lido:pref="{TERM}lido00169">Jug with beasts</lido:appellationValue></lido:titleSet>
      </lido:titleWrap>
      <lido:inscriptionsWrap><lido:inscriptions>
        <lido:inscriptionTranscription>WR</lido:inscriptionTranscription>
        <lido:inscriptionDescription><lido:descriptiveNoteValue>in a medallion
          </lido:descriptiveNoteValue></lido:inscriptionDescription>
      </lido:inscriptions></lido:inscriptionsWrap>
      <lido:repositoryWrap><lido:repositorySet lido:type="{TERM}lido00475">
        <lido:repositoryName><lido:legalBodyName><lido:appellationValue>Castle Museum
          </lido:appellationValue></lido:legalBodyName></lido:repositoryName>
        <lido:workID lido:type="{TERM}lido00100">1889.1</lido:workID>
      </lido:repositorySet></lido:repositoryWrap>
      <lido:objectDescriptionWrap>
        <lido:objectDescriptionSet lido:type="distinguishing features">
          <lido:descriptiveNoteValue>chip at the foot</lido:descriptiveNoteValue>
        </lido:objectDescriptionSet>
        <lido:objectDescriptionSet>
          <lido:descriptiveNoteValue lido:label="brief description"
            >A jug.</lido:descriptiveNoteValue>
        </lido:objectDescriptionSet>
      </lido:objectDescriptionWrap>
      <lido:objectMeasurementsWrap><lido:objectMeasurementsSet><lido:objectMeasurements>
        <lido:measurementsSet>
          <lido:measurementType><lido:term>height</lido:term></lido:measurementType>
          <lido:measurementUnit><lido:term>cm</lido:term></lido:measurementUnit>
          <lido:measurementValue>21</lido:measurementValue>
        </lido:measurementsSet>
        <lido:extentMeasurements><lido:term>overall</lido:term></lido:extentMeasurements>
      </lido:objectMeasurements></lido:objectMeasurementsSet></lido:objectMeasurementsWrap>
      <lido:objectMaterialsTechWrap><lido:objectMaterialsTechSet>
        <lido:materialsTech><lido:termMaterialsTech>
          <skos:Concept rdf:about="aat:2"><skos:prefLabel xml:lang="en">stoneware</skos:prefLabel>
          </skos:Concept></lido:termMaterialsTech></lido:materialsTech>
      </lido:objectMaterialsTechSet></lido:objectMaterialsTechWrap>
    </lido:objectIdentificationWrap>
    <lido:eventWrap>
      <lido:eventSet><lido:event>
        <lido:eventType><lido:conceptID lido:type="{TERM}lido00099"
          >{TERM}lido00001</lido:conceptID><lido:term>Acquisition</lido:term></lido:eventType>
        <lido:eventActor><lido:displayActorInRole>a dealer</lido:displayActorInRole>
        </lido:eventActor>
      </lido:event></lido:eventSet>
      <lido:eventSet><lido:event>
        <lido:eventType><skos:Concept rdf:about="{TERM}lido00007"/></lido:eventType>
        <lido:eventActor><lido:actorInRole><lido:actor lido:type="{TERM}lido00163">
          <lido:nameActorSet><lido:appellationValue lido:label="sort name">Emens, Jan
            </lido:appellationValue><lido:appellationValue lido:label="display name">Jan Emens
            </lido:appellationValue></lido:nameActorSet></lido:actor></lido:actorInRole>
        </lido:eventActor>
        <lido:eventDate><lido:date><lido:earliestDate>1580</lido:earliestDate>
          <lido:latestDate>1600</lido:latestDate></lido:date></lido:eventDate>
        <lido:eventPlace><lido:displayPlace>Raeren</lido:displayPlace></lido:eventPlace>
      </lido:event></lido:eventSet>
    </lido:eventWrap>
    <lido:objectRelationWrap><lido:subjectWrap><lido:subjectSet><lido:subject>
      <lido:subjectConcept><lido:term>beasts</lido:term></lido:subjectConcept>
    </lido:subject></lido:subjectSet></lido:subjectWrap></lido:objectRelationWrap>
  </lido:descriptiveMetadata>
  <lido:administrativeMetadata xml:lang="en">
    <lido:recordWrap>
      <lido:recordID lido:type="{TERM}lido00100">4711</lido:recordID>
      <lido:collection><lido:displayObject>Ceramics</lido:displayObject></lido:collection>
    </lido:recordWrap>
    <lido:resourceWrap>
      <lido:resourceSet>
        <lido:resourceID lido:type="{TERM}lido00100">EA1.jpg</lido:resourceID>
        <lido:resourceRepresentation lido:type="{TERM}lido00451">
          <lido:linkResource>https://example.org/thumb/9.jpg</lido:linkResource>
        </lido:resourceRepresentation>
        <lido:resourceRepresentation lido:type="{TERM}lido00464">
          <lido:linkResource>https://example.org/iiif/2/1234/full/full/0/default.jpg
          </lido:linkResource></lido:resourceRepresentation>
      </lido:resourceSet>
      <lido:resourceSet><lido:resourceRepresentation><lido:linkResource>images/EA2.jpg
      </lido:linkResource></lido:resourceRepresentation></lido:resourceSet>
    </lido:resourceWrap>
  </lido:administrativeMetadata>
</lido:lido>""")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return put_photos(tmp_path / "photos", "EA1.jpg", "EA2.jpg", "EA3.jpg")


def test_every_field_of_an_eodem_record(tmp_path: Path, photos: Path) -> None:
    path = write_text(tmp_path, EODEM, "eodem.xml")
    imported, register = import_checked(path, photos)
    assert photos_of(imported) == {"1889.1": ["EA1.jpg", "EA2.jpg"]}
    assert register is not None
    (label,) = register.label_map().labels
    assert (label.title, label.collection) == ("Jug with beasts", "Ceramics")
    assert label.record == ObjectRecord(
        type="jug", materials="stoneware", measurements="height 21 cm (overall)",
        inscriptions="WR; in a medallion", distinguishing_features="chip at the foot",
        subject="beasts", date="1580 – 1600", maker="Jan Emens", place_of_origin="Raeren",
    )  # fmt: skip
    others = imported.photos[0].others
    assert others["description"] == "A jug."
    assert others["repository"] == "Castle Museum"
    assert others["recordID"] == "4711"
    assert not (tmp_path / "register.map.toml").exists(), "LIDO's elements have one meaning"
    assert {f.kind for f in imported.findings} == {"photo"}, "EA3.jpg"


LIDO_10 = """
    <lido:eventWrap><lido:eventSet><lido:event>
      <lido:eventType><lido:term xml:lang="de">Herstellung</lido:term></lido:eventType>
      <lido:culture><lido:term>Rheinland</lido:term></lido:culture>
      <lido:eventDate><lido:displayDate>um 1600</lido:displayDate></lido:eventDate>
      <lido:eventPlace><lido:place><lido:namePlaceSet><lido:appellationValue>Raeren
        </lido:appellationValue></lido:namePlaceSet></lido:place></lido:eventPlace>
      <lido:eventMaterialsTech><lido:displayMaterialsTech>Steinzeug</lido:displayMaterialsTech>
        <lido:materialsTech><lido:termMaterialsTech><lido:term>clay</lido:term>
        </lido:termMaterialsTech></lido:materialsTech></lido:eventMaterialsTech>
    </lido:event></lido:eventSet></lido:eventWrap>"""


def test_lido_1_0_keeps_materials_in_the_event(tmp_path: Path, photos: Path) -> None:
    text = lido_wrap(lido_record("A", "EA1.jpg", more=LIDO_10))
    _, register = import_checked(write_text(tmp_path, text, "lido.xml"), photos)
    assert register is not None
    assert register.records["A"] == ObjectRecord(
        materials="Steinzeug", date="um 1600", maker="Rheinland", place_of_origin="Raeren"
    )


def test_a_finding_place_counts_where_nobody_knows_the_making(tmp_path: Path, photos: Path) -> None:
    event = LIDO_10.replace("Herstellung", "Excavation")
    text = lido_wrap(lido_record("A", "EA1.jpg", more=event))
    _, register = import_checked(write_text(tmp_path, text, "lido.xml"), photos)
    assert register is not None
    assert register.records["A"] == ObjectRecord(place_of_origin="Raeren")


def test_a_language_is_chosen(tmp_path: Path, photos: Path) -> None:
    german = (
        '<lido:appellationValue xml:lang="de">Krug</lido:appellationValue>'
        '<lido:appellationValue xml:lang="en">Jug</lido:appellationValue>'
    )
    record = lido_record("A", "EA1.jpg").replace(
        "<lido:appellationValue>Jug</lido:appellationValue>", german
    )
    path = write_text(tmp_path, lido_wrap(record), "lido.xml")
    for language, title in ((None, "Krug"), ("en", "Jug"), ("fr", "Krug")):
        _, register = import_checked(path, photos, language=language, force=True)
        assert register is not None
        assert register.label_map()[0].title == title


def test_records_in_another_envelope_and_alone(tmp_path: Path, photos: Path) -> None:
    record = lido_record("A", "EA1.jpg").replace("<lido:lido>", f"<lido:lido {LIDO_NAMESPACES}>")
    envelope = (
        f'<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/"><record>{record}</record></OAI-PMH>'
    )
    for text in (envelope, record):
        imported, _ = import_checked(write_text(tmp_path, text, "oai.xml"), photos, force=True)
        assert photos_of(imported) == {"A": ["EA1.jpg"]}


def test_a_folder_of_files_some_of_them_broken(tmp_path: Path, photos: Path) -> None:
    folder = tmp_path / "lido"
    folder.mkdir()
    write_text(folder, lido_wrap(lido_record("A", "EA1.jpg")), "1.xml")
    write_text(folder, "<html/>", "2.xml")
    write_text(folder, "no xml", "3.xml")
    write_text(folder, lido_wrap(lido_record("B", "EA2.jpg")), "4.xml")
    imported, _ = import_checked(folder, photos)
    assert sorted(photos_of(imported)) == ["A", "B"]
    unread = listed(imported, "unread")
    assert "holds no lido:lido record" in unread["2.xml"]
    assert "is no XML" in unread["3.xml"]


def test_records_without_number_or_photo_are_listed(tmp_path: Path, photos: Path) -> None:
    text = lido_wrap(
        lido_record("A", "EA1.jpg"), lido_record("", "EA2.jpg"), lido_record("C"),
        lido_record("D", "gone.jpg"),
    )  # fmt: skip
    imported, _ = import_checked(write_text(tmp_path, text, "lido.xml"), photos)
    first, *reasons = listed(imported, "row").items()
    assert first == ("lido.xml, record 2 (line 20)", "workID is empty")
    assert [reason for _, reason in reasons] == ["names no photo", "gone.jpg: no such photo"]


@pytest.mark.parametrize(
    ("damage", "lost"),
    [
        (lambda text: text.replace("rec-B</lido:lidoRecID>", "rec-B</lido:wrong>"), {"B"}),
        (lambda text: text.replace("rec-B", "rec-&nothing;B"), {"B"}),
        (lambda text: text.replace("rec-B", "rec-\x01B"), {"B"}),
        (lambda text: text.replace("rec-B", "rec-<B"), {"B"}),
        (lambda text: text.replace("rec-A", "<").replace("rec-C", "<"), {"A", "C"}),
        (lambda text: text[: text.index("rec-C")], {"C"}),
        (lambda text: text[: text.rindex("</lido:lidoWrap>")], set()),
    ],
)
def test_broken_records_cost_no_other(
    tmp_path: Path, photos: Path, damage: object, lost: set[str]
) -> None:
    text = lido_wrap(*(lido_record(x, f"EA{n}.jpg") for n, x in enumerate("ABC", start=1)))
    broken = damage(text)  # type: ignore[operator]
    imported, _ = import_checked(write_text(tmp_path, broken, "lido.xml"), photos)
    assert set(photos_of(imported)) == {"A", "B", "C"} - lost
    reasons = listed(imported, "row")
    assert len(reasons) == len(lost)
    assert all("the XML is broken" in reason for reason in reasons.values())


def test_broken_xml_in_another_encoding(tmp_path: Path, photos: Path) -> None:
    text = lido_wrap(
        lido_record("A", "EA1.jpg").replace("</lido:lido>", "</lido:lidoo>"),
        lido_record("B", "EA2.jpg", title="Bärenkrug"),
    )
    for encoding in ("iso-8859-1", "utf-16"):
        data = text.replace("UTF-8", encoding).encode(encoding)
        path = write_text(tmp_path, data, "lido.xml")
        imported, register = import_checked(path, photos, force=True)
        assert photos_of(imported) == {"B": ["EA2.jpg"]}
        assert register is not None
        assert register.label_map()[0].title == "Bärenkrug"


@pytest.mark.parametrize(
    "definition",
    [
        '<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">',
        '<!ENTITY c SYSTEM "SECRET">',
        '<!ENTITY % p SYSTEM "SECRET"> %p;',
    ],
)
def test_document_type_definitions_are_refused(
    tmp_path: Path, photos: Path, definition: str
) -> None:
    secret = write_text(tmp_path, "TOP SECRET", "secret.txt")
    doctype = f"<!DOCTYPE lido:lidoWrap [{definition.replace('SECRET', secret.as_uri())}]>\n"
    text = lido_wrap(lido_record("A", "EA1.jpg", title="&c;")).replace("?>\n", f"?>\n{doctype}")
    with pytest.raises(InputError, match="document type definition"):
        import_checked(write_text(tmp_path, text, "lido.xml"), photos)
    assert not list(tmp_path.glob("register*"))


def test_a_doctype_that_only_broken_xml_shows_replaces_nothing(
    tmp_path: Path, photos: Path
) -> None:
    text = lido_wrap(lido_record("A", "EA1.jpg", title="&c;"), lido_record("B", "EA2.jpg"))
    doctype = '<!DOCTYPE lido:lidoWrap [<!ENTITY c "TOP SECRET">\n'  # never closed
    path = write_text(tmp_path, text.replace("?>\n", f"?>\n{doctype}"), "lido.xml")
    imported, _ = import_checked(path, photos)
    assert photos_of(imported) == {"B": ["EA2.jpg"]}


def test_a_record_of_endless_elements_is_refused(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xml_records, "MAX_ELEMENTS", 100)
    more = "<lido:x/>" * 100
    text = lido_wrap(lido_record("A", "EA1.jpg", more=more))
    with pytest.raises(InputError, match="a record of over 100 elements"):
        import_checked(write_text(tmp_path, text, "lido.xml"), photos)


def test_what_is_no_lido(tmp_path: Path, photos: Path) -> None:
    with pytest.raises(InputError, match="holds no lido:lido record"):
        import_checked(write_text(tmp_path, "<lido><lido/></lido>", "a.xml"), photos)
    with pytest.raises(InputError, match="is no XML"):
        import_checked(write_text(tmp_path, "<", "a.xml"), photos)
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="holds no"):
        import_checked(tmp_path / "none", photos)


def test_another_identifier_can_be_chosen(tmp_path: Path, photos: Path) -> None:
    text = lido_wrap(lido_record("A", "EA1.jpg"))
    path = write_text(tmp_path, text, "lido.xml")
    imported, _ = import_checked(path, photos, map=("object_id=lidoRecID",))
    assert photos_of(imported) == {"rec-A": ["EA1.jpg"]}
