"""Training recipes as named data."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from mobile_assets.errors import InputError

Setting = float | int | str | bool | tuple[int, ...] | None
"""The value of one of a recipe's settings."""


@dataclass(frozen=True)
class Augmentation:
    """How far a training photo is changed, each amount drawn evenly from ± its range.

    Attributes:
        rotation: Degrees in the picture's plane.
        zoom: Factor of the picture's size, drawn from 1 / (1 + zoom) to 1 + zoom.
        shift: Share of the picture's side.
        shear: Degrees.
        brightness: Share of the brightness.
        contrast: Share of the contrast about the mean.
        saturation: Share of the distance from grey.
        tint: Share of each channel's gain, as of a white balance.
        any_rotation: Share of the photos that are turned by any angle instead.
        other_ground: Share of the photos, of those whose ground is plain, that get another ground.
    """

    rotation: float = 0.0
    zoom: float = 0.0
    shift: float = 0.0
    shear: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    tint: float = 0.0
    any_rotation: float = 0.0
    other_ground: float = 0.0


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: first the head on frozen features, then all weights.

    Attributes:
        name: What the command line and `run.json` call it.
        head_epochs: Passes of the head alone over cached features of the frozen backbone.
        head_views: How many versions of each photo the features are cached of; the first is the
            photo itself, further ones are augmented.
        head_steps: Steps after which the head alone has had enough: with many photos its passes
            become fewer, and so do the views (`for_photos`). 0 for no such limit.
        rate: Learning rate, its peak under the cosine schedule.
        backbone_rate: Factor on the rate for the backbone.
        optimiser: Adam, or AdamW with decoupled weight decay.
        weight_decay: AdamW's, on weights with two dimensions or more.
        schedule: Constant, or one epoch of warm-up and then half a cosine.
        freeze_statistics: Keep the backbone's batch-norm statistics as ImageNet left them.
        frozen_share: Share of the backbone's layer groups, from the input on, that are not trained.
        label_smoothing: Share of the target spread over all objects.
        settled: Share of the epochs of all weights, at their end, of which validation chooses the
            checkpoint; 1 for all. Before the rate has fallen the weights still jump about, and with
            a few dozen validation photos the best of many such epochs is best by chance.
        augmentation: None to show photos as they are.
        split: How photos are divided unless told otherwise.
        patience: Training ends early after so many epochs of all weights without a better
            validation; under a schedule with settled epochs it goes on with these. 0 for never.
        closed_form: Replace the head, at the end, by one in closed form (`train.discriminant`).
        depths: Stages of the backbone whose pooled outputs are features beside the last ones. While
            weights are trained by gradients, a head that is replaced in closed form reads the last
            features alone.
        start_views: Versions of each photo that a first head in closed form is fitted to, on the
            frozen backbone, before all weights are trained; 0 for no such head.
        trained_side: Side of the photos that all weights are trained on, as a share of the input's.
            A network that learns from smaller photos costs less by the square of it.
        degraded: Share of the photos that all weights are trained on that are made worse too
            (`train.degradation`).
        fit_validation: Fit that head to the validation photos too, once it is validated without.
        hold_out_objects: Share of the objects that training never sees; that head enrols them.
        paper_input: Photos as the paper's code hands them to a network: blue, green, red, 0–255
            without normalisation, at the paper's height and width where the backbone is one of its.
    """

    name: str
    head: str
    head_epochs: int
    head_views: int
    head_rate: float
    epochs: int
    rate: float
    backbone_rate: float
    optimiser: Literal["adam", "adamw"]
    weight_decay: float
    schedule: Literal["constant", "cosine"]
    batch: int
    freeze_statistics: bool
    label_smoothing: float
    settled: float
    augmentation: Augmentation | None
    frozen_share: float = 0.0
    split: Literal["stratified", "paper"] = "stratified"
    paper_input: bool = False
    patience: int = 0
    head_steps: int = 0
    closed_form: bool = False
    depths: tuple[int, ...] = ()
    start_views: int = 0
    trained_side: float = 1.0
    degraded: float = 0.0
    fit_validation: bool = False
    hold_out_objects: float = 0.0

    def for_photos(self, photos: int) -> Recipe:
        """The recipe with as many passes and views for the head as so many training photos need.

        A few hundred photos make a few steps a pass, and the head needs a hundred passes; tens of
        thousands make hundreds, and a view more of each costs as much as half an epoch of all
        weights.
        """
        if not self.head_steps or not self.head_epochs:
            return self
        steps = -(-photos // self.batch)
        epochs = min(self.head_epochs, max(10, -(-self.head_steps // steps)))
        views = min(self.head_views, max(2, round(4 * self.head_steps / (steps * 10))))
        return dataclasses.replace(self, head_epochs=epochs, head_views=views)

    def settings(self) -> dict[str, Setting]:
        """All settings as one flat mapping, for `run.json`."""
        values = dataclasses.asdict(self)
        nested = values.pop("augmentation")
        flat = {f"augmentation_{k}": v for k, v in (nested or {}).items()}
        return values | flat


PAPER = Recipe(
    name="paper",
    head="paper",
    head_epochs=0,
    head_views=0,
    head_rate=0.0,
    epochs=100,
    rate=10**-4.8,
    backbone_rate=1.0,
    optimiser="adam",
    weight_decay=0.0,
    schedule="constant",
    batch=32,
    freeze_statistics=False,
    label_smoothing=0.0,
    settled=1.0,
    augmentation=None,
    split="paper",
    paper_input=True,
)
"""Winterbottom et al. (Sci Rep 12, 13468, 2022) and their code: all weights from the start, Adam at
10^-4.8, batch 32, 100 epochs, no augmentation, the checkpoint of the best validation accuracy, the
random split by photo, and pixels as OpenCV reads them."""

_MOVED_AND_LIT = Augmentation(
    rotation=30,
    zoom=0.3,
    shift=0.12,
    shear=10,
    brightness=0.2,
    contrast=0.2,
    saturation=0.2,
    tint=0.05,
    any_rotation=0.25,
    other_ground=0.3,
)

FIELD = Recipe(
    name="field",
    head="embedding",
    head_epochs=100,
    head_views=4,
    head_rate=1e-3,
    epochs=14,
    rate=3e-4,
    backbone_rate=1.0,
    optimiser="adamw",
    weight_decay=1e-2,
    schedule="cosine",
    batch=32,
    freeze_statistics=True,
    label_smoothing=0.1,
    settled=0.25,
    augmentation=_MOVED_AND_LIT,
    frozen_share=0.65,
    head_steps=2000,
)
"""Gradients alone: the head on cached features first, then the later layers too at a falling rate,
the backbone's batch-norm statistics kept, every photo turned, moved and lit anew each time, some of
them by any angle, some on another ground. The early layers stay as they are for half of the time.

