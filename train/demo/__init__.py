"""A register of museum-like objects, rendered in 3D, for trying everything out.

No photograph may be given away with the project, so it makes its own: objects of
eighteen families in look-alike groups, photographed in a studio and in the field.
"""

from train.demo.generate import generate_demo_register
from train.demo.plan import ObjectPlan, photo_counts, plan_register
from train.demo.spec import DemoError, DemoRegister, DemoSpec

__all__ = [
    "DemoError",
    "DemoRegister",
    "DemoSpec",
    "ObjectPlan",
    "generate_demo_register",
    "photo_counts",
    "plan_register",
]
