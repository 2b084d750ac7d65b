"""Core ML packages of a few operations or of a tiny network, made by coremltools itself."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from conftest import object_picture
from torch import Tensor, nn

from benchmarks.runtimes.coreml_reference.loader import load_package
from mobile_assets.log_suppression import quiet

with quiet():
    import coremltools as ct
    from coremltools.converters.mil import Builder as mb  # noqa: N813 - as everyone calls it

Body = Callable[[Any], Any]

SIZE = 5


def centred(photos: np.ndarray) -> np.ndarray:
    """What a body is given: `[N, 3, H, W]`, -4 to 4 in steps of 1/32."""
    return (photos.astype(np.float32).transpose(0, 3, 1, 2) - 128) / 32


def some_photos(count: int = 2, size: int = SIZE) -> np.ndarray:
    """Photos of noise, `[count, size, size, 3]` uint8."""
    generator = np.random.default_rng(count * 1000 + size)
    return generator.integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def pictures() -> np.ndarray:
    """24 smooth coloured photos, three of each of eight objects, `[24, 64, 64, 3]` uint8."""
    return np.stack([np.asarray(object_picture(n, view)) for n in range(8) for view in range(3)])


def saved(
    folder: Path,
    body: Body,
    *,
    size: int = SIZE,
    opset: Any = ct.target.iOS17,
    half: bool = False,
    labels: list[str] | None = None,
) -> Path:
    """A package whose "probabilities" are all values that the body makes of a centred photo."""

    @mb.program(input_specs=[mb.TensorSpec(shape=(1, 3, size, size))], opset_version=opset)
    def program(image: Any) -> Any:
        x = mb.mul(x=mb.sub(x=image, y=np.float32(128)), y=np.float32(1 / 32))
        made = body(mb.cast(x=x, dtype="fp16") if half else x)
        return mb.reshape(x=mb.cast(x=made, dtype="fp32"), shape=(1, -1), name="scores")

    values = program.functions["main"].outputs[0].shape[1]
    with quiet():
        model = ct.convert(
            program,
            inputs=[ct.ImageType(name="image", shape=(1, 3, size, size))],
            classifier_config=ct.ClassifierConfig(labels or [f"{n}" for n in range(values)]),
            convert_to="mlprogram",
            minimum_deployment_target=opset,
            compute_precision=ct.precision.FLOAT32,
            pass_pipeline=ct.PassPipeline.EMPTY,  # the operations stay as they were written
            skip_model_load=True,
        )
        path = folder / "case.mlpackage"
        model.save(str(path))
    return path


def many(folder: Path, bodies: dict[str, Body], photos: np.ndarray) -> dict[str, np.ndarray]:
    """Values of many bodies by name, `[N, values]` each: one package is quicker than many."""
    lengths: dict[str, int] = {}

    def body(x: Any) -> Any:
        flat = {name: mb.reshape(x=one(x), shape=(1, -1)) for name, one in bodies.items()}
        lengths.update({name: made.shape[1] for name, made in flat.items()})
        return mb.concat(values=list(flat.values()), axis=1)

    found = answers(saved(folder, body, size=photos.shape[1]), photos)
    ends = np.cumsum(list(lengths.values()))
    return dict(zip(lengths, np.split(found, ends[:-1], axis=1), strict=True))


def answers(package: Path, photos: np.ndarray) -> np.ndarray:
    """The package's values for photos, `[N, values]`, all photos executed at once."""
    images = torch.from_numpy(photos).float().permute(0, 3, 1, 2)
    return load_package(package).run(images).numpy()


class Classifier(nn.Module):
    """A tiny real network with softmax, which takes RGB 0–255 and tells `pictures` apart."""

    def __init__(self, backbone: str = "test_efficientnet", objects: int = 5) -> None:
        import timm

        super().__init__()
        torch.manual_seed(0)
        self.network = timm.create_model(backbone, pretrained=False, num_classes=objects)
        for module in self.network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0
        images = (torch.from_numpy(pictures()).permute(0, 3, 1, 2).float() - 127.5) / 127.5
        with torch.no_grad():
            self.network.train()(images)
            last = self.network.eval().get_classifier()
            logits = self.network(images)
            last.weight.mul_(2 / logits.std(0)[:, None])
            last.bias.copy_(-2 * (logits - last.bias).mean(0) / logits.std(0))
        self.eval()

    def forward(self, image: Tensor) -> Tensor:
        return self.network((image - 127.5) / 127.5).softmax(dim=-1)

    def answers(self, photos: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self(torch.from_numpy(photos).permute(0, 3, 1, 2).float()).numpy()


class Plain(nn.Sequential):
    """Convolutions without batch normalisation, whose activations torch can quantise."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__(
            nn.Conv2d(3, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, padding=1, groups=16),
            nn.ReLU(),
            nn.Conv2d(16, 32, 1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(32, 5),
            nn.Softmax(dim=-1),
        )


def converted(
    network: nn.Module,
    *,
    size: int = 64,
    precision: Any = ct.precision.FLOAT32,
    target: Any = ct.target.iOS16,
    labels: list[str] | None = None,
    objects: int = 5,
    image: dict[str, Any] | None = None,
) -> Any:
    """A network as a Core ML classifier, not saved."""
    with quiet():
        example = torch.zeros(1, 3, size, size)
        traced = torch.jit.trace(network, example, check_trace=False)
        return ct.convert(
            traced,
            inputs=[ct.ImageType(name="image", shape=tuple(example.shape), **(image or {}))],
            classifier_config=ct.ClassifierConfig(labels or [f"{n}" for n in range(objects)]),
            convert_to="mlprogram",
            compute_precision=precision,
            minimum_deployment_target=target,
            skip_model_load=True,
        )


def save(model: Any, folder: Path) -> Path:
    """Saves a converted model."""
    path = folder / "network.mlpackage"
    with quiet():
        model.save(str(path))
    return path


def windows(
    x: np.ndarray,
    kernel: int,
    stride: int,
    sides: tuple[int, int, int, int],
    value: float,
    step: int = 1,
) -> np.ndarray:
    """`[N, C, H', W', kernel, kernel]`: what each window of the padded photos holds."""
    top, bottom, left, right = sides
    padded = np.pad(
        x, [(0, 0), (0, 0), (top, bottom), (left, right)], constant_values=value
    ).astype(np.float64)
    reach = (kernel - 1) * step + 1
    rows = range(0, padded.shape[2] - reach + 1, stride)
    columns = range(0, padded.shape[3] - reach + 1, stride)
    out = np.empty((*x.shape[:2], len(rows), len(columns), kernel, kernel))
    for (i, r), (j, c) in itertools.product(enumerate(rows), enumerate(columns)):
        out[:, :, i, j] = padded[:, :, r : r + reach : step, c : c + reach : step]
    return out
