"""One file of ship limits: gate, recommendation and report all follow it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.gates.rules import judge as judge_results
from benchmarks.report.html.verdict import make_verdict, needs_attention
from benchmarks.results.row_fields import Drift, LatencyRatio
from benchmarks.results.schema import Results, Row, Settings
from export.bundle import ship_limits
from export.bundle.recommend import judge
from export.bundle.ship_limits import DEFAULT_GATES, Gates, default_gates, read_gates
from mobile_assets.bundle import Bundle
from mobile_assets.errors import CheckFailedError

PHOTOS = 1000
CHANGED = 12
"""Agreement 98.8 %: full integer may answer so, by the file as it is."""


@pytest.fixture
def changed_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The file with one other number: full integer must agree on 99 % of photos."""
    content = json.loads(DEFAULT_GATES.read_text(encoding="utf-8"))
    for rule in content["rules"]:
        if rule["variants"] == ["tflite-int8"] and "min_agreement" in rule:
            rule["min_agreement"] = 0.99
    file = tmp_path / "gates.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    # The file of the package stands at a fixed place; another one takes its place here.
    default_gates.cache_clear()
    monkeypatch.setattr(ship_limits, "DEFAULT_GATES", file)
    monkeypatch.setattr(ship_limits.read_gates, "__defaults__", (file,))
    yield
    default_gates.cache_clear()


def row(**values: object) -> Row:
    common = {
        "register": "patterns",
        "min_photos": 3,
        "backbone": "tiny",
        "head": "linear",
        "seed": 0,
        "variant": "tflite-int8",
        "runtime": "litert",
        "photos": PHOTOS,
        "top1": 0.9,
        "agreement": 1 - CHANGED / PHOTOS,
        "drop_points": 0.1,
        "invalid_answers": 0,
        "max_probability_drift": 0.2,
        "drift": Drift(mean=0.02, p99=0.1),
        "bytes": 1000,
        "latency_ratio": LatencyRatio(median=0.5, p10=0.45, p90=0.55, rounds=50),
    }
    return Row.model_validate(common | values)


FLOAT32 = {
    "variant": "tflite-float32",
    "agreement": 1.0,
    "drop_points": 0.0,
    "max_probability_drift": 0.0,
    "bytes": 4000,
    "latency_ratio": None,
}


def results(*rows: Row) -> Results:
    settings = Settings(
        latency_runs=50,
        warmup=10,
        threads=(1,),
        measure_speed=True,
        bootstrap=500,
        seed=0,
        limit=None,
        command="test",
    )
    return Results(created="2026-01-01", host={}, versions={}, settings=settings, rows=rows)


def recommended(bundle: Bundle) -> bool:
    """Whether the recommendation finds full integer good enough with the same answers."""
    truth = np.arange(PHOTOS) % 6
    right = np.eye(6, dtype=np.float32)[truth]
    near = right.copy()
    near[:CHANGED] = 0.51 * right[:CHANGED] + 0.49 * np.roll(right[:CHANGED], 1, axis=1)
    other = right.copy()
    other[:CHANGED] = 0.49 * right[:CHANGED] + 0.51 * np.roll(right[:CHANGED], 1, axis=1)
    elsewhere = (truth + 3) % 6  # neither is right, so that only the agreement decides
    return judge(bundle.info.variant("tflite-int8"), other, near, elsewhere).good


def test_the_three_agree_by_the_file(golden_bundle: Bundle) -> None:
    measured = results(row(**FLOAT32), row())
    judge_results(measured, read_gates()).check()
    assert not needs_attention(row())
    assert make_verdict(measured).mood == "good"
    assert recommended(golden_bundle)


@pytest.mark.usefixtures("changed_limit")
def test_a_changed_limit_changes_all_three(golden_bundle: Bundle) -> None:
    measured = results(row(**FLOAT32), row())
    with pytest.raises(CheckFailedError, match="agreement at least 99 %"):
        judge_results(measured, read_gates()).check()
    assert needs_attention(row())
    assert make_verdict(measured).mood == "attention"
    assert not recommended(golden_bundle)


def test_a_report_without_a_gate_tells_what_else_a_gate_would_stop() -> None:
    slow = row(latency_ratio=LatencyRatio(median=0.9, p10=0.8, p90=1.0, rounds=50))
    verdict = make_verdict(results(row(**FLOAT32), slow))
    assert verdict.mood == "good", "its colour is about the answers"
    assert any("latency at most 0.6" in caveat for caveat in verdict.caveats)
    few = [row(**FLOAT32, photos=99), row(photos=99)]
    assert any("at least 100 photos" in said for said in make_verdict(results(*few)).caveats)


def test_what_answers_show_needs_attention() -> None:
    strayed = row(drift=Drift(mean=0.04, p99=0.1))
    assert needs_attention(strayed)
    (detail,) = make_verdict(results(row(**FLOAT32), strayed)).details
    assert detail.endswith("drop 0.1 points, probabilities 0.040 off on average.")
    assert needs_attention(row(invalid_answers=1))
    assert needs_attention(row(drop_points=0.6))
    assert needs_attention(row(**{**FLOAT32, "max_probability_drift": 0.01}))
    assert not needs_attention(row(**FLOAT32))


def test_the_strictest_of_several_rules_holds() -> None:
    rules = [
        {"name": "all", "variants": ["*"], "max_drop_points": 0.5, "min_agreement": 0.9},
        {"name": "some", "variants": ["tflite-*"], "max_drop_points": 1, "min_agreement": 0.99},
        {"name": "fast", "variants": ["*"], "runtimes": ["litert"], "max_latency_ratio": 0.6},
        {"name": "few", "variants": ["*"], "min_photos": [3], "min_photos_measured": 9},
    ]
    gates = Gates.model_validate({"rules": rules})
    limits = gates.limits("tflite-int8", "android", 4)
    assert dict(limits.limits()) == {"max_drop_points": 0.5, "min_agreement": 0.99}
    assert gates.limits("coreml-w8a8").max_latency_ratio == 0.6
    assert gates.limits("coreml-w8a8", "coreml", 3).min_photos_measured == 9
    assert gates.limits("coreml-w8a8", "coreml", 3).max_latency_ratio is None


def test_every_variant_that_can_be_exported_has_limits_on_its_answers() -> None:
    from export.variants.options import ON_REQUEST, VARIANTS

    for variant in (*VARIANTS, *ON_REQUEST):
        limits = default_gates().limits(variant)
        assert limits.min_agreement is not None and limits.max_drop_points is not None, variant
