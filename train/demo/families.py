"""The families of objects and how one object is made."""

from __future__ import annotations

from functools import partial

from train.demo.figures import idol, shabti
from train.demo.flats import COINAGES, coin, scarab, tablet, tile
from train.demo.maker import Builder, Maker
from train.demo.mesh import Model
from train.demo.plan import ObjectPlan
from train.demo.smalls import lamp, necklace, seal
from train.demo.spec import rng_for
from train.demo.vessels import SHAPES, vessel

BUILDERS: dict[str, Builder] = {
    **{shape.name: partial(vessel, shape) for shape in SHAPES},
    **{kind: partial(coin, coinage) for kind, coinage in COINAGES.items()},
    **{"idol": idol, "lamp": lamp, "necklace": necklace, "scarab": scarab, "seal": seal},
    **{"shabti": shabti, "tablet": tablet, "tile": tile},
}


def build_object(seed: int, plan: ObjectPlan) -> Model:
    """Make an object of the register.

    Args:
        plan: Which object; its number of photos has no influence.
    """
    mould = rng_for(seed, "mould", plan.collection, plan.mould)
    own = rng_for(seed, "object", plan.index)
    return BUILDERS[plan.family](Maker(mould, own, plan.collection, plan.member))


def build_stranger(seed: int, number: int) -> Model:
    """Make an object that is in no register, as clutter for field scenes."""
    rng = rng_for(seed, "stranger", number)
    family = sorted(BUILDERS)[int(rng.integers(len(BUILDERS)))]
    collection = ("Oriental", "Egyptian", "Fulling Mill", "Castle")[int(rng.integers(4))]
    return BUILDERS[family](Maker(rng, rng, collection, 1))
