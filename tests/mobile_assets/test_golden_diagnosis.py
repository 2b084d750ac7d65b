"""That planted mistakes of an app are found at their stage, and recognised."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from benchmarks.preprocessing.resampling import RESAMPLINGS, antialiased
from benchmarks.runtimes.litert_runtime import open_litert
from benchmarks.verify.app_answers import RECOGNISED
from mobile_assets.bundle import Bundle
from mobile_assets.decision import DecisionThresholds, decide
from mobile_assets.difference import Difference
from mobile_assets.golden import GoldenVectors, Pixels, Probabilities
from mobile_assets.golden_diagnosis import AppOutputs, GoldenDiagnosis
from mobile_assets.input_pipeline import InputPipeline
from mobile_assets.integration_errors import INTEGRATION_ERRORS, as_bytes
from mobile_assets.labels import LabelMap
from mobile_assets.output_errors import VERDICT_ERRORS, label_orders
from mobile_assets.photos import decode
from mobile_assets.preprocessing import resize

VARIANTS = ("tflite-float32", "tflite-float16", "tflite-int8", "coreml-float16")
TURNED = tuple(f"orientation-{n}" for n in range(2, 9))


@pytest.fixture(scope="module")
def golden(golden_bundle: Bundle) -> GoldenVectors:
    return GoldenVectors.read(golden_bundle)


class App:
    """An app's test: what it would be told of one photo."""

    def __init__(self, bundle: Bundle, golden: GoldenVectors) -> None:
        self.bundle, self.golden = bundle, golden

    def __call__(
        self, photo: str, variant: str = "tflite-float32", **shown: object
    ) -> Difference | None:
        diagnosis = GoldenDiagnosis(self.bundle, self.golden, variant, pipelines=RECOGNISED)
        return diagnosis.first_difference(photo, AppOutputs(**shown))  # type: ignore[arg-type]

    def differs(self, photo: str, variant: str = "tflite-float32", **shown: object) -> Difference:
        difference = self(photo, variant, **shown)
        assert difference is not None
        return difference

    def stored(self, photo: str) -> Pixels:
        """The photo as a decoder gives it that heeds neither EXIF nor profile."""
        with Image.open(self.golden.path(self.golden.photo(photo))) as opened:
            return np.asarray(opened.convert("RGB"), dtype=np.uint8)

    def decoded(self, photo: str) -> Pixels:
        pixels = self.golden.decoded(self.golden.photo(photo))
        assert pixels is not None
        return pixels

    def tensor(self, photo: str) -> Pixels:
        return self.golden.tensor(self.golden.photo(photo))

    def answer(self, photo: str, variant: str = "tflite-float32") -> Probabilities:
        row = self.golden.info.photos.index(self.golden.photo(photo))
        return self.golden.expected(self.golden.variant(variant))[row]


def nearest(difference: Difference) -> list[str]:
    """The mistakes that give the very values: some do the same to one photo."""
    return [
        cause.description
        for cause in difference.causes
        if cause.distance <= difference.causes[0].distance + 1e-6
    ]


@pytest.fixture(scope="module")
def app(golden_bundle: Bundle, golden: GoldenVectors) -> App:
    return App(golden_bundle, golden)


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_app_that_is_right_differs_nowhere(app: App, variant: str) -> None:
    ids, thresholds = app.bundle.labels.object_ids, app.bundle.info.decision
    for photo in app.golden.info.photos:
        pixels = decode(app.golden.path(photo))
        tensor = resize(pixels, app.bundle.info.preprocessing)
        answer = app.answer(photo.name, variant)
        outcome = {
            "label": ids[answer.argmax()],
            "verdict": decide(float(answer.max()), thresholds),
        }
        assert (
            app(
                photo.name,
                variant,
                pixels=np.asarray(pixels),
                resized=tensor,
                tensor=tensor.astype(np.float32),
                probabilities=answer,
                **outcome,
            )
            is None
        )
        assert app(photo.name, variant, **outcome) is None


def test_another_good_resampler_is_allowed(app: App) -> None:
    with open_litert(app.bundle, "tflite-float32") as session:
        for photo in app.golden.info.photos:
            upright = decode(app.golden.path(photo))
            size = (app.golden.info.width, app.golden.info.height)
            tensor = np.asarray(upright.resize(size, Image.Resampling.LANCZOS))
            answer = session.predict(tensor[None])[0]
            assert app(photo.name, resized=tensor) is None
            # The tight tolerance holds for the golden tensor only, and would not for this one.
            assert app(photo.name, tensor=tensor, probabilities=answer) is None


