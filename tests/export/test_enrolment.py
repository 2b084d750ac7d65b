"""Objects added to a bundle and withdrawn from it without training; bundles merged and compared."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gallery_case import OBJECTS, draw_objects

from artefact_id.main import main
from benchmarks.verify import verify_bundle
from export.bundle.signing import Signer
from export.tflite.interpreter import run_tflite
from export.tflite.metadata import read_metadata
from mobile_assets.bundle import Bundle, read_bundle
from mobile_assets.identification.decision import read_decision
from mobile_assets.identification.gallery import read_gallery
from mobile_assets.identification.references import read_references
from mobile_assets.identification.scores import GallerySearch
from mobile_assets.identification.vectors import read_vectors
from mobile_assets.photos import load
from mobile_assets.register_version import InstalledBundle, check_update

pytest_plugins = ("gallery_case",)
pytestmark = pytest.mark.slow

NEW = ("OBJ-00a", "OBJ-50", "OBJ-51")


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of three objects that no training saw; one sorts between those that it saw."""
    root = draw_objects(tmp_path_factory.mktemp("later"), range(50, 53), views=4)
    (root / "OBJ-52").rename(root / "OBJ-00a")
    return root


@pytest.fixture(scope="module")
def enrolled(
    gallery_bundle: Bundle, later: Path, tmp_path_factory: pytest.TempPathFactory
) -> Bundle:
    out = tmp_path_factory.mktemp("enrolled") / "bundle"
    words = ["enrol", str(gallery_bundle.folder), str(later), "--out", str(out)]
    assert main([*words, "--withdraw", "OBJ-03", "OBJ-04"]) == 0
    return read_bundle(out)


def pixels_of(bundle: Bundle, photos: list[Path]) -> np.ndarray:
    return np.stack([load(photo, bundle.info.preprocessing) for photo in photos])


def test_the_bundle_is_whole(gallery_bundle: Bundle, enrolled: Bundle) -> None:
    assert verify_bundle(enrolled.folder).failed == ()
    ids = enrolled.labels.object_ids
    assert ids == tuple(sorted(ids)) and len(ids) == OBJECTS + 3 - 2
    assert set(NEW) <= set(ids) and "OBJ-03" not in ids
    check_update(InstalledBundle.of(gallery_bundle), enrolled)
    before, after = gallery_bundle.info, enrolled.info
    assert [v.name for v in after.variants] == [v.name for v in before.variants]
    assert after.enrolment is not None and after.enrolment.left_out == ()
    assert after.enrolment.enrolled == NEW and after.enrolment.withdrawn == ("OBJ-03", "OBJ-04")
    for variant in after.variants:
        assert variant.outputs[0].shape == (1, len(ids))
        assert read_metadata(enrolled.path(variant).read_bytes()).labels == ids
    decision, vectors = read_decision(enrolled), read_vectors(enrolled)
    assert decision is not None and vectors is not None
    assert list(vectors.problems(decision)) == []
    references = read_references(enrolled)
    assert references is not None and set(references.by_object) == set(ids)
    card = (enrolled.folder / "README.md").read_text(encoding="utf-8")
    assert "Enrolled without training: OBJ-00a, OBJ-50, OBJ-51" in card
    details = (enrolled.folder / "DETAILS.md").read_text(encoding="utf-8")
    assert "## Training" in details and "## Accelerators" in details


def test_enrolled_objects_are_recognised(
    gallery_bundle: Bundle,
    enrolled: Bundle,
    gallery_root: Path,
    later: Path,
) -> None:
    # The small network has hardly been trained: what it sees is nearly what was enrolled.
    files = [later / object_id / "1.png" for object_id in NEW]
    noise = np.random.default_rng(0).integers(-6, 7, (3, 48, 48, 3))
    pixels = (pixels_of(enrolled, files) + noise).clip(0, 255).astype(np.uint8)
    gallery = read_gallery(enrolled)
    assert gallery is not None
    decision = read_decision(enrolled)
    assert decision is not None
    places = [enrolled.labels.index_of[object_id] for object_id in NEW]
    for model in enrolled.info.companions:
        if model.kind != "embedding":
            continue
        rows = run_tflite(enrolled.path(model).read_bytes(), pixels)
        search = GallerySearch(gallery, decision.variants[model.name].formula)
        assert search.scores(rows).argmax(axis=1).tolist() == places
    for variant in enrolled.info.variants:
        answers = run_tflite(enrolled.path(variant).read_bytes(), pixels)
        assert answers.argmax(axis=1).tolist() == places, variant.name
        # An object of the training gets the same share among those that stayed.
        trained = pixels_of(enrolled, [gallery_root / "OBJ-10" / "0.png"])
        old = run_tflite(gallery_bundle.path(variant).read_bytes(), trained)[0]
        new = run_tflite(enrolled.path(variant).read_bytes(), trained)[0]
        stayed = [i for i in enrolled.labels.object_ids if i in gallery_bundle.labels.index_of]
        shares = [
            values[[labels.index_of[i] for i in stayed]]
            for values, labels in ((old, gallery_bundle.labels), (new, enrolled.labels))
        ]
        assert shares[1] / shares[1].sum() == pytest.approx(shares[0] / shares[0].sum(), abs=1e-3)


