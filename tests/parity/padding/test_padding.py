"""The padding calculus against impulse probes, TensorFlow and torch."""

from __future__ import annotations

import itertools
from dataclasses import asdict

import numpy as np
import pytest
import tensorflow as tf
import torch
import torch.nn.functional as F
from torch import nn

from parity import padding
from parity.numerics import reference_ops
from parity.padding import Axis, compare_symmetric, measure_amounts, probe, torch_recipe
from parity.verdict import UnusableInput

GRID = list(itertools.product(padding.OPS, range(4, 18), range(1, 8), range(1, 4), range(1, 3)))
SMALL_GRID = list(itertools.product(padding.OPS, (4, 7, 8, 13), (1, 2, 3, 4, 5), (1, 2, 3), (1, 2)))


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def agree(got: np.ndarray, want: np.ndarray) -> bool:
    # At most 7 products of ramp 1..7 and an impulse: exact in float64, so equality is exact too.
    return got.shape == want.shape and bool(np.array_equal(got, want))


# --- amounts


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation", "amounts"),
    [
        (16, 5, 2, 1, (1, 2)),
        (15, 5, 2, 1, (2, 2)),
        (28, 3, 2, 1, (0, 1)),
        (8, 4, 2, 1, (1, 1)),
        (8, 3, 1, 2, (2, 2)),
        (8, 2, 3, 1, (0, 0)),
        (10**12, 5, 2, 1, (1, 2)),
    ],
)
def test_same_amounts_by_hand(size: int, kernel: int, stride: int, dilation: int, amounts: tuple[int, int]) -> None:
    assert padding.same_amounts(size, kernel, stride, dilation) == amounts


@pytest.mark.parametrize(
    ("kernel", "stride", "crops"), [(5, 2, (1, 2)), (4, 2, (1, 1)), (3, 2, (0, 1)), (3, 1, (1, 1)), (2, 3, (0, -1))]
)
def test_same_crops_by_hand(kernel: int, stride: int, crops: tuple[int, int]) -> None:
    assert padding.same_crops(kernel, stride) == crops


@pytest.mark.parametrize(("kernel", "stride", "crops"), [(5, 2, (0, 0)), (2, 3, (0, -1)), (1, 3, (0, -2))])
@pytest.mark.parametrize("size", [1, 4])
def test_valid_crops_are_keras(kernel: int, stride: int, crops: tuple[int, int], size: int) -> None:
    assert padding.valid_crops(kernel, stride) == crops
    x, weight = draw(1, size, 1), draw(kernel, 1, 1)
    want = tf.keras.ops.conv_transpose(x, weight, stride, "valid").numpy()
    got = reference_ops.conv_transpose(x, weight, strides=stride, dilation=1, crops=[crops])
    assert got.shape == want.shape
    # At most two products a pixel, each rounded once or, fused with the sum, not at all.
    bound = 2 * np.abs(x).max() * np.abs(weight).max()
    np.testing.assert_allclose(got, want, rtol=0, atol=4 * np.finfo(float).eps * bound)


def by_tensorflow(axis: Axis) -> np.ndarray:
    """The map ``[size, out]`` of TensorFlow's SAME on every impulse, kernel 1, 2, ..., k."""
    impulses, ramp = np.eye(axis.size)[..., None], np.arange(1.0, axis.kernel + 1)[:, None, None]
    if axis.op == "conv":
        stride, dilation = [1, axis.stride, 1, 1], [1, axis.dilation, 1, 1]  # conv1d refuses both at once
        return tf.nn.conv2d(impulses[:, :, None], ramp[:, None], stride, "SAME", dilations=dilation).numpy()[..., 0, 0]
    if axis.dilation == 1:
        shape = (axis.size, axis.size * axis.stride, 1)
        return tf.nn.conv_transpose(impulses, ramp, shape, axis.stride, "SAME").numpy()[..., 0]
    # TensorFlow's CPU kernel refuses dilation here; by definition it is the adjoint of the dilated convolution.
    return by_tensorflow(Axis("conv", axis.size * axis.stride, axis.kernel, axis.stride, axis.dilation)).T


def by_torch(axis: Axis, pad: int, extra: int) -> np.ndarray | None:
    """The same map of torch's own layer; None where torch refuses it."""
    impulses, ramp = torch.eye(axis.size).double()[:, None], torch.arange(1.0, axis.kernel + 1).double()[None, None]
    try:
        if axis.op == "conv":
            return F.conv1d(impulses, ramp, None, axis.stride, pad, axis.dilation)[:, 0].numpy()
        return F.conv_transpose1d(impulses, ramp, None, axis.stride, pad, extra, 1, axis.dilation)[:, 0].numpy()
    except RuntimeError:
        return None


