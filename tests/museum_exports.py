"""Small files such as museums hand over, and an import of them whose accounts are checked."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from conftest import picture

from train.registers.importers.imported import Imported
from train.registers.importers.importer import ImportOptions, plan_import, run_import
from train.registers.readers import read_register
from train.registers.register import Register

LIDO_NAMESPACES = (
    'xmlns:lido="http://www.lido-schema.org" xmlns:skos="http://www.w3.org/2004/02/skos/core#" '
    'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
)


def put_photos(folder: Path, *names: str) -> Path:
    """Photos of these names, each another picture."""
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(path)
    return folder


def import_checked(source: Path, photos: Path, **options: Any) -> tuple[Imported, Register | None]:
    """Imports, and checks that every row and every photo is either used or listed."""
    out = options.pop("out", source.parent / "register.csv")
    plan = plan_import(ImportOptions(source, photos, out, **options))
    imported = run_import(plan)
    listed = [finding for finding in imported.findings if finding.kind == "row"]
    unused = imported.rows - imported.rows_used + imported.media_rows - imported.media_rows_used
    assert unused == len(listed)
    assert len({finding.place for finding in listed}) == len(listed), "each row is listed once"
    assert all(finding.reason for finding in imported.findings)
    named = {photo.path for photo in imported.photos}
    left = {
        f.place for f in imported.findings if f.kind == "photo" and (photos / f.place).is_file()
    }
    on_disk = {p.relative_to(photos).as_posix() for p in photos.rglob("*") if p.is_file()}
    pictures = {name for name in on_disk if name.lower().endswith((".jpg", ".png", ".tif"))}
    assert named | left == pictures
    assert not named & left
    register = read_register(out)
    read = {(photo.object_id, (out.parent / photo.path).resolve()) for photo in register.photos}
    assert read == {(p.object_id, (photos / p.path).resolve()) for p in imported.photos}
    return imported, register


def write_text(folder: Path, text: str | bytes, name: str = "objects.csv") -> Path:
    """A text file, UTF-8 unless bytes are given."""
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return path


def photos_of(imported: Imported) -> dict[str, list[str]]:
    """Names of the photos by object."""
    found: dict[str, list[str]] = {}
    for photo in imported.photos:
        found.setdefault(photo.object_id, []).append(photo.path)
    return found


def listed(imported: Imported, kind: str) -> dict[str, str]:
    """Reasons by place, of one kind."""
    return {f.place: f.reason for f in imported.findings if f.kind == kind}


def write_workbook(path: Path, **sheets: Sequence[Sequence[Any]]) -> Path:
    """A workbook with these rows."""
    from openpyxl import Workbook

    workbook = Workbook()
    workbook.remove(workbook.active)
    for name, rows in sheets.items():
        sheet = workbook.create_sheet(name)
        for row in rows:
            sheet.append(row)
    workbook.save(path)
    return path


def replace_part(path: Path, name: str, content: bytes) -> None:
    """Replaces one part of a workbook."""
    with zipfile.ZipFile(path) as archive:
        parts = {part: archive.read(part) for part in archive.namelist()}
    parts[name] = content
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for part, data in parts.items():
            archive.writestr(part, data)


def read_part(path: Path, name: str) -> bytes:
    """One part of a workbook."""
    with zipfile.ZipFile(path) as archive:
        return archive.read(name)


def share_strings(path: Path, sheet: str = "xl/worksheets/sheet1.xml") -> None:
    """Moves a sheet's texts to the part where Excel itself keeps them."""
    texts: list[str] = []

    def move(match: re.Match[str]) -> str:
        texts.append(match[2])
        return f'<c r="{match[1]}" t="s"><v>{len(texts) - 1}</v></c>'

    xml = read_part(path, sheet).decode("utf-8")
    cell = r'<c r="(\w+)" t="inlineStr"><is><t>([^<]*)</t></is></c>'
    replace_part(path, sheet, re.sub(cell, move, xml).encode("utf-8"))
    items = "".join(f"<si><t>{text}</t></si>" for text in texts)
    table = f'<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">{items}</sst>'
    replace_part(path, "xl/sharedStrings.xml", table.encode("utf-8"))
    types = read_part(path, "[Content_Types].xml").decode("utf-8")
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    override = f'<Override PartName="/xl/sharedStrings.xml" ContentType="{kind}"/></Types>'
    replace_part(path, "[Content_Types].xml", types.replace("</Types>", override).encode("utf-8"))


