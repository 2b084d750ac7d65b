"""The figures of an evaluation: written, not blank, and of few photos or very many."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_evaluate import write_run
from tiny_run import CONTRACT

from benchmarks.evaluation.confused_pairs import draw_pairs, find_pairs
from benchmarks.evaluation.ensemble import choose_photos, read_ensemble
from benchmarks.evaluation.evaluate import EvaluateOptions, evaluate_runs, find
from benchmarks.evaluation.figures import draw_charts
from benchmarks.evaluation.inference import Findings, Network
from benchmarks.evaluation.page import render_page
from benchmarks.evaluation.projections import MOST_POINTS, project, scatter
from benchmarks.evaluation.saliency import draw_saliency, saliency_map
from mobile_assets.photos import load
from train.run import load_model


def variance(path: Path) -> float:
    with Image.open(path) as picture:
        return float(np.asarray(picture.convert("L"), dtype=np.float64).var())


def assert_drawn(folder: Path, names: list[str]) -> None:
    for name in names:
        assert variance(folder / name) > 50, name


@pytest.fixture(scope="module")
def findings(register_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Findings:
    folder = tmp_path_factory.mktemp("figures")
    for seed in (0, 1):
        write_run(register_folder, folder / f"run{seed}", seed=seed)
    team = read_ensemble([folder / "run0", folder / "run1"], register_folder)
    options = EvaluateOptions(resamples=20, latency_runs=1)
    return find(team, choose_photos(team, None), options)


def test_the_check_sees_a_blank_picture(tmp_path: Path) -> None:
    Image.new("RGB", (50, 50), "white").save(tmp_path / "blank.png")
    with pytest.raises(AssertionError):
        assert_drawn(tmp_path, ["blank.png"])


def test_charts_are_drawn(findings: Findings, tmp_path: Path) -> None:
    names = draw_charts(findings, tmp_path)
    assert len(names) == 3
    assert_drawn(tmp_path, names)


def noise(photos: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(photos, 16)).astype(np.float32)


UMAP = pytest.param("UMAP", marks=pytest.mark.slow)


@pytest.mark.parametrize("photos", [3, 4, 12, 60])
@pytest.mark.parametrize("method", ["PCA", "t-SNE", UMAP])
def test_few_photos_have_a_projection(method: str, photos: int) -> None:
    points = project(method, noise(photos), 0)
    assert points.shape == (photos, 2)
    assert np.isfinite(points).all()
    assert points.var() > 0
    np.testing.assert_allclose(project(method, noise(photos), 0), points, rtol=1e-4)


def test_projections_part_what_is_apart() -> None:
    features = noise(40)
    features[20:] += 12
    for method in ("PCA", "t-SNE"):
        points = project(method, features, 0)
        gap = np.linalg.norm(points[:20].mean(axis=0) - points[20:].mean(axis=0))
        assert gap > 1.5 * points[:20].std()


def test_many_collections_share_a_legend() -> None:
    from benchmarks.evaluation.plotting import new_figure

    _, axes = new_figure(4, 3)
    generator = np.random.default_rng(0)
    collections = np.array([f"C{i % 40:02}" for i in range(MOST_POINTS)])
    scatter(axes[0, 0], generator.normal(size=(MOST_POINTS, 2)).astype(np.float32), collections)
    texts = [text.get_text() for text in axes[0, 0].get_legend().get_texts()]
    assert len(texts) == 10
    assert texts[-1].startswith("31 others")
    assert sum(int(text.rsplit("(", 1)[1].rstrip(")")) for text in texts) == MOST_POINTS


def test_saliency_differs_between_photos_and_answers(
    findings: Findings, register_folder: Path
) -> None:
    run = findings.ensemble.runs[0]
    network = Network("one", load_model(run), CONTRACT)
    first, second = (load(photo.path, CONTRACT) for photo in findings.test.photos[:2])
    heat = saliency_map(network, first, 0, seed=0)
    assert heat.shape == (64, 64)
    assert heat.min() >= 0
    assert heat.max() == 1
    np.testing.assert_allclose(saliency_map(network, first, 0, seed=0), heat, rtol=1e-4, atol=1e-5)
    assert np.abs(saliency_map(network, second, 0, seed=0) - heat).max() > 0.05
    assert np.abs(saliency_map(network, first, 1, seed=0) - heat).max() > 0.05


def test_saliency_and_pairs_are_drawn(findings: Findings, tmp_path: Path) -> None:
    names = [*draw_saliency(findings, tmp_path), *draw_pairs(findings, tmp_path)]
    answers = findings.test.answers
    wanted = ["saliency-right.png"] * bool(answers[findings.evaluation.lead].right.any())
    wanted += ["saliency-wrong.png"] * bool((~answers[findings.evaluation.lead].right).any())
    wanted += ["confused-pairs.png"] * bool((~answers["ensemble"].right).any())
    assert names == wanted
    assert names
    assert_drawn(tmp_path, names)
    for pair in find_pairs(findings):
        assert pair.right != pair.answered
        assert pair.photo.parent.name == pair.right
        assert pair.answered_photo.parent.name == pair.answered


def test_the_page_holds_the_figures(findings: Findings, tmp_path: Path) -> None:
    names = tuple(draw_charts(findings, tmp_path)[:1])
    page = render_page(
        findings.evaluation.model_copy(update={"figures": names}), findings, tmp_path
    )
    assert "<h3>Accuracy by photos per object</h3>" in page
    assert page.count("data:image/webp") > len(findings.evaluation.photograph_again)


@pytest.mark.slow
def test_two_objects_of_one_collection(tmp_path: Path, register_folder: Path) -> None:
    import shutil

    photos = tmp_path / "photos"
    for name in ("OBJ-0", "OBJ-2"):
        shutil.copytree(register_folder / "Oriental" / name, photos / name)
    write_run(photos, tmp_path / "run")
    options = EvaluateOptions(resamples=20, latency_runs=1)
    out = tmp_path / "out"
    evaluation = evaluate_runs([tmp_path / "run"], photos, out=out, options=options)
    assert evaluation.figures
    assert_drawn(out / "figures", list(evaluation.figures))
