"""Thousands of objects: labels in both formats, the short list, memory while converting."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import numpy as np
import pytest
from many_objects import tiny_bundle

from benchmarks.runtimes import runtimes
from benchmarks.runtimes.auxiliary_models import executors, run_auxiliary
from benchmarks.runtimes.mediapipe_tasks import setup
from benchmarks.runtimes.tflite_model import embedded_labels
from benchmarks.verify.third_party import client_checks
from export.coreml.structure import read_structure
from mobile_assets.bundle import Bundle
from mobile_assets.shortlist import top_objects

VARIANTS = ("tflite-float32", "tflite-int8", "coreml-float16")
TOP = 10
MUSEUM = 4_332
MANY = 50_000


def check_labels(bundle: Bundle, objects: int) -> None:
    assert len(bundle.labels) == objects
    for variant in bundle.info.variants:
        path = bundle.path(variant)
        found = embedded_labels(path) if variant.format == "tflite" else read_structure(path).labels
        assert found == bundle.labels.object_ids
        assert variant.outputs[-1].shape == (1, objects)


def check_shortlists(bundle: Bundle, objects: int) -> None:
    """Each short list is the beginning of the sorted whole one, down to the last bit."""
    shape = (3, *bundle.info.variants[0].inputs[0].shape[1:])
    photos = np.random.default_rng(objects).integers(0, 256, shape, dtype=np.uint8)
    short = [model for model in bundle.info.companions if model.kind == "shortlist"]
    for companion in short:
        assert companion.outputs[0].shape == (1, TOP)
        executor = next(executors(companion))
        found = run_auxiliary(bundle, companion, photos, executor)
        with executor.runtime.open(bundle, bundle.info.variant(f"{companion.format}-float16")) as s:
            whole = s.predict(photos)
        assert whole.shape == (3, objects)
        for indices, probabilities, row in zip(*found.values(), whole, strict=True):
            expected = top_objects(row, TOP)
            assert indices.tolist() == expected.tolist()
            assert probabilities.tolist() == row[expected].tolist()
        # beyond 16 bits, with a sign or without: nothing wraps around
        assert found["indices"].max() < objects
        assert found["indices"].max() > min(objects, 2**15) // 2
    assert len(short) == 2


def check_clients(bundle: Bundle) -> None:
    """CompiledModel in any case, MediaPipe where it is prepared."""
    checks = [check for check in client_checks(bundle) if check.state != "not possible here"]
    assert [check for check in checks if check.state == "failed"] == []
    asked = {check.name for check in checks}
    assert "scores in CompiledModel" in asked
    if setup.missing() is None:
        assert "labels in MediaPipe" in asked


def peak_gb() -> float:
    """Most memory that this process ever had."""
    unit = 1e9 if sys.platform == "darwin" else 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


@pytest.mark.slow
@pytest.mark.parametrize("objects", [MUSEUM, MANY])
def test_labels_of_thousands_are_in_both_formats_and_open_everywhere(
    register_folder: Path, tmp_path: Path, objects: int
) -> None:
    before = peak_gb()
    bundle = tiny_bundle(
        tmp_path,
        register_folder,
        ("tflite-float16", *VARIANTS),
        objects=objects,
        head="embedding-128",
        shortlist=TOP,
    )
    check_labels(bundle, objects)
    check_shortlists(bundle, objects)
    # 50,000 objects of 128 numbers are 26 MB; 0.7 GB were seen, torch and the converters included.
    assert peak_gb() - before < 2
    check_clients(bundle)
    assert read_structure(bundle.path(bundle.info.variants[-1])).labels[-1].startswith("OBJ")


def test_labels_beyond_ascii_and_a_thousand_are_in_both_formats(
    register_folder: Path, tmp_path: Path
) -> None:
    bundle = tiny_bundle(tmp_path, register_folder, VARIANTS[::2], objects=1_000)
    check_labels(bundle, 1_000)
    assert any("é" in name for name in bundle.labels.object_ids)
    with runtimes("litert")[0].open(bundle, bundle.info.variants[0]) as session:
        assert session.predict(np.zeros((1, 64, 64, 3), dtype=np.uint8)).shape == (1, 1_000)


@pytest.mark.parametrize("objects", [1, 2, 40, MUSEUM, MANY])
@pytest.mark.parametrize("top", [1, 5, 10])
def test_the_short_list_is_the_beginning_of_the_sorted_list(objects: int, top: int) -> None:
    generator = np.random.default_rng(objects + top)
    for steps in (1, 3, 1 << 20):  # with one step all are equal, with few many tie
        values = (generator.integers(0, steps, objects) / steps).astype(np.float32)
        values.flags.writeable = False
        expected = np.argsort(-values, kind="stable")[:top]
        assert top_objects(values, top).tolist() == expected.tolist()
