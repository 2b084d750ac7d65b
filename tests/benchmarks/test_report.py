"""The report: what it says first, that it stands alone, and that its charts are drawn truly."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from benchmarks.measure.result_rows import accuracy_fields, make_test_set
from benchmarks.report.html import render_report
from benchmarks.report.html.examples import FLIPS, ExampleSelector
from benchmarks.report.html.svg_chart import (
    Point,
    Series,
    category_axis,
    chart,
    nice_ticks,
    number_axis,
)
from benchmarks.report.html.verdict import make_verdict
from benchmarks.results.classification import Answers, reduce_answers
from benchmarks.results.measurement import BenchmarkCase, Measurement, Skipped, TestPhoto
from benchmarks.results.schema import Results, Row, Settings
from benchmarks.results.target import REFERENCE, BenchmarkTarget
from mobile_assets.bundle import Bundle, BundleInfo, Source
from mobile_assets.decision import DecisionThresholds
from mobile_assets.labels import LabelMap
from mobile_assets.preprocessing import Preprocessing
from train.run import PhotoCounts, Run, RunInfo, Split, SplitPhoto
from train.temperature import Temperature

OBJECTS, VIEWS = 12, 4
EVIL = "<script>alert(1)</script> & Söhne"
CONTRACT = Preprocessing(height=64, width=64, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


INT8 = BenchmarkTarget("tflite-int8", "litert")


def make_case(root: Path) -> BenchmarkCase:
    """A case of coloured squares; nothing in it is executed."""
    generator = np.random.default_rng(0)
    entries: list[SplitPhoto] = []
    tests: list[TestPhoto] = []
    labels = LabelMap.of(
        [(f"O-{n:02}", "left", EVIL if n == 0 else "", VIEWS) for n in range(OBJECTS)]
    )
    for number, object_id in enumerate(labels.object_ids):
        (root / object_id).mkdir(parents=True)
        for view in range(VIEWS):
            path = root / object_id / f"{view}.jpg"
            noise = generator.integers(0, 256, (300, 400, 3), dtype=np.uint8)
            Image.fromarray(noise).save(path, quality=95)
            name = path.relative_to(root).as_posix()
            split = "train" if view == 0 else "test"
            entries.append(
                SplitPhoto(path=name, object_id=object_id, sha256=f"{number}{view}", split=split)
            )
            if view:
                tests.append(TestPhoto(path, number, object_id, "left", True, f"{number}{view}"))
    split_list = Split(strategy="stratified", seed=0, min_photos=3, photos=tuple(entries))
    info = RunInfo(
        name="squares",
        created="2026-01-01T00:00:00+00:00",
        register_name="squares",
        objects=OBJECTS,
        min_photos=3,
        backbone="none",
        head="linear",
        recipe="none",
        recipe_settings={},
        weights="none",
        seed=0,
        preprocessing=CONTRACT,
        photos=PhotoCounts(train=OBJECTS, val=0, test=len(tests), unreadable=0),
        photo_list_sha256=split_list.sha256,
        labels_sha256=labels.sha256,
        model_sha256="0",
        versions={},
        host={},
    )
    source = Source(
        run="../run",
        model_sha256="0",
        backbone="none",
        head="linear",
        recipe="none",
        seed=0,
        min_photos=3,
        photo_list_sha256="0",
    )
    bundle_info = BundleInfo(
        name="squares",
        created="2026-01-01T00:00:00+00:00",
        objects=OBJECTS,
        labels_sha256=labels.sha256,
        preprocessing=CONTRACT,
        decision=DecisionThresholds(match=0.6, reject=0.2, validation_photos=10),
        variants=(),
        source=source,
        calibration=None,
        versions={},
    )
    run = Run(root, info, labels, split_list)
    return BenchmarkCase(Bundle(root, bundle_info, labels), run, root, tuple(tests))


def answers_with(truth: np.ndarray, wrong: list[int]) -> Answers:
    """Right and sure everywhere, but the next object at the photos `wrong`."""
    probabilities = np.full((len(truth), OBJECTS), 0.3 / (OBJECTS - 1), dtype=np.float32)
    top = truth.copy()
    top[wrong] = (top[wrong] + 1) % OBJECTS
    probabilities[np.arange(len(truth)), top] = 0.7
    return reduce_answers(probabilities, truth, keep=10)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> BenchmarkCase:
    return make_case(tmp_path_factory.mktemp("squares"))


def measured_with(case: BenchmarkCase, reference: list[int], variant: list[int]) -> Measurement:
    truth = np.array([photo.object_index for photo in case.test_photos])
    photos = len(truth)
    return Measurement(
        case,
        case.test_photos,
        (),
        (),
        answers={REFERENCE: answers_with(truth, reference), INT8: answers_with(truth, variant)},
        asked={REFERENCE: np.arange(photos), INT8: np.arange(photos)},
        drift={
            REFERENCE: np.zeros(photos, np.float32),
            INT8: np.full(photos, 0.01, np.float32),
        },
        temperatures={INT8: Temperature(1.5, 20)},
        tempered={INT8: np.full(photos, 0.6, np.float32)},
    )


def results_of(measured: Measurement, extra: tuple[Row, ...] = (), **changes: Any) -> Results:
    base = {
        "register": "squares",
        "min_photos": 3,
        "backbone": "none",
        "head": "linear",
        "seed": 0,
        "objects": OBJECTS,
        "bytes": 4_000_000,
    }
    rows = [
        Row.model_validate(
            base
            | subject._asdict()
            | accuracy_fields(measured, subject, bootstrap=300, seed=0)
            | (changes if subject != REFERENCE else {})
        )
        for subject in (REFERENCE, INT8)
    ]
    settings = Settings(
        latency_runs=50,
        warmup=10,
        threads=(1,),
        measure_speed=False,
        bootstrap=300,
        seed=0,
        limit=None,
        command="artefact-id benchmark bundle",
    )
    return Results(
        created="2026-01-02T03:04:05+00:00",
        host={"processor": "a computer", "cpus": "2", "memory_gib": "4", "system": "Linux"},
        versions={"numpy": "2"},
        settings=settings,
        test_sets=(make_test_set(measured),),
        rows=(*rows, *extra),
    )


def test_a_faithful_variant_is_called_so(case: BenchmarkCase) -> None:
    measured = measured_with(case, [3], [3])
    verdict = make_verdict(results_of(measured))
    assert verdict.mood == "good"
    assert "100.0\u00a0% of 36 photos; just as many first answers are right" in verdict.headline
    assert verdict.details == ()
    text = render_report(results_of(measured), [measured])
    assert "Faithful to full precision" in text
    assert "Nowhere: on all 36 photos" in text


def test_a_variant_that_lost_accuracy_needs_attention(case: BenchmarkCase) -> None:
    measured = measured_with(case, [3], [3, 5, 7, 9, 20])
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


def test_many_changed_answers_need_attention_though_as_many_are_right(
    case: BenchmarkCase,
) -> None:
    measured = measured_with(case, [0, 1, 2, 3], [10, 11, 12, 13])
    verdict = make_verdict(results_of(measured))
    assert verdict.mood == "attention"
    assert "just as many" in verdict.headline


def test_a_gain_within_chance_is_said_to_be_one(case: BenchmarkCase) -> None:
    verdict = make_verdict(results_of(measured_with(case, [0, 1], [1])))
    assert "2.8\u00a0points more" in verdict.headline
    assert "may be chance" in verdict.explanation


def test_one_failing_row_is_enough(case: BenchmarkCase) -> None:
    # At one threshold the drop is larger but allowed; at the other too many answers changed.
    good = results_of(measured_with(case, [3], [3]))
    strayed = results_of(measured_with(case, [0, 1, 2, 3], [10, 11, 12]))
    other = strayed.rows[1].model_copy(update={"min_photos": 6})
    verdict = make_verdict(good.model_copy(update={"rows": (*good.rows, other)}))
    assert verdict.mood == "attention"
    assert "(6 photos)" in verdict.headline
    file = strayed.rows[1].model_copy(update={"variant": "tflite-float32"})
    verdict = make_verdict(good.model_copy(update={"rows": (*good.rows, file)}))
    assert verdict.mood == "attention"
    assert verdict.details[0].startswith("Float32")


def test_answers_that_are_no_numbers_need_attention(case: BenchmarkCase) -> None:
    verdict = make_verdict(results_of(measured_with(case, [], []), invalid_answers=2))
    assert verdict.mood == "attention"
    assert "2 answers that are not numbers" in verdict.details[0]


def test_the_report_stands_alone(case: BenchmarkCase) -> None:
    measured = measured_with(case, [3], [3, 5])
    text = render_report(results_of(measured), [measured])
    sources = re.findall(r'\b(?:src|action|data)="([^"]*)"', text)
    assert sources
    assert all(source.startswith("data:image/webp;base64,") for source in sources)
    assert all(link.startswith("#") for link in re.findall(r'href="([^"]*)"', text))
    assert "http" not in text
    assert "url(" not in text
    assert "@import" not in text
    assert "<script" not in text
    assert str(case.photos) not in text


def test_words_from_outside_are_escaped(case: BenchmarkCase) -> None:
    measured = measured_with(case, [3], [1])
    text = render_report(results_of(measured), [measured])
    assert "alert(1)" in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; Söhne" in text


def test_the_report_stays_small_with_the_hardest_photos(case: BenchmarkCase) -> None:
    measured = measured_with(case, [], list(range(36)))  # noise does not compress
    assert len(render_report(results_of(measured), [measured])) < 3_000_000


def test_photos_that_are_gone_leave_a_gap_not_an_error(case: BenchmarkCase, tmp_path: Path) -> None:
    measured = measured_with(replace(case, photos=tmp_path), [3], [3, 5])
    assert "no picture" in render_report(results_of(measured), [measured])


def test_left_out_photos_and_given_rows_are_told(case: BenchmarkCase) -> None:
    measured = replace(
        measured_with(case, [3], [3]),
        unreadable=(Skipped("a/b/broken.jpg", "the file is empty (0 bytes)"),),
        in_training=(Skipped("copy.jpg", "the same file as a training photo"),),
    )
    point = Row.model_validate(
        {
            "register": "squares",
            "min_photos": 3,
            "backbone": "none",
            "head": "linear",
            "seed": 0,
            "variant": "floor",
            "runtime": "given",
            "status": "given",
            "note": "From elsewhere.",
            "photos": 36,
            "top1": 0.5,
            "top1_ci95": (0.4, 0.6),
        }
    )
    text = render_report(results_of(measured, extra=(point,)), [measured])
    assert "2 test photos left out" in text
    assert "broken.jpg" in text
    assert "the same file as a training photo" in text
    assert "From elsewhere." in text


def test_examples_show_what_happened(case: BenchmarkCase) -> None:
    measured = measured_with(case, [0, 1], [1, 3, 6])
    selector = ExampleSelector(measured, INT8)
    flips, count = selector.flips()
    assert count == 3
    outcomes = [flip.outcome for flip in flips]
    assert outcomes == ["right → wrong", "right → wrong", "wrong → right"]
    assert all(flip.reference.right != flip.changed.right for flip in flips)
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
    case: BenchmarkCase, match: float, kind: str, verdict: str
) -> None:
    thresholds = DecisionThresholds(match=match, reject=0.2, validation_photos=10)
    info = case.bundle.info.model_copy(update={"decision": thresholds})
    bundle = replace(case.bundle, info=info)
    measured = measured_with(replace(case, bundle=bundle), [], [])
    sure = np.zeros((len(measured.truth), OBJECTS), np.float32)
    sure[np.arange(len(sure)), measured.truth] = 1.0
    answers = reduce_answers(sure, measured.truth, keep=10)
    measured = replace(measured, answers={**measured.answers, INT8: answers})
    examples = ExampleSelector(measured, INT8).examples()
    assert {(example.kind, example.verdict) for example in examples} == {(kind, verdict)}
    assert f"The phone says: {verdict}." in render_report(results_of(measured), [measured])


def test_at_most_half_of_the_changed_answers_shown_are_lost_ones(case: BenchmarkCase) -> None:
    measured = measured_with(case, list(range(10)), list(range(10, 26)))
    flips, count = ExampleSelector(measured, INT8).flips()
    assert count == 26
    assert len(flips) == FLIPS
    assert sum(flip.reference.right for flip in flips) == FLIPS // 2


def test_chart_marks_stand_where_their_numbers_are() -> None:
    points = tuple(Point(x, y, y - 0.05, y + 0.05, f"{x}") for x, y in ((1, 0.6), (2, 0.8)))
    text = chart([Series("float32", points)], number_axis("MB", [1, 2]), title="A & B")
    tree = ElementTree.fromstring(text)
    assert tree.get("aria-label") == "A & B"
    dots = [(float(c.get("cx", 0)), float(c.get("cy", 0))) for c in tree.iter("circle")]
    assert dots[1][0] - 58 == pytest.approx(2 * (dots[0][0] - 58), abs=0.2)
    whiskers = [line for line in tree.iter("line") if line.get("class") == "whisker"]
    for (_, y), whisker in zip(dots, whiskers, strict=True):
        top, bottom = float(whisker.get("y1", 0)), float(whisker.get("y2", 0))
        assert top < y < bottom
        assert y == pytest.approx((top + bottom) / 2, abs=0.2)
    grid = {t.text: float(t.get("y", 0)) for t in tree.iter("text") if "%" in (t.text or "")}
    assert grid["60 %"] - 4 == pytest.approx(dots[0][1], abs=0.2)
    assert grid["80 %"] - 4 == pytest.approx(dots[1][1], abs=0.2)


def test_a_chart_of_equal_points_has_an_extent() -> None:
    for share in (0.0, 0.5, 1.0):
        series = [Series("int8", (Point(0, share, share, share, ""),))]
        text = chart(series, category_axis("n", ["3"]), title="t")
        assert "nan" not in text
        assert ElementTree.fromstring(text) is not None


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (77.4, 86.2), (0.0, 15.6), (0.0, 0.004)])
def test_ticks_are_round_and_within(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    assert 2 <= len(ticks) <= 7
    assert low - 1e-9 <= ticks[0] <= ticks[-1] <= high + 1e-9
    assert len({round(b - a, 9) for a, b in pairwise(ticks)}) == 1
