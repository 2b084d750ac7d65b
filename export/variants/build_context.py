"""What the variants of a bundle are made of, each part made once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import nn

from export.network.description import ModelDescription
from export.network.fold import FoldedNetwork
from export.quantise.fake_quantised import fake_quantised_network
from export.quantise.palettised_network import PalettisedNetwork, palettise
from export.quantise.quantised_network import QuantisedNetwork, quantise
from mobile_assets.labels import LabelMap
from mobile_assets.preprocessing import Preprocessing

Rounding = Literal["none", "weights", "full"]
"""What of a variant is in 8 bits: nothing, its weights, or its weights and activations."""


@dataclass(frozen=True)
class BuildContext:
    """What every variant is made of.

    Attributes:
        calibration: `[N, H, W, 3]` uint8 photos for activation ranges; None without integers.
        probe: `[N, H, W, 3]` uint8 photos on which every file is compared with the network.
        expected: The network's probabilities `[N, objects]` of `probe`.
    """

    network: FoldedNetwork
    contract: Preprocessing
    labels: LabelMap
    description: ModelDescription
    user_defined: dict[str, str]
    calibration: NDArray[np.uint8] | None
    probe: NDArray[np.uint8]
    expected: NDArray[np.float32]
    _palettised: dict[int, PalettisedNetwork] = field(default_factory=dict, init=False)

    @cached_property
    def float32(self) -> bytes:
        """The float32 TFLite file without metadata, converted once for all variants."""
        from export.tflite.convert import convert_float32

        return convert_float32(self.network, self.contract, description=self.description.name)

    @cached_property
    def integer(self) -> QuantisedNetwork:
        """The network for 8-bit weights and activations."""
        return quantise(self.network, self.calibration_photos, activations=True)

    @cached_property
    def integer_weights(self) -> QuantisedNetwork:
        """The network for 8-bit weights and float activations."""
        return quantise(self.network, self.calibration_photos, activations=False)

    @cached_property
    def fake_quantised(self) -> nn.Module:
        """The network for 8-bit weights whose activations are rounded to 8 bits and back."""
        return fake_quantised_network(self.integer.network, self.calibration_photos)

    def palettised(self, bits: int) -> PalettisedNetwork:
        """The network for weights of so many bits, made once."""
        if bits not in self._palettised:
            self._palettised[bits] = palettise(self.network, self.calibration_photos, bits=bits)
        return self._palettised[bits]

    def source(self, rounding: Rounding) -> QuantisedNetwork:
        """The network that a variant is converted from."""
        if rounding == "none":
            return QuantisedNetwork(self.network, ())
        return self.integer if rounding == "full" else self.integer_weights

    @property
    def calibration_photos(self) -> NDArray[np.uint8]:
        """`[N, H, W, 3]` uint8; only for integer variants, which are never without."""
        assert self.calibration is not None, "export_bundle gives integer variants photos"
        return self.calibration
