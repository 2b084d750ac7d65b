"""The report's sections: what each says, that none is empty, and that all can be read."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from report_case import (
    EVIL,
    INT8,
    METRIC,
    PHONE,
    REFERENCE_RUN,
    answers_with,
    cost,
    full,
    gate,
    measured_with,
    on,
    results_of,
)
from rich.console import Console

from benchmarks.measure.breakdowns import flipped_answers
from benchmarks.report.csv_tables import csv_files
from benchmarks.report.html import page
from benchmarks.report.html.examples import FLIPS, FLIPS_OF_OTHERS
from benchmarks.report.html.page import render_report
from benchmarks.report.html.sections import collections_of, costs_of
from benchmarks.report.html.table import GLOSSARY
from benchmarks.report.html.verdict import one_per_variant
from benchmarks.report.markdown import markdown_report
from benchmarks.report.parity_table import results_table
from benchmarks.results.measurement import BenchmarkCase, Measurement
from benchmarks.results.row_fields import CollectionBin, Memory
from benchmarks.results.schema import Results, Row
from benchmarks.results.target import REFERENCE, BenchmarkTarget

OPTIONAL = {
    "The gates", "The paper beside us", "What the input costs", "How fast, and how much memory",
    "Memory, runtime and model apart", "What the fast library took",
}  # fmt: skip
HEADINGS = OPTIONAL | {
    "Contents", "Every variant", "What smaller and faster costs", "What was left out",
    "How far its probabilities can be believed", "Where a variant changes its mind",
    "Which objects it mixes up", "How it was measured",
}  # fmt: skip


def headings(text: str) -> set[str]:
    return set(re.findall(r"<h[23][^>]*>(.*?)</h[23]>", text))


def with_rows(results: Results, changes: Callable[[Row], dict[str, object]]) -> Results:
    rows = tuple(row.model_copy(update=changes(row)) for row in results.rows)
    return results.model_copy(update={"rows": rows})


def plain(text: str) -> str:
    """What a reader reads, with single spaces."""
    without = re.sub(r"(?s)<(style|svg)\b.*?</\1>", " ", text)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", without)).replace("\u00a0", " ")


def test_sections_are_there_when_they_have_something_to_say(measured: Measurement) -> None:
    results = full(measured)
    # A backbone that the paper has a number for.
    results = with_rows(results, lambda _: {"backbone": "tf_efficientnet_b0"})
    text = render_report(results, [measured])
    assert headings(text) >= HEADINGS
    assert not headings(render_report(results_of(measured), [measured])) & OPTIONAL


def test_runtimes_are_called_what_they_are(measured: Measurement) -> None:
    words = plain(render_report(full(measured), [measured]))
    assert "reference execution, not Core ML" in words
    assert "not Core ML itself; accuracy only" in words
    assert "the phone’s kernels on an emulated processor; accuracy only" in words
    assert "Core ML itself did not run" in words
    assert "Make Model 9, GPU, 60 of 68 operations" in words
    assert "asked for gpu, executed by GPU, 60 of 68 operations" in words
    words = plain(render_report(results_of(measured), [measured]))
    assert "Core ML" not in words
    assert "emulated" not in words


def test_charts_show_a_variant_once_and_on_the_real_runtime(measured: Measurement) -> None:
    once = one_per_variant(full(measured).rows)
    shown_rows = {(row.variant, row.runtime) for row in once}
    assert shown_rows == {
        tuple(REFERENCE[:2]),
        ("tflite-int8", "litert"),
        tuple(REFERENCE_RUN[:2]),
        ("tflite-float32", "android"),
    }
    assert len(once) == 2 * len(shown_rows)


def test_thresholds_stand_beside_each_other(measured: Measurement) -> None:
    text = render_report(full(measured), [measured])
    table = re.findall(r"(?s)<table\b.*?</table>", text)[0]
    assert "≥ 3 photos" in table
    assert "≥ 4 photos" in table
    assert table.count("97.2 %") == 10  # five subjects at two thresholds
    assert table.count("drop 0.0") == 8  # all but the reference
    only = render_report(results_of(measured), [measured])
    assert "≥ 3 photos" not in only


def bins(count: int) -> tuple[CollectionBin, ...]:
    return tuple(
        CollectionBin(collection=f"C{n:02}", photos=100 - n, top1=0.5, top1_ci95=(0.4, 0.6))
        for n in range(count)
    )


def test_of_many_collections_the_largest_and_smallest_are_shown(measured: Measurement) -> None:
    row = results_of(measured).rows[1]
    few = collections_of([row.model_copy(update={"by_collection": bins(12)})], INT8)
    many = collections_of([row.model_copy(update={"by_collection": bins(40)})], INT8)
    assert (len(few.table.rows), few.left_out) == (12, 0)
    assert (len(many.table.rows), many.left_out) == (12, 28)
    shown = [row.name for row in many.table.rows]
    assert shown == [f"C{n:02}" for n in (*range(6), *range(34, 40))]
    assert collections_of([row.model_copy(update={"by_collection": bins(1)})], INT8) is None


def test_calibration_is_told_before_and_after_the_temperature(measured: Measurement) -> None:
    row = results_of(measured).rows[1]
    assert row.calibration.error_with_temperature is not None
    words = plain(render_report(results_of(measured), [measured]))
    assert row.calibration_error is not None
    before, after = row.calibration_error, row.calibration.error_with_temperature
    errors = f"Calibration error {100 * before:.1f} % , with a temperature {100 * after:.1f} %"
    assert errors in words
    assert "temperature 1.50, fitted on 20 validation photos" in words


def test_changed_answers_of_every_variant_are_counted_and_some_shown(
    noise_case: BenchmarkCase,
) -> None:
    measured = measured_with(noise_case, list(range(10)), list(range(10, 26)))
    other = BenchmarkTarget("tflite-float32", "litert")
    truth = np.array([photo.object_index for photo in noise_case.test_photos])
    measured.answers[other] = answers_with(truth, list(range(5, 20)))  # type: ignore[index]
    measured.positions[other] = measured.positions[INT8]  # type: ignore[index]
    results = results_of(measured)
    rows = (*results.rows, on(results.rows[1], other))
    flipped = tuple(flipped_answers(measured))
    results = results.model_copy(update={"rows": rows, "flipped": flipped})
    text = render_report(results, [measured])
    words = plain(text)
    assert "differs from full precision on 26 of 36 photos: 16 right answers lost, 10 won" in words
    assert "differs from full precision on 15 of 36 photos: 10 right answers lost, 5 won" in words
    assert text.count('class="card flip"') == FLIPS + FLIPS_OF_OTHERS
    assert "All 41 changed answers" in words
    assert len(list(csv.DictReader(io.StringIO(csv_files(results)["flipped.csv"])))) == 41


def test_ways_of_making_the_input_are_sorted_by_cost_and_kept_apart(measured: Measurement) -> None:
    ways = [("a", "resampling", 0.1), ("b", "mistake", 3.0), ("c", "mistake", 50.0)]
    ways.append(("d", "resampling", 2.0))
    results = results_of(measured).model_copy(
        update={"preprocessing": tuple(cost(*way) for way in ways)}
    )
    (costs,) = costs_of(results)
    ordered = [[row.name for row in table.rows] for _, table in costs.charts]
    assert ordered == [["d", "a"], ["c", "b"]]
    words = plain(render_report(results, [measured]))
    assert "has probably made that mistake" in words
    assert "What c does." in words


def test_times_and_memory_are_told_in_full(measured: Measurement) -> None:
    words = plain(render_report(full(measured), [measured]))
    for number in ("21.5 ms", "9.5 ms", "166 ms", "77.0 ms", "3.1 %"):
        assert number in words, number
    assert "21.0 MB 9.0 MB 6.5 MB 88.0 MB" in words
    assert f"Read as: {METRIC}." in words
    assert "XNNPACK 66 of 68 3 SOFTMAX × 2" in words


def test_busy_machines_make_times_doubtful(measured: Measurement) -> None:
    results = full(measured)
    busy = with_rows(results, lambda row: {"busy_share": 0.6} if row.busy_share else {})
    assert "worth little" in render_report(busy, [measured])
    assert "worth little" not in render_report(results, [measured])


def test_the_paper_is_drawn_faint_with_its_remark(measured: Measurement) -> None:
    text = render_report(full(measured), [measured])
    assert text.count('class="mk s-paper"') == 1
    for heading in ("<h4>Accuracy by threshold</h4>", "<h3>Accuracy by latency</h3>"):
        assert 'class="band"' in text.split(heading)[1].split("</figure>")[0]
    assert "for orientation only: their register is another" in text
    run = measured.case.run
    info = run.info.model_copy(update={"min_photos": 9})
    beyond = replace(measured, case=replace(measured.case, run=replace(run, info=info)))
    results = with_rows(results_of(beyond), lambda _: {"min_photos": 9})
    text = render_report(results, [beyond])
    assert "s-paper" not in text.split("</style>")[1]


def test_many_variants_get_the_room_of_two_charts(measured: Measurement) -> None:
    results = full(measured)
    names = ("float16", "float32", "int8-weights", "palette6", "w8a8")
    targets = [BenchmarkTarget(f"coreml-{name}", "coreml-reference") for name in names]
    more = [on(results.rows[1], target, min_photos=n) for target in targets for n in (3, 4)]
    text = render_report(results.model_copy(update={"rows": (*results.rows, *more)}), [measured])
    assert '<figure class="card whole"><h4>Accuracy by threshold</h4>' in text
    assert 'class="card whole"' not in render_report(results, [measured])
    svg = re.findall(r"(?s)<svg class=\"chart many wide\".*?</svg>", text)[0]
    marks = re.findall(r'<g class="mk s-([^"]+)">', svg)
    assert len(set(marks)) == len({row.variant for row in (*results.rows, *more)})


def test_words_are_explained_where_they_are_used(measured: Measurement) -> None:
    every = render_report(full(measured), [measured])
    some = render_report(results_of(measured), [measured])
    terms = [set(re.findall(r"<dt>(.*?)</dt><dd>", text)) for text in (every, some)]
    assert terms[0] >= set(GLOSSARY) | {"Reference execution", "LiteRT for Arm64, emulated"}
    assert terms[0] - terms[1] >= {"Gate, requirement", "XNNPACK", "Other work"}
    for text in (every, some):  # each once, below the table that uses it
        explained = [t for t in re.findall(r"<dt>(.*?)</dt><dd>", text) if t in GLOSSARY]
        assert sorted(explained) == sorted(set(explained))
    assert every.index("<dt>Drift</dt>") - every.index(">Largest drift</th>") < 20_000


def luminance(colour: str) -> float:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_text_stands_out_in_light_dark_and_print() -> None:
    source = (Path(page.__file__).parent / "style.css.j2").read_text(encoding="utf-8")
    themes = re.findall(r":root \{(.*?)\}", source, re.DOTALL)
    assert len(themes) == 3
    for theme in themes:
        colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})", theme))
        colours = {
            k: v if len(v) == 7 else "#" + "".join(2 * c for c in v[1:]) for k, v in colours.items()
        }
        for text in ("ink", "soft", "good", "attention"):
            for ground in ("page", "card", "tile", "band", f"{text}-tint"):
                if ground in colours:
                    assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)


def test_words_from_outside_are_escaped_in_every_section(measured: Measurement) -> None:
    results = full(measured)
    row = results.rows[1]
    placed = row.placement
    odd = row.model_copy(
        update={
            "variant": EVIL,
            "unit": EVIL,
            "note": EVIL,
            "by_collection": (*bins(2), bins(1)[0].model_copy(update={"collection": EVIL})),
            "placement": placed.model_copy(update={"left": {EVIL: 1}, "delegate": EVIL}),
            "memory_bytes": Memory(
                value=1, metric=EVIL, detail=row.memory.model_copy(update={"metric": EVIL})
            ),
            "device": PHONE.model_copy(update={"model": EVIL, "delegate_used": EVIL}),
        }
    )
    changed = results.model_copy(
        update={
            "rows": (*results.rows, odd, odd.model_copy(update={"status": "check-failed"})),
            "gates": (gate(passed=False, requirement=EVIL),),
            "preprocessing": (cost(EVIL, "mistake", 3.0),),
        }
    )
    text = render_report(changed, [measured])
    assert "<script" not in text
    assert text.count("&lt;script&gt;") > 10


def test_markdown_holds_the_same_sections(measured: Measurement) -> None:
    text = markdown_report(full(measured))
    shown_rows = set(re.findall(r"(?m)^## (.*)$", text))
    wanted = {"Gates", "How near to full precision", "Calibration", "Latency", "Memory"}
    assert shown_rows >= wanted | {"From photo to answer", "Placement"}
    target = "Int8, objects with at least 3 photos, 36 photos"
    assert f"What the input costs: {target}" in shown_rows
    assert f"Mistakes in an app: {target}" in shown_rows
    assert "| swapped | 40.0 (39.0 to 41.0) |" in text
    assert f"- Memory: read as {METRIC}." in text
    assert "| tflite-int8 | ≥ 3 | 1 | 12.0 ms | 14.0 ms | 21.5 ms |" in text
    assert "| agreement at least 99 % | 0.0 points | **no** |" in text
    assert "| coreml-int8-weights (reference execution, not Core ML) | ≥ 3 |" in text
    assert "not Core ML itself" in text
    assert not re.search(r"(?m)^## .*\n\n\|.*\n\|[ -|]*\n(?!\|)", text)  # no table is empty
    less = set(re.findall(r"(?m)^## (.*)$", markdown_report(results_of(measured))))
    assert not less & {"Gates", "Latency", "Memory", "Placement"}
    assert not any("input" in title for title in less)


def test_a_bar_in_words_does_not_break_a_table(measured: Measurement) -> None:
    results = full(measured).model_copy(update={"gates": (gate(passed=True, requirement="a|b"),)})
    table = markdown_report(results).split("## Gates\n\n")[1].split("\n\n")[0].splitlines()
    assert any("a\\|b" in line for line in table)
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {6}


def test_csv_files_hold_the_new_columns(measured: Measurement) -> None:
    files = csv_files(full(measured))
    assert set(files) >= {"results.csv", "latency.csv", "preprocessing.csv", "gates.csv"}
    rows = list(csv.DictReader(io.StringIO(files["results.csv"])))
    fast = next(row for row in rows if row["latency_p50_ms"])
    assert (fast["latency_p99_ms"], fast["model_private_bytes"]) == ("21.5", "6500000")
    assert float(fast["drift_mean"]) == pytest.approx(0.01)
    assert fast["calibration_error_with_temperature"]
    assert {row["unit"] for row in rows} == {"", "gpu"}
    assert [row["threads"] for row in csv.DictReader(io.StringIO(files["latency.csv"]))] == [
        *("1", "4", "1", "4")
    ]
    assert set(csv_files(results_of(measured))) == {"results.csv"}


def test_the_terminal_table_fits_and_names_runtimes(measured: Measurement) -> None:
    results = full(measured)
    stream = io.StringIO()
    Console(width=80, file=stream).print(results_table(results))
    text = stream.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert "coreml-int8-weights · reference" in text
    assert "tflite-int8 · arm64" in text
    assert "reference: a reference execution, not Core ML itself." in text
    stream = io.StringIO()
    Console(width=80, file=stream).print(results_table(results_of(measured)))
    assert "·" not in stream.getvalue()
