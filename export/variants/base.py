"""What every exported form has in common: a name, a file, a check."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Literal

from export.quantise.quantised_network import QuantisedNetwork
from export.variants.build_context import BuildContext, Rounding
from mobile_assets.bundle import TensorInfo, Variant
from mobile_assets.files import sha256_path, size_of

FILE_STEM = "artefact-id"

InputsAndOutputs = tuple[tuple[TensorInfo, ...], tuple[TensorInfo, ...]]


class Exporter(ABC):
    """Makes one variant."""

    name: ClassVar[str]
    format: ClassVar[Literal["tflite", "coreml"]]
    suffix: ClassVar[str]
    rounding: ClassVar[Rounding] = "none"
    notes: ClassVar[tuple[str, ...]]

    @property
    def precision(self) -> str:
        """The part of the name after the format."""
        return self.name.removeprefix(f"{self.format}-")

    def export(self, context: BuildContext, bundle: Path) -> Variant:
        """Writes the variant into the bundle and checks it.

        Raises:
            CheckFailedError: The file does not answer as the network does.
        """
        file = f"models/{FILE_STEM}.{self.precision}.{self.suffix}"
        path = bundle / file
        path.parent.mkdir(parents=True, exist_ok=True)
        inputs, outputs = self.write(context, path)
        return Variant(
            name=self.name,
            file=file,
            format=self.format,
            precision=self.precision,
            bytes=size_of(path),
            sha256=sha256_path(path),
            inputs=inputs,
            outputs=outputs,
            notes=self.notes + self.source(context).notes,
        )

    def source(self, context: BuildContext) -> QuantisedNetwork:
        """The network that the variant is converted from."""
        return context.source(self.rounding)

    @abstractmethod
    def write(self, context: BuildContext, path: Path) -> InputsAndOutputs:
        """Writes and checks the file or package; gives its inputs and outputs."""