@pytest.mark.parametrize("photo", TURNED)
def test_ignored_exif_is_recognised(app: App, photo: str) -> None:
    difference = app.differs(photo, pixels=app.stored(photo))
    assert difference.stage == "decoding" and "EXIF" in difference.likely
    turned = resize(Image.fromarray(app.stored(photo)), app.bundle.info.preprocessing)
    difference = app.differs(photo, resized=turned)
    assert difference.stage == "resizing" and "EXIF" in difference.likely


def test_an_ignored_profile_is_recognised(app: App) -> None:
    difference = app.differs("wide-gamut", pixels=app.stored("wide-gamut"))
    assert difference.stage == "decoding" and "profile" in difference.likely


def test_black_under_transparency_is_recognised(app: App) -> None:
    difference = app.differs("transparent", pixels=app.stored("transparent"))
    assert difference.stage == "decoding" and "over white" in difference.likely


def test_a_photo_decoded_at_half_its_size_is_recognised(app: App) -> None:
    half = Image.fromarray(app.decoded("orientation-1")).resize((80, 56), Image.Resampling.BILINEAR)
    difference = app.differs("orientation-1", pixels=np.asarray(half))
    assert difference.stage == "decoding" and "another size" in difference.likely


def test_swapped_channels_are_recognised_at_every_stage(app: App) -> None:
    pixels, tensor = app.decoded("orientation-1"), app.tensor("orientation-1")
    difference = app.differs("orientation-1", pixels=pixels[..., ::-1])
    assert difference.stage == "decoding" and "Red and blue" in difference.likely
    difference = app.differs("orientation-1", pixels=pixels, resized=tensor[..., ::-1])
    assert difference.stage == "resizing" and "Red and blue" in difference.likely
    floats = tensor[..., ::-1].astype(np.float32)
    difference = app.differs("orientation-1", resized=tensor, tensor=floats)
    assert difference.stage == "input" and "Red and blue" in difference.likely


# The preview of a photo has more pixels than this network's input, so it is as good as the photo.
SEEN = [pipeline for pipeline in INTEGRATION_ERRORS if pipeline.name != "thumbnail"]


@pytest.mark.parametrize("pipeline", SEEN, ids=lambda pipeline: pipeline.name)
def test_every_integration_error_is_recognised(app: App, pipeline: InputPipeline) -> None:
    upright = Image.fromarray(app.decoded("orientation-1"))
    values = pipeline(upright, app.bundle.info.preprocessing)
    for tensor in (values, as_bytes(values)):
        difference = app.differs("orientation-1", tensor=tensor)
        assert difference.stage == "input"
        empty = tensor.min() == tensor.max()
        words = "cast to bytes" if empty else f"({pipeline.name})"
        assert any(words in description for description in nearest(difference))


def test_resampling_of_phones_is_recognised(app: App) -> None:
    photo = Image.fromarray(app.decoded("large-reduction"))
    contract = app.bundle.info.preprocessing
    assert antialiased in {pipeline.resample for pipeline in RESAMPLINGS}
    for name in ("nearest", "bilinear"):
        (pipeline,) = (p for p in RESAMPLINGS if p.name == name)
        difference = app.differs("large-reduction", resized=pipeline(photo, contract))
        assert difference.stage == "resizing"
        assert any(f"({name})" in description for description in nearest(difference))


def test_normalisation_of_the_graph_is_recognised_when_done_twice(app: App) -> None:
    contract = app.bundle.info.preprocessing  # mean 0.5, deviation 0.25: -2 to 2
    tensor = (app.tensor("grey") / np.float32(255) - contract.mean[0]) / contract.std[0]
    difference = app.differs("grey", tensor=tensor.astype(np.float32))
    assert difference.stage == "input" and "which its graph applies again" in difference.likely


def test_an_empty_buffer_is_recognised(app: App) -> None:
    difference = app.differs("grey", tensor=np.zeros((64, 64, 3), np.uint8))
    assert difference.stage == "input" and "never filled" in difference.likely
    difference = app.differs("grey", probabilities=np.zeros_like(app.answer("grey")))
    assert difference.stage == "network" and "before it is written" in difference.likely
    difference = app.differs("grey", probabilities=np.full_like(app.answer("grey"), np.nan))
    assert difference.stage == "network" and "before it is written" in difference.likely


