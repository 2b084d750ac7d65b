"""The report's sections: what each says, that none is empty, and that all can be read."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console
from test_report import EVIL, INT8, answers_with, make_case, measured_with, results_of

from benchmarks.measure.breakdowns import flipped_answers
from benchmarks.report.csv_tables import csv_files
from benchmarks.report.html import page, render_report
from benchmarks.report.html.examples import FLIPS, FLIPS_OF_OTHERS
from benchmarks.report.html.glossary import GLOSSARY
from benchmarks.report.html.reliability_diagram import draw
from benchmarks.report.html.row_charts import Dot, Scale, draw_dots
from benchmarks.report.html.sections import collections_of, costs_of
from benchmarks.report.html.svg_chart import (
    Band,
    Point,
    Series,
    category_axis,
    chart,
    logarithmic_axis,
)
from benchmarks.report.html.verdict import make_verdict, one_per_variant
from benchmarks.report.markdown import markdown_report
from benchmarks.report.parity_table import results_table
from benchmarks.results.measurement import BenchmarkCase, Measurement
from benchmarks.results.row_fields import (
    CollectionBin,
    Device,
    Latency,
    Memory,
    MemoryUse,
    Placement,
    ReliabilityBin,
)
from benchmarks.results.schema import GateOutcome, PreprocessingCost, Results, Row
from benchmarks.results.target import REFERENCE, BenchmarkTarget

REFERENCE_RUN = BenchmarkTarget("coreml-int8-weights", "coreml-reference")
ARM64 = BenchmarkTarget("tflite-int8", "litert-arm64")
PHONE = Device(
    model="Make Model 9",
    android="16 (API 36)",
    delegate_asked="gpu",
    delegate_used="GPU, 60 of 68 operations",
    temperature_celsius=(31.0, 38.0),
)
METRIC = "counted page by page"


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> BenchmarkCase:
    return make_case(tmp_path_factory.mktemp("squares"))


@pytest.fixture(scope="module")
def measured(case: BenchmarkCase) -> Measurement:
    return measured_with(case, [3], [3])


def gate(*, passed: bool, requirement: str = "drop at most 0.5 points") -> GateOutcome:
    return GateOutcome(
        min_photos=3,
        variant="tflite-int8",
        runtime="litert",
        requirement=requirement,
        measured="0.0 points",
        passed=passed,
    )


def cost(name: str, family: str, lost: float) -> PreprocessingCost:
    return PreprocessingCost.model_validate(
        {
            "register": "squares",
            "min_photos": 3,
            "seed": 0,
            "variant": "tflite-int8",
            "runtime": "litert",
            "family": family,
            "name": name,
            "what": f"What {name} does.",
            "photos": 36,
            "top1": 0.5,
            "top1_ci95": (0.4, 0.6),
            "agreement": 0.5,
            "drop_points": lost,
            "drop_ci95": (lost - 1.0, lost + 1.0),
        }
    )


def timed(row: Row) -> Row:
    return row.model_copy(
        update={
            "latency_ms": Latency(p50=12.0, p90=14.0, p99=21.5, threads=1, runs=50),
            "latency_more": (Latency(p50=7.0, p90=8.0, p99=9.5, threads=4, runs=50),),
            "end_to_end_ms": 15.0,
            "end_to_end_12mp_ms": 166.0,
            "cold_load_ms": 77.0,
            "busy_share": 0.031,
            "memory_bytes": Memory(
                value=9_000_000,
                metric=METRIC,
                detail=MemoryUse(
                    runtime_resident=21_000_000,
                    model_resident=9_000_000,
                    model_private=6_500_000,
                    peak_resident=88_000_000,
                    metric=METRIC,
                ),
            ),
            "placement": Placement(
                delegate="XNNPACK", taken=66, total=68, left={"SOFTMAX": 2}, partitions=3
            ),
        }
    )


def on(row: Row, subject: BenchmarkTarget, **changes: object) -> Row:
    return row.model_copy(update=subject._asdict() | changes)


def full(measured: Measurement) -> Results:
    """Results with something in every section."""
    base = results_of(measured)
    reference, int8 = base.rows
    rows = (
        reference,
        timed(int8),
        on(int8, ARM64, photos=20),
        on(int8, REFERENCE_RUN),
        on(int8, BenchmarkTarget("tflite-float32", "android", "gpu"), device=PHONE),
    )
    return base.model_copy(
        update={
            "rows": (*rows, *(row.model_copy(update={"min_photos": 4}) for row in rows)),
            "gates": (gate(passed=True), gate(passed=False, requirement="agreement at least 99 %")),
            "preprocessing": (cost("swapped", "mistake", 40.0), cost("canvas", "resampling", 0.2)),
            "flipped": tuple(flipped_answers(measured)),
            "settings": base.settings.model_copy(update={"measure_speed": True}),
        }
    )


HEADINGS = {
    "Contents",
    "Every variant",
    "The gates",
    "What smaller and faster costs",
    "The paper beside us",
    "How far its probabilities can be believed",
    "Where a variant changes its mind",
    "Which objects it mixes up",
    "What the input costs",
    "How fast, and how much memory",
    "Memory, runtime and model apart",
    "What the fast library took",
    "What was left out",
    "How it was measured",
}
OPTIONAL = {
    "The gates",
    "The paper beside us",
    "What the input costs",
    "How fast, and how much memory",
    "Memory, runtime and model apart",
    "What the fast library took",
}


def headings(text: str) -> set[str]:
    return set(re.findall(r"<h[23][^>]*>(.*?)</h[23]>", text))


def plain(text: str) -> str:
    """What a reader reads, with single spaces."""
    without = re.sub(r"(?s)<(style|svg)\b.*?</\1>", " ", text)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", without)).replace("\u00a0", " ")


def test_sections_are_there_when_they_have_something_to_say(measured: Measurement) -> None:
    results = full(measured)
    # A backbone that the paper has a number for.
    rows = tuple(row.model_copy(update={"backbone": "tf_efficientnet_b0"}) for row in results.rows)
    text = render_report(results.model_copy(update={"rows": rows}), [measured])
    assert headings(text) >= HEADINGS
    assert not headings(render_report(results_of(measured), [measured])) & OPTIONAL


def test_a_gate_that_fails_is_never_green(measured: Measurement) -> None:
    results = results_of(measured)
    assert make_verdict(results).mood == "good"
    both = results.model_copy(update={"gates": (gate(passed=True), gate(passed=False))})
    verdict = make_verdict(both)
    assert (verdict.mood, verdict.status) == ("attention", "May not ship")
    assert verdict.headline == "It may not ship: 1 of 2 requirements does not hold."
    assert verdict.details == ("Int8 at 3 photos: drop at most 0.5 points; measured: 0.0 points.",)
    text = render_report(both, [measured])
    assert '<div class="status attention">' in text
    assert f"<li>{verdict.details[0]}</li>" in text
    assert 'class="status good"' not in text
    assert '<span class="attention">no</span>' in text


def test_gates_that_hold_let_it_ship(measured: Measurement) -> None:
    results = results_of(measured).model_copy(update={"gates": (gate(passed=True),) * 3})
    verdict = make_verdict(results)
    assert (verdict.mood, verdict.status) == ("good", "May ship")
    assert "all 3 requirements hold" in verdict.headline
    assert "No phone was measured" in " ".join(verdict.caveats)


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "check-failed", "note": "No image input.", "top1": None, "top1_ci95": None},
        {"invalid_answers": 1},
        {"drop_points": 3.0},
        {"agreement": 0.5},
    ],
)
def test_gates_that_hold_do_not_hide_what_they_did_not_ask(
    measured: Measurement, changes: dict[str, object]
) -> None:
    results = results_of(measured)
    odd = on(results.rows[1], BenchmarkTarget("tflite-float32", "litert"), **changes)
    gates = (gate(passed=True),)
    verdict = make_verdict(
        results.model_copy(update={"rows": (*results.rows, odd), "gates": gates})
    )
    assert verdict.mood == "attention"
    assert verdict.status == "Needs attention"
    assert len(verdict.details) == 1
    assert verdict.details[0].lower().startswith(("tflite-float32", "float32"))


def test_nothing_measured_is_not_green_whatever_the_gates(measured: Measurement) -> None:
    results = results_of(measured)
    alone = results.model_copy(update={"rows": results.rows[:1], "gates": (gate(passed=True),)})
    assert make_verdict(alone).mood == "attention"
    empty = results.model_copy(update={"rows": (), "gates": (gate(passed=False),)})
    verdict = make_verdict(empty)
    assert verdict.mood == "attention"
    assert len(verdict.details) == 1


def test_many_failures_are_counted_not_listed(measured: Measurement) -> None:
    results = results_of(measured).model_copy(update={"gates": (gate(passed=False),) * 30})
    details = make_verdict(results).details
    assert len(details) == 9
    assert details[-1] == "And 22 more, in the tables below."


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


def test_a_verdict_on_a_reference_execution_says_so(measured: Measurement) -> None:
    results = results_of(measured)
    row = on(results.rows[1], REFERENCE_RUN)
    verdict = make_verdict(results.model_copy(update={"rows": (results.rows[0], row)}))
    assert "(reference execution, not Core ML)" in verdict.headline
    real = on(row, BenchmarkTarget("coreml-int8-weights", "coreml", "cpu-ne"))
    verdict = make_verdict(results.model_copy(update={"rows": (results.rows[0], real)}))
    assert "(Core ML, CPU and Neural Engine)" in verdict.headline
    assert "Core ML itself" not in " ".join(verdict.caveats)


def test_charts_show_a_variant_once_and_on_the_real_runtime(measured: Measurement) -> None:
    once = one_per_variant(full(measured).rows)
    found = {(row.variant, row.runtime) for row in once}
    assert found == {
        tuple(REFERENCE[:2]),
        ("tflite-int8", "litert"),
        tuple(REFERENCE_RUN[:2]),
        ("tflite-float32", "android"),
    }
    assert len(once) == 2 * len(found)


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
    assert few is not None
    assert many is not None
    assert (len(few.table.rows), few.left_out) == (12, 0)
    assert (len(many.table.rows), many.left_out) == (12, 28)
    shown = [row.name for row in many.table.rows]
    assert shown == [f"C{n:02}" for n in (*range(6), *range(34, 40))]
    assert collections_of([row.model_copy(update={"by_collection": bins(1)})], INT8) is None


def test_reliability_is_drawn_where_it_is() -> None:
    found = (
        ReliabilityBin(low=0.2, high=0.4, photos=4, stated=0.25, right=0.5),
        ReliabilityBin(low=0.8, high=1.0, photos=100, stated=0.75, right=1.0),
    )
    tree = ElementTree.fromstring(draw(found, title="R", style="int8"))
    small, large = [circle.attrib for circle in tree.iter("circle")]
    diagonal = next(line.attrib for line in tree.iter("line") if line.get("class") == "diagonal")
    x1, x2, y1, y2 = (float(diagonal[end]) for end in ("x1", "x2", "y1", "y2"))
    assert float(small["cx"]) == pytest.approx(x1 + 0.25 * (x2 - x1), abs=0.1)
    assert float(small["cy"]) == pytest.approx(y1 + 0.5 * (y2 - y1), abs=0.1)
    assert float(large["cy"]) == pytest.approx(y2, abs=0.1)
    assert y2 < y1  # upwards is more
    assert float(large["r"]) > 2 * float(small["r"])


def test_calibration_is_told_before_and_after_the_temperature(measured: Measurement) -> None:
    row = results_of(measured).rows[1]
    assert row.calibration is not None
    assert row.calibration.error_with_temperature is not None
    words = plain(render_report(results_of(measured), [measured]))
    assert row.calibration_error is not None
    before, after = row.calibration_error, row.calibration.error_with_temperature
    said = f"Calibration error {100 * before:.1f} % , with a temperature {100 * after:.1f} %"
    assert said in words
    assert "temperature 1.50, fitted on 20 validation photos" in words


def test_changed_answers_of_every_variant_are_counted_and_some_shown(case: BenchmarkCase) -> None:
    measured = measured_with(case, list(range(10)), list(range(10, 26)))
    other = BenchmarkTarget("tflite-float32", "litert")
    truth = np.array([photo.object_index for photo in case.test_photos])
    measured.answers[other] = answers_with(truth, list(range(5, 20)))  # type: ignore[index]
    measured.asked[other] = measured.asked[INT8]  # type: ignore[index]
    results = results_of(measured)
    results = results.model_copy(
        update={
            "rows": (*results.rows, on(results.rows[1], other)),
            "flipped": tuple(flipped_answers(measured)),
        }
    )
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
    rows = tuple(
        row.model_copy(update={"busy_share": 0.6}) if row.busy_share else row
        for row in results.rows
    )
    busy = results.model_copy(update={"rows": rows})
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
    rows = [row.model_copy(update={"min_photos": 9}) for row in results_of(measured).rows]
    results = results_of(beyond).model_copy(update={"rows": tuple(rows)})
    text = render_report(results, [beyond])
    assert "s-paper" not in text.split("</style>")[1]


def test_many_variants_get_the_room_of_two_charts(measured: Measurement) -> None:
    results = full(measured)
    names = ("float16", "float32", "int8-weights", "palette6", "w8a8")
    more = [
        on(
            results.rows[1],
            BenchmarkTarget(f"coreml-{name}", "coreml-reference"),
            min_photos=threshold,
        )
        for name in names
        for threshold in (3, 4)
    ]
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


def test_every_table_and_picture_can_be_read_out(measured: Measurement) -> None:
    text = render_report(full(measured), [measured])
    tables = re.findall(r"(?s)<table\b.*?</table>", text)
    assert len(tables) >= 9
    assert all(re.match(r"(?s)<table[^>]*>\s*<caption[^>]*>[^<]{5,}", table) for table in tables)
    assert all('scope="' in cell for cell in re.findall(r"<th\b[^>]*>", text))
    assert all(re.search(r'alt="[^"]+"', image) for image in re.findall(r"<img\b[^>]*>", text))
    for svg in re.findall(r"<svg\b[^>]*>", text):
        assert 'aria-hidden="true"' in svg or 'aria-label="' in svg


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
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
    assert placed is not None
    assert row.memory is not None
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


def test_nothing_is_asked_of_the_network(measured: Measurement) -> None:
    text = render_report(full(measured), [measured])
    assert "http" not in text
    assert "url(" not in text
    assert "@import" not in text
    assert "{{" not in text
    assert "{%" not in text


def test_markdown_holds_the_same_sections(measured: Measurement) -> None:
    text = markdown_report(full(measured))
    found = set(re.findall(r"(?m)^## (.*)$", text))
    wanted = {"Gates", "How near to full precision", "Calibration", "Latency", "Memory"}
    assert found >= wanted | {"From photo to answer", "Placement"}
    target = "Int8, objects with at least 3 photos, 36 photos"
    assert f"What the input costs: {target}" in found
    assert f"Mistakes in an app: {target}" in found
    assert "| swapped | 40.0 (39.0 to 41.0) |" in text
    assert f"- Memory: read as {METRIC}." in text
    assert "| tflite-int8 | ≥ 3 | 1 | 12.0 ms | 14.0 ms | 21.5 ms |" in text
    assert "| agreement at least 99 % | 0.0 points | **no** |" in text
    assert "coreml-int8-weights · reference" in text
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


def test_lanes_stand_where_their_numbers_are() -> None:
    scale = Scale.over([-2.0, 10.0], zero=True)
    svg = draw_dots(scale, [Dot("int8", 4.0, -2.0, 10.0)], line_at=0.0)
    (dot,) = re.findall(r'cx="([\d.]+)%"', svg)
    low, high = re.findall(r'class="whisker" x1="([\d.]+)%" x2="([\d.]+)%"', svg)[0]
    assert float(dot) == pytest.approx((float(low) + float(high)) / 2, abs=0.02)
    assert 0 < float(low) < float(high) < 100
    assert svg.count('class="axis"') == 1
    assert Scale.over([5.0, 5.0]).at(5.0) == pytest.approx(50.0)
    assert Scale.over([3.0], zero=True).low == 0.0


def test_a_logarithmic_axis_keeps_ratios() -> None:
    axis = logarithmic_axis("MB", [3.0, 300.0])
    assert axis.part(30.0) - axis.part(3.0) == pytest.approx(axis.part(300.0) - axis.part(30.0))
    assert (axis.part(axis.low), axis.part(axis.high)) == (0.0, 1.0)
    assert 0 < axis.part(3.0) < axis.part(300.0) < 1
    assert [label for _, label in axis.ticks] == ["5", "10", "20", "50", "100", "200"]


def test_a_band_is_part_of_the_chart() -> None:
    series = [Series("int8", (Point(0, 0.9, 0.88, 0.92, ""),))]
    band = Band(((-0.5, 0.6, 0.7), (0.5, 0.6, 0.7)), "A & B")
    tree = ElementTree.fromstring(chart(series, category_axis("n", ["3"]), title="t", band=band))
    area = next(one for one in tree.iter("polygon") if one.get("class") == "band")
    heights = [float(corner.split(",")[1]) for corner in str(area.get("points")).split()]
    mark = next(one for one in tree.iter("polygon") if one.get("class") is None)
    marks = [float(corner.split(",")[1]) for corner in str(mark.get("points")).split()]
    assert max(marks) < min(heights)  # what is less stands lower
    assert max(heights) <= 310 - 52
    assert any(text.text == "A & B" for text in tree.iter("text"))
