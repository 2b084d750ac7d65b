"""Clients that are not ours: MediaPipe's ImageClassifier, LiteRT's CompiledModel."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import object_picture
from many_objects import tiny_bundle
from tampering import without_labels

from artefact_id.main import main
from benchmarks.runtimes import Pixels, Probabilities, runtimes
from benchmarks.runtimes.cached_setup import MARKER
from benchmarks.runtimes.compiled_model import open_compiled
from benchmarks.runtimes.mediapipe_tasks import setup
from benchmarks.runtimes.mediapipe_tasks.image_classifier import Classification, classify
from benchmarks.verify.checks import Check, Verification
from benchmarks.verify.third_party import client_checks, with_clients
from benchmarks.verify.third_party_answers import answer_problems, difference, label_problems
from export.tflite.flatbuffer import metadata_buffer
from export.tflite.metadata import METADATA_NAME, read_metadata
from mobile_assets.bundle import Bundle
from mobile_assets.errors import DamagedError, InputError, MissingDependencyError

VARIANTS = ("tflite-float32", "tflite-float16", "tflite-int8-weights", "tflite-int8")
PHOTOS: Pixels = np.stack([np.asarray(object_picture(n % 6, n // 6)) for n in range(6)])

needs_mediapipe = pytest.mark.skipif(setup.missing() is not None, reason=str(setup.missing()))


@pytest.fixture(scope="module")
def bundle(register_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny_bundle(tmp_path_factory.mktemp("clients"), register_folder, VARIANTS)


@pytest.fixture
def changed(bundle: Bundle, tmp_path: Path) -> Bundle:
    """A copy that a test may spoil."""
    shutil.copytree(bundle.folder, tmp_path / "bundle")
    return replace(bundle, folder=tmp_path / "bundle")


def states(checks: tuple[Check, ...], variant: str) -> dict[str, str]:
    return {check.name: check.state for check in checks if check.subject == variant}


def spoil(bundle: Bundle, variant: str, change: Callable[[bytes], bytes]) -> None:
    path = bundle.path(bundle.info.variant(variant))
    path.write_bytes(change(path.read_bytes()))


@needs_mediapipe
def test_mediapipe_gives_the_labels_and_scores_of_our_runtime(bundle: Bundle) -> None:
    checks = client_checks(bundle)
    assert [check for check in checks if check.state == "failed"] == []
    for variant in VARIANTS:
        found = states(checks, variant)
        assert set(found.values()) == {"ok"}
        assert {name for name in found if "MediaPipe" in name} == {
            "opened by MediaPipe", "labels in MediaPipe", "scores in MediaPipe",
            "scores of full-size photos in MediaPipe",
        }  # fmt: skip


@needs_mediapipe
def test_a_file_without_labels_is_seen(changed: Bundle) -> None:
    spoil(changed, "tflite-float16", without_labels)
    checks = client_checks(changed)
    failed = [check for check in checks if check.state == "failed"]
    assert {check.subject for check in failed} == {"tflite-float16"}
    assert failed[0].runtime == f"MediaPipe {setup.MEDIAPIPE_VERSION}"


@needs_mediapipe
def test_a_wrong_normalisation_is_seen(changed: Bundle) -> None:
    # Divided by what ImageNet models are often given, not by 1: a vector of one number.
    right, wrong = (struct.pack("<If", 1, value) for value in (1.0, 127.5))

    def normalise(content: bytes) -> bytes:
        buffer = metadata_buffer(content, METADATA_NAME)
        assert buffer is not None
        other = content.replace(buffer, buffer.replace(right, wrong))
        assert read_metadata(other).inputs[0].std == (127.5,)
        return other

    spoil(changed, VARIANTS[0], normalise)
    found = states(client_checks(changed), VARIANTS[0])
    assert found["labels in MediaPipe"] == "ok"
    assert found["scores in MediaPipe"] == "failed"
    assert found["scores of full-size photos in MediaPipe"] == "failed"
    assert found["scores in CompiledModel"] == "ok"  # it does not read them


@needs_mediapipe
def test_labels_in_another_order_are_seen(changed: Bundle) -> None:
    a, b = (name.encode() for name in changed.labels.object_ids[1:3])
    assert len(a) == len(b)

    def swap(content: bytes) -> bytes:
        start = content.index(b"PK\x03\x04")
        names = content[start:].replace(a, b"*").replace(b, a).replace(b"*", b)
        return content[:start] + names

    # The archive's checksum is not looked at by MediaPipe, and ours is not asked here.
    path = changed.path(changed.info.variant(VARIANTS[0]))
    path.write_bytes(swap(path.read_bytes()))
    (answer,) = classify([path], PHOTOS[:1])
    if answer.error:  # a release that does look at it refuses the file, which is as good
        assert "zip" in answer.error.lower()
    else:
        assert "is called" in label_problems(answer, changed.labels.object_ids)[0]


@needs_mediapipe
def test_a_file_that_mediapipe_cannot_open_is_told_apart(bundle: Bundle, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes(b"this is no model")
    good = bundle.path(bundle.info.variants[0])
    broken, whole = classify([damaged, good], PHOTOS[:2])
    assert broken.error
    assert whole.error == ""
    assert whole.probabilities(6).shape == (2, 6)


@needs_mediapipe
def test_an_end_without_an_answer_is_told(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    path = bundle.path(bundle.info.variants[0])
    with pytest.raises(DamagedError, match=r"did not answer within 0\.01 s"):
        classify([path], PHOTOS[:1], seconds=0.01)
    monkeypatch.setattr(setup, "command", lambda: ("false",))
    with pytest.raises(DamagedError, match=r"exit status 1 .* --force"):
        classify([path], PHOTOS[:1])
    monkeypatch.setattr(setup, "command", lambda: ("/no/such/python",))
    with pytest.raises(MissingDependencyError, match="cannot be started"):
        classify([path], PHOTOS[:1])


def test_a_machine_without_mediapipe_says_what_to_do(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    checks = client_checks(bundle)
    (told,) = [check for check in checks if "MediaPipe" in check.runtime]
    assert told.state == "not possible here"
    assert setup.SETUP_COMMAND in told.said
    with pytest.raises(MissingDependencyError, match="artefact-id setup mediapipe"):
        classify([], PHOTOS[:1])


def test_a_setup_that_was_broken_off_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = setup.setup_folder()
    (folder / "bin").mkdir(parents=True)
    assert setup.missing() is not None
    complete = setup.MediapipeSetup(created="", mediapipe="0.1", versions={}, bytes=1, seconds=1)
    complete.write(folder / MARKER)
    assert setup.missing() is not None
    replaced = complete.model_copy(update={"mediapipe": setup.MEDIAPIPE_VERSION})
    replaced.write(folder / MARKER)
    assert setup.missing() is None


def test_a_setup_that_pip_cannot_make_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for variable in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    assert main(["setup", "mediapipe"]) == 2
    assert "mediapipe==" in capsys.readouterr().err
    assert not setup.setup_folder().exists()
    assert [path for path in (tmp_path / "artefact-id").iterdir() if path.is_dir()] == []
    assert main(["setup", "mediapipe", "--mirror", "https://HOST/debian"]) == 2


LABELS = ("a", "b", "c", "d", "e", "f")


@pytest.fixture
def answers() -> Classification:
    """One image's answer, as it should be."""
    scores = np.array([[0.6, 0.2, 0.1, 0.05, 0.03, 0.02]], dtype=np.float32)
    indices = np.array([[2, 0, 1, 5, 4, 3]], dtype=np.int32)
    names = dict(enumerate(LABELS))
    return Classification("", names, indices, scores, indices[:, :5], ((2, 0, 1),))