@pytest.mark.parametrize("op", padding.OPS)
def test_same_is_tensorflows(op: str) -> None:
    for axis in itertools.starmap(Axis, (point for point in SMALL_GRID if point[0] == op)):
        assert agree(padding.impulse_map(axis, axis.same), by_tensorflow(axis)), axis


def test_swapped_same_amounts_are_distinguished() -> None:
    axis = Axis("conv", 16, 5, 2)
    assert not agree(padding.impulse_map(axis, axis.same[::-1]), by_tensorflow(axis))


# --- relations


def disagreements(classify) -> list:  # noqa: ANN001
    """Grid points at which ``classify(axis, reference, amounts)`` contradicts the impulse probes."""
    found = []
    for axis in itertools.starmap(Axis, GRID):
        for candidate in compare_symmetric(**asdict(axis)).candidates:
            if classify(axis, axis.same, candidate.amounts) != probe(axis, axis.same, candidate.amounts):
                found.append((axis, candidate))
    return found


def test_the_calculus_equals_the_probes_over_the_grid() -> None:
    assert disagreements(Axis.relation) == []


def test_a_calculus_that_only_looks_at_shapes_contradicts_the_probes() -> None:
    def shapes_only(axis: Axis, reference: tuple[int, int], amounts: tuple[int, int]) -> str:
        return "equal values" if axis.output(reference) == axis.output(amounts) else "nothing"

    def no_mirror(axis: Axis, reference: tuple[int, int], amounts: tuple[int, int]) -> str:
        return axis.relation(reference, amounts).replace("equal in a mirror", "equal shape only")

    for wrong in (shapes_only, no_mirror):
        assert Axis("conv", 16, 5, 2) in [axis for axis, _ in disagreements(wrong)]


@pytest.mark.parametrize("op", padding.OPS)
def test_torch_and_tensorflow_agree_with_every_verdict(op: str) -> None:
    seen = set()
    for axis in itertools.starmap(Axis, (point for point in SMALL_GRID if point[0] == op)):
        reference = by_tensorflow(axis)
        mirrored = padding.impulse_map(axis, axis.same, flipped=True)
        for candidate in compare_symmetric(**asdict(axis)).candidates:
            measured = by_torch(axis, candidate.padding, candidate.output_padding)
            if measured is None or measured.shape != reference.shape:
                want = "nothing"
            elif agree(measured, reference):
                want = "equal values"
            else:
                want = "equal in a mirror" if agree(measured, mirrored) else "equal shape only"
            assert candidate.verdict == want, (axis, candidate)
            seen.add(want)
    assert seen == set(padding.RELATIONS)


@pytest.mark.parametrize("op", padding.OPS)
def test_no_faithful_symmetric_padding_is_overlooked(op: str) -> None:
    for axis in itertools.starmap(Axis, (point for point in SMALL_GRID if point[0] == op)):
        listed = {(item.padding, item.output_padding) for item in compare_symmetric(**asdict(axis)).candidates}
        for pad, extra in itertools.product(range(axis.extent + 3), range(1 if op == "conv" else 4)):
            result = by_torch(axis, pad, extra)
            if result is not None and result.shape[1] == axis.output(axis.same):
                assert (pad, extra) in listed, axis


def test_symmetric_padding_of_the_right_shape_starts_less_than_a_stride_earlier() -> None:
    shifted = set()
    for axis in itertools.starmap(Axis, GRID):
        for candidate in compare_symmetric(**asdict(axis)).candidates:
            if candidate.verdict in ("equal in a mirror", "equal shape only"):
                assert 0 < candidate.shift < max(axis.stride, axis.dilation), (axis, candidate)
                shifted.add((candidate.verdict, axis.op))
    assert len(shifted) == 4


def test_kernel_5_stride_2_as_in_specgan() -> None:
    down = compare_symmetric("conv", 16, 5, 2, torch_padding=2)
    assert (down.reference, down.output, down.given.amounts) == ((1, 2), 8, (2, 2))
    assert (down.given.verdict, down.given.shift, down.faithful) == ("equal in a mirror", 1, False)
    assert "phase" in down.given.note
    up = compare_symmetric("conv-transpose", 8, 5, 2, torch_padding=2, output_padding=1)
    assert (up.reference, up.output, up.given.amounts) == ((1, 2), 16, (2, 1))
    assert (up.given.verdict, up.given.shift) == ("equal in a mirror", 1)
    assert "padding=1" in up.recipe.text and "last row and column" in up.recipe.text
    assert compare_symmetric("conv-transpose", 8, 4, 2, torch_padding=1).faithful


