"""The NumPy definitions against TensorFlow's and torch's own float64 operations."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import tensorflow as tf
import torch
import torch.nn.functional as F

from parity.numerics import reference_ops
from parity.numerics.resize_modes import RESIZE_MODES, from_torch
from parity.padding import same_crops, same_pads
from parity.verdict import UnusableInput

EPS = np.finfo(np.float64).eps
SIZES = {1: (11,), 2: (9, 12), 3: (6, 5, 7)}
TORCH_CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TORCH_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
TORCH_POOL = {"max": (F.max_pool1d, F.max_pool2d, F.max_pool3d), "average": (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)}

SAME_CASES = [
    (rank, kernel_size, stride, dilation)
    for rank, kernel_size, (stride, dilation) in product((1, 2, 3), range(1, 6), ((1, 1), (2, 1), (3, 1), (1, 2)))
    if (rank, kernel_size, stride) != (3, 1, 3)  # TensorFlow itself errs there, see the test below
]


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def first(x: np.ndarray) -> torch.Tensor:
    """Channels last to channels first."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)))


def last(x: torch.Tensor) -> np.ndarray:
    return np.moveaxis(x.numpy(), 1, -1)


def torch_kernel(kernel: np.ndarray) -> torch.Tensor:
    """``(*k, a, b)`` to ``(b, a, *k)``: right for both operations."""
    rank = kernel.ndim - 2
    return torch.from_numpy(np.ascontiguousarray(kernel.transpose(rank + 1, rank, *range(rank))))


def assert_same(got: np.ndarray, want: np.ndarray, terms: int, bound: np.ndarray | float) -> None:
    """Two orders of summing ``terms`` products differ by at most 2 * terms * eps * sum of |products| (Higham 3.1)."""
    assert got.shape == want.shape
    np.testing.assert_array_less(np.abs(got - want), 2 * (terms + 1) * EPS * np.max(bound) + np.finfo(float).tiny)


def fan_in(kernel: np.ndarray) -> int:
    return int(np.prod(kernel.shape[:-1]))


@pytest.mark.parametrize(("rank", "kernel_size", "stride", "dilation"), SAME_CASES)
def test_conv_same_is_tensorflows(rank: int, kernel_size: int, stride: int, dilation: int) -> None:
    x, kernel, bias = draw(2, *SIZES[rank], 3), draw(*[kernel_size] * rank, 3, 4), draw(4)
    pads = same_pads(SIZES[rank], kernel_size, stride, dilation)
    got = reference_ops.conv(x, kernel, bias, strides=stride, dilation=dilation, pads=pads)
    want = tf.nn.convolution(x, kernel, strides=stride, dilations=dilation, padding="SAME").numpy() + bias
    bound = reference_ops.conv(abs(x), abs(kernel), abs(bias), strides=stride, dilation=dilation, pads=pads)
    assert_same(got, want, fan_in(kernel), bound)


