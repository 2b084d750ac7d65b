"""The report's structure: contents that lead somewhere, folded parts, tables that stack."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from report_case import INT8, full, on, results_of

from benchmarks.report.html import page
from benchmarks.report.html.page import render_report
from benchmarks.report.html.verdict import detailed_threshold, main_target, make_verdict
from benchmarks.report.markdown import markdown_report
from benchmarks.report.omissions import omissions
from benchmarks.results.measurement import Measurement
from benchmarks.results.row_fields import Latency
from benchmarks.results.schema import Results, Row, SkippedPhoto
from benchmarks.results.target import BenchmarkTarget

VOID = {"meta", "img", "br", "link", "input", "hr"}
FLOAT32 = BenchmarkTarget("tflite-float32", "litert")


@dataclass
class Element:
    """An element of the page with its children; `text` is all that stands in it."""

    tag: str
    attributes: dict[str, str | None]
    parent: Element | None = None
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def all(self, *tags: str) -> Iterator[Element]:
        """All elements below, or those with one of the tags, in the order of the page."""
        for child in self.children:
            if not tags or child.tag in tags:
                yield child
            yield from child.all(*tags)

    def above(self, tag: str) -> bool:
        """Whether it stands in such an element."""
        return self.parent is not None and (self.parent.tag == tag or self.parent.above(tag))


class Page(HTMLParser):
    """Reads a page and refuses elements that are closed in another order than opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.root = self.open = Element("page", {})
        self.feed(text)
        assert self.open is self.root, f"<{self.open.tag}> is never closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs), self.open)
        self.open.children.append(element)
        if tag not in VOID:
            self.open = element

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.children.append(Element(tag, dict(attrs), self.open))

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.open.tag, f"</{tag}> closes <{self.open.tag}>"
        assert self.open.parent is not None
        self.open = self.open.parent

    def handle_data(self, data: str) -> None:
        element: Element | None = self.open
        while element is not None:
            element.text += data
            element = element.parent


@pytest.fixture(scope="module", params=["full", "small"])
def report(request: pytest.FixtureRequest, measured: Measurement) -> Element:
    results = full(measured) if request.param == "full" else results_of(measured)
    return Page(render_report(results, [measured])).root