@pytest.mark.parametrize(("op", "stride"), [("conv", 1), ("conv-transpose", 1), ("conv-transpose", 2)])
def test_the_stated_shift_equals_the_measured_one(op: str, stride: int) -> None:
    axis, reference, amounts = Axis(op, 9, 6, stride), (1, 4), (3, 2)
    wanted, got = padding.impulse_map(axis, reference), padding.impulse_map(axis, amounts)
    assert axis.relation(reference, amounts) == "equal shape only"
    # conv: windows start 2 pixels earlier, values lie 2 later; transposed: 2 more rows cropped, values lie 2 earlier.
    earlier, later = (got[:, 2:], wanted[:, :-2]) if op == "conv" else (got[:, :-2], wanted[:, 2:])
    assert agree(earlier, later)
    assert not agree(got, wanted)


# --- recipes


def run_recipe(recipe, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, out: int) -> np.ndarray:  # noqa: ANN001
    scope = {"torch": torch, "nn": nn, "F": F, "x": x, "in_channels": x.shape[1], "out_channels": out}
    definition, *rest = recipe.code.splitlines()
    exec(definition, scope)
    layer = scope[definition.split(" = ")[0]].double()
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
        exec("\n".join(rest), scope)
    return scope["y"].permute(0, *range(2, x.ndim), 1).numpy()


def execute(op: str, sizes: tuple[int, ...], kernel: int, stride: int, dilation: int, amounts=None):  # noqa: ANN001, ANN202
    rank = len(sizes)
    axes = [Axis(op, size, kernel, stride, dilation) for size in sizes]
    amounts = amounts or [axis.same for axis in axes]
    x, bias = draw(2, *sizes, 3), draw(4)
    if op == "conv":
        weight = draw(*[kernel] * rank, 3, 4)
        want = reference_ops.conv(x, weight, bias, strides=stride, dilation=dilation, pads=amounts)
    else:
        weight = draw(*[kernel] * rank, 4, 3)
        want = reference_ops.conv_transpose(x, weight, bias, strides=stride, dilation=dilation, crops=amounts)
    weight = torch.from_numpy(weight.transpose(rank + 1, rank, *range(rank)).copy())
    got = run_recipe(
        torch_recipe(axes, amounts), torch.from_numpy(np.moveaxis(x, -1, 1).copy()), weight, torch.from_numpy(bias), 4
    )
    return got, want


@pytest.mark.parametrize("op", padding.OPS)
@pytest.mark.parametrize("sizes", [(9,), (8, 7), (4, 5, 6)])
@pytest.mark.parametrize(
    ("kernel", "stride", "dilation"),
    [(5, 2, 1), (4, 2, 1), (3, 2, 1), (2, 3, 1), (1, 2, 1), (4, 1, 1), (3, 1, 2), (2, 3, 2)],
)
def test_the_recipe_runs_and_is_exact(op: str, sizes: tuple[int, ...], kernel: int, stride: int, dilation: int) -> None:
    got, want = execute(op, sizes, kernel, stride, dilation)
    # fan-in of at most 5 ** 3 * 3 products, each below 16: float64 rounding.
    np.testing.assert_allclose(got, want, rtol=0, atol=375 * 16 * np.finfo(float).eps)


@pytest.mark.parametrize("amounts", [(3, 0), (0, 3), (3, -1), (4, 1), (0, 0), (2, 2), (1, -1)])
def test_the_recipe_for_any_other_crop_is_exact(amounts: tuple[int, int]) -> None:
    got, want = execute("conv-transpose", (6, 5), 5, 2, 1, [amounts, (1, 2)])
    np.testing.assert_allclose(got, want, rtol=0, atol=75 * 16 * np.finfo(float).eps)  # as above


def test_amounts_that_no_torch_layer_can_have_are_rejected() -> None:
    for amounts in [(-1, 2), (0, -2)]:
        with pytest.raises(UnusableInput, match="crop"):
            torch_recipe([Axis("conv-transpose", 6, 3, 2)], [amounts])


def test_a_wrong_recipe_is_distinguished() -> None:
    got, want = execute("conv-transpose", (6, 5), 5, 2, 1, [(1, 2), (1, 2)])
    other, _ = execute("conv-transpose", (6, 5), 5, 2, 1, [(2, 1), (1, 2)])
    assert got.shape == other.shape and np.abs(other - want).max() > 1e-2