def test_the_definition_agrees_with_torch_where_tensorflow_is_wrong() -> None:
    """TensorFlow 2.21's float64 conv3d on CPU halves a negative total, not clamped to 0, and starts inside."""
    x, kernel = draw(1, 6, 6, 6, 2), draw(1, 1, 1, 2, 3)
    assert same_pads((6, 6, 6), 1, 3) == [(0, 0)] * 3
    got = reference_ops.conv(x, kernel, strides=3, dilation=1, pads=[(0, 0)] * 3)
    assert_same(got, last(F.conv3d(first(x), torch_kernel(kernel), stride=3)), 2, 2 * np.abs(x).max())
    by_tensorflow = tf.nn.conv3d(x, kernel, [1, 3, 3, 3, 1], "SAME").numpy()
    inside = reference_ops.conv(x, kernel, strides=3, dilation=1, pads=[(-1, -1)] * 3)
    assert_same(by_tensorflow, inside, 2, 2 * np.abs(x).max())
    with pytest.raises(AssertionError):
        assert_same(by_tensorflow, got, 2, 2 * np.abs(x).max())


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize(("kernel_size", "stride", "dilation"), [(3, 1, 1), (4, 2, 1), (3, 2, 2), (5, 3, 1)])
def test_conv_with_groups_is_torchs(rank: int, groups: int, kernel_size: int, stride: int, dilation: int) -> None:
    x, kernel, bias = draw(2, *SIZES[rank], 4), draw(*[kernel_size] * rank, 4 // groups, 8), draw(8)
    settings = {"strides": stride, "dilation": dilation, "groups": groups, "pads": [(1, 1)] * rank}
    got = reference_ops.conv(x, kernel, bias, **settings)
    want = TORCH_CONV[rank](first(x), torch_kernel(kernel), torch.from_numpy(bias), stride, 1, dilation, groups)
    bound = reference_ops.conv(abs(x), abs(kernel), abs(bias), **settings)
    assert_same(got, last(want), fan_in(kernel), bound)


@pytest.mark.parametrize("multiplier", [1, 3])
def test_depthwise_is_tensorflows(multiplier: int) -> None:
    x, kernel = draw(2, 9, 12, 4), draw(3, 4, 4, multiplier)
    got = reference_ops.depthwise_conv(x, kernel, strides=2, dilation=1, pads=same_pads((9, 12), (3, 4), 2, 1))
    want = tf.nn.depthwise_conv2d(x, kernel, [1, 2, 2, 1], "SAME").numpy()
    assert_same(got, want, 12, np.abs(want).max() * 12)


def test_unequal_strides_dilations_and_kernels_per_axis() -> None:
    x, kernel = draw(1, 13, 10, 2), draw(3, 4, 2, 5)
    settings = {"strides": (1, 3), "dilation": (2, 1)}
    got = reference_ops.conv(x, kernel, **settings, pads=[(2, 0), (0, 3)])
    padded = F.pad(first(x), (0, 3, 2, 0))
    want = last(F.conv2d(padded, torch_kernel(kernel), stride=(1, 3), dilation=(2, 1)))
    assert_same(got, want, 24, np.abs(x).max() * np.abs(kernel).max() * 24)


def test_negative_pads_leave_input_out() -> None:
    x, kernel = draw(1, 9, 2), draw(3, 2, 4)
    got = reference_ops.conv(x, kernel, strides=1, dilation=1, pads=[(-1, -2)])
    np.testing.assert_array_equal(got, reference_ops.conv(x[:, 1:-2], kernel, strides=1, dilation=1, pads=[(0, 0)]))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_transposed_conv_same_is_tensorflows(rank: int, kernel_size: int, stride: int) -> None:
    x, kernel, bias = draw(2, *SIZES[rank], 3), draw(*[kernel_size] * rank, 4, 3), draw(4)
    crops = [same_crops(kernel_size, stride)] * rank
    got = reference_ops.conv_transpose(x, kernel, bias, strides=stride, dilation=1, crops=crops)
    shape = (2, *(size * stride for size in SIZES[rank]), 4)
    want = tf.nn.conv_transpose(x, kernel, shape, stride, "SAME").numpy() + bias
    bound = reference_ops.conv_transpose(abs(x), abs(kernel), abs(bias), strides=stride, dilation=1, crops=crops)
    assert_same(got, want, kernel_size**rank * 3, bound)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(
    ("kernel_size", "stride", "dilation", "padding", "extra"),
    [(5, 2, 1, 2, 1), (4, 2, 1, 1, 0), (3, 1, 2, 1, 1), (3, 2, 2, 0, 1), (2, 3, 1, 0, 2)],
)
def test_transposed_conv_is_torchs(
    rank: int, groups: int, kernel_size: int, stride: int, dilation: int, padding: int, extra: int
) -> None:
    x, kernel, bias = draw(2, *SIZES[rank], 4), draw(*[kernel_size] * rank, 6 // groups, 4), draw(6)
    settings = {"strides": stride, "dilation": dilation, "crops": [(padding, padding - extra)] * rank, "groups": groups}
    got = reference_ops.conv_transpose(x, kernel, bias, **settings)
    want = TORCH_TRANSPOSED[rank](
        first(x), torch_kernel(kernel), torch.from_numpy(bias), stride, padding, extra, groups, dilation
    )
    bound = reference_ops.conv_transpose(abs(x), abs(kernel), abs(bias), **settings)
    assert_same(got, last(want), kernel_size**rank * 4, bound)


def test_the_bias_is_added_to_zeros_appended_by_a_negative_crop() -> None:
    got = reference_ops.conv_transpose(
        np.ones((1, 2, 1)), np.ones((1, 1, 1)), np.ones(1), strides=1, dilation=1, crops=[(0, -2)]
    )
    np.testing.assert_array_equal(got[0, :, 0], [2, 2, 1, 1])


def test_dense_is_tensorflows() -> None:
    x, kernel, bias = draw(5, 7), draw(7, 3), draw(3)
    want = (tf.constant(x) @ tf.constant(kernel) + bias).numpy()
    assert_same(reference_ops.dense(x, kernel, bias), want, 7, abs(x) @ abs(kernel) + abs(bias))


@pytest.mark.parametrize("rows", [4, 1024])
@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_attention_is_tensorflows(factor: float, rows: int) -> None:
    query, key, value = 3 * draw(2, 7, 3), draw(2, 9, 3), draw(2, 9, 5)
    got = reference_ops.attention(query, key, value, factor, rows=rows)
    logits = tf.matmul(tf.constant(query), tf.constant(key), transpose_b=True) * factor
    want = tf.matmul(tf.nn.softmax(logits), tf.constant(value)).numpy()
    # A rounded logit moves its weight by its own size besides.
    assert_same(got, want, 9 + int(4 * np.abs(logits).max()), np.abs(value).max())


@pytest.mark.parametrize(("axis", "transposed"), [(-1, False), (-2, False), (-1, True), (-2, True)])
def test_attention_of_every_axis_is_torchs(axis: int, transposed: bool) -> None:
    query, key, value = (torch.from_numpy(draw(2, 7, n, seed=seed)) for seed, n in enumerate((3, 3, 5)))
    weights = torch.softmax(query @ key.mT, axis)
    want = ((weights.mT if transposed else weights) @ value).numpy()
    got = reference_ops.attention(query.numpy(), key.numpy(), value.numpy(), 1.0, axis, transposed, rows=3)
    assert_same(got, want, 40, 7 * np.abs(value.numpy()).max())
    with pytest.raises(AssertionError):
        assert_same(got, (weights @ value.flip(1)).numpy(), 40, 7 * np.abs(value.numpy()).max())


def test_batchnorm_is_torchs() -> None:
    x, gamma, beta, mean, variance = draw(3, 4, 6, 5), draw(5), draw(5, seed=1), draw(5, seed=2), draw(5, seed=3) ** 2
    got = reference_ops.batchnorm(x, gamma, beta, mean, variance, 1e-3)
    mean_, variance_, gamma_, beta_ = (torch.from_numpy(part) for part in (mean, variance, gamma, beta))
    want = last(F.batch_norm(first(x), mean_, variance_, gamma_, beta_, eps=1e-3))
    # Five roundings each; |x - mean| * |gamma| / sqrt(variance + eps) + |beta| bounds the terms.
    bound = np.abs((np.abs(x) + abs(mean)) * gamma / np.sqrt(variance + 1e-3)) + abs(beta)
    assert_same(got, want, 5, bound)


def test_moments_are_those_batch_normalisation_uses() -> None:
    x = draw(3, 4, 6, 5)
    mean, biased, unbiased = reference_ops.moments(x)
    running_mean, running_variance = torch.zeros(5, dtype=torch.float64), torch.zeros(5, dtype=torch.float64)
    F.batch_norm(first(x), running_mean, running_variance, training=True, momentum=1.0)
    want_mean, want_biased = (part.numpy() for part in tf.nn.moments(x, [0, 1, 2]))
    for got, want in [(mean, want_mean), (mean, running_mean), (biased, want_biased), (unbiased, running_variance)]:
        assert_same(got, np.asarray(want), x.size // 5, np.max(x**2) + 1)
    assert np.all(np.abs(biased - unbiased) > 1e-3), "72 samples: the two variances differ by 1/72"


@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_upsampling_is_torchs_and_tensorflows(mode: str, factor: int) -> None:
    x = draw(2, 5, 7, 3)
    got = reference_ops.upsample(x, factor, mode)
    corners = None if mode == "nearest" else False
    want = last(F.interpolate(first(x), scale_factor=factor, mode=mode, align_corners=corners))
    assert_same(got, want, 8, np.abs(x).max())
    by_keras = tf.keras.layers.UpSampling2D(factor, interpolation=mode, dtype="float64")(x).numpy()
    # TensorFlow's bilinear resize answers in float32.
    np.testing.assert_allclose(got, by_keras, rtol=0, atol=8 * np.finfo(np.float32).eps * np.abs(x).max())


@pytest.mark.parametrize("factor", [2, 3])
def test_upsampling_to_the_corners_is_torchs(factor: int) -> None:
    x = draw(2, 5, 7, 3)
    got = reference_ops.upsample(x, factor, "bilinear (align_corners=True)")
    want = last(F.interpolate(first(x), scale_factor=factor, mode="bilinear", align_corners=True))
    # A position is rounded to a few units of its size, and moves the value by as much.
    assert_same(got, want, 8 * 7, np.abs(x).max())


@pytest.mark.parametrize("mode", ["linear-legacy", "cubic-legacy"])
def test_legacy_upsampling_is_tensorflow_1s(mode: str) -> None:
    x = draw(2, 5, 7, 3)
    resize = tf.compat.v1.image.resize_bilinear if mode == "linear-legacy" else tf.compat.v1.image.resize_bicubic
    want = resize(x, [10, 14], align_corners=False, half_pixel_centers=False).numpy()
    # The operation answers in float32: 16 products with weights whose absolute sum is below 2 per axis.
    atol = 17 * np.finfo(np.float32).eps * 4 * np.abs(x).max()
    np.testing.assert_allclose(reference_ops.upsample(x, 2, mode), want, rtol=0, atol=atol)


def test_torch_resize_modes_have_canonical_names() -> None:
    assert from_torch("nearest", None) == from_torch("nearest-exact", None) == "nearest"
    assert from_torch("linear", False) == from_torch("bilinear", None) == "bilinear"
    assert from_torch("bilinear", True) == "bilinear (align_corners=True)"
    assert from_torch("bicubic", True) == "bicubic (align_corners=True)"
    assert from_torch("bilinear", False, antialias=True) == "bilinear (antialias=True)"
    assert from_torch("nearest-exact", None, whole=False) == "nearest-exact"
    assert from_torch("new", True) == "new (align_corners=True)", "of no row: torch's own name"


def test_resize_modes_differ_from_each_other() -> None:
    x = draw(1, 5, 9, 2)
    results = [[reference_ops.resize(x, sizes, mode) for sizes in [(10, 18), (8, 13), (2, 4)]] for mode in RESIZE_MODES]
    for index, one in enumerate(results):
        for other in results[index + 1 :]:
            assert max(np.abs(a - b).max() for a, b in zip(one, other, strict=True)) > 1e-3


@pytest.mark.parametrize("sizes", [(10, 14), (8, 9), (3, 4), (2, 3)])
@pytest.mark.parametrize("mode", [mode for mode, row in RESIZE_MODES.items() if row.torch])
def test_a_resize_mode_of_torch_is_torchs(mode: str, sizes: tuple[int, int]) -> None:
    x = draw(2, 5, 7, 3)
    torchs, corners, antialias = RESIZE_MODES[mode].torch[0]
    options = {"align_corners": corners} if torchs in ("bilinear", "bicubic") else {}
    want = last(F.interpolate(first(x), size=sizes, mode=torchs, antialias=antialias, **options))
    assert_same(reference_ops.resize(x, sizes, mode), want, 8 * 7, np.abs(x).max())


@pytest.mark.parametrize("sizes", [(10, 14), (8, 9), (3, 4)])
@pytest.mark.parametrize(
    ("mode", "method", "antialias"),
    [
        ("nearest-exact", "nearest", False),
        ("bilinear", "bilinear", False),
        ("bicubic (a=-0.5)", "bicubic", False),
        ("bilinear (antialias=True)", "bilinear", True),
        ("bicubic (antialias=True)", "bicubic", True),
        ("area (by coverage)", "area", False),
        ("lanczos3", "lanczos3", False),
        ("lanczos5 (antialias=True)", "lanczos5", True),
        ("mitchellcubic", "mitchellcubic", False),
    ],
)
def test_a_resize_mode_of_tensorflow_is_tensorflows(
    mode: str, method: str, antialias: bool, sizes: tuple[int, int]
) -> None:
    x = draw(2, 5, 7, 3)
    want = tf.image.resize(x, sizes, method=method, antialias=antialias).numpy()
    # TensorFlow answers in float32: up to 121 products with weights whose absolute sum is below 2 per axis, at
    # positions that are rounded too.
    atol = 128 * np.finfo(np.float32).eps * 4 * np.abs(x).max()
    np.testing.assert_allclose(reference_ops.resize(x, sizes, mode), want, rtol=0, atol=atol)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("count_padding", [True, False])
@pytest.mark.parametrize("mode", ["max", "average"])
@pytest.mark.parametrize(("size", "stride"), [(3, 2), (2, 2), (3, 1)])
def test_pooling_is_torchs(rank: int, count_padding: bool, mode: str, size: int, stride: int) -> None:
    x = draw(2, *SIZES[rank], 3)
    got = reference_ops.pool(x, size, stride, [(1, 1)] * rank, mode, count_padding)
    pool = TORCH_POOL[mode][rank - 1]
    options = {} if mode == "max" else {"count_include_pad": count_padding}
    assert_same(got, last(pool(first(x), size, stride, 1, **options)), size**rank, np.abs(x).max())


@pytest.mark.parametrize("mode", ["max", "average"])
def test_pooling_same_is_keras(mode: str) -> None:
    x = draw(2, 9, 12, 3)
    layer = tf.keras.layers.MaxPooling2D if mode == "max" else tf.keras.layers.AveragePooling2D
    got = reference_ops.pool(x, 3, 2, same_pads((9, 12), 3, 2, 1), mode, count_padding=False)
    assert_same(got, layer(3, 2, padding="same", dtype="float64")(x).numpy(), 9, np.abs(x).max())


@pytest.mark.parametrize(
    "wrong",
    [
        {"pads": [(2, 1), (2, 1)]},
        {"pads": [(1, 2), (2, 1)]},
        {"dilation": 2, "pads": [(3, 4), (3, 4)]},
        {"x": draw(2, 12, 8, 3).transpose(0, 2, 1, 3)},
        {"kernel": draw(5, 5, 3, 4)[::-1]},
        {"kernel": draw(5, 5, 3, 4).transpose(1, 0, 2, 3)},
        {"bias": np.zeros(4)},
    ],
    ids=["swapped", "one axis", "dilated", "axes", "flipped", "transposed", "no bias"],
)
def test_a_wrong_convolution_is_distinguished(wrong: dict) -> None:
    x = draw(2, 12, 8, 3).transpose(0, 2, 1, 3)[:, ::-1]
    right = {"x": x, "kernel": draw(5, 5, 3, 4), "bias": draw(4), "strides": 2, "dilation": 1, "pads": [(1, 2), (1, 2)]}
    want = tf.nn.convolution(x, right["kernel"], strides=2, padding="SAME").numpy() + right["bias"]
    bound = reference_ops.conv(**right | {"x": abs(x), "kernel": abs(right["kernel"])})
    assert_same(reference_ops.conv(**right), want, 75, bound)
    with pytest.raises(AssertionError):
        assert_same(reference_ops.conv(**right | wrong), want, 75, bound)


def test_a_wrong_transposed_convolution_is_distinguished() -> None:
    x, kernel = draw(2, 5, 4, 3), draw(5, 5, 4, 3)
    want = tf.nn.conv_transpose(x, kernel, (2, 10, 8, 4), 2, "SAME").numpy()
    right = reference_ops.conv_transpose(x, kernel, strides=2, dilation=1, crops=[(1, 2)] * 2)
    assert_same(right, want, 75, np.abs(x).max() * np.abs(kernel).max() * 75)
    mirrored = reference_ops.conv_transpose(x, kernel, strides=2, dilation=1, crops=[(2, 1)] * 2)
    with pytest.raises(AssertionError):
        assert_same(mirrored, want, 75, np.abs(x).max() * np.abs(kernel).max() * 75)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: reference_ops.conv(draw(1, 4, 3), draw(3, 2, 4), strides=1, dilation=1, pads=[(0, 0)]),
            "3 input channels",
        ),
        (
            lambda: reference_ops.conv(draw(1, 4, 3), draw(3, 3, 4), strides=1, dilation=1, pads=[(0, 0)] * 2),
            "1 spatial ax",
        ),
        (lambda: reference_ops.conv(draw(1, 2, 3), draw(3, 3, 4), strides=1, dilation=1, pads=[(0, 0)]), "longer than"),
        (lambda: reference_ops.conv(draw(1, 4, 4, 3), draw(3, 3, 4), strides=1, dilation=1, pads=[(0, 0)]), "rank"),
        (lambda: reference_ops.conv(draw(1, 4, 3), draw(3, 3, 4), strides=0, dilation=1, pads=[(0, 0)]), "strides"),
        (
            lambda: reference_ops.conv_transpose(draw(1, 4, 3), draw(3, 4, 2), strides=1, dilation=1, crops=[(0, 0)]),
            "channels",
        ),
        (
            lambda: reference_ops.conv_transpose(draw(1, 2, 3), draw(3, 4, 3), strides=1, dilation=1, crops=[(2, 2)]),
            "crop",
        ),
        (lambda: reference_ops.upsample(draw(1, 4, 3), 2, "sinc"), "nearest, .*bilinear"),
        (lambda: reference_ops.pool(draw(1, 4, 3), 2, 2, [(0, 0)], "median", True), "max, .*average"),
        (lambda: reference_ops.dense(draw(1, 4), draw(3, 2)), "4 features"),
        (lambda: reference_ops.attention(draw(1, 4, 2), draw(1, 4, 3), draw(1, 4, 5)), "do not fit"),
    ],
)
def test_unusable_input_is_rejected_in_one_line(call, message: str) -> None:  # noqa: ANN001
    with pytest.raises(UnusableInput, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
