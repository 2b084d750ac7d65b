"""A Core ML program made ready for torch. A reference, never Core ML itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.runtimes.coreml_reference.operations import Operation

Values = dict[str, Tensor]


@dataclass(frozen=True)
class Step:
    """One operation with everything that it is given.

    Attributes:
        constants: Inputs that never change, by MIL's name of the input.
        sources: Names of the results that are its other inputs, by MIL's name of the input; a
            tuple where the input is a list of tensors. A constant in such a list is a tensor.
        half: Whether the program says that its result is float16.
        done: Results that nothing reads after it.
    """

    name: str
    operation: Operation
    constants: Mapping[str, Any]
    sources: Mapping[str, str | tuple[str | Tensor, ...]]
    half: bool
    done: tuple[str, ...]

    def run(self, values: Values) -> None:
        """Computes the result from earlier ones and puts it beside them; drops what is done."""
        inputs = {
            name: values[source]
            if isinstance(source, str)
            else tuple(values[item] if isinstance(item, str) else item for item in source)
            for name, source in self.sources.items()
        }
        result = self.operation.compute(**self.constants, **inputs)
        # Rounded once, after the operation: accelerators keep sums in float32 and store float16.
        # What is computed exactly (a maximum, a transposition) is float16 already.
        if self.half and not self.operation.exact:
            result = result.half().float()
        values[self.name] = result
        for name in self.done:
            del values[name]


@dataclass(frozen=True)
class Program:
    """The program of a classifier, or of a model that answers with arrays.

    Attributes:
        size: Height and width of the image in pixels.
        swapped: Whether the image's channels are blue, green, red.
        labels: The classifier's labels in class order; none of a model that answers with arrays.
        results: Names of its answers: a classifier has one, the probabilities.
        peak: Most values that one of its operations reads and writes, per photo.
    """

    image: str
    size: tuple[int, int]
    swapped: bool
    labels: tuple[str, ...]
    steps: tuple[Step, ...]
    results: tuple[str, ...]
    peak: int

    def run(self, images: Tensor) -> Tensor:
        """Executes a classifier once per photo, for several photos at a time.

        Args:
            images: `[N, 3, H, W]` float32 RGB 0–255.

        Returns:
            `[N, objects]` float32 probabilities.
        """
        (rows,) = self.run_arrays(images)
        return rows

    def run_arrays(self, images: Tensor) -> tuple[Tensor, ...]:
        """Executes the program once per photo, for several at a time: `[N, values]` of each result.

        Its shapes are those of one photo. `vmap` carries the photos' axis through every operation,
        whatever that does to its axes.

        Args:
            images: `[N, 3, H, W]` float32 RGB 0–255.
        """
        channels = images.flip(1) if self.swapped else images
        with torch.inference_mode():
            results = torch.vmap(self._one)(channels.unsqueeze(1))
        return tuple(rows.reshape(len(images), -1) for rows in results)

    def _one(self, image: Tensor) -> tuple[Tensor, ...]:
        values: Values = {self.image: image}
        for step in self.steps:
            step.run(values)
        return tuple(values[name] for name in self.results)
