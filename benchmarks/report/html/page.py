"""Filling the report's template."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from jinja2 import Environment, PackageLoader, PrefixLoader, Template

from benchmarks.report.formatting import percent
from benchmarks.report.html import latency_memory, sections
from benchmarks.report.html.chart_series import make_figures
from benchmarks.report.html.examples import ExampleSelector, prediction_flips
from benchmarks.report.html.glossary import definitions
from benchmarks.report.html.model_files import accelerators_of, model_files
from benchmarks.report.html.reliability_diagram import reliability_of
from benchmarks.report.html.styles import legend
from benchmarks.report.html.summary_tables import (
    calibration_lines,
    fidelity_lines,
    hashes,
    how_measured,
    how_timed,
    left_out,
    settings_words,
    speed_lines,
    threshold_matrix,
    variant_groups,
)
from benchmarks.report.html.verdict import main_target, make_verdict, one_per_variant
from benchmarks.report.paper_comparison import paper_comparisons
from benchmarks.report.parity_table import sorted_rows
from benchmarks.report.runtime_names import runtime_name, runtime_sentences, short_name
from benchmarks.report.slowdowns import pace_sentence
from benchmarks.results.measurement import Measurement
from benchmarks.results.schema import Results, Row
from benchmarks.results.target import BenchmarkTarget


def render_report(results: Results, measurements: Sequence[Measurement]) -> str:
    """The content of `report.html`: one file, no request to anywhere, readable without scripts.

    Args:
        results: All rows.
        measurements: The answers behind them; pictures are of the one with the lowest threshold.
    """
    first = min(measurements, key=lambda measured: measured.case.run.info.min_photos)
    main = main_target([row for row in results.rows if BenchmarkTarget.of(row) in first.answers])
    storyteller = ExampleSelector(first, main)
    minds = prediction_flips(storyteller, _shown(results, first))
    rows = sorted_rows(results)
    once = one_per_variant(rows)
    lowest = _lowest(rows)
    bundle = first.case.bundle
    return _template().render(
        results=results,
        title=results.rows[0].register_name,
        created=results.created[:10],
        verdict=make_verdict(results),
        main=short_name(main.variant),
        main_place=runtime_name(main.runtime, main.unit),
        first=first.case.run.info,
        shown_photos=len(first.asked[main]),
        several=len({row.min_photos for row in rows}) > 1,
        matrix=threshold_matrix(rows),
        groups=variant_groups(rows),
        runtime_sentences=runtime_sentences(rows),
        fidelity=fidelity_lines(rows),
        speed=speed_lines(rows),
        pace=pace_sentence(rows),
        made=model_files(bundle, lowest, main=main.variant),
        accelerators=accelerators_of(bundle, lowest),
        legend=legend(once),
        figures=make_figures(once, main),
        collections=sections.collections_of(lowest, main),
        reliability=reliability_of(_lowest(once)),
        calibration=calibration_lines(rows),
        costs=sections.costs_of(results),
        timings=latency_memory.latency_tables(lowest),
        memory=latency_memory.memory_tables(lowest),
        placements=latency_memory.placements_of(lowest),
        gates=sections.gates_of(results.gates),
        beside=sections.paper_of(paper_comparisons(results)),
        strip=storyteller.strip(),
        examples=storyteller.examples(),
        minds=minds,
        pairs=storyteller.pairs(),
        definitions=definitions(results),
        left_out=left_out(results),
        percent=percent,
        how=how_measured(results),
        how_timed=how_timed(results),
        busy=latency_memory.busy_words(results.rows),
        settings=settings_words(results),
        hashes=hashes(results),
        devices=list(dict.fromkeys(row.device for row in results.rows if row.device)),
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=PrefixLoader({"report": PackageLoader("benchmarks.report.html", ".")}),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["unbroken"] = _unbroken
    return environment.get_template("report/template.html.j2")


def _unbroken(words: str) -> str:
    """Keeps numbers and their unit on one line."""
    return words.replace(" %", "\u00a0%")


def _shown(results: Results, first: Measurement) -> list[BenchmarkTarget]:
    """What the first case's changed answers are shown of: each variant on one runtime."""
    threshold = first.case.run.info.min_photos
    own = [row for row in results.rows if row.min_photos == threshold]
    return [
        subject
        for row in one_per_variant(own)
        if (subject := BenchmarkTarget.of(row)) in first.answers
    ]


def _lowest(rows: Sequence[Row]) -> list[Row]:
    """Of the lowest threshold, which has the most objects."""
    lowest = min(row.min_photos for row in rows)
    return [row for row in rows if row.min_photos == lowest]
