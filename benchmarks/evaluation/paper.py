"""The paper's models, for orientation beside ours: other photos, so no comparison."""

from __future__ import annotations

from dataclasses import dataclass

HIDDEN = 2048
"""Width of the hidden layer of the paper's head."""

OBJECTS = {3: 4332, 4: 3331, 5: 2478, 6: 2091}
"""Objects of the paper's register by threshold (Winterbottom et al. 2022, Table 2)."""


@dataclass(frozen=True)
class PaperModel:
    """One model of the paper's Table 3.

    Attributes:
        name: As in the table.
        backbone: timm's name.
        features: Width of its pooled features.
        backbone_parameters: Without classifier.
        accuracy: Top-1 by threshold, 0–1.
    """

    name: str
    backbone: str
    features: int
    backbone_parameters: int
    accuracy: dict[int, float]

    def parameters(self, threshold: int) -> int:
        """Numbers in the network with the paper's head for the threshold's objects."""
        objects = OBJECTS[threshold]
        head = 2 * self.features + (self.features + 1) * HIDDEN + (HIDDEN + 1) * objects
        return self.backbone_parameters + head


PAPER_MODELS = (
    PaperModel(
        "EfficientNet-b0",
        "tf_efficientnet_b0",
        1280,
        4_007_548,
        {3: 0.6739, 4: 0.7428, 5: 0.7852, 6: 0.8012},
    ),
    PaperModel(
        "EfficientNet-b1",
        "tf_efficientnet_b1",
        1280,
        6_513_184,
        {3: 0.6771, 4: 0.7460, 5: 0.7880, 6: 0.7944},
    ),
    PaperModel(
        "EfficientNet-b2",
        "tf_efficientnet_b2",
        1408,
        7_700_994,
        {3: 0.6780, 4: 0.7544, 5: 0.7929, 6: 0.8043},
    ),
    PaperModel(
        "EfficientNet-b3",
        "tf_efficientnet_b3",
        1536,
        10_696_232,
        {3: 0.7127, 4: 0.7786, 5: 0.8106, 6: 0.8211},
    ),
    PaperModel(
        "EfficientNet-b4",
        "tf_efficientnet_b4",
        1792,
        17_548_616,
        {3: 0.7118, 4: 0.7698, 5: 0.8183, 6: 0.8155},
    ),
    PaperModel(
        "EfficientNet-b5",
        "tf_efficientnet_b5",
        2048,
        28_340_784,
        {3: 0.7159, 4: 0.7772, 5: 0.8183, 6: 0.8254},
    ),
    PaperModel(
        "EfficientNet-b6",
        "tf_efficientnet_b6",
        2304,
        40_735_704,
        {3: 0.7212, 4: 0.7758, 5: 0.8134, 6: 0.8328},
    ),
    PaperModel(
        "EfficientNet-b7",
        "tf_efficientnet_b7",
        2560,
        63_786_960,
        {3: 0.7159, 4: 0.7712, 5: 0.8117, 6: 0.8006},
    ),
    PaperModel(
        "ResNet-RS", "resnetrs101", 2048, 61_569_696, {3: 0.5041, 4: 0.5860, 5: 0.6107, 6: 0.6353}
    ),
    PaperModel(
        "Inception-v3",
        "inception_v3",
        2048,
        21_785_568,
        {3: 0.5947, 4: 0.6409, 5: 0.6494, 6: 0.6755},
    ),
    PaperModel(
        "Inception-v4",
        "inception_v4",
        1536,
        41_142_816,
        {3: 0.5976, 4: 0.6423, 5: 0.6665, 6: 0.6780},
    ),
)
"""Table 3 of the paper less its ensembles; parameters counted with timm."""
