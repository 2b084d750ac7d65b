"""What a command would be refused for later it is refused for before any photo is prepared."""

from __future__ import annotations

import shutil
from collections import namedtuple
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import tiny_weights

from mobile_assets.errors import ArtefactError, InputError
from mobile_assets.plan_checks import check_packages, check_place, check_room
from train.trainer import train_run
from train.training_plan import TrainOptions, check_run


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_weights(tmp_path_factory.mktemp("weights"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"head": "clever"}, "There is no head 'clever'"),
        ({"recipe": "cake"}, "cake"),
        ({"backbone": "resnet-9000"}, "There is no backbone named"),
        ({"weights": Path("none.safetensors")}, "there is no such file"),
        ({"weights": Path(__file__)}, "neither safetensors nor a PyTorch checkpoint"),
        ({"device": "cuda"}, "--device cuda: .* sees no such device.*Give --device cpu"),
        ({"device": "mps"}, "--device mps"),
        ({"split": "manifest"}, "needs a manifest with a split column"),
        ({"min_photos": 0}, "give 1 or more"),
        ({"min_photos": 50}, "0 objects with at least 50 readable photos"),
        ({"seed": -1}, "--seed -1"),
        ({"epochs": -1}, "--epochs -1"),
        ({"input_size": 16}, "at least 32"),
    ],
)
def test_a_training_is_refused_before_a_photo_is_prepared(
    register_folder: Path,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    words: str,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    options = TrainOptions(
        backbone="test_efficientnet", weights=weights, input_size=64, cache=tmp_path / "cache"
    )
    with pytest.raises(ArtefactError, match=words):
        train_run(register_folder, tmp_path / "run", replace(options, **changes))
    assert not (tmp_path / "cache").exists()
    check_run(register_folder, tmp_path / "run", options)


def test_an_input_that_the_backbone_cannot_take(register_folder: Path, tmp_path: Path) -> None:
    options = TrainOptions(backbone="inception-v4", input_size=32, weights=tmp_path / "none")
    with pytest.raises(InputError, match=r"inception-v4 does not take pictures of 32 × 32.*"):
        check_run(register_folder, tmp_path / "run", options)


def test_photos_that_are_not_there_do_not_count(
    register_folder: Path, weights: Path, tmp_path: Path
) -> None:
    root = tmp_path / "photos"
    shutil.copytree(register_folder, root)
    rows = [path.relative_to(root).as_posix() for path in sorted(root.rglob("*.png"))]
    lines = [f"{row},{row.split('/')[1]}" for row in rows]
    (root / "manifest.csv").write_text("path,object_id\n" + "\n".join(lines))
    options = TrainOptions(backbone="test_efficientnet", weights=weights, input_size=64)
    check_run(root, None, options)
    for folder in ("Egyptian", "Oriental/OBJ-0", "Oriental/OBJ-2"):
        shutil.rmtree(root / folder)
    with pytest.raises(InputError, match="1 object with at least 3 readable photos"):
        check_run(root, None, options)


def test_an_output_never_replaces_what_it_is_made_of(
    register_folder: Path, weights: Path, tmp_path: Path
) -> None:
    root = tmp_path / "all/photos"
    shutil.copytree(register_folder, root)
    options = TrainOptions(backbone="test_efficientnet", weights=weights, input_size=64, force=True)
    for out in (root, root.parent, root / "../photos"):
        with pytest.raises(InputError, match="which the run is made of and would replace"):
            train_run(root, out, options)
    assert len(list(root.rglob("*.png"))) == 33
    check_place(root / "run", [root, None], what="run")
    with pytest.raises(InputError, match="the name is not UTF-8"):
        check_place(tmp_path / "r\udcfcn", [], what="run")


def test_a_full_disk_is_known_beforehand(
    register_folder: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 10**5))
    options = TrainOptions(backbone="test_efficientnet", weights=weights, input_size=64)
    with pytest.raises(InputError, match=r"recipe discriminant takes about .*Make room"):
        check_run(register_folder, tmp_path / "run", options)
    check_room(tmp_path / "a/b/c", 10**5, what="a file")


def test_a_missing_package_is_named() -> None:
    check_packages(["json", "numpy"])
    with pytest.raises(ModuleNotFoundError) as missing:
        check_packages(["numpy", "no_such_package"])
    assert missing.value.name == "no_such_package"
