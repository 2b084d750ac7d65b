"""The demo register: its plan, its determinism, and that its task is a real one."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from train.demo import DemoError, DemoRegister, DemoSpec, generate_demo_register, plan_register
from train.demo.families import BUILDERS, build_object
from train.demo.plan import COLLECTIONS, PHOTO_COUNTS
from train.demo.scene import Scene, field_scene, studio_scene
from train.demo.spec import rng_for

SPEC = DemoSpec(objects=4, seed=5, photo_pixels=48, extra_views=1, field_views=1)


def _hashes(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), np.float32)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> DemoRegister:
    return generate_demo_register(tmp_path_factory.mktemp("demo") / "one", SPEC, workers=1)


def test_full_size_has_exactly_the_papers_counts() -> None:
    plans = plan_register(DemoSpec(objects=4332))
    assert sum(plan.photos for plan in plans) == 24502
    groups = Counter(min(plan.photos, 10) for plan in plans)
    assert sorted(groups.items()) == sorted(PHOTO_COUNTS)
    for name, _, objects, photos in COLLECTIONS:
        counts = [plan.photos for plan in plans if plan.collection == name]
        assert (len(counts), sum(counts)) == (objects, photos)
    many = [plan.photos for plan in plans if plan.photos >= 10]
    assert min(many) == 10
    assert 20 <= max(many) <= 40
    assert len({plan.object_id for plan in plans}) == 4332
    assert {plan.family for plan in plans} == set(BUILDERS)


@pytest.mark.parametrize("objects", [24, 36, 60, 300])
def test_every_threshold_and_collection_is_populated(objects: int) -> None:
    plans = plan_register(DemoSpec(objects=objects))
    sizes = [sum(plan.photos >= k for plan in plans) for k in (3, 4, 5, 6)]
    assert sizes[0] == objects
    assert sizes == sorted(set(sizes), reverse=True), "thresholds must differ"
    for name, *_ in COLLECTIONS:
        assert any(plan.photos >= 6 for plan in plans if plan.collection == name), name


def test_objects_do_not_depend_on_the_size() -> None:
    small, large = plan_register(DemoSpec(objects=30)), plan_register(DemoSpec(objects=700))
    for one, other in zip(small, large, strict=False):
        assert (one.object_id, one.family, one.mould) == (
            other.object_id,
            other.family,
            other.mould,
        )
    first = build_object(7, small[11])
    again = build_object(7, large[11])
    assert np.array_equal(first.surfaces[0].positions, again.surfaces[0].positions)


@pytest.mark.parametrize(
    "values", [{"objects": 0}, {"objects": 4333}, {"photo_pixels": 4}, {"seed": -1}]
)
def test_impossible_specifications_are_refused(values: dict[str, int]) -> None:
    with pytest.raises(DemoError, match=next(iter(values))):
        DemoSpec(**values)


def test_sisters_are_near_but_not_the_same() -> None:
    """Sisters share their material and differ in the surface, strangers in both."""
    plans = plan_register(DemoSpec(objects=120))
    colours = {}
    skins = {}
    for plan in plans[:26]:
        albedo = build_object(3, plan).surfaces[0].skin.albedo
        colours[plan.index] = np.log(albedo.mean(axis=(0, 1)))
        skins[plan.index] = albedo
    near, far = [], []
    for one in plans[:26]:
        for other in plans[: one.index]:
            gap = float(np.abs(colours[one.index] - colours[other.index]).mean())
            same = (one.collection, one.mould) == (other.collection, other.mould)
            (near if same else far).append(gap)
            if same:
                first, second = skins[one.index], skins[other.index]
                changed = np.abs(first - second).max(axis=2) > 0.1 * first.mean()
                assert changed.mean() > 0.02, (one.object_id, other.object_id)
    assert len(near) >= 12
    assert np.median(near) < 0.4 * np.median(far)


@pytest.mark.parametrize("family", sorted(BUILDERS))
def test_surfaces_are_sound(family: str) -> None:
    plan = next(p for p in plan_register(DemoSpec(objects=400)) if p.family == family)
    model = build_object(1, plan)
    assert model.title
    assert model.poses
    for surface in model.surfaces:
        assert np.isfinite(surface.positions).all()
        assert np.allclose(np.linalg.norm(surface.normals, axis=1), 1, atol=1e-3)
        assert surface.faces.min() >= 0
        assert surface.faces.max() < len(surface.positions)
        assert 0 <= surface.skin.albedo.min() <= surface.skin.albedo.max() <= 1


def test_what_is_written(made: DemoRegister) -> None:
    with made.manifest.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    paths = [row["path"] for row in rows]
    found = sorted(p.relative_to(made.register).as_posix() for p in made.register.rglob("*.jpg"))
    assert paths == found
    assert len(paths) == made.photos == sum(plan.photos for plan in plan_register(SPEC))
    for row in rows:
        collection, object_id, _ = row["path"].split("/")
        assert (row["collection"], row["object_id"]) == (collection, object_id)
        assert row["title"]
    about = json.loads((made.root / "demo.json").read_text(encoding="utf-8"))
    assert about["complete"]
    assert about["spec"]["seed"] == SPEC.seed
    assert [o["object_id"] for o in about["objects"]] == [p.object_id for p in plan_register(SPEC)]
    assert not list(made.root.rglob("*.part*"))
    for path in made.root.rglob("*.jpg"):
        pixels = _pixels(path)
        assert max(pixels.shape[:2]) == SPEC.photo_pixels
        assert pixels.std() > 3, f"{path.name} shows nothing"


@pytest.mark.slow
def test_any_number_of_workers_gives_the_same_bytes(made: DemoRegister, tmp_path: Path) -> None:
    generate_demo_register(tmp_path / "two", SPEC, workers=2)
    assert _hashes(tmp_path / "two") == _hashes(made.root)


@pytest.mark.slow
def test_an_interrupted_run_is_finished(made: DemoRegister, tmp_path: Path) -> None:
    class StopRunError(Exception):
        pass

    def stop(there: int, total: int) -> None:
        if 0 < there < total:
            raise StopRunError

    root = tmp_path / "broken"
    with pytest.raises(StopRunError):
        generate_demo_register(root, SPEC, workers=1, progress=stop)
    kept = {p: p.stat().st_mtime_ns for p in root.rglob("*.jpg")}
    seen: list[tuple[int, int]] = []
    again = generate_demo_register(
        root, SPEC, workers=1, progress=lambda there, total: seen.append((there, total))
    )
    assert 0 < len(kept) < seen[-1][1]
    assert again.rendered == seen[-1][1] - len(kept)
    assert seen[0] == (len(kept), seen[-1][1])
    assert seen[-1][0] == seen[-1][1]
    assert all(p.stat().st_mtime_ns == time for p, time in kept.items())
    assert _hashes(root) == _hashes(made.root)


def test_extra_and_field_views_are_other_pictures(made: DemoRegister) -> None:
    assert made.extra is not None
    assert made.field is not None
    hashes = _hashes(made.root)
    photos = [digest for name, digest in hashes.items() if name.endswith(".jpg")]
    assert len(photos) == made.photos + made.extra_photos + made.field_photos
    assert len(set(photos)) == len(photos)
    names = [
        {p.name for p in root.rglob("*.jpg")} for root in (made.register, made.extra, made.field)
    ]
    assert not names[0] & names[1]
    assert not names[0] & names[2]


def test_field_scenes_are_harder_than_the_studio() -> None:
    """Clutter, patterned grounds, off-centre framing, coarse files, shaken hands."""
    plan = plan_register(SPEC)[0]
    model, stranger = build_object(2, plan), build_object(3, plan)
    studio, field = [], []
    for k in range(24):
        rng, series = rng_for(1, "test", k), rng_for(1, "series", k)
        studio.append(studio_scene(model, rng, series, 64))
        field.append(field_scene(model, [stranger], rng, 64))

    def aside(scene: Scene) -> float:
        """How far the object's middle is from the picture's, in widths of the picture."""
        points = np.concatenate([s.positions for s in scene.surfaces[: len(model.surfaces)]])
        middle = (points.min(axis=0) + points.max(axis=0)) / 2
        to_object = middle - np.array(scene.camera.origin)
        ahead = np.array(scene.camera.target) - np.array(scene.camera.origin)
        cosine = to_object @ ahead / np.linalg.norm(to_object) / np.linalg.norm(ahead)
        return float(np.degrees(np.arccos(min(1.0, cosine)))) / scene.camera.fov

    assert np.mean([aside(s) for s in field]) > 2 * np.mean([aside(s) for s in studio])
    assert max(s.surfaces[-1].skin.albedo.std(axis=(0, 1)).max() for s in studio) < 1e-6
    assert min(s.surfaces[-1].skin.albedo.std(axis=(0, 1)).max() for s in field) > 0.002
    assert all(len(f.surfaces) > len(s.surfaces) for f, s in zip(field, studio, strict=True))
    assert max(s.development.quality for s in field) < min(s.development.quality for s in studio)
    assert not any(s.development.blur for s in studio)
    assert 3 < sum(s.development.blur > 0 for s in field) < 21


def test_another_register_in_the_folder_is_refused(made: DemoRegister, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(made.root, root)
    before = _hashes(root)
    for other in (
        DemoSpec(objects=4, seed=6, photo_pixels=48, extra_views=1, field_views=1),
        DemoSpec(objects=5, seed=5, photo_pixels=48, extra_views=1, field_views=1),
    ):
        with pytest.raises(DemoError, match="spec is"):
            generate_demo_register(root, other)
    about = json.loads((root / "demo.json").read_text(encoding="utf-8"))
    (root / "demo.json").write_text(json.dumps(about | {"generator_version": -1}), encoding="utf-8")
    with pytest.raises(DemoError, match="generator_version is -1"):
        generate_demo_register(root, SPEC)
    (root / "demo.json").write_text("{", encoding="utf-8")
    with pytest.raises(DemoError, match="cannot be read"):
        generate_demo_register(root, SPEC)
    after = _hashes(root)
    assert {k: v for k, v in after.items() if k != "demo.json"} == {
        k: v for k, v in before.items() if k != "demo.json"
    }


def test_a_foreign_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(DemoError, match="new or empty folder"):
        generate_demo_register(tmp_path, SPEC)
    assert [p.name for p in tmp_path.iterdir()] == ["letter.txt"]
