"""Whole inputs that are to be damaged: a register, a run, a signed bundle, its keys."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from conftest import object_picture, tiny_weights
from tiny_run import write_tiny_run

if TYPE_CHECKING:
    from train.progress import TrainingProgress

VARIANTS = ("tflite-int8", "coreml-float16")
OBJECTS, VIEWS = 3, 4


def write_materials(folder: Path) -> Path:
    """Writes `photos/`, `run/`, `bundle/` (signed), `key.pem`, `public.pem`."""
    from benchmarks.verify.golden_predictor import golden_plan
    from export import ExportOptions, export_bundle
    from export.bundle.signing import Signer

    photos = folder / "photos"
    for number in range(OBJECTS):
        for view in range(VIEWS):
            path = photos / f"OBJ-{number}" / f"{view}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            object_picture(number, view).save(path)
    run = write_tiny_run(
        photos,
        folder / "run",
        side=lambda _, view: ("train", "train", "val", "test")[view],
        val_top1=1.0,
    )
    write_keys(folder)
    export_bundle(
        run,
        folder / "bundle",
        options=ExportOptions(variants=VARIANTS, name="fuzzed", calibration_photos=4),
        photos=photos,
        golden=golden_plan(["1"]),
        signer=Signer.read(folder / "key.pem"),
    )
    _break_off_training(folder)
    return folder


def write_gallery(folder: Path) -> Path:
    """Adds `gallery/`, a bundle with a gallery, and `later/`, photos of two further objects."""
    from export import ExportOptions, export_bundle

    run = write_tiny_run(
        folder / "photos",
        folder / "embedding-run",
        side=lambda _, view: ("train", "train", "val", "test")[view],
        head="embedding-128",
        scale=None,
    )
    options = ExportOptions(variants=("tflite-float32",), name="gallery", serial=1)
    export_bundle(run, folder / "gallery", options=options, photos=folder / "photos")
    for number in range(OBJECTS, OBJECTS + 2):
        for view in range(2):
            path = folder / "later" / f"OBJ-{number}" / f"{view}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            object_picture(number, view).save(path)
    return folder


def training_words(materials: Path, out: Path) -> list[str]:
    """A training of seconds."""
    return [
        "train", str(materials / "photos"), "--out", str(out), "--no-test",
        "--backbone", "test_efficientnet", "--weights", str(materials / "tiny.safetensors"),
        "--input-size", "32", "--epochs", "1", "--device", "cpu",
    ]  # fmt: skip


def _break_off_training(folder: Path) -> None:
    """Leaves `trained.partial/`: a training that was interrupted while it trained all weights."""
    import torch

    from artefact_id.main import build_parser
    from artefact_id.options import train_options
    from train.trainer import train_run
    from train.training_plan import Reporter

    # As in the processes that go on with it. Earlier tests may have left more here, and with more
    # threads sums are added in another order.
    torch.set_num_threads(1)
    tiny_weights(folder)
    options = build_parser().parse_args(training_words(folder, folder / "trained"))

    def interrupt(moment: TrainingProgress) -> None:
        if moment.stage == "all":
            os.kill(os.getpid(), signal.SIGINT)

    reporter = Reporter(progress=interrupt)
    with contextlib.suppress(KeyboardInterrupt):
        train_run(options.photos, options.out, train_options(options), reporter)


def write_keys(folder: Path) -> None:
    """A pair of Ed25519 keys as OpenSSL writes them."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / "key.pem").write_bytes(secret)
    (folder / "key.pem").chmod(0o600)
    (folder / "public.pem").write_bytes(public)
