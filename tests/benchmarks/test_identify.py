"""Answers from a bundle, whatever is wrong with some of the photos."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import picture
from PIL import Image

from artefact_id.main import main
from benchmarks.pipeline.identify import identifier, identify
from mobile_assets.bundle import Bundle
from mobile_assets.errors import InputError
from train.decode_pool import CRASHED, HUNG

ROOT = Path(__file__).parents[2]


def damaged_avif(path: Path) -> Path:
    """An AVIF whose picture data are overwritten, as a bad copy leaves them."""
    data = io.BytesIO()
    Image.new("RGB", (300, 300), "olive").save(data, "AVIF")
    start = data.getvalue().find(b"mdat") + 4
    path.write_bytes(data.getvalue()[:start] + b"\xff" * (len(data.getvalue()) - start))
    return path


def test_a_damaged_photo_costs_its_own_answer_only(
    golden_bundle: Bundle, register_folder: Path, tmp_path: Path
) -> None:
    good = sorted(register_folder.rglob("*.png"))[:3]
    broken = damaged_avif(tmp_path / "damaged.avif")
    photos = [good[0], broken, good[1], tmp_path / "none.jpg", good[2]]
    answers = identify(golden_bundle.folder, photos, top=3)
    assert [answer.photos for answer in answers] == [(photo,) for photo in photos]
    assert [answer.verdict is not None for answer in answers] == [True, False, True, False, True]
    assert "damaged" in answers[1].errors[broken]
    alone = [identify(golden_bundle.folder, [photo], top=3)[0] for photo in good]
    assert [answers[0], answers[2], answers[4]] == alone


@pytest.mark.parametrize("progressive", [False, True], ids=["here", "in another process"])
def test_large_photos_are_decoded_in_full(
    progressive: bool, golden_bundle: Bundle, tmp_path: Path
) -> None:
    # At a reduced scale the answer would be another one, if only a little.
    noise = np.random.default_rng(0).integers(0, 256, (900, 1200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.jpg", quality=95, progressive=progressive)
    from benchmarks.runtimes.litert_runtime import open_litert
    from mobile_assets.photos import load

    variant = "tflite-float32"
    (answer,) = identify(golden_bundle.folder, [tmp_path / "photo.jpg"], variant=variant, top=3)
    with open_litert(golden_bundle, variant) as session:
        pixels = load(tmp_path / "photo.jpg", golden_bundle.info.preprocessing)
        wanted = np.sort(session.predict(pixels[None])[0])[::-1][:3]
    assert [c.score for c in answer.candidates] == pytest.approx(wanted.tolist())


@pytest.mark.parametrize(
    ("defect", "reason"),
    [("os.abort()", CRASHED), ("time.sleep(600)", HUNG)],
    ids=["dies", "hangs"],
)
def test_a_decoder_that_dies_or_hangs_costs_one_answer(
    defect: str,
    reason: str,
    golden_bundle: Bundle,
    register_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    photos = sorted(register_folder.rglob("*.png"))[:3]
    photos[1] = tmp_path / "photo.webp"
    picture(3).save(photos[1])
    deadly = (
        "import os, time, train.decode_worker as d; real = d.examine; "
        f"d.examine = lambda r: {defect} if r.file == {str(photos[1])!r} else real(r)"
    )
    (tmp_path / "sitecustomize.py").write_text(deadly)  # executed by every Python that starts
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), str(ROOT))))
    monkeypatch.setattr("train.decode_pool.DECODE_SECONDS", 3.0)
    started = time.monotonic()
    answers = identify(golden_bundle.folder, photos, top=3)
    assert [answer.errors.get(answer.photos[0]) for answer in answers] == [None, reason, None]
    assert time.monotonic() - started < 60


def test_a_bundle_without_thresholds_gives_shortlists_only(
    golden_bundle: Bundle, register_folder: Path
) -> None:
    photos = sorted(register_folder.rglob("*.png"))[:4]
    answers = identify(golden_bundle.folder, photos, top=1)
    assert {answer.verdict.answer for answer in answers if answer.verdict} == {"shortlist"}
    assert all("no thresholds" in answer.reason for answer in answers)
    with (
        pytest.raises(InputError, match="no thresholds"),
        identifier(golden_bundle.folder, false_match_rate=0.05),
    ):
        pass


def test_photos_together_get_one_answer_and_the_same_one_twice_counts_once(
    golden_bundle: Bundle, register_folder: Path, tmp_path: Path
) -> None:
    first, second, *_ = sorted(register_folder.rglob("*.png"))
    alone = identify(golden_bundle.folder, [first], top=3)[0]
    twice, pair = (
        identify(golden_bundle.folder, [first, other, tmp_path / "none.jpg"], top=3, together=True)
        for other in (first, second)
    )
    assert len(twice) == len(pair) == 1
    assert twice[0].candidates == alone.candidates != pair[0].candidates
    assert list(pair[0].errors) == [tmp_path / "none.jpg"]
    shown = pair[0].as_json()
    assert [entry["photo"] for entry in shown["errors"]] == [str(tmp_path / "none.jpg")]
    assert shown["photos"][0] == str(first)


def test_a_page_shows_the_photos_and_says_what_is_missing(
    golden_bundle: Bundle, register_folder: Path, tmp_path: Path
) -> None:
    photo, page = sorted(register_folder.rglob("*.png"))[0], tmp_path / "answer.html"
    words = ["identify", str(golden_bundle.folder), str(photo), str(tmp_path / "none.jpg")]
    assert main([*words, "--html", str(page)]) == 2
    html = page.read_text(encoding="utf-8")
    assert html.count("data:image/jpeg") == 1 and "none.jpg" in html
    assert "no reference pictures" in html and "<h2>Shortlist</h2>" in html
    before = page.read_bytes()
    assert main([*words, "--html", str(page)]) == 2  # it is there already
    assert page.read_bytes() == before
