"""The few best of thousands of probabilities, without sorting them all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

INDICES_NAME = "indices"
"""The output of a short-list model that says which objects; the other is `probabilities`."""

MOST = 100
"""The longest short list that a model is exported with."""


@dataclass(frozen=True)
class Shortlist:
    """The best objects of one photo, best first; of equal ones the lower index comes first.

    Attributes:
        indices: `[K]` int32 class indices, in the order of `labels.json`.
        probabilities: `[K]` float32, of all objects: they need not sum to 1.
    """

    indices: NDArray[np.int32]
    probabilities: NDArray[np.float32]

    @classmethod
    def of(cls, probabilities: NDArray[np.float32], top: int) -> Shortlist:
        """What a short-list model answers where the classifier answers with `[objects]`."""
        chosen = top_objects(probabilities, top)
        return cls(chosen.astype(np.int32), probabilities[chosen])

    def problem(self, whole: NDArray[np.float32], allowed: float) -> str | None:
        """What is wrong with it as the short list of a whole vector; None if nothing is.

        Objects may change places only where their probabilities are no further apart than allowed.

        Args:
            whole: The classifier's probabilities `[objects]` of the same photo.
            allowed: How far two probabilities of one object may be apart.
        """
        form = self._form_problem(len(whole))
        if form is not None:
            return form
        expected = Shortlist.of(whole, len(self.indices))
        distance = np.abs(self.probabilities - whole[self.indices]).max()
        if not distance <= allowed:
            return f"a probability is {distance:.1e} from the object's own"
        missed = np.abs(self.probabilities - expected.probabilities).max()
        return None if missed <= allowed else f"it leaves out what is {missed:.1e} better"

    def _form_problem(self, objects: int) -> str | None:
        indices = self.indices.tolist()
        if not 1 <= len(indices) <= objects or self.probabilities.shape != self.indices.shape:
            return f"{len(indices)} of {objects} objects"
        if min(indices) < 0 or max(indices) >= objects:
            return f"class indices {min(indices)} to {max(indices)} of {objects} objects"
        if len(set(indices)) < len(indices):
            return "an object stands twice"
        return None if (np.diff(self.probabilities) <= 0).all() else "it is not sorted"


def top_objects(probabilities: NDArray[np.floating], top: int) -> NDArray[np.intp]:
    """Class indices of the best probabilities, best first.

    One pass finds the value that the last of them has; only what reaches it is sorted. An app does
    the same in its own language, on the output buffer itself: nothing of it need be copied.

    Args:
        probabilities: `[objects]`, may be a view of an interpreter's output; it is only read.
        top: How many are wanted, at least 1.

    Returns:
        `[min(top, objects)]`; of equal probabilities the lower index comes first.
    """
    objects = len(probabilities)
    if top >= objects:
        return np.argsort(-probabilities, kind="stable")
    # Negated, since NaN is sorted last: a value that is none must not be the best.
    last = -np.partition(-probabilities, top - 1)[top - 1]
    above = np.flatnonzero(probabilities > last)
    # As many of those that tie for the last place as there is room for, lower indices first.
    level = np.flatnonzero(probabilities == last)[: top - len(above)]
    chosen = np.concatenate([above, level])
    return chosen[np.argsort(-probabilities[chosen], kind="stable")]
