"""Every operation of the Core ML reference against numbers computed without it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coreml_packages import SIZE, answers, centred, ct, many, mb, saved, some_photos, windows

Array = np.ndarray

PHOTOS = some_photos()
X = centred(PHOTOS)
NOISE = np.random.default_rng(7)

_erf = np.vectorize(math.erf)


def random(*shape: int) -> Array:
    """Noise of standard deviation 1, float32."""
    return NOISE.standard_normal(shape).astype(np.float32)


ROW = random(1, 3, 1, 1)
PLANE = np.abs(random(1, 3, SIZE, SIZE)) + np.float32(0.5)
MATRIX = random(4, SIZE)
VECTOR = random(4)
F = np.float32

# What MIL computes of the centred photo x, and the same by numpy of all photos at once.
CASES: dict[str, tuple[Callable[[Any], Any], Callable[[Array], Array]]] = {
    "relu": (lambda x: mb.relu(x=x), lambda x: np.maximum(x, 0)),
    "relu6": (lambda x: mb.relu6(x=mb.mul(x=x, y=F(3))), lambda x: np.clip(3 * x, 0, 6)),
    "clip": (lambda x: mb.clip(x=x, alpha=F(-1.5), beta=F(2)), lambda x: np.clip(x, -1.5, 2)),
    "silu": (lambda x: mb.silu(x=x), lambda x: x / (1 + np.exp(-x))),
    "sigmoid": (lambda x: mb.sigmoid(x=x), lambda x: 1 / (1 + np.exp(-x))),
    "sigmoid_hard": (
        lambda x: mb.sigmoid_hard(x=x, alpha=F(0.25), beta=F(0.5)),
        lambda x: np.clip(0.25 * x + 0.5, 0, 1),
    ),
    "thresholded_relu": (
        lambda x: mb.thresholded_relu(x=x, alpha=F(-1)),
        lambda x: np.where(x >= -1, x, 0),
    ),
    "clamped_relu": (
        lambda x: mb.clamped_relu(x=x, alpha=F(0.1), beta=F(2)),
        lambda x: np.minimum(np.where(x >= 0, x, 0.1 * x), 2),
    ),
    "leaky_relu": (
        lambda x: mb.leaky_relu(x=x, alpha=F(0.2)),
        lambda x: np.where(x >= 0, x, 0.2 * x),
    ),
    "gelu": (lambda x: mb.gelu(x=x), lambda x: 0.5 * x * (1 + _erf(x / math.sqrt(2)))),
    "gelu-tanh": (
        lambda x: mb.gelu(x=x, mode="TANH_APPROXIMATION"),
        lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    ),
    "gelu-sigmoid": (
        lambda x: mb.gelu(x=x, mode="SIGMOID_APPROXIMATION"),
        lambda x: x / (1 + np.exp(-1.702 * x)),
    ),
    "tanh": (lambda x: mb.tanh(x=x), np.tanh),
    "topk": (lambda x: mb.topk(x=x, k=2, axis=1)[0], lambda x: -np.sort(-x, axis=1)[:, :2]),
    "topk-smallest": (
        lambda x: mb.topk(x=x, k=3, axis=-1, ascending=True)[0],
        lambda x: np.sort(x, axis=-1)[..., :3],
    ),
    "topk-places": (
        lambda x: mb.cast(x=mb.topk(x=mb.relu(x=x), k=4, axis=-1)[1], dtype="fp32"),
        lambda x: np.argsort(-np.maximum(x, 0), axis=-1, kind="stable")[..., :4],
    ),
    "erf": (lambda x: mb.erf(x=x), _erf),
    "exp": (lambda x: mb.exp(x=x), np.exp),
    "abs": (lambda x: mb.abs(x=x), np.abs),
    "square": (lambda x: mb.square(x=x), lambda x: x * x),
    "sqrt": (lambda x: mb.sqrt(x=mb.abs(x=x)), lambda x: np.sqrt(np.abs(x))),
    "rsqrt": (
        lambda x: mb.rsqrt(x=mb.abs(x=x), epsilon=F(0.25)),
        lambda x: 1 / np.sqrt(np.abs(x) + 0.25),
    ),
    "inverse": (
        lambda x: mb.inverse(x=mb.abs(x=x), epsilon=F(0.5)),
        lambda x: 1 / (np.abs(x) + 0.5),
    ),
    "log": (lambda x: mb.log(x=mb.abs(x=x), epsilon=F(0.5)), lambda x: np.log(np.abs(x) + 0.5)),
    "add": (lambda x: mb.add(x=x, y=ROW), lambda x: x + ROW),
    "sub": (lambda x: mb.sub(x=ROW, y=x), lambda x: ROW - x),
    "mul": (lambda x: mb.mul(x=x, y=PLANE), lambda x: x * PLANE),
    "real_div": (lambda x: mb.real_div(x=x, y=PLANE), lambda x: x / PLANE),
    "pow": (lambda x: mb.pow(x=PLANE, y=x), lambda x: PLANE**x),
    "maximum": (lambda x: mb.maximum(x=x, y=ROW), lambda x: np.maximum(x, ROW)),
    "minimum": (lambda x: mb.minimum(x=x, y=ROW), lambda x: np.minimum(x, ROW)),
    "reduce_mean": (
        lambda x: mb.reduce_mean(x=x, axes=[-2, -1], keep_dims=False),
        lambda x: x.mean((-2, -1)),
    ),
    # Axis 0 is the one photo's own, and not the photos executed together.
    "reduce_sum": (lambda x: mb.reduce_sum(x=x, axes=[0, 2], keep_dims=True), lambda x: x.sum(2)),
    "reduce_max": (lambda x: mb.reduce_max(x=x, axes=[1]), lambda x: x.max(1)),
    "reduce_min": (lambda x: mb.reduce_min(x=x, axes=[3]), lambda x: x.min(3)),
    "reduce_sum_square": (lambda x: mb.reduce_sum_square(x=x, axes=[1]), lambda x: (x * x).sum(1)),
    "reduce_l1_norm": (lambda x: mb.reduce_l1_norm(x=x, axes=[1]), lambda x: np.abs(x).sum(1)),
    "reduce_l2_norm": (
        lambda x: mb.reduce_l2_norm(x=x, axes=[1, 2]),
        lambda x: np.sqrt((x * x).sum((1, 2))),
    ),
    "reduce-all": (lambda x: mb.reduce_mean(x=x, keep_dims=False), lambda x: x.mean((1, 2, 3))),
    "softmax": (
        lambda x: mb.softmax(x=x, axis=1),
        lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True),
    ),
    "linear": (
        lambda x: mb.linear(x=x, weight=MATRIX, bias=VECTOR),
        lambda x: x @ MATRIX.T + VECTOR,
    ),
    "matmul": (
        lambda x: mb.matmul(x=x, y=MATRIX[None, None], transpose_x=True, transpose_y=True),
        lambda x: x.swapaxes(2, 3) @ MATRIX.T,
    ),
    "batch_norm": (
        lambda x: mb.batch_norm(
            x=x,
            mean=ROW.ravel(),
            variance=np.array([0.5, 1, 2], F),
            gamma=np.array([1, -2, 3], F),
            beta=np.array([0.5, 0, 1], F),
            epsilon=F(0.1),
        ),
        lambda x: (
            (x - ROW)
            / np.sqrt(np.array([0.6, 1.1, 2.1]).reshape(3, 1, 1))
            * np.array([1, -2, 3]).reshape(3, 1, 1)
            + np.array([0.5, 0, 1]).reshape(3, 1, 1)
        ),
    ),
    "layer_norm": (
        lambda x: mb.layer_norm(
            x=x, axes=[1], gamma=np.array([1, 2, 3], F), beta=np.array([0, 1, 2], F), epsilon=F(0.1)
        ),
        lambda x: (
            (x - x.mean(1, keepdims=True))
            / np.sqrt(x.var(1, keepdims=True) + 0.1)
            * np.array([1, 2, 3]).reshape(3, 1, 1)
            + np.array([0, 1, 2]).reshape(3, 1, 1)
        ),
    ),
    "transpose": (
        lambda x: mb.transpose(x=x, perm=[2, 0, 3, 1]),
        lambda x: x.transpose(0, 2, 3, 1),
    ),
    "reshape": (lambda x: mb.reshape(x=x, shape=[SIZE, 0, -1]), lambda x: x),
    "squeeze": (
        lambda x: mb.transpose(x=mb.squeeze(x=x, axes=[0]), perm=[1, 2, 0]),
        lambda x: x.transpose(0, 2, 3, 1),
    ),
    "expand_dims": (
        lambda x: mb.add(
            x=mb.expand_dims(x=mb.squeeze(x=x, axes=[0]), axes=[1, -1]),
            y=ROW.reshape(3, 1, 1, 1, 1),
        ),
        lambda x: x + ROW,
    ),
    "concat": (
        lambda x: mb.concat(values=[x, mb.relu(x=x), PLANE], axis=1),
        lambda x: np.concatenate([x, np.maximum(x, 0), np.broadcast_to(PLANE, x.shape)], axis=1),
    ),
    "concat-interleaved": (
        lambda x: mb.concat(values=[x, mb.relu(x=x)], axis=1, interleave=True),
        lambda x: np.stack([x, np.maximum(x, 0)], axis=2).reshape(len(x), 6, SIZE, SIZE),
    ),
    "pad": (
        lambda x: mb.pad(x=x, pad=[0, 0, 0, 1, 1, 0, 2, 3], constant_val=F(-1)),
        lambda x: np.pad(x, [(0, 0), (0, 1), (1, 0), (2, 3)], constant_values=-1),
    ),
    "pad-last": (
        lambda x: mb.pad(x=x, pad=[0, 0, 0, 0, 0, 1, 0, 2], constant_val=F(0)),
        lambda x: np.pad(x, [(0, 0), (0, 0), (0, 1), (0, 2)]),
    ),
    "pad-reflect": (
        lambda x: mb.pad(x=x, pad=[0, 0, 0, 0, 1, 2, 2, 1], mode="reflect"),
        lambda x: np.pad(x, [(0, 0), (0, 0), (1, 2), (2, 1)], mode="reflect"),
    ),
    "cast": (lambda x: mb.cast(x=mb.cast(x=x, dtype="int32"), dtype="fp32"), np.trunc),
    "identity": (lambda x: mb.identity(x=x), lambda x: x),
}


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Array]:
    bodies = {name: body for name, (body, _) in CASES.items()}
    return many(tmp_path_factory.mktemp("cases"), bodies, PHOTOS)


@pytest.mark.parametrize("name", CASES)
def test_an_operation_computes_what_numpy_does(name: str, computed: dict[str, Array]) -> None:
    found = computed[name]
    expected = CASES[name][1](X).reshape(len(X), -1)
    assert found.shape == expected.shape
    assert found == pytest.approx(expected, rel=2e-6, abs=2e-6)


def test_quantize_rounds_halves_to_even_and_saturates(tmp_path: Path) -> None:
    scale, zero = np.array([1 / 16, 1 / 64, 1 / 8], F), np.array([0, 5, -7], np.int8)

    def body(x: Any) -> Any:
        steps = mb.quantize(input=x, scale=scale, zero_point=zero, axis=1, output_dtype="int8")
        return mb.dequantize(input=steps, scale=scale, zero_point=zero, axis=1)

    s, z = scale.reshape(3, 1, 1).astype(float), zero.reshape(3, 1, 1).astype(float)
    steps = np.clip(np.rint(X / s) + z, -128, 127)
    assert (X / s % 1 == 0.5).any(), "some values lie between two steps"
    assert (steps == 127).any()
    assert (steps == -128).any()
    found = answers(saved(tmp_path, body), PHOTOS)
    assert (found == ((steps - z) * s).reshape(len(X), -1)).all()


def test_quantize_to_uint8(tmp_path: Path) -> None:
    def body(x: Any) -> Any:
        steps = mb.quantize(
            input=x, scale=F(1 / 40), zero_point=np.uint8(100), output_dtype="uint8"
        )
        return mb.dequantize(input=steps, scale=F(0.5), zero_point=np.uint8(100))

    steps = np.clip(np.rint(X / F(1 / 40)) + 100, 0, 255)
    found = answers(saved(tmp_path, body), PHOTOS)
    assert found == pytest.approx(((steps - 100) * 0.5).reshape(len(X), -1))


class TestFloat16:
    """What the program says is float16 is rounded, and nothing else."""

    def test_each_result_is_rounded(self, tmp_path: Path) -> None:
        # 2048 + 1/32 is no float16: the sum is 2048 plus or minus even numbers.
        def body(x: Any) -> Any:
            big = x.dtype.__name__ == "fp16"
            number = np.float16 if big else np.float32
            return mb.sub(x=mb.add(x=x, y=number(2048)), y=number(2048))

        in_half = answers(saved(tmp_path, body, half=True), PHOTOS)
        in_full = answers(saved(tmp_path, body), PHOTOS)
        expected = (X.astype(np.float16) + np.float16(2048)) - np.float16(2048)
        assert (in_half == expected.reshape(len(X), -1)).all()
        assert np.abs(in_half - in_full).max() > 0.9
        assert in_full == pytest.approx(X.reshape(len(X), -1), abs=2e-4)

    def test_what_is_too_large_becomes_infinite(self, tmp_path: Path) -> None:
        half = np.float16
        body = lambda x: mb.mul(x=mb.mul(x=x, y=half(300)), y=half(300))  # noqa: E731
        found = answers(saved(tmp_path, body, half=True), PHOTOS)
        with np.errstate(over="ignore"):
            expected = (X.astype(half) * half(300)) * half(300)
        assert np.isinf(expected).any()
        assert (found == expected.reshape(len(X), -1)).all()

    def test_a_convolution_is_rounded_once(self, tmp_path: Path) -> None:
        weight, bias = random(4, 3, 3, 3).astype(np.float16), random(4).astype(np.float16)
        body = lambda x: mb.conv(x=x, weight=weight, bias=bias)  # noqa: E731
        found = answers(saved(tmp_path, body, half=True), PHOTOS)
        seen = windows(X, 3, 1, (0, 0, 0, 0), 0.0)
        exact = np.einsum("nchwij,ocij->nohw", seen, weight.astype(float))
        exact = (exact + bias.reshape(4, 1, 1)).reshape(len(X), -1)
        assert (found == found.astype(np.float16)).all()
        # A unit in the last place aside, where float32 sums fall on the other side of a middle.
        assert (np.abs(found - exact) <= np.spacing(np.abs(exact).astype(np.float16))).all()
        assert (found == exact.astype(np.float16)).mean() > 0.99


def typed(values: list[list[int]], kind: str) -> Array:
    """Numbers of a type that numpy does not have."""
    from coremltools.converters.mil.mil import types

    return np.array(values).astype(types.nptype_from_builtin(types.string_to_builtin(kind)))


IOS16, IOS18 = ct.target.iOS16, ct.target.iOS18
# Constants that are stored small, and their values as the format's documentation says.
COMPRESSED: dict[str, tuple[Any, Callable[[], Any], list[float]]] = {
    "affine": (
        IOS16,
        lambda: mb.constexpr_affine_dequantize(
            quantized_data=np.array([[-128, 0, 127], [5, 6, 7]], np.int8),
            zero_point=np.array([3, -1], np.int8),
            scale=np.array([0.5, 0.25], F),
            axis=np.int32(0),
        ),
        [-65.5, -1.5, 62.0, 1.5, 1.75, 2.0],
    ),
    "look-up table": (  # two bits each, the least significant first: 0, 3, 2, 1 and 3
        IOS16,
        lambda: mb.constexpr_lut_to_dense(
            indices=np.array([0b01_10_11_00, 0b11], np.uint8),
            lut=np.array([1, -2, 4, 8], F),
            shape=np.array([5], np.uint32),
        ),
        [1, 8, 4, -2, 8],
    ),
    "sparse": (
        IOS16,
        lambda: mb.constexpr_sparse_to_dense(
            nonzero_data=np.array([3, 5], F),
            mask=np.array([0b01100], np.uint8),
            shape=np.array([5], np.uint32),
        ),
        [0, 0, 3, 5, 0],
    ),
    "cast": (
        IOS16,
        lambda: mb.constexpr_cast(source_val=np.array([0.1, 2], np.float16), output_dtype="fp32"),
        [float(np.float16(0.1)), 2],
    ),
    "blocks": (
        IOS18,
        lambda: mb.constexpr_blockwise_shift_scale(
            data=np.array([[1, 2, 3, -4]], np.int8),
            scale=np.array([[0.5, 10]], F),
            offset=np.array([[1, -1]], np.int8),
        ),
        [0, 0.5, 40, -30],
    ),
    "blocks without offset": (
        IOS18,
        lambda: mb.constexpr_blockwise_shift_scale(
            data=np.array([[1, -2]], np.int8), scale=np.array([[0.5]], F)
        ),
        [0.5, -1],
    ),
    "look-up tables of groups": (  # one for the first three rows, another for the others
        IOS18,
        lambda: mb.constexpr_lut_to_dense(
            indices=typed([[2, 3], [3, 0], [1, 0], [3, 0], [2, 1], [0, 3]], "uint2"),
            lut=np.array([1, 5, 9, 13, 2, 10, 18, 26], F).reshape(2, 1, 4, 1),
        ),
        [9, 13, 13, 1, 5, 1, 26, 2, 18, 10, 2, 26],
    ),
    "sparse with a shaped mask": (
        IOS18,
        lambda: mb.constexpr_sparse_to_dense(
            nonzero_data=np.array([3, 5], F), mask=typed([[0, 1], [1, 0]], "uint1")
        ),
        [0, 3, 5, 0],
    ),
}


@pytest.mark.parametrize("name", COMPRESSED)
def test_compressed_constants_are_unpacked(name: str, tmp_path: Path) -> None:
    opset, constant, expected = COMPRESSED[name]
    # The constant's values as a program sees them: added to x, which is taken off again.
    package = saved(
        tmp_path,
        lambda x: mb.add(x=constant(), y=mb.mul(x=mb.reduce_sum(x=x), y=F(0))),
        opset=opset,
    )
    assert answers(package, PHOTOS)[1].tolist() == expected