def test_ids_are_unique_and_the_contents_lead_to_every_section_and_part(report: Element) -> None:
    ids = [element.attributes["id"] for element in report.all() if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    (contents,) = report.all("nav")
    links = [str(link.attributes["href"]).removeprefix("#") for link in contents.all("a")]
    titles = [link.text for link in contents.all("a")]
    assert len(links) == len(set(links)) >= 8
    assert set(links) <= set(ids)
    headings = [h.text for h in report.all("h2", "h3") if h.text != "Contents" and _listed(h)]
    assert titles == headings


def _listed(heading: Element) -> bool:
    return heading.tag == "h2" or (heading.parent is not None and heading.parent.tag == "summary")


def test_a_link_into_a_folded_part_stands_inside_it(report: Element) -> None:
    """A browser opens the part only then."""
    (contents,) = report.all("nav")
    links = {str(link.attributes["href"]).removeprefix("#") for link in contents.all("a")}
    inside = {
        element.attributes["id"]
        for details in report.all("details")
        for element in details.all("div")
        if "id" in element.attributes
    }
    assert len(inside & links) >= 5
    assert all("id" not in details.attributes for details in report.all("details"))


def test_details_are_closed_and_can_be_opened_by_keyboard(report: Element) -> None:
    details = list(report.all("details"))
    assert len(details) >= 8
    for element in details:
        assert "open" not in element.attributes
        assert element.children[0].tag == "summary"
        assert element.children[0].text.strip()
        assert [child.tag for child in element.children].count("summary") == 1


def test_little_stands_open(report: Element) -> None:
    """The first screens: two answers, two charts and a few tables; the rest is folded."""
    open_tables = [table for table in report.all("table") if not table.above("details")]
    assert 1 <= len(open_tables) <= 3
    open_pictures = [image for image in report.all("img") if not image.above("details")]
    assert len(open_pictures) <= 10
    charts = [svg for svg in report.all("svg") if "chart" in str(svg.attributes.get("class"))]
    assert len([svg for svg in charts if not svg.above("details")]) <= 3


def test_headings_are_in_order(report: Element) -> None:
    levels = [int(h.tag[1]) for h in report.all("h1", "h2", "h3", "h4", "h5", "h6")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_every_cell_says_its_column_and_every_row_its_name(report: Element) -> None:
    tables = list(report.all("table"))
    assert tables
    assert all(image.attributes["alt"] for image in report.all("img"))
    for svg in report.all("svg"):
        assert svg.attributes.get("aria-hidden") == "true" or svg.attributes.get("aria-label")
    for table in tables:
        titles = [head for head in table.all("th") if head.attributes["scope"] == "col"]
        (body,) = table.all("tbody")
        for row in body.all("tr"):
            name, *cells = row.children
            assert (name.tag, name.attributes["scope"]) == ("th", "row")
            assert name.text.strip()
            assert len(cells) == len(titles) - 1
            for cell, title in zip(cells, titles[1:], strict=True):
                label = str(cell.attributes["data-label"])
                assert label
                assert title.text.replace("\u00a0", " ").startswith(label)
                assert cell.attributes["role"] == "cell"
        assert next(table.all("caption")).text.strip()


def test_tables_stack_on_a_phone_and_folded_parts_are_printed() -> None:
    style = (Path(page.__file__).parent / "style.css.j2").read_text(encoding="utf-8")
    phone = style.split("@media screen and (max-width: 640px) {")[1].split("\n}")[0]
    assert "td::before { content: attr(data-label)" in phone
    assert "display: block" in phone
    print_ = style.split("@media print {")[1].split("\n}")[0]
    assert "details::details-content { content-visibility: visible" in print_


def busy(row: Row, share: float) -> Row:
    latency = Latency(p50=12.0, p90=14.0, p99=21.5, threads=1, runs=50)
    return row.model_copy(update={"latency_ms": latency, "busy_share": share})


def test_a_busy_machine_is_named_beside_each_latency(measured: Measurement) -> None:
    reference, int8 = results_of(measured).rows
    for share, marked in ((0.6, True), (0.1, False)):
        rows = [reference, busy(int8, share), busy(on(int8, FLOAT32), 0.0)]
        rows += [row.model_copy(update={"min_photos": 4}) for row in rows]
        results = results_of(measured).model_copy(update={"rows": tuple(rows)})
        root = Page(render_report(results, [measured])).root
        cells = [td for td in root.all("td") if td.attributes.get("data-label") == "Latency"]
        timed = [cell.text for cell in cells if "12.0 ms" in cell.text]
        assert len([text for text in timed if "machine busy60.0 %" in text]) == marked * (
            len(timed) // 2
        )
        (header,) = root.all("header")
        assert ("machine busy 60.0 %" in header.text) == marked


def at(rows: tuple[Row, ...], *thresholds: int) -> list[Row]:
    return [row.model_copy(update={"min_photos": t}) for t in thresholds for row in rows]


def partly(measured: Measurement) -> Results:
    """int8 at four thresholds, float32 at the lowest only."""
    base = results_of(measured)
    rows = [*base.rows, on(base.rows[1], FLOAT32), *at(base.rows, 4, 5, 6)]
    return base.model_copy(update={"rows": tuple(rows)})


def test_which_variants_were_measured_where_is_said_in_one_place(measured: Measurement) -> None:
    results = partly(measured)
    sentence = (
        "Measured at every threshold: torch-float32 and tflite-int8; only at ≥ 3 photos: "
        "tflite-float32."
    )
    assert ("Variants", sentence) in omissions(results)
    text = render_report(results, [measured])
    assert text.count(sentence) == 1
    assert sentence in markdown_report(results)
    root = Page(text).root
    table = next(root.all("table"))
    row = next(row for row in table.all("tr") if row.text.startswith("tflite-float32"))
    assert [cell.text for cell in row.all("td")][1:4] == ["–not measured"] * 3
    assert not any(what == "Variants" for what, _ in omissions(full(measured)))


def test_all_that_was_left_out_is_said(measured: Measurement) -> None:
    results = results_of(measured)
    reference, int8 = results.rows
    slow = on(int8, BenchmarkTarget("coreml-float16", "coreml-reference"), photos=20)
    reason = {"status": "converted-only", "note": "Core ML needs a Mac.", "top1": None}
    unrun = on(int8, BenchmarkTarget("coreml-w8a8", "none"), **reason)
    skipped = SkippedPhoto(path="a/b.jpg", reason="empty")
    (test_set,) = results.test_sets
    settings = {"limit": 36, "measure_speed": False, "notes": ("A quick demo.",)}
    results = results.model_copy(
        update={
            "rows": (reference, int8, slow, unrun),
            "settings": results.settings.model_copy(update=settings),
            "test_sets": (test_set.model_copy(update={"unreadable": (skipped,)}),),
        }
    )
    words = "\n".join(f"{what}: {words}" for what, words in omissions(results))
    assert words.splitlines() == [
        "Not executed: coreml-w8a8: Core ML needs a Mac.",
        "Photos: At most 36 test photos of each threshold, drawn at random with seed 0.",
        "Photos: ≥ 3 photos: 1 test photos left out: a/b.jpg (empty).",
        "Photos: reference execution, not Core ML is slow and answered fewer, drawn at random: "
        "20 of 36 at ≥ 3 photos.",
        "Speed: Latency and memory were not measured.",
        "Ways of making the input: Not compared.",
        "Scale: A quick demo.",
    ]


def test_speed_at_one_threshold_only_is_said(measured: Measurement) -> None:
    base = results_of(measured)
    settings = base.settings.model_copy(update={"measure_speed": True})
    rows = (base.rows[0], busy(base.rows[1], 0.0), *at(base.rows, 4, 5))
    results = base.model_copy(update={"rows": rows, "settings": settings})
    speed = [words for what, words in omissions(results) if what == "Speed"]
    assert "tflite-int8 not timed at ≥ 4 and 5 photos." in speed


def test_the_report_is_about_what_was_measured_at_most_thresholds(measured: Measurement) -> None:
    base = results_of(measured)
    weights = BenchmarkTarget("tflite-int8-weights", "litert")
    everywhere = on(base.rows[1], weights)
    rows = (*base.rows, everywhere, *at((base.rows[0], everywhere), 4, 5, 6))
    assert main_target(rows) == weights
    assert main_target((*rows, *at((base.rows[1],), 4, 5, 6))) == INT8
    assert detailed_threshold(rows) == 3
    assert detailed_threshold((*base.rows[:1], *at((*base.rows, everywhere), 6))) == 6
    results = base.model_copy(update={"rows": rows})
    assert "int8 weights" in make_verdict(results).headline
    assert Page(render_report(results, [measured])).root