def test_a_good_answer_has_no_problem(answers: Classification) -> None:
    assert label_problems(answers, LABELS) == []
    assert answer_problems(answers) == []
    expected = np.array([[0.2, 0.1, 0.6, 0.02, 0.03, 0.05]], dtype=np.float32)
    assert np.array_equal(answers.probabilities(6), expected)


def test_every_problem_of_an_answer_is_named(answers: Classification) -> None:
    def of(**changes: object) -> str:
        spoilt = replace(answers, **changes)  # type: ignore[arg-type]
        return "; ".join(label_problems(spoilt, LABELS) + answer_problems(spoilt))

    fewer = of(indices=answers.indices[:, :5], scores=answers.scores[:, :5])
    assert "5 categories instead of 6" in fewer
    assert "given twice" in of(indices=np.array([[2, 0, 1, 5, 4, 4]], dtype=np.int32))
    assert "category 1 is called 'x' instead of 'b', 1 such" in of(names=answers.names | {1: "x"})
    assert "category 1 has no name" in of(names={**answers.names, 1: ""})
    assert "do not fall" in of(scores=answers.scores[:, ::-1])
    assert "not the first 5" in of(shortlist=answers.shortlist[:, ::-1])
    assert "leaves other categories" in of(above=((2, 0),))


def test_a_difference_counts_objects_and_relates_to_the_best_score() -> None:
    expected = np.array([[0.9, 0.1], [2e-5, 1e-5]], dtype=np.float32)
    same = difference(expected, expected)
    assert (same.same, same.largest, same.relative) == (2, 0, 0)
    assert same.within(0)
    turned = difference(expected[:, ::-1], expected)
    assert turned.same == 0
    unsure = difference(np.array([[0.9, 0.1], [1e-5, 2e-5]], dtype=np.float32), expected)
    assert unsure.same == 1
    assert unsure.largest < 1e-4  # the absolute difference alone would not show it
    assert not unsure.within(1e-4)
    silent = difference(np.full_like(expected, np.nan), expected)
    assert not silent.within(1)
    with pytest.raises(ValueError, match="compared"):
        difference(expected[:1], expected)


