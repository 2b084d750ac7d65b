"""What a program of the Core ML reference is handed: the image's layout, one photo or many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from coreml_packages import answers, centred, converted, ct, mb, save, saved, some_photos


class TestImage:
    """The image is handed over in the layout and the range that the specification says."""

    @pytest.mark.parametrize("layout", ["RGB", "BGR"])
    def test_layout_scale_and_bias(self, layout: str, tmp_path: Path) -> None:
        class Means(torch.nn.Module):
            def forward(self, image: torch.Tensor) -> torch.Tensor:
                return image.mean((2, 3))

        image = {
            "scale": 0.5,
            "bias": [1.0, 2.0, 3.0],
            "color_layout": ct.colorlayout.BGR if layout == "BGR" else ct.colorlayout.RGB,
        }
        package = save(converted(Means(), size=5, objects=3, image=image), tmp_path)
        photos = some_photos()
        channels = photos[..., ::-1] if layout == "BGR" else photos
        by_hand = channels.mean((1, 2)) * 0.5 + [1, 2, 3]
        assert answers(package, photos) == pytest.approx(by_hand, rel=1e-5)


class TestOneProgramForManyPhotos:
    """The program's shapes are those of one photo, whatever it does with that photo's axis."""

    def test_the_photos_axis_is_not_the_programs(self, tmp_path: Path) -> None:
        def body(x: Any) -> Any:
            turned = mb.transpose(x=x, perm=[3, 0, 2, 1])
            whole = mb.softmax(x=mb.reshape(x=turned, shape=[-1]), axis=0)
            return mb.concat(values=[whole, mb.reshape(x=x, shape=[-1])], axis=0)

        photos = some_photos(3)
        x = centred(photos)
        flat = x.transpose(0, 3, 2, 1).reshape(3, -1)
        powers = np.exp(flat)
        by_hand = np.concatenate([powers / powers.sum(1, keepdims=True), x.reshape(3, -1)], axis=1)
        assert answers(saved(tmp_path, body), photos) == pytest.approx(by_hand, rel=1e-5)
