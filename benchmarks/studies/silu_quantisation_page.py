"""The page of exported forms of a network with SiLU and squeeze-and-excite, from its raw rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.results.classification import wilson_interval
from benchmarks.results.cluster_bootstrap import Estimate
from benchmarks.studies.export_parity_page import drop_bounds
from benchmarks.studies.study_statistics import Asked
from mobile_assets.schema import Document, Record

REFERENCE = "torch"
BASE = "tflite-float32"
NAIVE = "naive int8"
ASKED_DROP = {"tflite-int8": 1.0}
"""Largest drop in points that was asked for."""

ASKED_TOP1 = 85.0
"""Least top-1 of the network in per cent, without which there is little to lose."""

TEXT = """\
# A network with SiLU and squeeze-and-excite in 8 bits

EfficientNet-B0 on {objects} objects of the generated register, {photos} test photos that nothing
was chosen by. The same pixels go to the network in full precision and to every exported form; the
Core ML package is executed by the reference runtime, which is not Core ML itself. *{naive}* is what
ai-edge-quantizer's own static recipe makes of the same float32 file and the same {calibration}
calibration photos: ranges from smallest to largest value, weights to the nearest step, int8 input,
logits and softmax. Lost and won: photos that only the network, or only the exported form, has
right. In brackets 95 %: of top-1 and agreement Wilson's interval, of the drop a paired bootstrap
over photos; of time 10 % to 90 % of {rounds} rounds on one thread in which every file had its turn.
Size and time by the float32 TFLite file's. Regenerate with

    python -m benchmarks.studies.silu_quantisation --out DIR --table benchmarks/studies/silu_quantisation.md

| form | right | agreement | drop | lost / won | size | time |
| :--- | :--- | :--- | :--- | ---: | ---: | :--- |
{lines}
## What was asked for

{asked}
## What it was trained from

No ImageNet weights of B0 were at hand. It began with the convolutions of EfficientNet-Lite0, whose
ImageNet weights a package carries: the two networks have the same, but Lite0's activation is a relu
that ends at 6 and it has no squeeze-and-excite. The gates began at random, scaled so that they
differ from photo to photo, and batch-norm statistics were taken anew on training photos. Then all
weights were trained on {train} photos, {val} others for validation (top-1 {val_top1:.1f} % at the
end):

{training}
After training the gates are in use: over the validation photos a channel's gate has a standard
deviation of {gates[0]:.3f} about a mean of {gate:.2f} (median of {channels:,} channels; quantiles
of 10 % and 90 %: {gates[1]:.3f} and {gates[2]:.3f}).

Measured {created} on {host}. Versions: {versions}.
"""


class Form(Record):
    """One form of the network.

    Attributes:
        name: The variant.
        right: Photos answered right.
        same: Photos with the network's first answer.
        lost: Photos that only the network has right.
        won: Photos that only this has right.
        bytes: Size of the file or package; 0 for the network itself.
        ms: Milliseconds of one photo in each round; empty where time means nothing.
    """

    name: str
    right: int
    same: int
    lost: int
    won: int
    bytes: int = 0
    ms: tuple[float, ...] = ()


class Gates(Record):
    """How much the squeeze-and-excite gates differ between photos.

    Attributes:
        channels: Number of gates.
        mean: Of all gates and photos.
        deviations: Median, 10 % and 90 % quantile over channels of the standard deviation.
    """

    channels: int
    mean: float
    deviations: tuple[float, float, float]


class Stage(Record):
    """One training.

    Attributes:
        side: Of the square input in pixels.
        epochs: Passes over all weights.
        minutes: Of processor time.
    """

    side: int
    epochs: int
    minutes: float


class Published(Document):
    """The raw rows behind the page."""

    created: str
    host: dict[str, str]
    versions: dict[str, str]
    objects: int
    train: int
    val: int
    photos: int
    calibration: int
    val_top1: float
    stages: tuple[Stage, ...]
    gates: Gates
    forms: tuple[Form, ...]

    def form(self, name: str) -> Form:
        """The form of that name."""
        return next(form for form in self.forms if form.name == name)

    def drop(self, form: Form) -> Estimate:
        """Points of top-1 lost."""
        points = 100 * (form.lost - form.won) / self.photos
        return Estimate(points, drop_bounds(form.lost, form.won, self.photos))

    def share(self, count: int) -> Estimate:
        """A number of photos in per cent, with its interval."""
        low, high = wilson_interval(count, self.photos) or (0.0, 1.0)
        return Estimate(100 * count / self.photos, (100 * low, 100 * high))


def page(published: Published) -> str:
    """The Markdown page, from the raw rows alone."""
    gates = published.gates
    return TEXT.format(
        objects=published.objects,
        photos=f"{published.photos:,}",
        naive=NAIVE,
        calibration=published.calibration,
        rounds=len(published.form(BASE).ms),
        lines="".join(_line(published, form) for form in published.forms),
        asked="".join(one.line() for one in asked(published)),
        training="".join(
            f"{place}. {stage.epochs} passes at {stage.side} × {stage.side} pixels, "
            f"{stage.minutes:.0f} minutes of processor time\n"
            for place, stage in enumerate(published.stages, 1)
        ),
        train=published.train,
        val=published.val,
        val_top1=100 * published.val_top1,
        gates=gates.deviations,
        gate=gates.mean,
        channels=gates.channels,
        created=published.created,
        host=", ".join(f"{key} {value}" for key, value in published.host.items()),
        versions=", ".join(f"{key} {value}" for key, value in published.versions.items()),
    )


def _line(published: Published, form: Form) -> str:
    base = published.form(BASE)
    reference = form.name == REFERENCE
    cells = (
        form.name,
        f"{published.share(form.right).text('.2f')} %",
        "" if reference else f"{published.share(form.same).text('.2f')} %",
        "" if reference else published.drop(form).text(".2f"),
        "" if reference else f"{form.lost} / {form.won}",
        f"{form.bytes / base.bytes:.3f}" if form.bytes else "",
        _time(form, base),
    )
    return "| " + " | ".join(cells) + " |\n"


def _time(form: Form, base: Form) -> str:
    if not form.ms:
        return ""
    low, middle, high = np.quantile(np.array(form.ms) / np.array(base.ms), [0.1, 0.5, 0.9])
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def asked(published: Published) -> Iterator[Asked]:
    """Every number that was asked for beforehand, with what was measured."""
    right = published.share(published.form(REFERENCE).right)
    yield Asked("top-1 of the network in per cent", ASKED_TOP1, right, least=True)
    for name, bound in ASKED_DROP.items():
        yield Asked(f"drop of {name} in points", bound, published.drop(published.form(name)))
