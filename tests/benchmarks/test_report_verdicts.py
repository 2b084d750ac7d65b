"""The report's verdict: what is green, what is not, and what it is a verdict on."""

from __future__ import annotations

import pytest
from report_case import (
    REFERENCE_RUN,
    gate,
    on,
    results_of,
)

from benchmarks.report.html.page import render_report
from benchmarks.report.html.verdict import make_verdict
from benchmarks.results.measurement import Measurement
from benchmarks.results.target import BenchmarkTarget


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


def test_a_verdict_on_a_reference_execution_says_so(measured: Measurement) -> None:
    results = results_of(measured)
    row = on(results.rows[1], REFERENCE_RUN)
    verdict = make_verdict(results.model_copy(update={"rows": (results.rows[0], row)}))
    assert "(reference execution, not Core ML)" in verdict.headline
    real = on(row, BenchmarkTarget("coreml-int8-weights", "coreml", "cpu-ne"))
    verdict = make_verdict(results.model_copy(update={"rows": (results.rows[0], real)}))
    assert "(Core ML, CPU and Neural Engine)" in verdict.headline
    assert "Core ML itself" not in " ".join(verdict.caveats)
