"""Folding a network for export, and comparing what was exported with it."""

import os

import numpy as np
import pytest
import torch
from fitted_export import CONTRACT
from timm.layers import BatchNormAct2d

from export.network.fold import fold_network
from export.variants.parity_check import Tolerance, check_probabilities
from mobile_assets.errors import CheckFailedError
from mobile_assets.log_suppression import quiet
from train.model import build_model
from train.run import Run, load_model

pytest_plugins = ("fitted_export",)


@pytest.mark.parametrize("backbone", ["tf_efficientnet_lite0", "test_resnet", "test_vit"])
@pytest.mark.parametrize("head", ["paper", "linear"])
def test_folding_changes_nothing(backbone: str, head: str) -> None:
    torch.manual_seed(0)
    size = 96 if backbone != "test_vit" else 160
    contract = CONTRACT.model_copy(update={"height": size, "width": size})
    model = build_model(backbone, head, objects=7, preprocessing=contract).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    model.temperature = 0.6
    network = fold_network(model, contract)
    photo = torch.randint(0, 256, (2, 3, size, size)).float()
    with torch.inference_mode():
        torch.testing.assert_close(network(photo), model(photo), rtol=2e-4, atol=2e-4)
    assert not any("BatchNorm" in type(m).__name__ for m in network.modules())
    assert not any(isinstance(m, torch.nn.Dropout) and m.p for m in network.modules())


class Doubled(BatchNormAct2d):
    """A normalisation that does more than its statistics say."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Twice the normalised values."""
        return 2 * super().forward(x)


def test_a_part_that_the_exporter_does_not_know_is_refused(fitted_run: Run) -> None:
    model = load_model(fitted_run)
    norm = next(m for m in model.backbone.modules() if isinstance(m, BatchNormAct2d))
    norm.__class__ = Doubled
    with pytest.raises(CheckFailedError, match="Folding"):
        fold_network(model, CONTRACT)


def test_one_photo_between_two_objects_may_differ_and_not_all() -> None:
    expected = np.full((9, 4), 0.1, np.float32)
    expected[:, 0] = 0.7
    one, half = expected.copy(), expected.copy()
    one[0] = (0.5, 0.3, 0.1, 0.1)
    half[:5] = (0.67, 0.13, 0.1, 0.1)
    check_probabilities("one", one, expected, Tolerance(typical=2e-2))
    with pytest.raises(CheckFailedError, match="half of the photos"):
        check_probabilities("half", half, expected, Tolerance(typical=2e-2))
    one[0] = (0.1, 0.7, 0.1, 0.1)  # a clear photo with another answer
    with pytest.raises(CheckFailedError, match="clear photos"):
        check_probabilities("one", one, expected, Tolerance(typical=2e-2))


def test_what_was_swallowed_is_shown_on_failure(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError), quiet():
        os.write(2, b"said by C++")
        raise RuntimeError
    assert "said by C++" in capfd.readouterr().err
    with quiet():
        os.write(2, b"chatter")
        print("chatter")
    assert capfd.readouterr() == ("", "")