# --- amounts measured from values


def torch_layer(op: str, rank: int, channels: tuple[int, int], kernel: int, **settings: int) -> nn.Module:
    torch.manual_seed(0)
    name = f"Conv{'Transpose' if op == 'conv-transpose' else ''}{rank}d"
    return getattr(nn, name)(*channels, kernel, **settings).double()


def measured(layer: nn.Module, op: str, x: np.ndarray, **more):  # noqa: ANN003, ANN201
    rank = x.ndim - 2
    with torch.no_grad():
        y = layer(torch.from_numpy(np.moveaxis(x, -1, 1).copy()))
    kernel = layer.weight.detach().permute(*range(2, rank + 2), 1, 0).numpy()
    return measure_amounts(
        kernel,
        x,
        np.moveaxis(y.numpy(), 1, -1),
        op=op,
        strides=layer.stride,
        dilation=layer.dilation,
        groups=layer.groups,
        bias=layer.bias.detach().numpy(),
        **more,
    )


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize(
    ("kernel", "stride", "dilation", "pad", "read"),
    [(5, 2, 1, 2, (2, 1)), (4, 2, 1, 1, (1, 1)), (3, 1, 2, 2, (2, 2)), (5, 1, 1, 0, (0, 0)), (1, 2, 1, 0, (0, 0))],
)
def test_pads_of_a_torch_layer_are_read_from_values(
    rank: int, groups: int, kernel: int, stride: int, dilation: int, pad: int, read: tuple[int, int]
) -> None:
    layer = torch_layer("conv", rank, (4, 8), kernel, stride=stride, dilation=dilation, padding=pad, groups=groups)
    x = draw(2, *(8, 6, 10)[:rank], 4)
    assert measured(layer, "conv", x) == [read] * rank
    assert measured(layer, "conv", x, guesses=[[(0, 0)] * rank, [(pad, pad)] * rank]) == [read] * rank


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize(
    ("kernel", "stride", "dilation", "pad", "extra"),
    [(5, 2, 1, 2, 1), (4, 2, 1, 1, 0), (3, 2, 1, 0, 1), (3, 1, 2, 1, 1), (2, 3, 1, 0, 2), (4, 1, 1, 0, 0)],
)
def test_crops_of_a_torch_layer_are_read_from_values(
    rank: int, groups: int, kernel: int, stride: int, dilation: int, pad: int, extra: int
) -> None:
    settings = {"stride": stride, "dilation": dilation, "padding": pad, "output_padding": extra, "groups": groups}
    layer = torch_layer("conv-transpose", rank, (4, 8), kernel, **settings)
    x = draw(2, *(4, 3, 5)[:rank], 4)
    assert measured(layer, "conv-transpose", x) == [(pad, pad - extra)] * rank
    assert measured(layer, "conv-transpose", x, guesses=[[(pad, pad - extra)] * rank]) == [(pad, pad - extra)] * rank


@pytest.mark.parametrize("name", ["Conv2D", "Conv2DTranspose", "DepthwiseConv2D", "Conv1D"])
@pytest.mark.parametrize("kernel", [3, 4, 5])
def test_amounts_of_a_keras_layer_are_read_from_values(name: str, kernel: int) -> None:
    sizes = (9, 12)[: 1 if name == "Conv1D" else 2]
    settings = {} if name == "DepthwiseConv2D" else {"filters": 4}
    mode = "causal" if name == "Conv1D" else "same"
    layer = getattr(tf.keras.layers, name)(
        kernel_size=kernel, strides=2, padding=mode, dtype="float64", bias_initializer="normal", **settings
    )
    x = draw(2, *sizes, 3)
    y = layer(x).numpy()
    op = {"Conv2DTranspose": "conv-transpose", "DepthwiseConv2D": "depthwise"}.get(name, "conv")
    weight, bias = layer.get_weights()
    got = measure_amounts(weight, x, y, op=op, strides=2, dilation=1, bias=bias)
    if name == "Conv1D":
        assert got == [(kernel - 1, 0)]
    elif op == "conv-transpose":
        assert got == [padding.same_crops(kernel, 2)] * 2
    else:
        assert got == padding.same_pads(sizes, kernel, 2)