def test_it_needs_no_torch(gallery_bundle: Bundle, later: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from artefact_id.main import main; code = main(sys.argv[1:]); "
        "heavy = {'torch', 'timm', 'litert_torch', 'coremltools'} & set(sys.modules); "
        "sys.exit(code or (9 if heavy else 0))"
    )
    out = tmp_path / "out"
    words = ["enrol", str(gallery_bundle.folder), str(later), "--out", str(out)]
    assert subprocess.run([sys.executable, "-c", script, *words], check=False).returncode == 0


def test_thresholds_hold_for_the_larger_gallery(
    gallery_bundle: Bundle,
    enrolled: Bundle,
) -> None:
    before, after = read_decision(gallery_bundle), read_decision(enrolled)
    assert before is not None and after is not None
    gallery = read_gallery(enrolled)
    assert gallery is not None
    unseen = {enrolled.labels[i].object_id for i in gallery.unseen_objects}
    assert set(NEW) <= unseen
    for name, variant in after.variants.items():
        assert variant.evidence.unseen_objects == len(unseen)
        assert variant.promises_matches
        assert variant.rules[0].matches != before.variants[name].rules[0].matches


def test_mistakes_are_refused(
    gallery_bundle: Bundle,
    gallery_root: Path,
    later: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bundle, out = str(gallery_bundle.folder), str(tmp_path / "out")
    broken = tmp_path / "broken" / "OBJ-60"
    broken.mkdir(parents=True)
    (broken / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    cases = {
        "already": [bundle, str(gallery_root)],
        "no such object": [bundle, "--withdraw", "OBJ-99"],
        "Nothing to do": [bundle],
        "can be read": [bundle, str(broken.parent)],
        "above": [bundle, str(later), "--serial", "1"],
    }
    for said, words in cases.items():
        assert main(["enrol", *words, "--out", out]) == 2
        assert said in capsys.readouterr().err, said
        assert not Path(out).exists()


def test_a_signed_bundle_needs_the_key(
    gallery_bundle: Bundle,
    later: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from signing_keys import write_keys

    private, public = write_keys(tmp_path, "museum")
    signed = tmp_path / "signed"
    shutil.copytree(gallery_bundle.folder, signed)
    Signer.read(private).sign(signed)
    words = ["enrol", str(signed), str(later), "--out", str(tmp_path / "out")]
    assert main(words) == 2
    assert "--key" in capsys.readouterr().err
    assert main([*words, "--key", str(private), "--trust", str(public)]) == 0
    assert main(["verify", str(tmp_path / "out"), "--trust", str(public)]) == 0


def test_merge_and_diff(
    gallery_bundle: Bundle,
    later: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    base = str(gallery_bundle.folder)
    north, south, both = (tmp_path / name for name in ("north", "south", "both"))
    for out, ids in ((north, ("OBJ-50",)), (south, ("OBJ-51",))):
        photos = tmp_path / f"photos-{out.name}"
        for object_id in ids:
            shutil.copytree(later / object_id, photos / object_id)
        assert main(["enrol", base, str(photos), "--out", str(out)]) == 0
    assert main(["enrol", str(south), "--withdraw", "OBJ-05", "--out", str(tmp_path / "s2")]) == 0
    assert main(["merge", str(north), str(tmp_path / "s2"), "--out", str(both)]) == 0
    assert verify_bundle(both).failed == ()
    merged = read_bundle(both)
    assert {"OBJ-50", "OBJ-51"} <= set(merged.labels.object_ids)
    assert "OBJ-05" not in merged.labels.index_of
    capsys.readouterr()
    assert main(["diff", base, str(both), "--json"]) == 0
    compared = json.loads(capsys.readouterr().out)
    assert (compared["new"], compared["gone"]) == (["OBJ-50", "OBJ-51"], ["OBJ-05"])
    assert compared["changed"] == [] and compared["same_model"] is True
    other = tmp_path / "other" / "OBJ-50"
    shutil.copytree(later / "OBJ-51", other)
    assert main(["enrol", base, str(other.parent), "--out", str(tmp_path / "o2")]) == 0
    assert main(["merge", str(north), str(tmp_path / "o2"), "--out", str(tmp_path / "x")]) == 2
    assert "OBJ-50 (its photos" in capsys.readouterr().err
    assert main(["diff", str(north), str(tmp_path / "o2")]) == 0
    assert "changed: OBJ-50 (photos" in capsys.readouterr().out
