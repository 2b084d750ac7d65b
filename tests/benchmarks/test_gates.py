"""Gates: their file, what they judge, and that a broken model does not get through them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from result_rows import make_results, make_row

from benchmarks.gates.junit import junit_xml
from benchmarks.gates.limits import LIMITS
from benchmarks.gates.rules import GateVerdict, judge
from benchmarks.results.row_fields import Drift, FalseMatches, LatencyRatio
from benchmarks.results.schema import Row
from export.bundle.ship_limits import Gates, Rule, read_gates
from mobile_assets.errors import CheckFailedError, InputError

WHOLE = make_row(
    variant="torch-float32",
    runtime="torch",
    top1=0.9,
    agreement=1.0,
    drop_points=0.0,
    drop_ci95=(0.0, 0.0),
    invalid_answers=0,
    calibration_error=0.02,
    max_probability_drift=0.0,
    bytes=4000,
)
FLOAT32 = WHOLE.model_copy(update={"variant": "tflite-float32", "runtime": "litert"})
INT8 = FLOAT32.model_copy(
    update={
        "variant": "tflite-int8",
        "top1": 0.896,
        "agreement": 0.985,
        "drop_points": 0.4,
        "drop_ci95": (-0.2, 1.0),
        "max_probability_drift": 0.2,
        "drift": Drift(mean=0.02, p99=0.1),
        "calibration_error": 0.03,
        "bytes": 1080,
        "latency_ratio": LatencyRatio(median=0.55, p10=0.5, p90=0.62, rounds=50),
    }
)


def rule(**limits: object) -> Rule:
    return Rule.model_validate({"name": "r", "variants": ("tflite-int8",)} | limits)


def held(*rules: Rule, rows: tuple[Row, ...] = (WHOLE, FLOAT32, INT8)) -> GateVerdict:
    return judge(make_results(*rows), Gates(rules=rules))


def failures(*rules: Rule, rows: tuple[Row, ...] = (WHOLE, FLOAT32, INT8)) -> list[str]:
    return [outcome.measured for outcome in held(*rules, rows=rows).failed]


def with_values(row: Row, **values: object) -> Row:
    return row.model_copy(update=values)


def test_a_broken_promise_on_unknown_objects_does_not_pass() -> None:
    (promise,) = [r for r in read_gates().rules if r.max_false_match_ratio is not None]

    def judged(matches: int) -> list[str]:
        found = FalseMatches(photos=1000, matches=matches, promised=0.01)
        return failures(promise, rows=(with_values(INT8, false_matches=found),))

    assert judged(10) == judged(16) == []  # 16 of 1,000 can be 1 %
    (said,) = judged(20)
    assert said.startswith("20 of 1,000 photos, 2.00 %") and "1 % promised" in said
    # Where nothing was measured, nothing is said of it, beside what else is asked.
    both = promise.model_copy(update={"max_bytes": 1080})
    assert [outcome.requirement for outcome in held(both, rows=(INT8,)).outcomes] == [
        "size at most 1,080 bytes"
    ]


@pytest.mark.parametrize(
    ("limit", "kept", "broken"),
    [
        ("max_drop_points", 0.4, 0.39),
        ("min_agreement", 0.985, 0.986),
        ("min_top1", 0.896, 0.897),
        ("max_probability_drift", 0.2, 0.19),
        ("max_mean_drift", 0.02, 0.019),
        ("max_calibration_error_rise", 0.011, 0.009),
        ("min_photos_measured", 1000, 1001),
        ("max_size_ratio", 0.27, 0.269),
        ("max_bytes", 1080, 1079),
        ("max_latency_ratio", 0.55, 0.54),
    ],
)
def test_each_limit_holds_and_breaks(limit: str, kept: float, broken: float) -> None:
    assert failures(rule(**{limit: kept})) == []
    assert len(failures(rule(**{limit: broken}))) == 1
    with pytest.raises(CheckFailedError, match=r"tflite-int8 on litert"):
        held(rule(**{limit: broken})).check()
    held(rule(**{limit: kept})).check()


def test_every_limit_is_a_key_of_a_rule() -> None:
    assert set(LIMITS) == {key for key in Rule.model_fields if re.match("(max|min)_", key)} - {
        "min_photos"
    }


def test_answers_that_are_no_numbers() -> None:
    bad = with_values(INT8, invalid_answers=1, max_probability_drift=None, drift=None)
    required = rule(max_invalid_answers=0, max_probability_drift=1.0, max_mean_drift=1.0)
    assert failures(required, rows=(bad,)) == [
        "some probabilities are not finite numbers",
        "some probabilities are not finite numbers",
        "1 of 1,000 photos",
    ]
    assert failures(required, rows=(INT8,)) == []


@pytest.mark.parametrize(
    ("limit", "value", "interval"),
    [
        ("max_drop_points", 0.5, 1.0),
        ("min_agreement", 0.98, 0.97),
        ("min_top1", 0.89, 0.87),
        ("max_latency_ratio", 0.6, 0.63),
    ],
)
def test_the_whole_interval_can_be_asked(limit: str, value: float, interval: float) -> None:
    assert failures(rule(**{limit: value})) == []
    assert len(failures(rule(**{limit: value}, judge="interval"))) == 1
    assert failures(rule(**{limit: interval}, judge="interval")) == []


def test_the_words_tell_value_interval_and_photos() -> None:
    (outcome,) = [o for o in held(rule(max_drop_points=0.5)).outcomes if "drop" in o.requirement]
    assert outcome.requirement == "accuracy drop at most 0.5 points"
    assert outcome.measured == "0.40 points (95 % interval −0.20 to 1.00) over 1,000 photos"
    (outcome,) = held(rule(min_agreement=0.99, judge="interval")).failed
    assert outcome.requirement == "agreement at least 99 %, its whole 95 % interval"
    assert "985 of 1,000" in outcome.measured


def test_what_was_not_measured_does_not_pass() -> None:
    bare = with_values(
        INT8,
        drop_points=None,
        agreement=None,
        top1=None,
        max_probability_drift=None,
        drift=None,
        calibration_error=None,
        invalid_answers=None,
        bytes=None,
        latency_ratio=None,
        photos=0,
    )
    every = dict.fromkeys(LIMITS, 1)
    excused = [name for name, limit in LIMITS.items() if limit.where_measured]
    assert excused == ["max_false_match_ratio"]
    failed = failures(rule(**every), rows=(WHOLE, FLOAT32, bare))
    assert len(failed) == len(LIMITS) - len(excused)


UNSURE = with_values(INT8, drop_ci95=None)
ELSEWHERE = with_values(FLOAT32, min_photos=4)
GIVEN = with_values(INT8, status="given", runtime="given", agreement=None)
WRONG = with_values(INT8, variant="coreml-int8", status="check-failed", note="No package.")


@pytest.mark.parametrize(
    ("required", "rows", "words"),
    [
        (rule(max_drop_points=5, judge="interval"), (UNSURE,), "no interval"),
        (rule(max_size_ratio=0.5), (INT8,), "no tflite-float32"),
        (rule(max_size_ratio=0.5), (INT8, ELSEWHERE), "no tflite-float32"),
        (
            rule(max_calibration_error_rise=1), (WHOLE, with_values(INT8, photos=200)),
            "measured on 200 photos, the reference on 1,000",
        ),
        (rule(min_agreement=0.9), (INT8, WRONG), "No package."),
        (rule(min_agreement=0.9), (GIVEN,), "0 variants"),  # rows of a caller are passed over
    ],
)  # fmt: skip
def test_why_nothing_could_be_judged_is_told(
    required: Rule, rows: tuple[Row, ...], words: str
) -> None:
    assert words in failures(required, rows=rows)[0]


def test_speed_that_was_left_out_is_told() -> None:
    untimed = make_results(FLOAT32, with_values(INT8, latency_ratio=None), speed=False)
    (outcome,) = judge(untimed, Gates(rules=(rule(max_latency_ratio=0.6),))).failed
    assert outcome.measured == "speed was not measured: leave out --no-speed, or the limit"


def test_rows_that_were_only_converted() -> None:
    package = with_values(
        INT8,
        variant="coreml-int8",
        runtime="coreml",
        status="converted-only",
        note="Not executed.",
        photos=0,
        agreement=None,
    )
    required = rule(variants=("coreml-*",), min_agreement=0.9, max_bytes=2000)
    assert "not executed here: Not executed." in failures(required, rows=(package,))
    lenient = required.model_copy(update={"require_measured": False})
    verdict = held(lenient, rows=(package,))
    assert verdict.failed == ()
    assert [outcome.measured for outcome in verdict.outcomes] == ["1,080 bytes", "1 variant"]
    assert [excused.requirement for excused in verdict.excused] == ["agreement at least 90 %"]
    assert len(failures(rule(variants=("coreml-*",), max_bytes=9), rows=(package,))) == 2


def test_nothing_measured_is_never_green() -> None:
    assert failures(rule(variants=("tflite-in8",), max_bytes=9)) == ["0 variants"]
    lenient = rule(variants=("tflite-in8",), max_bytes=9, require=False)
    assert held(lenient).unmatched == ("r",)
    assert failures(lenient) == ["none, of 3 rows"]
    assert failures(lenient, rows=()) == ["none, of 0 rows"]
    assert failures(rule(max_bytes=9999), rows=()) == ["0 variants"]


def test_a_rule_must_be_met_at_every_threshold_by_every_pattern() -> None:
    other = with_values(FLOAT32, min_photos=4)
    verdict = held(rule(max_bytes=9999), rows=(FLOAT32, INT8, other))
    assert [(o.min_photos, o.measured) for o in verdict.failed] == [(4, "0 variants")]
    assert failures(rule(max_bytes=9999, min_photos=(3,)), rows=(INT8, other)) == []
    assert failures(rule(max_bytes=9999, min_photos=(3, 5))) == ["0 variants"]
    two = rule(variants=("tflite-int8", "tflite-float16"), runtimes=("litert",), max_bytes=9999)
    assert [o.variant for o in held(two).failed] == ["tflite-float16"]


def test_rules_choose_rows_and_all_that_match_must_hold() -> None:
    loose, tight = rule(max_drop_points=1), rule(variants=("*-int8",), max_drop_points=0.1)
    assert len(failures(loose, tight)) == 1
    assert len(failures(tight, loose)) == 1
    assert failures(rule(runtimes=("tensorflow",), max_drop_points=0.1, require=False), loose) == []
    assert failures(rule(min_photos=(4,), max_drop_points=0.1, require=False), loose) == []
    assert held(loose, loose).outcomes == held(loose).outcomes


def gates_file(folder: Path, **keys: object) -> Path:
    content = {"schema_version": 1, "rules": [{"name": "r", "variants": ["*"], **keys}]}
    path = folder / "gates.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"max_drop": 1}, r"rules\.0\.max_drop: there is no such key.*known limits are max_drop"),
        ({"min_agreement": 98.5}, r"rules\.0\.min_agreement: .*less than or equal to 1"),
        ({"max_drop_points": "1"}, r"rules\.0\.max_drop_points: .*valid number"),
        ({"max_invalid_answers": True}, r"max_invalid_answers: .*valid integer"),
        ({"variants": "tflite-*"}, r"rules\.0\.variants: .*valid array"),
        ({"variants": []}, r"rules\.0\.variants: .*at least 1"),
        ({"judge": "mean"}, r"rules\.0\.judge: .*'value' or 'interval'"),
        ({"require": False}, r"sets no limit and requires nothing"),
    ],
)
def test_mistakes_in_the_file_are_named(
    keys: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        read_gates(gates_file(tmp_path, **keys))


def test_files_that_are_no_gates(tmp_path: Path) -> None:
    path = tmp_path / "gates.json"
    for content, message in (
        ("{", "cannot be read"),
        ("[]", "schema version None"),
        ('{"schema_version": 2, "rules": []}', "schema version 2"),
        ('{"schema_version": 1, "rules": []}', "at least 1"),
        ('{"schema_version": 1, "rules": [], "extra": 1}', "extra: there is no such key"),
    ):
        path.write_text(content)
        with pytest.raises(InputError, match=message):
            read_gates(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_gates(tmp_path / "none.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_gates(tmp_path)


def test_a_file_is_read_as_it_is_meant(tmp_path: Path) -> None:
    (read,) = read_gates(gates_file(tmp_path, max_drop_points=1, min_photos=[3, 4])).rules
    assert (read.max_drop_points, read.min_photos, read.require) == (1, (3, 4), True)
    assert read_gates().rules[0].require


SUITE = {"name", "timestamp", "hostname", "tests", "failures", "errors", "time", "package", "id"}


def check_junit(content: bytes) -> list[ET.Element]:
    """Checks what the readers' common schema asks for; gives the suites."""
    root = ET.fromstring(content)
    assert (root.tag, root.attrib) == ("testsuites", {})
    for number, suite in enumerate(root):
        assert suite.tag == "testsuite"
        assert set(suite.attrib) == SUITE | {"skipped"}
        assert suite.get("id") == str(number)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp", ""))
        tags = [child.tag for child in suite]
        cases = suite.findall("testcase")
        assert tags == ["properties", *["testcase"] * len(cases), "system-out", "system-err"]
        assert suite.get("tests") == str(len(cases))
        for tag in ("failure", "skipped"):
            count = {"failure": "failures"}.get(tag, tag)
            assert suite.get(count) == str(len(suite.findall(f"testcase/{tag}")))
        for case in cases:
            assert set(case.attrib) == {"name", "classname", "time"}
            assert len(case) <= 1
            assert all("type" in failure.attrib for failure in case.findall("failure"))
    return list(root)


