"""Filling the report's template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from benchmarks.report.formatting import percent
from benchmarks.report.html import latency_memory, sections, summary_tables
from benchmarks.report.html.chart_series import accuracy_figures, trade_off_figures
from benchmarks.report.html.contents import Contents, template_environment
from benchmarks.report.html.examples import ExampleSelector
from benchmarks.report.html.reliability_diagram import reliability_of
from benchmarks.report.html.styles import legend, swatch
from benchmarks.report.html.verdict import (
    detailed_threshold,
    main_target,
    make_verdict,
    one_per_variant,
)
from benchmarks.report.omissions import omissions
from benchmarks.report.parity_table import sorted_rows
from benchmarks.report.runtime_names import short_name
from benchmarks.report.slowdowns import busy_sentence, is_busy, is_slower, pace_sentence
from benchmarks.results.measurement import Measurement
from benchmarks.results.schema import Results, Row
from benchmarks.results.target import BenchmarkTarget

EXAMPLES_SHOWN = 2
"""Answers in pictures that stand open; the others are folded."""


def render_report(results: Results, measurements: Sequence[Measurement]) -> str:
    """The content of `report.html`: one file, no request to anywhere, readable without scripts."""
    rows = sorted_rows(results)
    by_threshold = {measured.case.run.info.min_photos: measured for measured in measurements}
    measurement = by_threshold[
        detailed_threshold([r for r in rows if r.min_photos in by_threshold])
    ]
    threshold = measurement.case.run.info.min_photos
    answered = [row for row in rows if BenchmarkTarget.of(row) in measurement.answers]
    main = main_target(answered)
    detailed = [row for row in rows if row.min_photos == threshold]
    return (
        template_environment()
        .get_template("report/template.html.j2")
        .render(
            contents=Contents(),
            results=results,
            title=results.rows[0].register_name,
            created=results.created[:10],
            verdict=make_verdict(results),
            main=short_name(main.variant),
            first=measurement.case.run.info,
            threshold=threshold,
            several=len({row.min_photos for row in rows}) > 1,
            percent=percent,
            swatch=swatch,
            short_name=short_name,
            omissions=omissions(results),
            custody=next((row.custody for row in rows if row.custody), None),
            devices=list(dict.fromkeys(row.device for row in results.rows if row.device)),
            **_variants(results, rows),
            **_speed(rows, detailed),
            **_accuracy(results, rows, detailed, main, threshold),
            **_answers(measurement, main, detailed),
            costs=sections.costs_of(results),
        )
    )


def _variants(results: Results, rows: Sequence[Row]) -> dict[str, Any]:
    matrix, variants = summary_tables.threshold_matrix(rows), summary_tables.variants_table(rows)
    kept = sections.gates_table([g for g in results.gates if g.passed], "Requirements that hold")
    lost = sections.gates_table(
        [gate for gate in results.gates if not gate.passed], "Requirements that do not hold"
    )
    return {
        "matrix": matrix,
        "variants": replace(variants, terms=()) if matrix else variants,
        "fidelity": summary_tables.fidelity_table(rows),
        "gates": results.gates,
        "gates_kept": kept.rows and (replace(kept, terms=()) if lost.rows else kept),
        "gates_lost": lost.rows and lost,
    }


def _speed(rows: Sequence[Row], detailed: Sequence[Row]) -> dict[str, Any]:
    everywhere = latency_memory.speed_table(rows)
    speed = latency_memory.speed_table(detailed)
    more = everywhere is not None and (speed is None or len(everywhere.rows) > len(speed.rows))
    return {
        "speed": speed,
        "speed_everywhere": replace(everywhere, terms=()) if everywhere and more else None,
        "threads": latency_memory.threads_table(detailed),
        "memory": latency_memory.memory_table(detailed),
        "memory_metrics": latency_memory.memory_metrics(detailed),
        "placement": latency_memory.placement_table(detailed),
        # What is slower is said at the top already.
        "pace": "" if any(is_slower(row) for row in rows) else pace_sentence(rows),
        "busy": busy_sentence(detailed),
        "is_busy": any(is_busy(row) for row in detailed),
    }


def _accuracy(
    results: Results,
    rows: Sequence[Row],
    detailed: Sequence[Row],
    main: BenchmarkTarget,
    threshold: int,
) -> dict[str, Any]:
    once = one_per_variant(rows)
    return {
        "legend": legend(once),
        "trade_offs": trade_off_figures(one_per_variant(detailed)),
        "figures": accuracy_figures(once, main, threshold),
        "paper": sections.paper_table(results),
        "collections": sections.collections_of(detailed, main),
        "reliability": reliability_of(one_per_variant(detailed)),
        "calibration": summary_tables.calibration_table(rows),
    }


def _answers(
    measurement: Measurement, main: BenchmarkTarget, detailed: Sequence[Row]
) -> dict[str, Any]:
    selector = ExampleSelector(measurement, main)
    targets = [BenchmarkTarget.of(row) for row in one_per_variant(detailed)]
    flips = selector.all_flips([t for t in targets if t in measurement.answers])
    # One of each end: the first is the surest right answer, the last the worst mistake.
    examples = selector.examples()
    shown = examples if len(examples) <= EXAMPLES_SHOWN else [examples[0], examples[-1]]
    return {
        "strip": selector.strip(),
        "examples": examples,
        "examples_shown": shown,
        "examples_more": [example for example in examples if example not in shown],
        "flips": flips,
        "pairs": selector.pairs(),
    }