def test_rows_that_no_window_reads_count_as_no_padding() -> None:
    x, kernel = draw(1, 8, 2), draw(3, 2, 4)
    y = reference_ops.conv(x, kernel, strides=3, dilation=1, pads=[(0, 0)])
    assert measure_amounts(kernel, x, y, op="conv", strides=3, dilation=1) == [(0, 0)]


def test_unequal_amounts_per_axis_and_a_dead_channel() -> None:
    x, kernel = draw(2, 9, 12, 3), draw(5, 4, 3, 6)
    kernel[..., :3] = 0
    y = reference_ops.conv(x, kernel, strides=(2, 1), dilation=(1, 2), pads=[(3, 0), (1, 5)])
    assert measure_amounts(kernel, x, y, op="conv", strides=(2, 1), dilation=(1, 2)) == [(3, 0), (1, 5)]


@pytest.mark.parametrize("spoil", ["kernel", "flipped", "bias", "input", "nan", "reflected"])
def test_values_that_no_amounts_reproduce_give_none(spoil: str) -> None:
    x, kernel, bias = draw(2, 9, 12, 3), draw(5, 5, 3, 4), draw(4)
    y = reference_ops.conv(x, kernel, bias, strides=2, dilation=1, pads=[(1, 2), (2, 2)])
    settings = {"op": "conv", "strides": 2, "dilation": 1}
    assert measure_amounts(kernel, x, y, **settings, bias=bias) == [(1, 1), (2, 1)]
    if spoil == "kernel":
        kernel = kernel * (1 + 1e-6)
    elif spoil == "flipped":
        kernel = kernel[::-1, ::-1]
    elif spoil == "bias":
        bias = None
    elif spoil == "input":
        x = x[:, ::-1]
    elif spoil == "nan":
        y = y * np.nan
    else:
        reflected = np.pad(x, [(0, 0), (2, 2), (2, 2), (0, 0)], mode="reflect")
        y = reference_ops.conv(reflected, kernel, bias, strides=2, dilation=1, pads=[(0, 0)] * 2)
    assert measure_amounts(kernel, x, y, **settings, bias=bias) is None


def test_values_that_several_amounts_reproduce_give_none() -> None:
    zeros = np.zeros((1, 5, 5, 1))
    assert measure_amounts(draw(3, 3, 1, 1), zeros, zeros, op="conv", strides=1, dilation=1) is None
    x, pair = draw(1, 8, 1), np.ones((2, 1, 1))
    x[0, 1::2] = 0
    y = x[:, ::2]  # pads (0, 0) and (1, 0) see the same one pixel in every window
    assert measure_amounts(pair, x, y, op="conv", strides=2, dilation=1) is None
    assert measure_amounts(pair, x, y, op="conv", strides=2, dilation=1, guesses=[[(1, 0)]]) == [(1, 0)]


def test_windows_that_start_inside_are_measured() -> None:
    x, kernel = draw(1, 6, 2), draw(1, 2, 3)
    y = reference_ops.conv(x, kernel, strides=3, dilation=1, pads=[(-1, -1)])
    assert measure_amounts(kernel, x, y, op="conv", strides=3, dilation=1) == [(-1, 0)]


def test_shapes_that_do_not_fit_together_are_rejected() -> None:
    with pytest.raises(UnusableInput, match="measure_amounts"):
        measure_amounts(draw(3, 3, 2, 4), draw(1, 8, 8, 3), draw(1, 8, 8, 4), op="conv", strides=1, dilation=1)
    with pytest.raises(UnusableInput, match="convolve"):
        measure_amounts(draw(3, 3, 3, 4), draw(1, 8, 8, 3), draw(1, 8, 8, 4), op="convolve", strides=1, dilation=1)


# --- bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("conv", 0, 3, 1), "size"),
        (("conv", 8, -3, 1), "kernel"),
        (("conv", 8, 3, 0), "stride"),
        (("conv", 8, 3, 1, 0), "dilation"),
        (("dense", 8, 3, 1), "conv, conv-transpose"),
        (("conv", 8, 3, 1, 1, -1), "torch padding"),
        (("conv", 8, 3, 1, 1, 1, 1), "output padding"),
        (("conv-transpose", 8, 3, 2, 1, 1, 2), "smaller than"),
        (("conv-transpose", 8, 3, 2, 1, None, 1), "torch padding"),
        (("conv", 8, 10**9, 1), "kernel"),
    ],
)
def test_unusable_input_is_rejected_in_one_line(arguments: tuple, message: str) -> None:
    with pytest.raises(UnusableInput, match=message) as caught:
        compare_symmetric(*arguments)
    assert "\n" not in str(caught.value)