def ours(bundle: Bundle, variant: str) -> Probabilities:
    with runtimes("litert")[0].open(bundle, bundle.info.variant(variant)) as session:
        return session.predict(PHOTOS)


@pytest.mark.parametrize("variant", VARIANTS)
def test_compiled_model_answers_as_the_interpreter(bundle: Bundle, variant: str) -> None:
    with open_compiled(bundle, bundle.info.variant(variant)) as session:
        found = session.predict(PHOTOS)
        assert session.predict(PHOTOS[:0]).shape == (0, 6)
    assert found.dtype == np.float32
    assert difference(found, ours(bundle, variant)).within(1e-5)
    assert not difference(found[:, ::-1], ours(bundle, variant)).within(1e-2)


def test_compiled_model_refuses_what_is_not_its_own(bundle: Bundle, changed: Bundle) -> None:
    other = bundle.info.variants[0].model_copy(update={"format": "coreml", "name": "coreml-x"})
    with pytest.raises(InputError, match="coreml-x is a coreml variant"):
        open_compiled(bundle, other)
    spoil(changed, VARIANTS[0], lambda content: content[: len(content) // 3])
    with pytest.raises(DamagedError, match="export the bundle again"):
        open_compiled(changed, changed.info.variant(VARIANTS[0]))


def test_a_bundle_that_failed_is_shown_to_nobody(bundle: Bundle) -> None:
    failed = (Check("files", "", "", "failed", "changed"),)
    found = with_clients(Verification(bundle.folder, bundle, failed))
    assert [check.state for check in found.checks] == ["failed", "not possible here"]


@pytest.fixture
def lonely(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No MediaPipe: the command alone is tried."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    yield


@pytest.mark.usefixtures("lonely")
def test_verify_shows_the_bundle_to_clients(
    bundle: Bundle, register_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = str(next(register_folder.rglob("*.png")))
    assert main(["verify", str(bundle.folder), "--clients", "--photos", photo, "--json"]) == 0
    assert "scores in CompiledModel" in capsys.readouterr().out
    assert main(["verify", str(bundle.folder), "--photos", photo]) == 2
