"""What every form of the report says of variants that are slower than float32."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from report_case import results_of

from artefact_id.benchmark import print_results
from benchmarks.report.csv_tables import csv_table
from benchmarks.report.html.page import render_report
from benchmarks.report.html.verdict import make_verdict
from benchmarks.report.markdown import markdown_report
from benchmarks.report.slowdowns import pace_sentence
from benchmarks.results.measurement import Measurement
from benchmarks.results.row_fields import Latency, LatencyRatio
from benchmarks.results.schema import REFERENCE_VARIANT, Results, Row

SLOWER = "tflite-int8 takes 1.23 times as long (10–90 % of 40 rounds: 1.10 to 1.40)"


@pytest.fixture(scope="module")
def results(measured: Measurement) -> Results:
    return results_of(measured)


def with_ratio(results: Results, median: float, low: float, high: float) -> Results:
    ratio = LatencyRatio(median=median, p10=low, p90=high, rounds=40)
    *others, last = results.rows
    latency = Latency(p50=12.0, p90=14.0, p99=21.5, threads=1, runs=40)
    timed = {"latency_ratio": ratio, "latency_ms": latency}
    rows = (*others, last.model_copy(update=timed))
    return results.model_copy(update={"rows": rows})


def test_a_slower_variant_is_named_with_its_spread(results: Results) -> None:
    sentence = pace_sentence(with_ratio(results, 1.23, 1.1, 1.4).rows)
    assert sentence == f"Slower than float32 in this run: {SLOWER}."
    unsure = pace_sentence(with_ratio(results, 1.02, 0.97, 1.1).rows)
    assert "1.02 times as long" in unsure and "within the spread of the rounds" in unsure


def test_that_none_is_slower_is_said_with_the_slowest(results: Results) -> None:
    sentence = pace_sentence(with_ratio(results, 0.62, 0.6, 0.7).rows)
    assert sentence.startswith(
        "No variant is slower than float32 in this run; the slowest, tflite-i"
    )
    assert "takes 0.62 times as long (10–90 % of 40 rounds: 0.60 to 0.70)" in sentence
    assert pace_sentence(results.rows) == ""
    assert not any("float32" in item for item in make_verdict(results).caveats)


def test_the_network_in_torch_is_no_variant(results: Results) -> None:
    row = with_ratio(results, 4.2, 4.0, 4.4).rows[-1]
    torch_row = row.model_copy(update={"variant": REFERENCE_VARIANT, "runtime": "torch"})
    assert pace_sentence([torch_row]) == ""
    assert "4.20" in pace_sentence([torch_row, row])


def test_a_variant_is_named_once_where_it_is_slowest(results: Results) -> None:
    slow = with_ratio(results, 1.23, 1.1, 1.4).rows[-1]
    slower = with_ratio(results, 1.31, 1.2, 1.5).rows[-1].model_copy(update={"min_photos": 4})
    for rows in ([slow, slower], [slower, slow]):
        sentence = pace_sentence(rows)
        assert "tflite-int8 at 4 photos takes 1.31" in sentence
        assert "1.23" not in sentence


def test_thresholds_and_phones_are_told_apart(results: Results) -> None:
    row = with_ratio(results, 1.23, 1.1, 1.4).rows[-1]
    phone = {"runtime": "android", "min_photos": 4}
    rows: list[Row] = [row, row.model_copy(update=phone)]
    sentence = pace_sentence(rows)
    assert "tflite-int8 at 3 photos takes" in sentence
    assert "tflite-int8 on Android phone at 4 photos takes" in sentence


def test_every_form_of_the_report_names_the_slower_one(
    results: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = with_ratio(results, 1.23, 1.1, 1.4)
    assert SLOWER in markdown_report(slow)
    assert any(SLOWER in caveat for caveat in make_verdict(slow).caveats)
    (line,) = [
        item for item in csv.DictReader(io.StringIO(csv_table(slow))) if item["latency_ratio"]
    ]
    assert (line["latency_ratio_p10"], line["latency_ratio_p90"]) == ("1.1", "1.4")
    assert line["latency_ratio_rounds"] == "40"
    print_results(slow, tmp_path)
    assert SLOWER in capsys.readouterr().err


def test_the_page_names_the_slower_one_and_where_the_files_are_described(
    results: Results, measured: Measurement
) -> None:
    text = render_report(with_ratio(results, 1.23, 1.1, 1.4), [measured])
    assert SLOWER in text
    assert "what accelerators take of it, is in the bundle's DETAILS.md" in text
