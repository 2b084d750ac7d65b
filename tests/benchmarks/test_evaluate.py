"""Evaluation of tiny real networks; scores against hand-worked cases and scikit-learn."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import precision_recall_fscore_support, top_k_accuracy_score
from tiny_run import CONTRACT, write_tiny_run

from artefact_id.main import main
from benchmarks.evaluation.acquisition import (
    ObjectEvidence,
    fit_curve,
    nearest_confusions,
    outlooks,
)
from benchmarks.evaluation.ensemble import choose_photos, read_ensemble
from benchmarks.evaluation.evaluate import EvaluateOptions, evaluate_runs
from benchmarks.evaluation.inference import Network, answer_photos
from benchmarks.evaluation.schema import ENSEMBLE, Evaluation
from benchmarks.evaluation.score_rows import photo_groups
from benchmarks.results.classification import wilson_interval
from benchmarks.results.cluster_bootstrap import paired_drop_interval
from benchmarks.results.paper_baselines import PAPER_MODELS
from benchmarks.results.scores import GradedAnswers, macro_scores, measure, object_intervals
from mobile_assets.errors import InputError
from mobile_assets.labels import LabelMap
from mobile_assets.photos import load
from mobile_assets.preprocessing import Preprocessing
from train.run import Run, SplitName, load_model

OBLONG = Preprocessing(
    height=72, width=56, mean=(0.0, 0.0, 0.0), std=(1 / 255, 1 / 255, 1 / 255), network_colour="BGR"
)
QUICK = EvaluateOptions(resamples=60, latency_runs=1, figures=False)


def graded(top: list[int], truth: list[int], seen: list[bool] | None = None) -> GradedAnswers:
    first, right = np.array(top, dtype=np.int64), np.array(truth, dtype=np.int64)
    rank = np.where(first == right, 0, 20)
    return GradedAnswers(rank, first, right, np.array(seen or [True] * len(truth), dtype=np.bool_))


# --- scores ---------------------------------------------------------------------------------------


def test_the_papers_quantities_by_hand() -> None:
    # Confusion matrix (rows true): object 0: 3 photos, answered 0, 0, 1. Object 1: 1 photo,
    # answered 1. Object 2: 2 photos, answered 0, 0; it is never named.
    scores = measure(graded([0, 0, 1, 1, 0, 0], [0, 0, 0, 1, 2, 2]))
    assert scores["paper_precision"] == pytest.approx((3 * 2 / 3 + 1 * 1 + 2 * 0) / 6)
    assert scores["paper_recall"] == pytest.approx((3 * 2 / 4 + 1 * 1 / 2) / 4)
    f1 = [2 * 2 / (3 + 4), 2 * 1 / (1 + 2), 0.0]
    assert scores["paper_f1"] == pytest.approx((3 * f1[0] + 1 * f1[1] + 2 * f1[2]) / 6)
    # The standard ones are the other way round.
    assert scores["weighted_precision"] == pytest.approx((3 * 2 / 4 + 1 * 1 / 2 + 0) / 6)
    assert scores["weighted_recall"] == pytest.approx(3 / 6)


def test_unseen_objects_are_one_null_class_and_counted_apart() -> None:
    scores = measure(graded([0, 1, 0, 0], [0, 1, 2, 3], [True, True, False, False]))
    assert scores["top1"] == 1.0
    assert scores["precision"] == scores["recall"] == scores["f1"] == 1.0
    assert scores["top1_with_unseen"] == scores["paper_precision"] == 0.5
    # Object 0 is named three times, once rightly; the null class is never named.
    assert scores["paper_recall"] == pytest.approx((1 / 3 + 1) / 2)
    assert scores["paper_f1"] == pytest.approx((1 * 2 / 4 + 1 * 1 + 2 * 0) / 4)


def test_naming_an_unseen_object_by_chance_does_not_count() -> None:
    scores = measure(graded([0, 1, 2, 2], [0, 1, 2, 3], [True, True, False, False]))
    assert scores["top1_with_unseen"] == scores["paper_precision"] == 0.5
    assert scores["paper_f1"] == 0.5


@pytest.mark.parametrize("seed", range(4))
def test_scores_are_those_of_scikit_learn(seed: int) -> None:
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 9, 60)
    probabilities = generator.random((60, 9))
    probabilities[np.arange(60), truth] += 0.4
    top = probabilities.argmax(axis=1)
    rank = (probabilities > probabilities[np.arange(60), truth][:, None]).sum(axis=1)
    given = GradedAnswers(rank, top, truth, np.ones(60, dtype=np.bool_))
    scores = measure(given)
    present = np.unique(truth)
    for average, prefix in (("macro", ""), ("weighted", "weighted_")):
        wanted = precision_recall_fscore_support(
            truth, top, labels=present, average=average, zero_division=0
        )
        found = [scores[f"{prefix}{name}"] for name in ("precision", "recall", "f1")]
        assert found == pytest.approx(wanted[:3])
    for k in (1, 3, 5):
        share = top_k_accuracy_score(truth, probabilities, k=k, labels=np.arange(9))
        assert scores[f"top{k}"] == pytest.approx(share)
    ours = macro_scores(top, truth)
    assert scores["f1"] == pytest.approx(ours.f1)


def test_an_object_counted_twice_is_the_object_there_twice() -> None:
    given = graded([0, 1, 1, 2, 0], [0, 0, 1, 2, 2])
    doubled = measure(given, np.array([2.0, 2.0, 1.0, 1.0, 1.0]))
    # In `weighted_recall` (the accuracy) the doubled object's photos count twice: 2+1+1 of 7.
    assert doubled["weighted_recall"] == pytest.approx((2 * 1 + 1 + 1) / 7)
    assert doubled["recall"] == pytest.approx((2 * 0.5 + 1 + 0.5) / 4)
    assert doubled["precision"] == pytest.approx((2 * (2 / 3) + 1 / 3 + 1) / 4)


def test_intervals_over_objects_are_wider_where_photos_of_an_object_are_alike() -> None:
    truth = np.repeat(np.arange(40), 10)
    right = np.repeat(np.arange(40) % 2 == 0, 10)
    alike = GradedAnswers(
        np.where(right, 0, 9), np.where(right, truth, 0), truth, np.ones(400, bool)
    )
    low, high = object_intervals(alike, resamples=400, seed=0)["top1"] or (0, 0)
    photos = wilson_interval(200, 400) or (0, 0)
    # Forty independent objects: 1.96 · sqrt(0.25 / 40) = 0.155 either way.
    assert (0.5 - low, high - 0.5) == pytest.approx((0.155, 0.155), abs=0.03)
    assert high - low > 2.5 * (photos[1] - photos[0])
    again = object_intervals(alike, resamples=400, seed=0)["top1"]
    assert again == (low, high)


def test_a_paired_difference_over_objects() -> None:
    ours, theirs = graded([0, 0, 1, 1], [0, 0, 1, 1]), graded([0, 0, 0, 0], [0, 0, 1, 1])
    right, wrong = ours.rank == 0, theirs.rank == 0
    truth = ours.truth
    assert paired_drop_interval(right, right, truth, resamples=50, seed=0) == (0.0, 0.0)
    bounds = paired_drop_interval(right, wrong, truth, resamples=400, seed=0)
    assert bounds == (0.0, 100.0)  # either object may be drawn twice


# --- objects to photograph again ------------------------------------------------------------------


def evidence(held: list[int], right: list[int]) -> ObjectEvidence:
    return ObjectEvidence(np.array(held), np.array(right), np.full(len(held), np.nan))


def labels_of(photos: list[int]) -> LabelMap:
    return LabelMap.of([(f"OBJ-{i:03}", "", "", n) for i, n in enumerate(photos)])


def growing_register() -> tuple[list[int], ObjectEvidence]:
    """600 objects of 3, 5 or 8 photos; accuracy grows with them as on a logistic curve."""
    generator = np.random.default_rng(0)
    photos = generator.choice([3, 5, 8], 600)
    share = 1 / (1 + np.exp(-(-2.0 + 1.5 * np.log(photos))))
    held = generator.integers(0, 4, 600)
    return photos.tolist(), evidence(held.tolist(), generator.binomial(held, share).tolist())


def test_the_curve_is_found_again() -> None:
    photos, seen = growing_register()
    curve = fit_curve(np.array(photos), seen, resamples=200, seed=0)
    assert curve.slope_ci95 is not None
    low, high = curve.slope_ci95
    assert low < 1.5 < high
    assert 0 < low < curve.slope < high
    assert curve.intercept == pytest.approx(-2.0, abs=0.6)


def test_an_object_is_not_judged_by_one_photo() -> None:
    photos, seen = growing_register()
    photos[:4], seen.held_out[:4], seen.right[:4] = [3] * 4, [1, 1, 0, 3], [1, 0, 0, 0]
    curve = fit_curve(np.array(photos), seen, resamples=50, seed=0)
    labels = labels_of(photos)
    found = {o.object_id: o for o in outlooks(labels, np.array(photos), seen, curve, {})}
    right, wrong, unknown, worst = (found[f"OBJ-{i:03}"] for i in range(4))
    assert 0.05 < worst.expected < wrong.expected < unknown.expected < right.expected < 0.95
    for one in found.values():
        assert one.expected_ci95[0] < one.expected < one.expected_ci95[1]
    usual = 1 / (1 + np.exp(-(curve.intercept + (curve.slope or 0) * np.log(3))))
    assert unknown.expected == pytest.approx(usual)
    narrow = unknown.expected_ci95[1] - unknown.expected_ci95[0]
    assert worst.expected_ci95[1] - worst.expected_ci95[0] < narrow


def test_gain_goes_to_eight_photos_and_sorts() -> None:
    photos, seen = growing_register()
    curve = fit_curve(np.array(photos), seen, resamples=50, seed=0)
    found = outlooks(labels_of(photos), np.array(photos), seen, curve, {})
    gains = [one.gain or 0.0 for one in found]
    assert gains == sorted(gains, reverse=True)
    assert {one.gain for one in found if one.photos == 8} == {0.0}
    assert all(one.photos_to_take == max(0, 8 - one.photos) for one in found)
    for one in found:
        if one.photos < 8:
            assert 0 < one.gain_ci95[0] < one.gain < one.gain_ci95[1] < 1 - one.expected


def test_equal_photo_counts_tell_nothing_about_more() -> None:
    curve = fit_curve(np.array([4, 4, 4]), evidence([2, 2, 2], [2, 1, 0]), resamples=20, seed=0)
    found = outlooks(
        labels_of([4, 4, 4]), np.array([3, 3, 3]), evidence([2, 2, 2], [2, 1, 0]), curve, {}
    )
    assert curve.slope is None
    assert [one.gain for one in found] == [None] * 3
    assert [one.object_id for one in found] == ["OBJ-002", "OBJ-001", "OBJ-000"]


@pytest.mark.parametrize("right", [[2, 2], [0, 0]])
def test_all_right_or_all_wrong_gives_finite_numbers(right: list[int]) -> None:
    seen = evidence([2, 2], right)
    curve = fit_curve(np.array([3, 9]), seen, resamples=20, seed=0)
    for one in outlooks(labels_of([3, 9]), np.array([2, 7]), seen, curve, {}):
        assert 0 < one.expected < 1
        assert abs(curve.slope or 0.0) < 5


# --- runs -----------------------------------------------------------------------------------------


def write_run(
    root: Path,
    folder: Path,
    *,
    seed: int = 0,
    contract: Preprocessing = CONTRACT,
    sides: tuple[SplitName, SplitName] = ("test", "val"),
    val_top1: float = 0.5,
    skip: str = "",
) -> Run:
    """A fitted tiny network; the first two photos of each object are held out."""
    return write_tiny_run(
        root,
        folder,
        side=lambda _photo, number: sides[number] if number < 2 else "train",
        contract=contract,
        seed=seed,
        without=skip,
        scale=4,
        ridge=10,
        val_top1=val_top1,
    )


@pytest.fixture(scope="module")
def work(register_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    write_run(register_folder, folder / "one")
    write_run(register_folder, folder / "two", seed=1, contract=OBLONG, val_top1=0.9)
    return folder


@pytest.fixture(scope="module")
def evaluation(work: Path, register_folder: Path) -> Evaluation:
    return evaluate_runs([work / "one", work / "two"], register_folder, options=QUICK)


def test_the_ensemble_votes_by_mean_softmax_each_by_its_own_contract(
    work: Path, register_folder: Path
) -> None:
    team = read_ensemble([work / "one", work / "two"], register_folder)
    chosen = choose_photos(team, None)
    networks = [
        Network(name, load_model(run), run.info.preprocessing)
        for name, run in zip(team.names, team.runs, strict=True)
    ]
    answered = answer_photos(networks, chosen.test, objects=6, lead=1)
    total = np.zeros((len(chosen.test), 6))
    for network, contract in zip(networks, (CONTRACT, OBLONG), strict=True):
        pixels = np.stack([load(photo.path, contract) for photo in chosen.test])
        with torch.inference_mode():
            logits = network.model(torch.from_numpy(pixels).permute(0, 3, 1, 2).float())
        probabilities = logits.softmax(dim=1).numpy()
        total += probabilities
        first = answered.answers[network.name].top
        np.testing.assert_array_equal(first, probabilities.argmax(axis=1))
    mean = total / 2
    np.testing.assert_array_equal(answered.answers[ENSEMBLE].top, mean.argmax(axis=1))
    own = mean[np.arange(len(mean)), answered.truth]
    np.testing.assert_allclose(answered.own[ENSEMBLE], own, rtol=1e-4)
    with torch.inference_mode():
        pixels = np.stack([load(photo.path, OBLONG) for photo in chosen.test])
        hidden = networks[1].model.features(torch.from_numpy(pixels).permute(0, 3, 1, 2).float())
    np.testing.assert_allclose(answered.features, hidden.numpy(), rtol=1e-3, atol=1e-4)


def test_the_document_says_what_was_measured(evaluation: Evaluation) -> None:
    assert [row.model for row in evaluation.rows] == ["one", "two", ENSEMBLE]
    assert evaluation.main == ENSEMBLE
    assert evaluation.lead == "two"  # by validation, whatever the test photos say
    assert {row.photos for row in evaluation.rows} == {6}
    assert [row.collection for row in evaluation.collections] == ["Egyptian", "Oriental"]
    assert sum(row.top1.right for row in evaluation.collections) == evaluation.rows[-1].top1.right
    for basis, first in (("register", 3), ("training", 1)):
        groups = [g for g in evaluation.by_photos if g.basis == basis]
        assert [g.label for g in groups] == [str(first + n) for n in range(6)]
        assert sum(g.top1.photos for g in groups) == 6
    assert [one.against for one in evaluation.comparisons] == ["one", "two"]
    assert evaluation.curve.evidence_photos == 12
    assert len(evaluation.photograph_again) == 6
    assert all(one.held_out == 2 and one.nearest for one in evaluation.photograph_again)
    assert evaluation.members[1].network_colour == "BGR"
    assert evaluation.rows[0].top1.ci95 == wilson_interval(evaluation.rows[0].top1.right, 6)


def test_members_of_another_register_are_refused(
    work: Path, register_folder: Path, tmp_path: Path
) -> None:
    write_run(register_folder, tmp_path / "fewer", skip="OBJ-0")
    with pytest.raises(InputError, match=r"labels\.json differ"):
        read_ensemble([work / "one", tmp_path / "fewer"], register_folder)
    with pytest.raises(InputError, match="vote twice"):
        read_ensemble([work / "one", work / "one"], register_folder)


def test_photos_that_a_member_trained_on_are_left_out(
    work: Path, register_folder: Path, tmp_path: Path
) -> None:
    write_run(register_folder, tmp_path / "half", seed=2, sides=("train", "test"))
    with pytest.raises(InputError, match="the same file as a training photo of half"):
        evaluate_runs([work / "one", tmp_path / "half"], register_folder, options=QUICK)
    team = read_ensemble([work / "one", work / "two"], register_folder)
    chosen = choose_photos(team, register_folder)  # the whole register as further photos
    assert len(chosen.test) == 6
    assert len(chosen.left_out) == 33 - 6


def test_nearest_confusions_by_answers_and_by_look(work: Path, register_folder: Path) -> None:
    team = read_ensemble([work / "one"], register_folder)
    networks = [Network("one", load_model(team.runs[0]), CONTRACT)]
    answered = answer_photos(networks, choose_photos(team, None).test, objects=6, lead=0)
    means = np.zeros((6, 3), np.float32)
    means[:4] = [[1, 0, 0], [1, 0.1, 0], [-1, 0, 1], [-1, 0, 0.9]]
    found = nearest_confusions(answered, "one", means, team.labels)
    look = [next(one.object_id for one in found[i] if one.by == "look") for i in range(4)]
    assert look == ["OBJ-1", "OBJ-0", "OBJ-3", "OBJ-2"]
    assert not [one for one in found[5] if one.by == "look"]  # no training photo, no look
    answers = answered.answers["one"]
    for place in range(6):
        by = [one.object_id for one in found[place] if one.by == "answers"]
        best = [int(i) for i in answers.best[place] if i != place]
        assert by == [f"OBJ-{i}" for i in best[:3]]


def test_ten_photos_and_more_are_one_group(work: Path, register_folder: Path) -> None:
    team = read_ensemble([work / "one"], register_folder)
    networks = [Network("one", load_model(team.runs[0]), CONTRACT)]
    answered = answer_photos(networks, choose_photos(team, None).test, objects=6, lead=0)
    counts = np.array([3, 9, 10, 11, 250, 3])
    groups = photo_groups(answered, "one", counts, "register", resamples=10, seed=0)
    assert [(g.label, g.objects) for g in groups] == [("3", 2), ("9", 1), ("10+", 3)]


def test_parameters_of_the_papers_models_are_those_of_timm() -> None:
    import timm

    for model in (PAPER_MODELS[0], PAPER_MODELS[9]):
        with torch.device("meta"):
            network = timm.create_model(model.backbone, pretrained=False, num_classes=0)
        assert sum(p.numel() for p in network.parameters()) == model.backbone_parameters
        assert network.num_features == model.features
    # The hidden layer and 4,332 classes: about 11.5 million numbers.
    head = PAPER_MODELS[0].parameters(3) - PAPER_MODELS[0].backbone_parameters
    assert head == 2 * 1280 + 1281 * 2048 + 2049 * 4332


# --- command --------------------------------------------------------------------------------------


def command(work: Path, photos: Path, *more: str) -> int:
    return main(
        ["evaluate", str(work / "one"), str(work / "two"), "--photos", str(photos),
         "--latency-runs", "1", "--resamples", "40", *more]
    )  # fmt: skip


def test_the_command_writes_every_file(
    work: Path, register_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert command(work, register_folder, "--out", str(out), "--no-figures") == 0
    printed = capsys.readouterr()
    assert "ensemble" in printed.out
    assert "paper_recall" in printed.out
    assert "index.html" in printed.err
    names = sorted(path.name for path in out.iterdir())
    assert names == [
        "answers.csv", "by_photos.csv", "evaluation.json", "evaluation.md", "index.html",
        "photograph_again.csv", "table3.csv", "table4.csv",
    ]  # fmt: skip
    found = Evaluation.read(out / "evaluation.json")
    rows = list(csv.DictReader(io.StringIO((out / "table3.csv").read_text())))
    paper = ["precision", "recall", "f1", "accuracy", "top3", "top5", "top10"]
    assert list(rows[0])[:9] == ["min_photos", "model", *paper]
    value = found.rows[-1].top1.value
    assert float(rows[-1]["accuracy"]) == pytest.approx(100 * value, abs=0.006)
    answers = list(csv.DictReader(io.StringIO((out / "answers.csv").read_text())))
    hits = [row for row in answers if row["truth"] == row["answer"]]
    assert len(hits) == found.rows[-1].top1.right == sum(row["rank"] == "1" for row in answers)
    page = (out / "index.html").read_text()
    assert not re.findall(
        r"(?:src|href)=\"(?!data:|#)|https?://(?!www\.w3\.org)|<script|@import", page
    )
    assert "What the phone would answer" not in page  # only the style is the report's
    assert all(one.object_id in page for one in found.photograph_again)
    assert str(register_folder) not in page + (out / "evaluation.json").read_text()
    assert command(work, register_folder, "--out", str(out), "--no-figures") == 2


def test_json_is_the_document_and_nothing_else(
    work: Path, register_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(work, register_folder, "--json") == 0
    Evaluation.model_validate(json.loads(capsys.readouterr().out))


def test_wrong_input_exits_2_with_a_remedy(
    work: Path, register_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(work, tmp_path) == 2  # the photos are not there
    assert "--photos" in capsys.readouterr().err
    assert main(["evaluate", str(tmp_path), "--photos", str(register_folder)]) == 2
    assert "run.json" in capsys.readouterr().err
    assert command(work, register_folder, "--resamples", "-1") == 2
    assert "--resamples" in capsys.readouterr().err
