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
from tiny_run import CONTRACT, write_tiny_run

from artefact_id.main import main
from benchmarks.evaluation.acquisition import nearest_confusions
from benchmarks.evaluation.ensemble import Ensemble, choose_photos, read_ensemble
from benchmarks.evaluation.evaluate import EvaluateOptions, evaluate_runs
from benchmarks.evaluation.inference import Network, Predictions, answer_photos
from benchmarks.evaluation.schema import ENSEMBLE, Evaluation
from benchmarks.evaluation.score_rows import photo_groups
from benchmarks.results.classification import wilson_interval
from benchmarks.results.paper_baselines import PAPER_MODELS
from mobile_assets.errors import InputError
from mobile_assets.photos import load
from mobile_assets.preprocessing import Preprocessing
from train.run import Run, SplitName, load_model

OBLONG = Preprocessing(
    height=72, width=56, mean=(0.0, 0.0, 0.0), std=(1 / 255, 1 / 255, 1 / 255), network_colour="BGR"
)
QUICK = EvaluateOptions(resamples=60, latency_runs=1, figures=False)


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
    np.testing.assert_allclose(answered.answers[ENSEMBLE].own, own, rtol=1e-4)
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
    assert [pair.against for pair in evaluation.comparisons] == ["one", "two"]
    assert evaluation.curve.evidence_photos == 12
    assert len(evaluation.photograph_again) == 6
    assert all(item.held_out == 2 and item.nearest for item in evaluation.photograph_again)
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


def answered_alone(work: Path, register_folder: Path) -> tuple[Ensemble, Predictions]:
    team = read_ensemble([work / "one"], register_folder)
    networks = [Network("one", load_model(team.runs[0]), CONTRACT)]
    return team, answer_photos(networks, choose_photos(team, None).test, objects=6, lead=0)


def test_nearest_confusions_by_answers_and_by_look(work: Path, register_folder: Path) -> None:
    team, answered = answered_alone(work, register_folder)
    means = np.zeros((6, 3), np.float32)
    means[:4] = [[1, 0, 0], [1, 0.1, 0], [-1, 0, 1], [-1, 0, 0.9]]
    confusions = nearest_confusions(answered, "one", means, team.labels)
    names = {
        (index, by): [near.object_id for near in confusions[index] if near.by == by]
        for index in range(6)
        for by in ("look", "answers")
    }
    look = [names[index, "look"][0] for index in range(4)]
    assert look == ["OBJ-1", "OBJ-0", "OBJ-3", "OBJ-2"]
    assert not names[5, "look"]  # no training photo, no look
    for index in range(6):
        by = names[index, "answers"]
        best = [int(i) for i in answered.answers["one"].best[index] if i != index]
        assert by == [f"OBJ-{i}" for i in best[:3]]


def test_ten_photos_and_more_are_one_group(work: Path, register_folder: Path) -> None:
    _, answered = answered_alone(work, register_folder)
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
    document = Evaluation.read(out / "evaluation.json")
    rows = list(csv.DictReader(io.StringIO((out / "table3.csv").read_text())))
    paper = ["precision", "recall", "f1", "accuracy", "top3", "top5", "top10"]
    assert list(rows[0])[:9] == ["min_photos", "model", *paper]
    value = document.rows[-1].top1.value
    assert float(rows[-1]["accuracy"]) == pytest.approx(100 * value, abs=0.006)
    answers = list(csv.DictReader(io.StringIO((out / "answers.csv").read_text())))
    hits = [row for row in answers if row["truth"] == row["answer"]]
    assert len(hits) == document.rows[-1].top1.right == sum(row["rank"] == "1" for row in answers)
    page = (out / "index.html").read_text()
    assert not re.findall(
        r"(?:src|href)=\"(?!data:|#)|https?://(?!www\.w3\.org)|<script|@import", page
    )
    assert "What the phone would answer" not in page  # only the style is the report's
    assert all(item.object_id in page for item in document.photograph_again)
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
