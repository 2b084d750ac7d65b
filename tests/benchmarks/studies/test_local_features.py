"""The study of local features at tiny scale: halves are apart, points in common decide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import tiny_weights
from PIL import Image

from benchmarks.studies.local_features import LocalFeaturesStudy, answer_half, features_of


def surface(seed: int) -> Image.Image:
    """A surface with marks of its own."""
    marks = np.random.default_rng(seed).integers(0, 256, (24, 24, 3), np.uint8)
    return Image.fromarray(marks).resize((192, 192), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("grocery")
    for number in range(4):
        (root / "studio" / "Box").mkdir(parents=True, exist_ok=True)
        surface(number).save(root / "studio" / "Box" / f"P-{number}.png")
        folder = root / "photos" / "Box" / f"P-{number}"
        folder.mkdir(parents=True)
        for view in range(4):
            turned = surface(number).rotate(4 * view - 6, Image.Resampling.BICUBIC)
            turned.save(folder / f"{view:03}.png")
    return root


def test_points_in_common_put_wrong_answers_right(photos: Path) -> None:
    objects = [f"P-{n}" for n in range(4)]
    asked = [(path, path.parent.name) for path in sorted((photos / "photos").rglob("*.png"))]
    references = [features_of(photos / "studio" / "Box" / f"{name}.png") for name in objects]
    scores = np.tile(np.array([0.4, 0.3, 0.2, 0.1], np.float32), (len(asked), 1))
    answers = answer_half("dev", asked, scores, objects, references, np.array([3]))
    assert answers.before == (4, 0, 0, 0)
    assert answers.after == (4, 4, 4, 4)
    assert answers.won == (0, 4, 4, 4)
    assert answers.lost == (0, 0, 0, 0)
    assert answers.left_out == ("P-3",)
    assert answers.known_right == (1,) * 12
    assert min(answers.known_points) > max(answers.unknown_points)
    assert len(answers.unknown_points) == 4


@pytest.mark.slow
def test_whole_study_at_tiny_scale(photos: Path, tmp_path: Path) -> None:
    out, table = tmp_path / "out", tmp_path / "page.md"
    words = ["--photos", str(photos), "--out", str(out), "--table", str(table), "--seeds", "0"]
    words += ["--backbone", "test_efficientnet", "--input-size", "32", "--epochs", "1"]
    words += ["--weights", str(tiny_weights(tmp_path))]
    assert LocalFeaturesStudy.main(words) == 0
    (result,) = LocalFeaturesStudy.read(table.with_suffix(".json")).results
    assert [own.half for own in result.halves] == ["dev", "test"]
    assert all(own.tested == (2, 2, 2, 2) for own in result.halves)
    text = table.read_text(encoding="utf-8")
    assert "| development |" in text and "not in the register" in text
    before = (out / "seed0.json").stat().st_mtime_ns
    assert LocalFeaturesStudy.main(words) == 0
    assert (out / "seed0.json").stat().st_mtime_ns == before
