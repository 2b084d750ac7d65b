"""The first stage at which an app differs from the golden vectors, and the likely mistake."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from mobile_assets.bundle import Bundle
from mobile_assets.decision import Verdict, decide
from mobile_assets.difference import (
    Cause,
    Difference,
    Numbers,
    Stage,
    answer_cause,
    nearest_first,
    pixel_causes,
)
from mobile_assets.golden import (
    GoldenPhoto,
    GoldenVariant,
    GoldenVectors,
    Pixels,
    Probabilities,
    answer_share,
    answers_differ,
    pixels_differ,
)
from mobile_assets.input_pipeline import InputPipeline, Values, inputs_of
from mobile_assets.integration_errors import DOUBLE_NORMALISATION, INTEGRATION_ERRORS, as_bytes
from mobile_assets.output_errors import PROBABILITY_ERRORS, VERDICT_ERRORS, label_orders
from mobile_assets.photos import decode
from mobile_assets.preprocessing import Preprocessing, resize

Predict = Callable[[Values], Probabilities]
"""One input `[H, W, 3]`, of the type of the variant's input, → `[objects]` probabilities."""

_ORIENTATION = 0x0112
"""EXIF's tag."""

_MOST_LARGER, _MOST_VALUES = 4, 64_000_000
"""Decoded photos larger than that are compared, but not with every mistake: it takes too much
memory."""

_PREDICTED = 0.02
"""Share of the highest probability by which the answer to a mistaken input, or of another file, may
be off: what another build of the runtime, or another decoder, moves."""


@dataclass(frozen=True)
class AppOutputs:
    """What an app made of one golden photo; None where it cannot show it.

    Attributes:
        pixels: The decoded, upright photo, `[height, width, 3]`, RGB 0–255.
        resized: The photo at the input's size, `[H, W, 3]`, RGB 0–255.
        tensor: What is handed to the model, `[H, W, 3]`, in the type of its input.
        probabilities: What comes out of the model, `[objects]`.
        label: The object id that is shown as the best.
        verdict: What the answer is called.
    """

    pixels: Numbers | None = None
    resized: Numbers | None = None
    tensor: Numbers | None = None
    probabilities: Probabilities | None = None
    label: str | None = None
    verdict: Verdict | None = None