def lido_wrap(*records: str) -> str:
    """A LIDO file of these records."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<lido:lidoWrap {LIDO_NAMESPACES}>\n'
        + "\n".join(records)
        + "\n</lido:lidoWrap>\n"
    )


def lido_record(number: str, *links: str, title: str = "Jug", more: str = "") -> str:
    """A small record: number, title and photos."""
    resources = "".join(
        "<lido:resourceSet><lido:resourceRepresentation><lido:linkResource>"
        f"{link}</lido:linkResource></lido:resourceRepresentation></lido:resourceSet>"
        for link in links
    )
    return f"""<lido:lido>
  <lido:lidoRecID lido:type="http://terminology.lido-schema.org/lido00100">rec-{number}</lido:lidoRecID>
  <lido:descriptiveMetadata xml:lang="en">
    <lido:objectIdentificationWrap>
      <lido:titleWrap><lido:titleSet>
        <lido:appellationValue>{title}</lido:appellationValue>
      </lido:titleSet></lido:titleWrap>
      <lido:repositoryWrap><lido:repositorySet>
        <lido:workID>{number}</lido:workID>
      </lido:repositorySet></lido:repositoryWrap>
    </lido:objectIdentificationWrap>{more}
  </lido:descriptiveMetadata>
  <lido:administrativeMetadata xml:lang="en">
    <lido:recordWrap><lido:recordID>{number}</lido:recordID></lido:recordWrap>
    <lido:resourceWrap>{resources}</lido:resourceWrap>
  </lido:administrativeMetadata>
</lido:lido>"""


def manifest3(number: str, images: Iterable[Any], **more: Any) -> dict[str, Any]:
    """A IIIF Presentation 3 manifest; an image is an address or a body."""
    base = f"https://example.org/iiif/{number}"
    canvases = [
        {
            "id": f"{base}/canvas/{n}", "type": "Canvas", "height": 40, "width": 48,
            "items": [{
                "id": f"{base}/page/{n}", "type": "AnnotationPage",
                "items": [{
                    "id": f"{base}/annotation/{n}", "type": "Annotation", "motivation": "painting",
                    "target": f"{base}/canvas/{n}",
                    "body": {"id": image, "type": "Image", "format": "image/jpeg"}
                    if isinstance(image, str) else image,
                }],
            }],
        }
        for n, image in enumerate(images, start=1)
    ]  # fmt: skip
    return {
        "@context": "http://iiif.io/api/presentation/3/context.json",
        "id": f"{base}/manifest.json", "type": "Manifest", "label": {"en": [f"Object {number}"]},
        "items": canvases,
    } | more  # fmt: skip


def manifest2(number: str, images: Iterable[Any], **more: Any) -> dict[str, Any]:
    """A IIIF Presentation 2 manifest; an image is an address or a resource."""
    base = f"https://example.org/iiif/{number}"
    canvases = [
        {
            "@id": f"{base}/canvas/{n}", "@type": "sc:Canvas", "label": f"p. {n}",
            "height": 40, "width": 48,
            "images": [{
                "@type": "oa:Annotation", "motivation": "sc:painting", "on": f"{base}/canvas/{n}",
                "resource": {"@id": image, "@type": "dctypes:Image"}
                if isinstance(image, str) else image,
            }],
        }
        for n, image in enumerate(images, start=1)
    ]  # fmt: skip
    return {
        "@context": "http://iiif.io/api/presentation/2/context.json",
        "@id": f"{base}/manifest", "@type": "sc:Manifest", "label": f"Object {number}",
        "sequences": [{"@type": "sc:Sequence", "canvases": canvases}],
    } | more  # fmt: skip


def write_json(path: Path, value: Any) -> Path:
    """A JSON file."""
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    return path