@pytest.mark.parametrize("variant", VARIANTS)
def test_shifted_classes_are_recognised(app: App, variant: str) -> None:
    answer = app.answer("orientation-1", variant)
    difference = app.differs("orientation-1", variant, probabilities=np.roll(answer, 1))
    assert difference.stage == "network" and "shifted by 1" in difference.likely
    difference = app.differs("orientation-1", variant, probabilities=answer[::-1])
    assert difference.stage == "network" and "reverse" in difference.likely
    mixed = answer[np.random.default_rng(0).permutation(len(answer))]
    difference = app.differs("orientation-1", variant, probabilities=mixed)
    assert difference.stage == "network" and "order" in difference.likely


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda p: 100 * p, "percentages"),
        (lambda p: np.rint(256 * p).clip(0, 255), "(uint8) and are not dequantised"),
        (lambda p: np.rint(256 * p).clip(0, 255) - 128, "(int8) and are not dequantised"),
        (lambda p: np.log(p) + 3, "softmax is left out"),
        (lambda p: np.exp(p) / np.exp(p).sum(), "softmax is applied twice"),
    ],
)
def test_misread_outputs_are_recognised(
    app: App, spoil: Callable[[Probabilities], Probabilities], words: str
) -> None:
    difference = app.differs(
        "grey", probabilities=np.asarray(spoil(app.answer("grey")), np.float32)
    )
    assert difference.stage == "network" and words in difference.likely


def test_another_models_answer_is_recognised(app: App) -> None:
    difference = app.differs(
        "grey", tensor=app.tensor("grey"), probabilities=app.answer("grey", "tflite-int8")
    )
    assert difference.stage == "network" and "answer of tflite-int8" in difference.likely


def test_another_photos_answer_is_recognised(app: App) -> None:
    difference = app.differs("grey", probabilities=app.answer("enlargement"))
    assert difference.stage == "network" and "another photo" in difference.likely


def test_wrong_label_lists_are_recognised(app: App, golden: GoldenVectors) -> None:
    right = app.bundle.labels.object_ids
    diagnosis = GoldenDiagnosis(app.bundle, golden, "tflite-int8")

    def differs(labels: list[str]) -> Difference:
        difference = diagnosis.label_map(labels)
        assert difference is not None and difference.stage == "labels"
        return difference

    assert diagnosis.label_map(list(right)) is None
    assert "shifted" in differs([*right[1:], right[0]]).likely
    assert "too many" in differs(["background", *right]).likely
    assert "reverse" in differs(list(right[::-1])).likely
    assert "Class 0" in differs([right[1], right[0], *right[2:]]).found


def test_label_orders_of_numbers_cases_and_titles() -> None:
    labels = LabelMap.of([("A10", "x", "b", 1), ("A2", "y", "a", 1), ("a3", "x", "c", 1)])
    orders = dict(label_orders(labels))
    ends = ("numbers in them.", "case.", "title.", "collection.")
    for end, order in zip(
        ends,
        [("A2", "A10", "a3"), ("A10", "A2", "a3"), ("A2", "A10", "a3"), ("A10", "a3", "A2")],
        strict=True,
    ):
        assert [ids for text, ids in orders.items() if text.endswith(end)] == [order]


def test_a_wrong_name_for_the_best_object_is_recognised(app: App) -> None:
    answer = app.answer("grey")
    ids = app.bundle.labels.object_ids
    wrong = ids[(int(answer.argmax()) + 1) % len(ids)]
    for shown in ({"probabilities": answer}, {}):
        difference = app.differs("grey", label=wrong, **shown)
        assert difference.stage == "labels" and "shifted by 1" in difference.likely


@pytest.mark.parametrize(
    ("match", "reject", "verdict", "words"),
    [
        (0.2, 0.1, "shortlist", "`match` is not read"),
        (1.0, 0.999, "shortlist", "`reject` is not read"),
        (0.2, 0.1, "not in the register", "in percent"),
    ],
)
def test_wrong_verdicts_are_recognised(
    app: App, golden: GoldenVectors, match: float, reject: float, verdict: str, words: str
) -> None:
    limits = DecisionThresholds(match=match, reject=reject, validation_photos=9)
    info = app.bundle.info.model_copy(update={"decision": limits})
    diagnosis = GoldenDiagnosis(
        Bundle(app.bundle.folder, info, app.bundle.labels), golden, "tflite-float32"
    )
    right = decide(float(app.answer("grey").max()), limits)
    assert diagnosis.first_difference("grey", AppOutputs(verdict=right)) is None
    difference = diagnosis.first_difference(
        "grey",
        AppOutputs(verdict=verdict, probabilities=app.answer("grey")),  # type: ignore[arg-type]
    )
    assert difference is not None and difference.stage == "verdict"
    assert any(words in cause.description for cause in difference.causes)


def test_each_wrong_rule_differs_from_the_right_one_somewhere() -> None:
    for text, rule in VERDICT_ERRORS:
        limits = DecisionThresholds(
            match=1.0 if "`match` 1" in text else 0.8, reject=0.3, validation_photos=9
        )
        verdicts = [(rule(p, limits), decide(p, limits)) for p in (0.1, 0.5, 0.9, 1.0)]
        assert any(wrong != right for wrong, right in verdicts), text
