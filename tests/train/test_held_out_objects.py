"""Objects kept out of training and enrolled afterwards, and validation photos that are fitted."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import object_picture, tiny_weights
from torch import Tensor

from artefact_id.main import main
from mobile_assets.errors import DamagedError
from mobile_assets.preprocessing import Preprocessing
from train.batches import Enrolment, Photos
from train.device import choose_compute
from train.engine import Trainer
from train.held_out_objects import LEAST_HELD_OUT, hold_out_objects
from train.model import build_model
from train.recipes import DISCRIMINANT
from train.registers.register import Photo, Register
from train.run import Run, Split, SplitPhoto, ValidationAnswers, read_run
from train.trainer import train_run
from train.training_plan import Reporter, TrainOptions

ROOT = Path(__file__).parents[2]
OBJECTS = 32
QUICK = TrainOptions(
    backbone="test_efficientnet", recipe="discriminant", head="embedding-128", input_size=32,
    epochs=1, device="cpu", hold_out_test=False, min_photos=2,
)  # fmt: skip


# --- which objects ------------------------------------------------------------------------------


def register_of(ids: list[str]) -> Register:
    """Two photos of each object; every fourth object is in another collection."""
    return Register(
        Path(),
        tuple(
            Photo(object_id, f"{object_id}/{view}.png", "B" if number % 4 == 3 else "A")
            for number, object_id in enumerate(ids)
            for view in range(2)
        ),
    )


def drawn(
    register: Register,
    share: float = 0.25,
    shared: tuple[tuple[Photo, ...], ...] = (),
    seed: int = 5,
) -> tuple[str, ...]:
    photos = tuple(
        SplitPhoto(path=photo.path, object_id=photo.object_id, sha256="0", split="train")
        for photo in register.photos
    )
    split = Split(strategy="stratified", seed=0, min_photos=1, photos=photos)
    return hold_out_objects(register, split, share, seed=seed, shared=shared)


IDS = [f"OBJ-{number:03}" for number in range(100)]


def test_the_share_is_drawn_evenly_from_the_collections() -> None:
    register = register_of(IDS)
    collections = {photo.object_id: photo.collection for photo in register.photos}
    for seed in range(9):
        ids = drawn(register, seed=seed)
        counts = Counter(collections[name] for name in ids)
        assert counts in ({"A": 19, "B": 6}, {"A": 18, "B": 7})


@pytest.mark.parametrize(("objects", "share", "count"), [
    (31, 0.1, 0), (32, 0.1, LEAST_HELD_OUT), (100, 0.1, LEAST_HELD_OUT), (100, 0.5, 50),
    (100, 0.0, 0),
])  # fmt: skip
def test_at_least_16_objects_are_kept_out_or_none(objects: int, share: float, count: int) -> None:
    assert len(drawn(register_of(IDS[:objects]), share)) == count


def test_another_object_does_not_draw_the_others_anew() -> None:
    before, after = set(drawn(register_of(IDS))), set(drawn(register_of([*IDS, "ZZZ"])))
    assert len(before - after) <= 2


def test_an_object_whose_picture_stands_under_another_too_is_not_kept_out() -> None:
    register = register_of(IDS)
    first, second = drawn(register)[:2]
    by_object = {photo.object_id: photo for photo in register.photos}
    ids = drawn(register, shared=((by_object[first], by_object[second]),))
    assert len(ids) == 25
    assert not {first, second} & set(ids)


# --- what the network learns of them ------------------------------------------------------------

HELD_OUT = (1, 3)


def photos_of(classes: list[int], *, noise_seed: int) -> Photos:
    """Three noisy pictures of each class, each class with colours of its own."""
    bases = np.random.default_rng(5).integers(0, 256, (6, 4, 4, 3))
    truth = np.repeat(classes, 3)
    pixels = np.repeat(np.repeat(bases, 8, axis=1), 8, axis=2)[truth]
    noise = np.random.default_rng(noise_seed).normal(0, 25, pixels.shape)
    return Photos((pixels + noise).clip(0, 255).astype(np.uint8), torch.from_numpy(truth))


def trained(
    *,
    fit_validation: bool = True,
    enrolled_seed: int = 3,
    enrolled_val_seed: int = 4,
    begin: float | None = None,
) -> Trainer:
    recipe = dataclasses.replace(
        DISCRIMINANT, epochs=1, head_epochs=2, head_views=2, batch=8, rate=3e-3,
        head="embedding-128", fit_validation=fit_validation, augmentation=None,
    )  # fmt: skip
    torch.manual_seed(0)
    contract = Preprocessing(height=32, width=32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    model = build_model("test_efficientnet", recipe.head, objects=6, preprocessing=contract)
    if begin is not None:
        with torch.no_grad():
            model.head[2].weight[list(HELD_OUT)] = begin
    others = [index for index in range(6) if index not in HELD_OUT]
    trainer = Trainer(
        model,
        recipe,
        photos_of(others, noise_seed=1),
        photos_of(others, noise_seed=2),
        dataclasses.replace(choose_compute("cpu"), bfloat16=False),
        seed=0,
        enrolment=Enrolment(
            photos_of(list(HELD_OUT), noise_seed=enrolled_seed),
            photos_of(list(HELD_OUT), noise_seed=enrolled_val_seed),
        ),
    )
    trainer.fit()
    return trainer


def differing(first: Trainer, second: Trainer) -> set[str]:
    one, other = first.best.weights, second.best.weights
    return {name for name in one if not torch.equal(one[name], other[name])}


def directions(trainer: Trainer) -> Tensor:
    return trainer.best.weights["head.2.weight"]


@pytest.fixture(scope="module")
def both() -> Trainer:
    return trained()


def test_photos_of_objects_kept_out_change_their_own_directions_alone(both: Trainer) -> None:
    other = trained(enrolled_seed=30)
    assert differing(both, other) == {"head.2.weight"}
    changed = (directions(both) != directions(other)).any(dim=1)
    assert changed.nonzero().flatten().tolist() == list(HELD_OUT)
    assert torch.allclose(directions(other).norm(dim=1), torch.ones(6))


def test_gradients_learn_nothing_from_objects_that_are_kept_out(both: Trainer) -> None:
    other = trained(begin=1.0)
    assert not differing(both, other)
    losses = [[record.val_loss for record in trainer.history] for trainer in (both, other)]
    assert losses[0] == losses[1]


def test_validation_photos_are_answered_before_the_head_is_fitted_to_them(both: Trainer) -> None:
    without = trained(fit_validation=False)
    assert not without.validation_fitted
    assert both.validation_fitted
    assert torch.equal(both.validated.logits, without.validated.logits)
    assert (both.history[-1].val_top1, both.best.top1) == (
        without.history[-1].val_top1, without.best.top1
    )  # fmt: skip
    assert differing(both, without) == {"head.0.weight", "head.0.bias", "head.2.weight"}
    assert len(both.validated.truth) == 18
    # Objects kept out are enrolled with their validation photos too, and only then.
    other = trained(enrolled_val_seed=40)
    assert differing(both, other) == {"head.2.weight"}
    other = trained(enrolled_val_seed=40, fit_validation=False)
    assert not differing(without, other)


def test_progress_counts_every_photo_that_the_head_is_fitted_to(both: Trainer) -> None:
    moment = both._clock.moment("closed form", 0, 0, 0.0)
    assert moment.done == moment.total == 2 * 12 * 5 + 2 * 6


# --- the run ------------------------------------------------------------------------------------


def write_register(root: Path, objects: int) -> Path:
    for number in range(objects):
        folder = root / "AB"[number % 2] / f"OBJ-{number:02}"
        folder.mkdir(parents=True)
        for view in range(2):
            object_picture(number, view, 32).save(folder / f"{view}.png")
    return root


@pytest.fixture(scope="module")
def register(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_register(tmp_path_factory.mktemp("register"), OBJECTS)


@pytest.fixture(scope="module")
def run(register: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("runs")
    options = dataclasses.replace(QUICK, weights=tiny_weights(folder), cache=folder / "cache")
    return train_run(register, folder / "run", options)


def test_the_run_says_what_was_kept_out_and_how_well_it_is_known(run: Run) -> None:
    assert len(run.held_out) == LEAST_HELD_OUT
    assert run.info.held_out.share == 0.1
    assert set(run.labels.object_ids) >= run.held_out
    assert all(photo.seen for photo in run.split.photos)
    assert run.info.validation_fitted
    assert run.unfitted_validation == ()
    assert len(run.fitted_photos) == 2 * OBJECTS
    metrics = run.require_metrics()
    assert metrics.enrolled_photos == LEAST_HELD_OUT
    assert metrics.val_photos == OBJECTS - LEAST_HELD_OUT
    assert metrics.enrolled_top1 is not None


def test_answers_from_before_the_fit_are_kept_and_set_the_temperature(run: Run) -> None:
    answers = run.validation_answers()
    val = run.split.of("val")
    assert answers.keys() == {photo.path for photo in val}
    assert run.info.temperature.photos == len(val)
    right = {
        photo.path: answers[photo.path].answer == run.labels.index_of[photo.object_id]
        for photo in val
    }
    metrics = run.require_metrics()
    for top1, kept_out in ((metrics.val_top1, False), (metrics.enrolled_top1, True)):
        photos = [photo for photo in val if (photo.object_id in run.held_out) == kept_out]
        assert np.mean([right[photo.path] for photo in photos]) == pytest.approx(top1)


def test_a_run_with_other_objects_or_answers_is_refused(run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.folder, tmp_path / "run")
    path = tmp_path / "run" / "validation.json"
    answers = ValidationAnswers.read(path)
    for changed in (
        answers.model_copy(update={"model_sha256": "0" * 64}),
        answers.model_copy(
            update={"photos": (answers.photos[0].model_copy(update={"path": "no.png"}),)}
        ),
        answers.model_copy(
            update={"photos": (answers.photos[0].model_copy(update={"answer": OBJECTS}),)}
        ),
    ):
        changed.write(path)
        with pytest.raises(DamagedError, match="not the one that training wrote"):
            read_run(tmp_path / "run").validation_answers()
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    info["held_out"]["objects"].append("nobody")
    (tmp_path / "run" / "run.json").write_text(json.dumps(info))
    with pytest.raises(DamagedError, match=r"not the one that run\.json describes"):
        read_run(tmp_path / "run")


@pytest.mark.parametrize(("words", "message"), [
    (("--hold-out-objects", "0.6"), "give a share from 0 to 0.5"),
    (("--hold-out-objects", "0.1", "--recipe", "probe"), "needs a head in closed form"),
    (("--fit-validation", "--recipe", "probe"), "needs a head in closed form"),
])  # fmt: skip
def test_what_cannot_be_kept_out_is_refused(
    words: tuple[str, ...], message: str, register: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    arguments = ["--recipe", "discriminant", *words, "--out", str(tmp_path / "run")]
    assert main(["train", str(register), *arguments]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_a_training_broken_off_while_the_head_is_fitted_goes_on(
    run: Run, register: Path, tmp_path: Path
) -> None:
    options = dataclasses.replace(QUICK, weights=tiny_weights(tmp_path), cache=tmp_path / "cache")
    for share in (0.1, 0.9):  # while photos are fitted, and while validation photos are
        interrupt = Reporter(
            progress=lambda moment, share=share: (  # type: ignore[misc]
                os.kill(os.getpid(), signal.SIGINT)
                if moment.stage == "closed form" and moment.done > share * moment.total
                else None
            )
        )
        with pytest.raises(KeyboardInterrupt):
            train_run(register, tmp_path / "run", options, interrupt)
    again = train_run(register, tmp_path / "run", options)
    assert again.info.model_sha256 == run.info.model_sha256
    assert again.info.temperature == run.info.temperature
    assert again.held_out == run.held_out
    other = dataclasses.replace(options, hold_out_objects=0.0)
    everything = train_run(register, tmp_path / "other", other)
    assert not everything.held_out
    assert everything.info.model_sha256 != run.info.model_sha256


@pytest.mark.slow
def test_two_processes_keep_the_same_objects_out(run: Run, register: Path, tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"),
        *("-m", "artefact_id", "train", str(register), "--out", str(tmp_path / "run")),
        *("--recipe", "discriminant", "--head", "embedding-128", "--input-size", "32"),
        *("--backbone", "test_efficientnet", "--weights", str(tiny_weights(tmp_path))),
        *("--epochs", "1", "--min-photos", "2", "--no-test", "--device", "cpu"),
        *("--cache", str(tmp_path / "cache")),
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    both = read_run(tmp_path / "run")
    assert both.held_out == run.held_out
    assert both.info.temperature.value == pytest.approx(run.info.temperature.value, rel=0.02)
    one, two = run.validation_answers(), both.validation_answers()
    same = [one[path].answer == two[path].answer for path in one]
    assert np.mean(same) > 0.9
