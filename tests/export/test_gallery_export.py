"""Gallery, reference pictures and thresholds of an exported bundle."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tampering import relist

from benchmarks.verify import verify_bundle
from export import ExportOptions, export_bundle
from export.bundle.leave_one_out import mean_direction
from export.bundle.references import differing_rows
from export.bundle.thresholds import fit_variant, refit, stored_scores
from export.tflite.interpreter import run_tflite
from mobile_assets.bundle import Bundle
from mobile_assets.files import sha256_file, size_of
from mobile_assets.golden import GoldenVectors
from mobile_assets.identification.decision import read_decision
from mobile_assets.identification.gallery import Gallery, QuantisedRows, read_gallery
from mobile_assets.identification.references import read_references
from mobile_assets.identification.scores import GallerySearch, ScoreFormula
from mobile_assets.identification.vectors import read_vectors
from mobile_assets.photos import load
from train.run import Run, read_run

pytest_plugins = ("gallery_case",)
FORMULA = ScoreFormula()


def made_gallery(objects: int, photos: int, *, unseen: int, spread: float = 0.3) -> Gallery:
    """A gallery of noise about one direction per object; the last `unseen` were never trained."""
    generator = np.random.default_rng(0)
    centres = generator.standard_normal((objects, 32))
    rows = np.repeat(centres, photos, axis=0)
    rows = rows + spread * generator.standard_normal(rows.shape)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    directions = rows.reshape(objects, photos, -1).mean(axis=1)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return Gallery(
        embeddings=QuantisedRows.of(rows),
        row_objects=np.repeat(np.arange(objects, dtype=np.int32), photos),
        row_photos=generator.integers(0, 256, (objects * photos, 32), dtype=np.uint8),
        directions=QuantisedRows.of(directions),
        unseen_objects=tuple(range(objects - unseen, objects)),
    )


def without_photo(gallery: Gallery, row: int) -> Gallery:
    """The gallery as it is if an object is enrolled without one of its photos."""
    kept = np.arange(len(gallery.row_objects)) != row
    own = int(gallery.row_objects[row])
    rest = gallery.embeddings.dequantised()[kept & (gallery.row_objects == own)]
    rest /= np.linalg.norm(rest, axis=1, keepdims=True)
    directions = gallery.directions.dequantised()
    directions[own] = mean_direction(rest)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return Gallery(
        embeddings=gallery.embeddings.take(kept),
        row_objects=gallery.row_objects[kept],
        row_photos=gallery.row_photos[kept],
        directions=QuantisedRows.of(directions),
    )


def test_a_photo_left_out_is_scored_as_by_a_gallery_without_it() -> None:
    gallery = made_gallery(20, 4, unseen=17)
    scored = stored_scores(gallery, FORMULA)
    assert scored is not None and len(scored.objects) == 17 * 4
    known = scored.known(FORMULA, 1)
    for place in (0, 30, 67):
        row = place + 3 * 4
        whole = GallerySearch(without_photo(gallery, row), FORMULA)
        wanted = whole.scores(scored.embeddings[place : place + 1])[0]
        assert known.objects[place] == gallery.row_objects[row]
        assert known.scores[place] == pytest.approx(wanted, abs=5e-3)
        # With itself in the gallery its own object would score higher.
        assert scored.scores[place, known.objects[place]] > wanted[known.objects[place]] + 0.02


def test_groups_of_photos_are_left_out_together() -> None:
    gallery = made_gallery(20, 4, unseen=17)
    scored = stored_scores(gallery, FORMULA)
    assert scored is not None
    known = scored.known(FORMULA, 3)
    assert (known.scores.max(axis=1) <= 1).all()
    assert scored.known(FORMULA, 4).scores.shape == (0, 20)  # no photo is left to enrol with
    unseen = scored.unseen(FORMULA, 2)
    singles = scored.unseen(FORMULA, 1).without_own()
    assert len(unseen.scores) == len(singles) and unseen.without_own().max() < singles.max()


def test_thresholds_need_sixteen_unseen_objects() -> None:
    few, enough = (made_gallery(30, 6, unseen=unseen, spread=0.8) for unseen in (15, 16))
    fitted = [fit_variant(stored_scores(g, FORMULA), FORMULA, why="too few") for g in (few, enough)]
    assert [one.promises_matches for one in fitted] == [False, True]
    assert fitted[0].evidence.method == "too few" and fitted[0].evidence.unseen_objects == 15
    assert [rule.photos for rule in fitted[1].rules] == [1, 2, 3, 4]
    none = fit_variant(None, FORMULA, why="none")
    assert not none.promises_matches and none.rules[0].reject is None


def test_thresholds_move_with_the_gallery() -> None:
    small, large = (made_gallery(n, 6, unseen=20, spread=0.8) for n in (25, 60))
    before, after = (
        fit_variant(stored_scores(g, FORMULA), FORMULA, why="") for g in (small, large)
    )
    score = before.rules[0].matches[0].score
    assert score is not None
    shifted = tuple(
        rule.model_copy(
            update={
                "matches": tuple(
                    m.model_copy(update={"score": None if m.score is None else m.score + 0.01})
                    for m in rule.matches
                )
            }
        )
        for rule in before.rules
    )
    own = before.model_copy(update={"rules": shifted})
    moved = refit({"int8": own}, before, after)["int8"]
    now = after.rules[0].matches[0].score
    assert now is not None and moved.rules[0].matches[0].score == pytest.approx(now + 0.01)
    empty = fit_variant(None, FORMULA, why="")
    assert refit({"int8": empty}, empty, after)["int8"].rules == after.rules
    assert not refit({"int8": own}, before, empty)["int8"].promises_matches


def test_references_differ() -> None:
    rows = np.eye(4)[[0, 0, 1, 0, 2]] + 0.01
    chosen = differing_rows(rows, 3)
    assert chosen[0] in (0, 1, 3) and {2, 4} == set(chosen[1:])
    assert differing_rows(rows, 9) and len(differing_rows(rows, 9)) == 5
    assert differing_rows(rows, 0) == []


@pytest.mark.slow
def test_a_bundle_has_gallery_references_and_thresholds(
    gallery_bundle: Bundle,
    gallery_run: Run,
    gallery_root: Path,
) -> None:
    bundle, run = gallery_bundle, gallery_run
    assert len(run.held_out) >= 16
    gallery = read_gallery(bundle)
    assert gallery is not None
    assert len(gallery.embeddings) == len(run.fitted_photos)
    unseen = {bundle.labels[i].object_id for i in gallery.unseen_objects}
    assert unseen == run.held_out
    first = run.labels.object_ids[0]
    files = [p for p in run.fitted_photos if p.object_id == first]
    assert {bytes(row).hex() for row in gallery.row_photos[gallery.row_objects == 0]} == {
        sha256_file(gallery_root / photo.path) for photo in files
    }
    model = next(m for m in bundle.info.companions if m.precision == "float32")
    pixels = np.stack([load(gallery_root / p.path, run.info.preprocessing) for p in files])
    rows = run_tflite(bundle.path(model).read_bytes(), pixels)
    order = [bytes(row).hex() for row in gallery.row_photos[: len(files)]]
    rows = rows[[[p.sha256 for p in files].index(sha256) for sha256 in order]]
    assert (gallery.embeddings.dequantised()[: len(files)] * rows).sum(axis=1).min() > 0.999
    decision, vectors = read_decision(bundle), read_vectors(bundle)
    assert decision is not None and vectors is not None
    names = {m.name for m in bundle.info.companions if m.kind == "embedding"}
    assert decision.variants.keys() == names and len(names) == 3
    assert list(vectors.problems(decision)) == [] and len(vectors.vectors) >= 200
    scores = {one.rules[0].matches[0].score for one in decision.variants.values()}
    assert None not in scores and len(scores) == 3  # each of its own embeddings
    card = (bundle.folder / "README.md").read_text(encoding="utf-8")
    assert f"{size_of(bundle.folder / 'gallery'):,} bytes" in card
    assert f"{size_of(bundle.folder / 'references'):,} bytes" in card
    assert verify_bundle(bundle.folder).failed == ()


@pytest.mark.slow
def test_reference_pictures_hold_pixels_only(gallery_bundle: Bundle) -> None:
    references = read_references(gallery_bundle)
    assert references is not None
    assert set(references.by_object) == set(gallery_bundle.labels.object_ids)
    for pictures in references.by_object.values():
        assert 1 <= len(pictures) <= 3
    picture = references.info.pictures[0]
    assert references.pixels(picture).shape == (picture.height, picture.width, 3)
    with Image.open(gallery_bundle.folder / "references" / picture.file) as opened:
        assert opened.format == "WEBP" and not opened.getexif() and "icc_profile" not in opened.info


@pytest.mark.slow
def test_golden_rows_of_the_embeddings(gallery_bundle: Bundle, tmp_path: Path) -> None:
    golden = GoldenVectors.read(gallery_bundle)
    assert [one.model.rsplit("-", 1)[1] for one in golden.info.embeddings] == [
        "float32", "float16", "int8",
    ]  # fmt: skip
    copy = tmp_path / "copy"
    shutil.copytree(gallery_bundle.folder, copy)
    file = copy / "golden" / golden.info.embeddings[2].rows
    rows = np.frombuffer(file.read_bytes(), "<f4").reshape(len(golden.info.photos), -1)
    file.write_bytes(np.roll(rows, 1, axis=1).tobytes())
    relist(copy)
    (failed,) = verify_bundle(copy).failed
    assert failed.subject == "tflite-embedding-int8" and "golden" in failed.said


@pytest.mark.slow
def test_sizes_are_as_asked_for(
    gallery_run: Run,
    gallery_root: Path,
    tmp_path: Path,
) -> None:
    options = ExportOptions(variants=("tflite-float32",), gallery_photos=0, references=0)
    small = export_bundle(gallery_run, tmp_path / "small", options=options, photos=gallery_root)
    gallery, decision = read_gallery(small), read_decision(small)
    assert gallery is not None and len(gallery.embeddings) == 0 and read_references(small) is None
    assert decision is not None
    (variant,) = decision.variants.values()
    assert variant.formula.name == "direction"
    none = ExportOptions(variants=("tflite-float32",), gallery=False)
    bare = export_bundle(gallery_run, tmp_path / "bare", options=none, photos=gallery_root)
    assert read_gallery(bare) is None and bare.info.companions == ()
    assert "no gallery" in (bare.folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_without_held_out_objects_no_match_is_promised(
    gallery_bundle: Bundle,
    gallery_run: Run,
    gallery_root: Path,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(gallery_run.folder, folder)
    info = gallery_run.info.model_copy(update={"held_out": None})
    info.write(folder / "run.json")
    options = ExportOptions(variants=("tflite-float32",))
    bundle = export_bundle(
        read_run(folder), tmp_path / "bundle", options=options, photos=gallery_root
    )
    decision = read_decision(bundle)
    assert decision is not None
    assert not any(one.promises_matches for one in decision.variants.values())
    card = (bundle.folder / "README.md").read_text(encoding="utf-8")
    assert "No match is ever promised" in card
    promised = (gallery_bundle.folder / "README.md").read_text(encoding="utf-8")
    assert "No match is ever promised" not in promised
