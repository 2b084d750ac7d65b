"""The paper's models, for orientation beside ours: other photos, so no comparison."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mobile_assets.schema import Record

HIDDEN = 2048
"""Width of the hidden layer of the paper's head."""

OBJECTS = {3: 4332, 4: 3331, 5: 2478, 6: 2091}
"""Objects of the paper's register by threshold (Winterbottom et al. 2022, Table 2)."""


class Table3Row(Record):
    """A line of the paper's Table 3, in shares of its test photos, 0–1."""

    min_photos: int
    model: str
    top1: float
    top3: float
    top5: float
    top10: float


@cache
def table3() -> tuple[Table3Row, ...]:
    """The paper's Table 3: every model at every threshold.

    Winterbottom, Leone & Al Moubayed, Sci. Rep. 12, 13468 (2022), doi 10.1038/s41598-022-15965-2.
    """
    text = Path(__file__).with_name("paper_table3.json").read_text(encoding="utf-8")
    return tuple(Table3Row.model_validate(row) for row in json.loads(text))


@dataclass(frozen=True)
class PaperModel:
    """One model of the paper's Table 3, with the width of its pooled features.

    Its parameters are counted without classifier.
    """

    name: str
    backbone: str
    features: int
    backbone_parameters: int

    @property
    def accuracy(self) -> dict[int, float]:
        """Top-1 by threshold, 0–1."""
        return {row.min_photos: row.top1 for row in table3() if row.model == self.name}

    def parameters(self, threshold: int) -> int:
        """Numbers in the network with the paper's head for the threshold's objects."""
        objects = OBJECTS[threshold]
        head = 2 * self.features + (self.features + 1) * HIDDEN + (HIDDEN + 1) * objects
        return self.backbone_parameters + head


PAPER_MODELS = (
    PaperModel("EfficientNet-b0", "tf_efficientnet_b0", 1280, 4_007_548),
    PaperModel("EfficientNet-b1", "tf_efficientnet_b1", 1280, 6_513_184),
    PaperModel("EfficientNet-b2", "tf_efficientnet_b2", 1408, 7_700_994),
    PaperModel("EfficientNet-b3", "tf_efficientnet_b3", 1536, 10_696_232),
    PaperModel("EfficientNet-b4", "tf_efficientnet_b4", 1792, 17_548_616),
    PaperModel("EfficientNet-b5", "tf_efficientnet_b5", 2048, 28_340_784),
    PaperModel("EfficientNet-b6", "tf_efficientnet_b6", 2304, 40_735_704),
    PaperModel("EfficientNet-b7", "tf_efficientnet_b7", 2560, 63_786_960),
    PaperModel("ResNet-RS", "resnetrs101", 2048, 61_569_696),
    PaperModel("Inception-v3", "inception_v3", 2048, 21_785_568),
    PaperModel("Inception-v4", "inception_v4", 1536, 41_142_816),
)
"""Table 3 of the paper less its ensembles; parameters counted with timm."""