def test_junit_holds_every_outcome() -> None:
    package = with_values(
        INT8,
        variant="coreml-int8",
        runtime="coreml",
        unit="cpu",
        status="converted-only",
        note="<&>",
    )
    later = with_values(INT8, min_photos=5)
    required = rule(max_drop_points=0.1, max_bytes=2000)
    coreml = rule(variants=("coreml-*",), require_measured=False, require=False, min_top1=0.5)
    results = make_results(INT8, package, later)
    judgement = judge(results, Gates(rules=(required, coreml)))
    suites = check_junit(junit_xml(judgement, results))
    assert [suite.get("name") for suite in suites] == ["min3", "min5"]
    cases = {(c.get("classname"), c.get("name")): c for c in suites[0].findall("testcase")}
    failure = cases["tflite-int8.litert", "accuracy drop at most 0.1 points"].find("failure")
    assert "0.40 points" in failure.get("message", "")
    assert cases["tflite-int8.litert", "size at most 2,000 bytes"].find("failure") is None
    skipped = cases["coreml-int8.coreml.cpu", "top-1 at least 50 %"].find("skipped")
    assert skipped.get("message") == "not executed here: <&>"
    total = len(judgement.outcomes) + len(judgement.excused)
    assert sum(int(suite.get("tests", "")) for suite in suites) == total


def test_junit_can_hold_any_text() -> None:
    odd = with_values(INT8, status="check-failed", note="\x00 ]]> \x1b[0m \ud800 é")
    results = make_results(odd)
    (suite,) = check_junit(junit_xml(judge(results, Gates(rules=(rule(max_bytes=1),))), results))
    failure = suite.find("testcase/failure")
    assert failure.get("message") == "\ufffd ]]> \ufffd[0m \ufffd é"