@dataclass(frozen=True)
class GoldenDiagnosis:
    """Compares an app's outputs with the golden vectors of one variant.

    Attributes:
        bundle: The bundle that the app has.
        golden: Its golden vectors.
        variant: Name of the variant that the app runs.
        accelerator: Whether a GPU or neural engine computed.
        pipelines: Mistaken ways of making the input that are recognised; of equally near ones the
            first is named.
        predict: Executes the variant, so that a mistake in the input is recognised by the answer
            alone; None where nothing here can.
    """

    bundle: Bundle
    golden: GoldenVectors
    variant: str
    accelerator: bool = False
    pipelines: Sequence[InputPipeline] = (*INTEGRATION_ERRORS, DOUBLE_NORMALISATION)
    predict: Predict | None = None
    _inputs: dict[str, list[tuple[str, Values]]] = field(default_factory=dict, repr=False)

    def first_difference(self, photo: str, app: AppOutputs) -> Difference | None:
        """The first stage at which an app's outputs for a photo differ, None if none does.

        With the model's input equal to the golden tensor, probabilities are held to the variant's
        tight tolerance; otherwise to the photo's as well.

        Raises:
            InputError: There is no such photo or variant.
            DamagedError: A golden file is missing or damaged.
        """
        golden = self.golden.photo(photo)
        checks: tuple[tuple[Any, Callable[[GoldenPhoto, AppOutputs], Difference | None]], ...] = (
            (app.pixels, self._decoding),
            (app.resized, self._resizing),
            (app.tensor, self._input),
            (app.probabilities, self._network),
            (app.label, self._label),
            (app.verdict, self._verdict),
        )
        for shown, check in checks:
            if shown is not None:
                difference = check(golden, app)
                if difference is not None:
                    return difference
        return None

    def label_map(self, labels: Sequence[str]) -> Difference | None:
        """How the object ids that an app puts to the classes differ from the bundle's."""
        expected = self.bundle.labels.object_ids
        if tuple(labels) == expected:
            return None
        if len(labels) != len(expected):
            counts = f"There are {len(labels)} labels instead of {len(expected)}."
            one_off = abs(len(labels) - len(expected)) == 1
            causes = (Cause("A line too many or too few.", 0.0),) if one_off else ()
            return Difference("labels", counts, causes)
        pairs = enumerate(zip(labels, expected, strict=True))
        index = next(index for index, (label, right) in pairs if label != right)
        return Difference(
            "labels",
            f"Class {index} is called {labels[index]!r} instead of {expected[index]!r}.",
            tuple(
                Cause(description, 0.0)
                for description, order in label_orders(self.bundle.labels)
                if order == tuple(labels)
            ),
        )

    # --- before the network -----------------------------------------------------------------------

    def _decoding(self, photo: GoldenPhoto, app: AppOutputs) -> Difference | None:
        pixels = np.asarray(app.pixels)
        expected = self.golden.decoded(photo)
        if expected is None:
            shape = (photo.height, photo.width, 3)
            if pixels.shape == shape:
                return None
            found = f"of shape {pixels.shape} instead of {shape}"
            expected = np.asarray(decode(self.golden.path(photo)), dtype=np.uint8)
        else:
            found = pixels_differ(pixels, expected, photo.decoding) or ""
            if not found:
                return None
        causes: tuple[Cause, ...] = ()
        if pixels.size <= _MOST_LARGER * expected.size <= _MOST_VALUES:
            # At the app's own size pipelines have nothing to resample, only to turn or to recolour.
            candidates = self._candidates(photo, expected, _of_size(self._contract, pixels.shape))
            causes = pixel_causes(pixels, candidates, expected, photo.decoding)
        return Difference("decoding", f"The decoded photo is {found}.", causes)

    def _resizing(self, photo: GoldenPhoto, app: AppOutputs) -> Difference | None:
        return self._pixels_for_model("resizing", "The resized photo", photo, app.resized)

    def _input(self, photo: GoldenPhoto, app: AppOutputs) -> Difference | None:
        return self._pixels_for_model("input", "The model's input", photo, app.tensor)

    def _pixels_for_model(
        self, stage: Stage, name: str, photo: GoldenPhoto, values: Numbers | None
    ) -> Difference | None:
        pixels = np.asarray(values)
        expected = self.golden.tensor(photo)
        found = pixels_differ(pixels, expected, photo.resizing)
        if found is None:
            return None
        if not pixels.size or pixels.min() == pixels.max():
            causes: tuple[Cause, ...] = (
                Cause(
                    "All values are the same: the buffer was never filled, or values of -1 to 1 "
                    "were cast to bytes.",
                    0.0,
                ),
            )
        else:
            candidates = self._model_inputs(photo)
            causes = pixel_causes(pixels, candidates, expected, photo.resizing)
        return Difference(stage, f"{name} is {found}.", causes)

    @property
    def _contract(self) -> Preprocessing:
        return self.bundle.info.preprocessing

    def _model_inputs(self, photo: GoldenPhoto) -> list[tuple[str, Values]]:
        """What each mistake makes of a photo; made once, since several stages ask for it."""
        if photo.name not in self._inputs:
            decoded = self.golden.decoded(photo)
            if decoded is None:
                decoded = np.asarray(decode(self.golden.path(photo)), dtype=np.uint8)
            self._inputs[photo.name] = list(self._candidates(photo, decoded, self._contract))
        return self._inputs[photo.name]

    def _candidates(
        self, photo: GoldenPhoto, decoded: Pixels, contract: Preprocessing
    ) -> Iterator[tuple[str, Values]]:
        """What each mistake makes of a photo at the contract's size."""
        # Of other formats Pillow turns some itself; every drawn photo is one of these two.
        with (
            contextlib.suppress(UnidentifiedImageError),
            Image.open(self.golden.path(photo), formats=("JPEG", "PNG")) as opened,
        ):
            ignored = _ignored(opened)
            if ignored:
                yield ignored, resize(opened.convert("RGB"), contract)
        upright = Image.fromarray(decoded)
        if (contract.height, contract.width) != decoded.shape[:2]:
            yield "The photo is decoded at another size.", resize(upright, contract)
        for pipeline, values in inputs_of(upright, contract, self.pipelines):
            yield f"{pipeline.what} ({pipeline.name}).", values

    # --- the network and after it -----------------------------------------------------------------

    @cached_property
    def _golden_variant(self) -> GoldenVariant:
        return self.golden.variant(self.variant)

    def _expected(self, photo: GoldenPhoto) -> Probabilities:
        row = self.golden.info.photos.index(photo)
        return np.asarray(self.golden.expected(self._golden_variant)[row])

    def _allowed(self, photo: GoldenPhoto, app: AppOutputs) -> float:
        golden = self._golden_variant
        allowed = (golden.on_accelerator if self.accelerator else golden.from_tensor).share
        exact = app.tensor is not None and np.array_equal(app.tensor, self.golden.tensor(photo))
        return allowed if exact else allowed + photo.answering.share

    def _network(self, photo: GoldenPhoto, app: AppOutputs) -> Difference | None:
        answer = np.asarray(app.probabilities)
        expected, allowed = self._expected(photo), self._allowed(photo, app)
        found = answers_differ(answer, expected, allowed)
        if found is None:
            return None
        causes: list[Cause] = []
        if answer.shape == expected.shape:
            causes = list(self._output_causes(photo, answer, expected))
            if not causes and app.resized is None and app.tensor is None:
                causes = list(self._input_causes(photo, answer))
        return Difference("network", f"The answer differs: {found}.", nearest_first(causes))

    def _output_causes(
        self, photo: GoldenPhoto, answer: Probabilities, expected: Probabilities
    ) -> Iterator[Cause]:
        """Mistakes in reading the output, given answers of the right length."""
        if not np.isfinite(answer).all() or answer.min() == answer.max():
            yield Cause("The values are no answer: the output is read before it is written.", 0.0)
            return
        allowed = self._golden_variant.from_tensor.share + photo.answering.share
        for error in PROBABILITY_ERRORS:
            with np.errstate(over="ignore", invalid="ignore"):
                undone = error.undo(answer.astype(np.float64))
            # A step of 1/256 is a large share of a low probability.
            rounding = error.resolution / float(expected.max())
            yield from answer_cause(error.description, undone, expected, allowed + rounding)
        for other in self.golden.info.variants:
            if other.variant != self.variant:
                row = self.golden.expected(other)[self.golden.info.photos.index(photo)]
                name = f"This is the answer of {other.variant}: the app has opened another file."
                yield from answer_cause(name, answer, row, _PREDICTED)
        for other_photo in self.golden.info.photos:
            if other_photo != photo:
                name = "This is the answer to another photo: a buffer is reused too early."
                row = self._expected(other_photo)
                yield from answer_cause(name, answer, row, _PREDICTED)
        in_order = np.sort(answer), np.sort(expected)
        if answers_differ(*in_order, self._golden_variant.from_tensor.share) is None:
            # Any of the orders above is also this, so it comes last.
            text = "The values are right and stand in another order: another label map."
            yield Cause(text, 1 + answer_share(*in_order))

    def _input_causes(self, photo: GoldenPhoto, answer: Probabilities) -> Iterator[Cause]:
        """Mistakes in the input, recognised by what the variant answers to it."""
        if self.predict is None:
            return
        input_type = self.bundle.info.variant(self.variant).inputs[0].dtype
        for description, values in self._model_inputs(photo):
            if input_type == "image" and values.dtype != np.uint8:
                continue
            taken = values if input_type == "float32" else as_bytes(values)
            yield from answer_cause(description, answer, self.predict(taken), _PREDICTED)

    def _label(self, photo: GoldenPhoto, app: AppOutputs) -> Difference | None:
        shown = app.probabilities
        probabilities = self._expected(photo) if shown is None else np.asarray(shown)
        allowed = 0.0 if shown is not None else self._allowed(photo, app) * probabilities.max()
        # Without the app's own numbers, any object within the tolerance may be its best.
        best = np.flatnonzero(probabilities >= probabilities.max() - 2 * allowed)
        ids = self.bundle.labels.object_ids
        if app.label in {ids[index] for index in best}:
            return None
        index = int(probabilities.argmax())
        return Difference(
            "labels",
            f"The best object is called {app.label!r} instead of {ids[index]!r} (class {index}).",
            tuple(
                Cause(description, 0.0)
                for description, order in label_orders(self.bundle.labels)
                if order[index] == app.label
            ),
        )

    def _verdict(self, photo: GoldenPhoto, app: AppOutputs) -> Difference | None:
        shown = app.probabilities
        best = float((self._expected(photo) if shown is None else np.asarray(shown)).max())
        allowed = self._allowed(photo, app) * best if shown is None else 0.0
        thresholds = self.bundle.info.decision
        steps = (best, best - allowed, min(1.0, best + allowed))
        if app.verdict in {decide(probability, thresholds) for probability in steps}:
            return None
        right = decide(best, thresholds)
        return Difference(
            "verdict",
            f"The answer of probability {best:.4f} is called {app.verdict!r} instead of {right!r} "
            f"(match {thresholds.match:.4f}, reject {thresholds.reject:.4f}).",
            tuple(
                Cause(description, 0.0)
                for description, rule in VERDICT_ERRORS
                if rule(best, thresholds) == app.verdict
            ),
        )


def _of_size(contract: Preprocessing, shape: tuple[int, ...]) -> Preprocessing:
    height, width = shape[:2]
    return contract.model_copy(update={"height": height, "width": width})


def _ignored(opened: Image.Image) -> str:
    """What a decoder ignores that hands over the file's pixels as stored; empty if nothing."""
    if opened.getexif().get(_ORIENTATION, 1) != 1:
        return "The EXIF orientation is ignored."
    if "icc_profile" in opened.info:
        return "The colour profile is ignored."
    return "Transparent pixels are not blended over white." if opened.has_transparency_data else ""
