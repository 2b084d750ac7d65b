"""Where the network looks: gradient saliency over photos that it got right and wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.evaluation.inference import Findings, Network
from benchmarks.evaluation.plotting import new_figure, save
from benchmarks.results.classification import NO_ANSWER
from benchmarks.results.measurement import TestPhoto
from mobile_assets.photos import load

EXAMPLES = 5
"""Photos of each kind."""

SAMPLES = 12
NOISE = 12.0
"""SmoothGrad: gradients of so many copies of the photo with noise of so many grey levels."""

_BLUR = 0.02
"""Standard deviation of the blur over the map, as a share of the photo's side."""


def draw_saliency(findings: Findings, folder: Path) -> list[str]:
    """One file of right and one of wrong answers of the lead member, where there are any."""
    answers, seed = (
        findings.test.answers[findings.evaluation.lead],
        findings.evaluation.settings.seed,
    )
    valid = findings.test.seen & (answers.top != NO_ANSWER)
    names = []
    for kind, mask in (("right", answers.right), ("wrong", ~answers.right)):
        rows = np.random.default_rng(seed).permutation(np.flatnonzero(mask & valid))[:EXAMPLES]
        if len(rows):
            figure, axes = new_figure(2.1 * len(rows), 4.7, 2, len(rows))
            for charts, row in zip(axes.T, rows, strict=True):
                _draw(charts, findings, findings.test.photos[row], int(answers.top[row]))
            names.append(save(figure, folder, f"saliency-{kind}.png"))
    return names


def _draw(charts: Any, findings: Findings, photo: TestPhoto, answer: int) -> None:
    """The photo, and below it the map over the photo in grey."""
    network = findings.networks[findings.ensemble.lead]
    pixels = load(photo.path, network.contract)
    heat = saliency_map(network, pixels, answer, seed=findings.evaluation.settings.seed)
    charts[0].imshow(pixels)
    charts[1].imshow(pixels.mean(axis=2), cmap="gray", vmin=0, vmax=255, alpha=0.6)
    charts[1].imshow(heat, cmap="inferno", alpha=0.6, vmin=0, vmax=1)
    charts[0].set_title(photo.object_id[:22], fontsize=8)
    name = findings.ensemble.labels[answer].object_id
    charts[1].set_title(f"answer: {name[:20]}", fontsize=8)
    for chart in charts:
        chart.axis("off")


def saliency_map(
    network: Network, pixels: NDArray[np.uint8], answer: int, *, seed: int
) -> NDArray[np.float32]:
    """How much each of the `[H, W, 3]` uint8 pixels moves the logit of class `answer`.

    The gradient's largest channel, averaged over noisy copies of the photo (SmoothGrad; Smilkov et
    al. 2017), blurred a little and scaled so that the 99 % quantile is 1: `[H, W]` float32, 0–1.
    """
    import torch
    from captum.attr import NoiseTunnel, Saliency
    from scipy.ndimage import gaussian_filter

    image = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        gradient = NoiseTunnel(Saliency(network.model)).attribute(
            image.requires_grad_(),
            nt_type="smoothgrad",
            nt_samples=SAMPLES,
            nt_samples_batch_size=1,  # the memory of one photo's gradient, whatever the input size
            stdevs=NOISE,
            target=answer,
        )
    heat = gradient[0].detach().abs().amax(dim=0).numpy()
    heat = gaussian_filter(heat, _BLUR * max(heat.shape))
    scaled: NDArray[np.float32] = np.clip(heat / max(float(np.quantile(heat, 0.99)), 1e-12), 0, 1)
    return scaled.astype(np.float32)
