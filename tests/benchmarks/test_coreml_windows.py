"""Convolution and pooling of the Core ML reference, held against numpy, with every padding."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from coreml_packages import answers, centred, many, mb, saved, some_photos, windows

Array = np.ndarray

PHOTOS = some_photos()
X = centred(PHOTOS)
NOISE = np.random.default_rng(7)


def random(*shape: int) -> Array:
    """Noise of standard deviation 1, float32."""
    return NOISE.standard_normal(shape).astype(np.float32)


class Window(NamedTuple):
    """A convolution's or pooling's window, and the padding (top, bottom, left, right) by hand.

    That of `same` follows from "as many outputs as size / stride, rounded up".
    """

    size: int
    kernel: int
    stride: int
    dilation: int
    kind: str
    sides: tuple[int, int, int, int]

    @property
    def padding(self) -> dict[str, Any]:
        """How MIL is told of it."""
        return {"pad_type": self.kind} | ({"pad": self.sides} if self.kind == "custom" else {})


WINDOWS = (
    Window(5, 3, 1, 1, "valid", (0, 0, 0, 0)),
    Window(5, 3, 2, 1, "custom", (0, 1, 2, 1)),
    Window(5, 3, 1, 1, "custom", (1, 1, 1, 1)),
    Window(5, 3, 2, 1, "same", (1, 1, 1, 1)),
    Window(6, 3, 2, 1, "same", (0, 1, 0, 1)),
    Window(6, 3, 2, 1, "same_lower", (1, 0, 1, 0)),
    Window(6, 2, 1, 1, "same", (0, 1, 0, 1)),
    Window(6, 2, 1, 1, "same_lower", (1, 0, 1, 0)),
    Window(6, 1, 3, 1, "same", (0, 0, 0, 0)),
    Window(6, 3, 1, 2, "same", (2, 2, 2, 2)),
    Window(6, 3, 2, 2, "valid", (0, 0, 0, 0)),
)


def convolution(window: Window, weight: Array, bias: Array, groups: int) -> Callable[[Any], Any]:
    return lambda x: mb.conv(
        x=x,
        weight=weight,
        bias=bias,
        strides=[window.stride] * 2,
        dilations=[window.dilation] * 2,
        groups=groups,
        **window.padding,
    )


def convolved(x: Array, window: Window, weight: Array, bias: Array, groups: int) -> Array:
    seen = windows(x, window.kernel, window.stride, window.sides, 0.0, window.dilation)
    per_group = seen.reshape(len(x), groups, 3 // groups, *seen.shape[2:])
    weights = weight.reshape(groups, 6 // groups, *weight.shape[1:])
    sums = np.einsum("ngchwij,gocij->ngohw", per_group, weights)
    return sums.reshape(len(x), 6, *seen.shape[2:4]) + bias.reshape(6, 1, 1)


@pytest.mark.parametrize("size", [5, 6])
def test_convolution(size: int, tmp_path: Path) -> None:
    photos = some_photos(size=size)
    bodies: dict[str, Callable[[Any], Any]] = {}
    expected: dict[str, Array] = {}
    for window, groups in itertools.product(WINDOWS, (1, 3)):
        if window.size == size:
            weight, bias = random(6, 3 // groups, window.kernel, window.kernel), random(6)
            bodies[f"{window} {groups}"] = convolution(window, weight, bias, groups)
            values = convolved(centred(photos), window, weight, bias, groups)
            expected[f"{window} {groups}"] = values.reshape(len(photos), -1)
    found = many(tmp_path, bodies, photos)
    assert {name: values.shape for name, values in found.items()} == {
        name: values.shape for name, values in expected.items()
    }
    apart = {name: np.abs(found[name] - expected[name]).max() for name in found}
    assert {name for name, value in apart.items() if value > 2e-5} == set()


def pools(window: Window) -> Callable[[Any], Any]:
    options = {
        "kernel_sizes": [window.kernel] * 2,
        "strides": [window.stride] * 2,
        **window.padding,
    }
    return lambda x: mb.concat(
        values=(
            mb.max_pool(x=x, **options),
            mb.avg_pool(x=x, **options),
            mb.avg_pool(x=x, exclude_padding_from_average=True, **options),
        ),
        axis=1,
    )


def pooled(x: Array, window: Window) -> Array:
    kernel, stride, sides = window.kernel, window.stride, window.sides
    zeros = windows(x, kernel, stride, sides, 0.0)
    real = windows(np.ones_like(x), kernel, stride, sides, 0.0)
    kinds = (
        windows(x, kernel, stride, sides, -np.inf).max((-2, -1)),
        zeros.mean((-2, -1)),
        zeros.sum((-2, -1)) / real.sum((-2, -1)),
    )
    return np.concatenate(kinds, axis=1).reshape(len(x), -1)


@pytest.mark.parametrize("size", [5, 6])
def test_pooling(size: int, tmp_path: Path) -> None:
    photos = some_photos(size=size)
    chosen = [w for w in WINDOWS if w.size == size and w.dilation == 1]
    found = many(tmp_path, {str(window): pools(window) for window in chosen}, photos)
    for window in chosen:
        expected = pooled(centred(photos), window)
        assert found[str(window)] == pytest.approx(expected, rel=1e-5, abs=1e-5), window


def test_pooling_rounds_its_size_up_where_it_is_told_to(tmp_path: Path) -> None:
    options = {"kernel_sizes": [2, 2], "strides": [2, 2], "pad_type": "valid", "ceil_mode": True}
    found = answers(saved(tmp_path, lambda x: mb.max_pool(x=x, **options)), PHOTOS)
    expected = windows(X, 2, 2, (0, 1, 0, 1), -np.inf).max((-2, -1))
    assert found == pytest.approx(expected.reshape(len(X), -1))
