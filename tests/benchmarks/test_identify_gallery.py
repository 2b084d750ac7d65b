"""Answers by embedding and gallery, their reasons, and the page that shows them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tampering import relist

from artefact_id.main import main
from benchmarks.pipeline.bundle_scores import choose_variant, open_scores
from benchmarks.pipeline.identify import identify
from mobile_assets.bundle import Bundle, read_bundle
from mobile_assets.errors import DamagedError
from mobile_assets.identification.decision import DECISION_FILE, Decision, read_decision
from mobile_assets.identification.gallery import Gallery, QuantisedRows, read_gallery
from mobile_assets.identification.vectors import VECTORS_FILE, DecisionVectors

pytest_plugins = ("gallery_case",)


@pytest.fixture(scope="module")
def photos(gallery_root: Path) -> list[Path]:
    return sorted(gallery_root.rglob("0.png"))[:6]


def changed(bundle: Bundle, folder: Path, decision: Decision) -> Path:
    """A copy of a bundle with other thresholds."""
    shutil.copytree(bundle.folder, folder)
    decision.write(folder / DECISION_FILE)
    DecisionVectors.of(decision).write(folder / VECTORS_FILE)
    relist(folder)
    return folder


def with_thresholds(bundle: Bundle, match: float | None, reject: float | None) -> Decision:
    decision = read_decision(bundle)
    assert decision is not None
    variants = {}
    for name, variant in decision.variants.items():
        rules = tuple(
            rule.model_copy(
                update={
                    "reject": reject,
                    "matches": tuple(m.model_copy(update={"score": match}) for m in rule.matches),
                }
            )
            for rule in variant.rules
        )
        variants[name] = variant.model_copy(update={"rules": rules})
    return decision.model_copy(update={"variants": variants})


def test_photos_of_the_register_are_found(gallery_bundle: Bundle, photos: list[Path]) -> None:
    answers = identify(gallery_bundle.folder, photos, top=3)
    best = [answer.candidates[0].label.object_id for answer in answers]
    assert (
        np.mean([name == photo.parent.name for name, photo in zip(best, photos, strict=True)]) > 0.6
    )
    for answer in answers:
        assert answer.verdict is not None and answer.scored_by == "score"
        assert answer.model == "tflite-embedding-int8"
        assert f"{answer.verdict.score:.3f}" in answer.reason
        named = [c.label.index for c in answer.candidates if c.named]
        assert sorted(named) == sorted(answer.verdict.objects)
    other = identify(gallery_bundle.folder, photos[:1], top=3, variant="tflite-float32")
    assert other[0].model == "tflite-embedding-float32"


def test_thresholds_decide(gallery_bundle: Bundle, photos: list[Path], tmp_path: Path) -> None:
    for number, (match, reject, answer) in enumerate(
        ((-1.0, None, "match"), (None, None, "shortlist"), (None, 1.0, "not in the register"))
    ):
        decision = with_thresholds(gallery_bundle, match, reject)
        folder = changed(gallery_bundle, tmp_path / str(number), decision)
        for found in identify(folder, photos[:2], top=3):
            assert found.verdict is not None and found.verdict.answer == answer


def test_the_command_prints_reasons_json_and_a_page(
    gallery_bundle: Bundle,
    photos: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = tmp_path / "answer.html"
    words = ["identify", str(gallery_bundle.folder), *map(str, photos[:2]), "--together"]
    assert main([*words, "--json", "--html", str(page), "--false-match-rate", "0.05"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert answer["photos"] == [str(photo) for photo in photos[:2]]
    assert answer["verdict"] in {"match", "shortlist", "not in the register"}
    assert answer["reason"].startswith(f"Score {answer['score']:.3f}")
    assert [entry["unfit"] for entry in answer["fitness"]] == [None, None]
    html = page.read_text(encoding="utf-8")
    assert html.count("data:image/jpeg") >= 2
    best = answer["candidates"][0]["object_id"]
    assert html.index("data:image/webp") > html.index(best)
    assert answer["reason"] in html
    assert main([*words, "--html", str(page)]) == 2  # it is there already
    assert main([*words, "--false-match-rate", "0.02"]) == 2
    assert "1, 5 %" in capsys.readouterr().err
    assert main(words) == 0
    assert answer["reason"][:20] not in capsys.readouterr().err


def test_names_of_objects_and_files_cannot_change_the_page(
    gallery_bundle: Bundle, photos: list[Path], tmp_path: Path
) -> None:
    photo = tmp_path / "<img src=x onerror=alert(1)>.png"
    shutil.copy(photos[0], photo)
    page = tmp_path / "answer.html"
    assert main(["identify", str(gallery_bundle.folder), str(photo), "--html", str(page)]) == 0
    assert "<img src=x" not in page.read_text(encoding="utf-8")


def test_unfit_photos_are_left_out(gallery_bundle: Bundle, tmp_path: Path) -> None:
    # The test's network sees 48 pixels, and photos of fewer than 96 are never unfit.
    Image.new("RGB", (300, 300)).save(tmp_path / "black.png")
    (answer,) = identify(gallery_bundle.folder, [tmp_path / "black.png"], top=3)
    assert answer.unfit == {} and answer.verdict is not None
    with open_scores(gallery_bundle, choose_variant(gallery_bundle, None)) as scores:
        black = np.zeros((224, 224, 3), dtype=np.uint8)
        assert scores.fitness({Path("black"): black})[Path("black")].kind == "dark"
        assert scores.judge(np.zeros(gallery_bundle.info.objects), 0)[0].answer == "photo unfit"


def test_a_gallery_that_lacks_what_the_score_needs_is_refused(
    gallery_bundle: Bundle, photos: list[Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(gallery_bundle.folder, tmp_path / "bundle")
    gallery = read_gallery(gallery_bundle)
    assert gallery is not None
    size = gallery.dimensions
    Gallery(
        QuantisedRows(np.zeros((0, size), dtype=np.int8), np.zeros(0, dtype=np.float32)),
        np.zeros(0, dtype=np.int32),
        np.zeros((0, 32), dtype=np.uint8),
        gallery.directions,
    ).write(folder)
    relist(folder)
    with pytest.raises(DamagedError, match="gallery rows"):
        identify(folder, photos[:1], top=3)
    assert read_bundle(folder).info.objects == gallery.objects