Chosen on development photos only (rendered objects, and one half of a set of grocery photos);
`benchmarks/studies/recipe_ablation.md` compares it with the default."""

PROBE = Recipe(
    name="probe",
    head="linear",
    head_epochs=200,
    head_views=1,
    head_rate=1e-3,
    epochs=0,
    rate=0.0,
    backbone_rate=0.0,
    optimiser="adamw",
    weight_decay=1e-2,
    schedule="constant",
    batch=32,
    freeze_statistics=True,
    label_smoothing=0.0,
    settled=1.0,
    augmentation=None,
)
"""A linear classifier on the frozen ImageNet features: the floor that fine-tuning must beat."""

WHOLE = dataclasses.replace(
    FIELD,
    name="whole",
    head_epochs=30,
    head_views=1,
    head_steps=0,
    epochs=16,
    rate=1e-3,
    backbone_rate=0.5,
    freeze_statistics=False,
    frozen_share=0.0,
    augmentation=dataclasses.replace(_MOVED_AND_LIT, any_rotation=0.0, other_ground=0.0),
)
"""For a backbone without ImageNet weights of its own, such as one that begins with another's by
`--weights FILE`: every layer and the batch-norm statistics are trained, at three times the
default's rate. `benchmarks/studies/silu_quantisation.md` has what came of it once."""

DISCRIMINANT = dataclasses.replace(
    FIELD,
    name="discriminant",
    head_epochs=0,
    head_steps=0,
    start_views=2,
    head_views=2,
    epochs=11,
    rate=6e-4,
    frozen_share=0.0,
    trained_side=0.72,
    degraded=0.3,
    closed_form=True,
    depths=(3, 4, 5),
    fit_validation=True,
    hold_out_objects=0.1,
)
"""The default: all layers are trained, on smaller photos, from a head in closed form on; then the
head is replaced by a linear discriminant analysis of the features at full size, those of the middle
stages too. Right more often than gradients alone, above all on blurred, shaken and badly lit
photos, and better at telling objects that it was never shown; chosen on development photos.

All layers on 160 pixels take the time of the later layers alone on 224. In about that time early
layers frozen, 7 epochs on 224 pixels, a margin in the softmax and a higher rate brought less.
Weights averaged with ImageNet's know more of the hard photos but refuse fewer strangers."""

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe for recipe in (FIELD, DISCRIMINANT, PAPER, PROBE, WHOLE)
}


def default_recipe(head: str | None) -> Recipe:
    """The recipe where none is named.

    Args:
        head: Name of a head; None for the recipe's own. One without an embedding has no closed
            form.
    """
    return DISCRIMINANT if head is None or head.startswith("embedding") else FIELD


def recipe_named(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        InputError: There is none; the message lists them.
    """
    if name not in RECIPES:
        raise InputError(f"There is no recipe {name!r}. Choose one of: {', '.join(RECIPES)}.")
    return RECIPES[name]
