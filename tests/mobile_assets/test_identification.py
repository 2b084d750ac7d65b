"""Scores, thresholds, the decision and its vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gallery_files import random_gallery, unit_rows
from pydantic import ValidationError
from test_gallery import LABELS, opened

from mobile_assets.errors import DamagedError
from mobile_assets.identification import scores as search
from mobile_assets.identification.decision import (
    DECISION_FILE,
    Decision,
    Evidence,
    MatchThreshold,
    PhotoRule,
    ShortlistGap,
    VariantDecision,
    decide,
    read_decision,
)
from mobile_assets.identification.explanation import explain
from mobile_assets.identification.scores import (
    GallerySearch,
    ScoreFormula,
    combine_photos,
    score_objects,
)
from mobile_assets.identification.thresholds import (
    KnownScores,
    fit_decision,
    match_threshold,
    photo_groups,
    reject_threshold,
    shortlist_gap,
)
from mobile_assets.identification.vectors import (
    FEWEST_VECTORS,
    VECTORS_FILE,
    DecisionVectors,
    read_vectors,
)

NOTHING = Evidence(unseen_objects=0, unseen_photos=0, register_photos=0)


def rule(
    photos: int = 1,
    match: float | None = 0.6,
    loose: float | None = 0.5,
    reject: float | None = 0.3,
    gap: float | None = 0.1,
) -> PhotoRule:
    return PhotoRule(
        photos=photos,
        matches=(
            MatchThreshold(false_match_rate=0.01, score=match),
            MatchThreshold(false_match_rate=0.05, score=loose),
        ),
        reject=reject,
        shortlists=(ShortlistGap(probability=0.95, gap=gap),),
    )


def decision(*rules: PhotoRule, longest: int = 10) -> VariantDecision:
    return VariantDecision(rules=rules or (rule(),), longest_shortlist=longest, evidence=NOTHING)


@pytest.mark.parametrize("cached", [True, False])
def test_scores_are_the_formula(cached: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not cached:
        monkeypatch.setattr(search, "_CACHED_BYTES", 0)
        monkeypatch.setattr(search, "_ROWS_AT_ONCE", 4)
    gallery = random_gallery(5, 3)
    photos = unit_rows(4, 32, seed=9)
    found = GallerySearch(gallery, ScoreFormula()).scores(photos)
    rows, directions = gallery.embeddings.dequantised(), gallery.directions.dequantised()
    for photo, e in enumerate(photos):
        for k in range(5):
            own = rows[gallery.row_objects == k]
            v = (e @ directions[k] + (own @ e).max() + e @ own.mean(axis=0)) / 3
            assert found[photo, k] == pytest.approx(v, abs=1e-6)
    some = score_objects(gallery, ScoreFormula(), photos, np.array([1, 4]))
    assert some == pytest.approx(found[:, [1, 4]], abs=1e-6)
    alone = GallerySearch(gallery, ScoreFormula(name="direction")).scores(photos)
    assert alone == pytest.approx(photos @ directions.T, abs=1e-6)


def test_several_photos_count_as_their_soft_maximum() -> None:
    single = np.array([[0.5, 0.2], [0.3, 0.4]])
    combined = combine_photos(single, ScoreFormula(sharpness=24))
    assert combined == pytest.approx(np.log(np.exp(24 * single).mean(axis=0)) / 24)
    assert combine_photos(single[:1], ScoreFormula()).tolist() == single[0].tolist()
    assert np.isfinite(combine_photos(single, ScoreFormula(sharpness=1000))).all()


@pytest.mark.parametrize(
    ("scores", "answer", "objects"),
    [
        ([0.2, 0.7, 0.65], "match", (1,)),
        ([0.6, 0.2, 0.1], "match", (0,)),
        ([0.59, 0.49, 0.48], "shortlist", (0, 1)),
        ([0.7, 0.7, 0.1], "shortlist", (0, 1)),
        ([0.3, 0.1, 0.2], "shortlist", (0, 2)),
        ([0.29, 0.1, 0.2], "not in the register", ()),
    ],
)
def test_four_answers(scores: list[float], answer: str, objects: tuple[int, ...]) -> None:
    verdict = decide(scores, 1, decision())
    assert (verdict.answer, verdict.objects) == (answer, objects)
    assert verdict.score == max(scores)
    assert decide(scores, 0, decision()).answer == "photo unfit"


def test_the_promise_is_that_of_the_rule_in_force() -> None:
    both = decision(rule(), rule(photos=3, match=0.5, loose=None))
    assert decide([0.55, 0.1], 2, both).answer == "shortlist"
    assert decide([0.55, 0.1], 5, both).promise == 0.01
    loose = decide([0.55, 0.1], 1, both, false_match_rate=0.05)
    assert (loose.answer, loose.threshold, loose.promise) == ("match", 0.5, 0.05)
    assert decide([0.99, 0.1], 3, both, false_match_rate=0.05).answer == "shortlist"
    with pytest.raises(ValueError, match="no threshold"):
        decide([0.5, 0.1], 1, both, false_match_rate=0.02)
    with pytest.raises(ValueError, match="finite"):
        decide([0.5, float("nan")], 1, both)


def test_where_nothing_is_promised() -> None:
    none = decision(rule(match=None, loose=None, reject=None, gap=None), longest=2)
    verdict = decide([0.1, 0.99, 0.2], 1, none)
    assert (verdict.answer, verdict.objects, verdict.promise) == ("shortlist", (1, 2), None)
    assert not none.promises_matches and decision().promises_matches


def test_rules_rise_from_one_photo() -> None:
    for rules in ((rule(photos=2),), (rule(), rule()), (rule(photos=3), rule())):
        with pytest.raises(ValidationError, match="rise from 1"):
            decision(*rules)


def test_the_tail_keeps_its_promise_on_other_photos() -> None:
    generator = np.random.default_rng(0)
    thresholds = [match_threshold(generator.normal(0.3, 0.1, 200), 20, 0.01) for _ in range(50)]
    unknown = generator.normal(0.3, 0.1, 20_000)
    rates = [(unknown >= t).mean() for t in thresholds if t is not None]
    assert len(rates) == 50 and 0.002 < np.mean(rates) < 0.015


def test_the_tail_formula() -> None:
    values = np.arange(101) / 100
    expected = 0.75 + (values[values > 0.75] - 0.75).mean() * np.log(0.25 / 0.01)
    assert match_threshold(values, 16, 0.01) == pytest.approx(expected, abs=2e-6)


def test_too_little_promises_nothing() -> None:
    values = np.arange(101) / 100
    assert match_threshold(values, 15, 0.01) is None
    assert match_threshold(values[:30], 16, 0.01) is None
    assert match_threshold(np.empty(0), 16, 0.01) is None
    assert reject_threshold(values[:49]) is None
    assert reject_threshold(values[:50]) == pytest.approx(0.0098)
    known = KnownScores(np.full((18, 2), 0.5), np.zeros(18, dtype=int))
    assert shortlist_gap(known, 0.95) is None  # 19 photos are the fewest that can promise 95 %
    known = KnownScores(np.full((19, 2), 0.5), np.zeros(19, dtype=int))
    assert shortlist_gap(known, 0.95) == 0


def test_the_conformal_gap_covers_other_photos() -> None:
    generator = np.random.default_rng(1)

    def drawn(photos: int) -> KnownScores:
        scores, objects = generator.normal(size=(photos, 20)), generator.integers(0, 20, photos)
        scores[np.arange(photos), objects] += 3
        return KnownScores(scores, objects)

    shares = []
    for _ in range(30):
        gap = shortlist_gap(drawn(200), 0.9)
        assert gap is not None
        judged = decision(rule(match=None, loose=None, reject=None, gap=gap))
        test = drawn(300)
        shown = [decide(row, 1, judged).objects for row in test.scores]
        shares.append(np.mean([o in s for o, s in zip(test.objects, shown, strict=True)]))
    assert 0.88 < np.mean(shares) < 0.93


def test_what_falls_behind_the_longest_shortlist_is_missed() -> None:
    scores = np.tile(np.linspace(1, 0.9, 12), (50, 1))
    at = {last: KnownScores(scores, np.full(50, last)) for last in (1, 2)}
    assert shortlist_gap(at[1], 0.9, longest=2) == pytest.approx(0.1 / 11, abs=1e-6)
    assert shortlist_gap(at[2], 0.9, longest=2) is None


def test_groups_are_of_one_object() -> None:
    objects = np.repeat([4, 7, 9], [5, 2, 6])
    groups = photo_groups(objects, 3)
    assert groups.shape == (3 + 6, 3)
    assert (objects[groups] == objects[groups[:, :1]]).all()
    assert all(len(set(group)) == 3 for group in groups.tolist())
    assert photo_groups(objects[:2], 3).shape == (0, 3)


def fitted() -> VariantDecision:
    generator = np.random.default_rng(2)
    known = KnownScores(
        generator.uniform(0, 0.4, (90, 30)), np.repeat(np.arange(30, dtype=np.int64), 3)
    )
    known.scores[np.arange(90), known.objects] += 0.4
    unseen = KnownScores(generator.uniform(0, 0.4, (80, 30)), np.repeat(np.arange(16), 5))
    return fit_decision(known, unseen, ScoreFormula(), method="drawn")


def test_fitting_knows_what_it_was_set_on() -> None:
    judged = fitted()
    assert [r.photos for r in judged.rules] == [1, 2, 3]
    assert judged.evidence == Evidence(
        unseen_objects=16, unseen_photos=80, register_photos=90, method="drawn"
    )
    assert all(r.matches[0].score is not None for r in judged.rules)
    strict, loose = judged.rules[0].matches
    assert strict.score is not None and loose.score is not None and strict.score > loose.score


def test_reasons_name_score_threshold_and_promise() -> None:
    judged = fitted().model_copy(update={"rules": (rule(),)})
    for scores, words in (
        ([0.7, 0.1], ("0.700", "0.600", "1 %", "80 photos of 16 objects")),
        ([0.5, 0.1], ("0.500", "0.600", "95 %", "these 1")),
        ([0.7, 0.7], ("0.700", "equally well")),
        ([0.2, 0.1], ("0.200", "0.300", "98 %")),
    ):
        sentence = explain(decide(scores, 1, judged), judged)
        assert all(word in sentence for word in words), sentence
    none = decision(rule(match=None, gap=None))
    assert "no match is ever promised" in explain(decide([0.9, 0.1], 1, none), none)


def write(folder: Path, judged: Decision) -> None:
    judged.write(folder / DECISION_FILE)
    DecisionVectors.of(judged).write(folder / VECTORS_FILE)


def test_files_round_trip(tmp_path: Path) -> None:
    judged = Decision(variants={})
    write(tmp_path, judged)
    bundle = opened(tmp_path)
    assert read_decision(bundle) == judged
    assert read_vectors(bundle) == DecisionVectors.of(judged)
    (tmp_path / DECISION_FILE).unlink()
    (tmp_path / VECTORS_FILE).unlink()
    assert read_decision(opened(tmp_path)) is None and read_vectors(opened(tmp_path)) is None
    Decision(variants={"tflite-embedding": fitted()}).write(tmp_path / DECISION_FILE)
    with pytest.raises(DamagedError, match="no embedding model"):
        read_decision(opened(tmp_path))
    assert len(LABELS) == bundle.info.objects


@pytest.mark.parametrize(
    "variants",
    [{}, {"tflite-embedding": fitted()}, {"a": fitted(), "b": decision()}],
    ids=["none", "one", "two"],
)
def test_vectors_have_every_answer_and_hold(variants: dict[str, VariantDecision]) -> None:
    judged = Decision(variants=variants)
    vectors = DecisionVectors.of(judged)
    assert list(vectors.problems(judged)) == []
    assert len(vectors.vectors) >= FEWEST_VECTORS
    assert vectors == DecisionVectors.of(judged)
    assert {len(vector.photos) for vector in vectors.vectors} == {0, 1, 2, 3, 4}
    other = Decision(variants={"tflite-embedding": decision(rule(match=0.61))})
    assert "decision.json" in next(iter(vectors.problems(other)))


def test_no_vector_of_several_photos_stands_on_an_edge() -> None:
    # The sum of exponentials may differ in its last digit from one language to another.
    vectors = DecisionVectors.of(Decision(variants={"a": fitted()}))
    for vector in vectors.vectors:
        judged = vectors.decisions[vector.decision]
        if len(set(vector.photos)) < 2:
            continue
        combined = combine_photos(np.array(vector.photos), judged.formula)
        chosen = judged.rule(len(vector.photos))
        edges = [*(m.score for m in chosen.matches), chosen.reject]
        distances = [abs(combined.max() - edge) for edge in edges if edge is not None]
        gap = chosen.shortlists[0].gap
        if gap:
            distances += list(np.abs(combined.max() - combined - gap))
        apart = np.diff(np.sort(combined))
        assert min([*distances, *apart]) > 1e-6


def test_a_changed_rule_fails_its_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    judged = Decision(variants={"a": fitted()})
    vectors = DecisionVectors.of(judged)
    for change in (
        {"answer": "shortlist"},
        {"objects": (7, 6)},
        {"score": 0.123},
        {"decision": 99},
        {"false_match_rate": 0.2},
        {"photos": ((0.1, 0.2), (0.3,))},
    ):
        number = next(i for i, v in enumerate(vectors.vectors) if v.answer == "match")
        wrong = vectors.vectors[number].model_copy(update=change)
        rows = (*vectors.vectors[:number], wrong, *vectors.vectors[number + 1 :])
        (problem,) = vectors.model_copy(update={"vectors": rows}).problems(judged)
        assert problem.startswith(f"vector {number}: ")
    few = vectors.model_copy(update={"vectors": vectors.vectors[:20]})
    assert any("fewest" in problem for problem in few.problems(judged))
