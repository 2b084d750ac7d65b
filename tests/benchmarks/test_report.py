"""The report: what it says first, that it stands alone, and that its charts are drawn truly."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from report_case import INT8, OBJECTS, REFERENCE_RUN, gate, measured_with, on, results_of
from result_rows import make_row

from benchmarks.report.html.examples import FLIPS, ExampleSelector
from benchmarks.report.html.page import render_report
from benchmarks.report.html.verdict import make_verdict
from benchmarks.results.classification import reduce_answers
from benchmarks.results.measurement import BenchmarkCase, Measurement, Skipped
from benchmarks.results.target import BenchmarkTarget
from mobile_assets.decision import DecisionThresholds


def test_a_faithful_variant_is_called_so(noise_case: BenchmarkCase) -> None:
    measured = measured_with(noise_case, [3], [3])
    verdict = make_verdict(results_of(measured))
    assert verdict.mood == "good"
    assert "100.0\u00a0% of 36 photos; just as many first answers are right" in verdict.headline
    assert verdict.details == ()
    text = render_report(results_of(measured), [measured])
    assert "Faithful to full precision" in text
    assert "Nowhere: on all 36 photos" in text


def test_a_variant_that_lost_accuracy_needs_attention(noise_case: BenchmarkCase) -> None:
    measured = measured_with(noise_case, [3], [3, 5, 7, 9, 20])
    verdict = make_verdict(results_of(measured))
    assert verdict.mood == "attention"
    assert "88.9\u00a0%" in verdict.headline
    assert "11.1\u00a0points fewer" in verdict.headline
    assert len(verdict.details) == 1
    assert "drop 11.1 points" in verdict.details[0]
    text = render_report(results_of(measured), [measured])
    assert "Needs attention" in text
    assert "Faithful" not in text
    assert "differs from full precision on 4 of 36 photos" in text


def test_a_gain_within_chance_is_said_to_be_one(noise_case: BenchmarkCase) -> None:
    verdict = make_verdict(results_of(measured_with(noise_case, [0, 1], [1])))
    assert "2.8\u00a0points more" in verdict.headline
    assert "may be chance" in verdict.explanation


def test_one_failing_row_is_enough(noise_case: BenchmarkCase) -> None:
    # At one threshold the drop is larger but allowed; at the other too many answers changed.
    good = results_of(measured_with(noise_case, [3], [3]))
    strayed = results_of(measured_with(noise_case, [0, 1, 2, 3], [10, 11, 12]))
    other = strayed.rows[1].model_copy(update={"min_photos": 6})
    verdict = make_verdict(good.model_copy(update={"rows": (*good.rows, other)}))
    assert verdict.mood == "attention"
    assert "(6 photos)" in verdict.headline
    file = strayed.rows[1].model_copy(update={"variant": "tflite-float32"})
    verdict = make_verdict(good.model_copy(update={"rows": (*good.rows, file)}))
    assert verdict.mood == "attention"
    assert verdict.details[0].startswith("Float32")


def test_the_report_stands_alone(noise_case: BenchmarkCase) -> None:
    measured = measured_with(noise_case, [3], [3, 5])
    text = render_report(results_of(measured), [measured])
    sources = re.findall(r'\b(?:src|action|data)="([^"]*)"', text)
    assert sources
    assert all(source.startswith("data:image/webp;base64,") for source in sources)
    assert all(link.startswith("#") for link in re.findall(r'href="([^"]*)"', text))
    assert "http" not in text
    assert "url(" not in text
    assert "@import" not in text
    assert "<script" not in text
    assert str(noise_case.photos) not in text


def test_the_report_stays_small_with_the_hardest_photos(noise_case: BenchmarkCase) -> None:
    measured = measured_with(noise_case, [], list(range(36)))  # noise does not compress
    assert len(render_report(results_of(measured), [measured])) < 3_000_000


def test_photos_that_are_gone_leave_a_gap_not_an_error(
    noise_case: BenchmarkCase, tmp_path: Path
) -> None:
    measured = measured_with(replace(noise_case, photos=tmp_path), [3], [3, 5])
    assert "no picture" in render_report(results_of(measured), [measured])


def test_left_out_photos_and_given_rows_are_told(noise_case: BenchmarkCase) -> None:
    measured = replace(
        measured_with(noise_case, [3], [3]),
        unreadable=(Skipped("a/b/broken.jpg", "the file is empty (0 bytes)"),),
        in_training=(Skipped("copy.jpg", "the same file as a training photo"),),
    )
    point = make_row(
        register="squares", variant="floor", runtime="given", status="given",
        note="From elsewhere.", photos=36, top1=0.5, top1_ci95=(0.4, 0.6),
    )  # fmt: skip
    text = render_report(results_of(measured, point), [measured])
    assert "2 test photos left out" in text
    assert "broken.jpg" in text
    assert "the same file as a training photo" in text
    assert "From elsewhere." in text


def test_examples_show_what_happened(noise_case: BenchmarkCase) -> None:
    measured = measured_with(noise_case, [0, 1], [1, 3, 6])
    selector = ExampleSelector(measured, INT8)
    changed = selector.flips()
    assert changed.count == 3
    outcomes = [flip.outcome for flip in changed.flips]
    assert outcomes == ["right → wrong", "right → wrong", "wrong → right"]
    assert all(flip.reference.right != flip.changed.right for flip in changed.flips)
    examples = selector.examples()
    assert {example.kind for example in examples} >= {"Right, a match"}
    for example in examples:
        probabilities = [candidate.probability or 0.0 for candidate in example.candidates]
        assert probabilities == sorted(probabilities, reverse=True)
    assert sum(pair.count for pair in selector.pairs()) == 3
    assert len(selector.strip()) == OBJECTS


@pytest.mark.parametrize(
    ("match", "kind", "verdict"),
    [(0.9, "Right, a match", "match"), (1.0, "Right, from a shortlist", "shortlist")],
)
def test_a_sure_answer_is_called_what_the_phone_calls_it(
    noise_case: BenchmarkCase, match: float, kind: str, verdict: str
) -> None:
    thresholds = DecisionThresholds(match=match, reject=0.2, validation_photos=10)
    info = noise_case.bundle.info.model_copy(update={"decision": thresholds})
    bundle = replace(noise_case.bundle, info=info)
    measured = measured_with(replace(noise_case, bundle=bundle), [], [])
    sure = np.zeros((len(measured.truth), OBJECTS), np.float32)
    sure[np.arange(len(sure)), measured.truth] = 1.0
    answers = reduce_answers(sure, measured.truth, keep=10)
    measured = replace(measured, answers={**measured.answers, INT8: answers})
    examples = ExampleSelector(measured, INT8).examples()
    assert {(example.kind, example.verdict) for example in examples} == {(kind, verdict)}
    assert f"The phone says: {verdict}." in render_report(results_of(measured), [measured])


def test_at_most_half_of_the_changed_answers_shown_are_lost_ones(noise_case: BenchmarkCase) -> None:
    measured = measured_with(noise_case, list(range(10)), list(range(10, 26)))
    changed = ExampleSelector(measured, INT8).flips()
    assert changed.count == 26
    assert len(changed.flips) == FLIPS
    assert sum(flip.reference.right for flip in changed.flips) == FLIPS // 2


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
