"""Self-attention: both implementations compute its definition and its derivatives, in as little memory as promised."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from torch import nn

import parity
import tf_impl.initial_weights
import torch_impl.initial_weights
from parity.numerics import reference_ops
from parity.systems import frameworks, worker_processes
from shared_impl.draws import Draws
from tf_impl.attention import SelfAttention as KerasAttention
from tf_impl.layers import precision
from torch_impl.attention import SelfAttention as TorchAttention

SAME = 1e-12  # relative; sums in another order round to 1e-15 here
C, SHAPE = 16, (2, 5, 4, 16)


def pair(rows=1024, gamma=0.7, dtype="float64"):
    """Both blocks with the same initial numbers, gamma apart from zero; and an input."""
    with precision(dtype):
        reference = keras.Sequential([keras.Input(SHAPE[1:]), KerasAttention(C, rows=rows, name="block")])
    port = nn.Sequential()
    port.add_module("block", TorchAttention(C, rows=rows))
    port.double()
    tf_impl.initial_weights.initialise(reference, "net", "framework", Draws(3))
    torch_impl.initial_weights.initialise(port, "net", "framework", Draws(3))
    reference.get_layer("block").gamma.assign(gamma)
    port.block.gamma.data.fill_(gamma)
    return reference, port, np.random.default_rng(0).standard_normal(SHAPE)


def first(x):
    return torch.from_numpy(np.moveaxis(x, -1, 1).copy())


def apart(got, expected):
    return float(np.abs(np.asarray(got) - np.asarray(expected)).max() / np.abs(np.asarray(expected)).max())


@pytest.mark.parametrize("rows", [1, 7, 10, 1024])
def test_both_compute_the_definition_in_blocks_of_any_size(rows):
    reference, port, x = pair(rows)
    q, k, v = (
        (x @ layer.kernel.numpy()[0, 0] + layer.bias.numpy()).reshape(2, 20, -1)
        for layer in (getattr(reference.get_layer("block"), name) for name in ("query", "key", "value"))
    )
    expected = 0.7 * reference_ops.attention(q, k, v).reshape(SHAPE) + x
    assert q.shape[-1] == C // 8
    for call in (reference, tf.function(reference)):
        assert apart(call(tf.constant(x)), expected) <= SAME
    assert apart(np.moveaxis(port(first(x)).detach().numpy(), 1, -1), expected) <= SAME
    assert apart(expected, 0.7 * reference_ops.attention(q, k, v, 2**-0.5).reshape(SHAPE) + x) > 1e-4, (
        "a scale would show"
    )


def test_a_network_of_free_size_attends():
    reference = keras.Sequential([keras.Input((None, None, C)), KerasAttention(C, rows=6)])
    x = np.random.default_rng(0).standard_normal(SHAPE).astype("float32")
    whole = KerasAttention(C)
    whole.build(SHAPE)
    for variable, value in zip(whole.weights, reference.weights, strict=True):
        variable.assign(value)
    assert apart(reference(x), whole(x)) <= 1e-6


def test_it_starts_as_the_identity():
    reference, port, x = pair(gamma=0.0)
    assert np.array_equal(reference(x), x)
    assert torch.equal(port(first(x)), first(x))


def gradients_of(reference, x, penalty):
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            inner.watch(x)
            scalar = tf.reduce_sum(tf.sin(reference(x)))
        if penalty:
            scalar = tf.reduce_sum(tf.square(inner.gradient(scalar, x)))
    return outer.gradient(scalar, [v.value for v in reference.trainable_variables])


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("penalty", [False, True])
@pytest.mark.parametrize("rows", [6, 1024])
def test_gradients_agree_once_and_twice(rows, penalty, graph):
    reference, port, x = pair(rows)
    given = first(x).requires_grad_()
    scalar = port(given).sin().sum()
    if penalty:
        (gradient,) = torch.autograd.grad(scalar, given, create_graph=True)
        scalar = gradient.square().sum()
    found = dict(zip(dict(port.named_parameters()), torch.autograd.grad(scalar, list(port.parameters())), strict=True))
    function = tf.function(gradients_of) if graph else gradients_of
    got = function(reference, tf.constant(x), penalty)
    largest = max(float(g.abs().max()) for g in found.values())
    for variable, gradient in zip(reference.trainable_variables, got, strict=True):
        name = "block." + variable.path.split("block/")[1].replace("/", ".").replace("kernel", "weight")
        expected = found[name].numpy()
        expected = expected.transpose(2, 3, 1, 0) if expected.ndim == 4 else expected
        assert np.abs(gradient - expected).max() <= SAME * largest, name  # the key's bias moves nothing: noise


def test_initial_weights_depend_on_the_paths_of_inner_layers():
    reference, port, _ = pair()
    carried = nn.Sequential(TorchAttention(C).double())
    parity.copy_to_torch(reference, carried)
    for (name, own), copied in zip(port.named_parameters(), carried.parameters(), strict=True):
        assert torch.equal(own, copied), name
    other = nn.Sequential()
    other.add_module("renamed", TorchAttention(C).double())
    torch_impl.initial_weights.initialise(other, "net", "framework", Draws(3))
    assert not torch.equal(other.renamed.query.weight, port.block.query.weight)
    assert not torch.equal(port.block.query.weight, port.block.key.weight)
    assert other.renamed.gamma == 0 and not other.renamed.query.bias.any()


def test_a_saved_network_attends_alike(tmp_path):
    reference, _, x = pair(rows=6)
    reference.save(tmp_path / "net.keras")
    loaded = keras.saving.load_model(tmp_path / "net.keras")
    assert np.array_equal(loaded(x), reference(x)) and loaded.get_layer("block").rows == 6


def test_half_precision_weighs_in_float32():
    half, _, x = pair(dtype="bfloat16")
    exact, _, _ = pair(dtype="float32")
    got = half(x)
    assert got.dtype == "bfloat16"
    assert apart(tf.cast(got, tf.float32), exact(x)) <= 2**-6  # inputs, kernels and every result are rounded to 2^-9


def test_a_wrong_number_of_channels_is_refused():
    with pytest.raises(ValueError, match="got 8 channels, expected channels=16"):
        KerasAttention(C).build((None, 5, 4, 8))


def _print_memory_of_attention(implementation: str, mode: str, batch: int, rows: int) -> None:
    """MiB by which the peak of this process grows as images of 64x64 positions pass."""
    frameworks.compute_in(2)
    x = np.random.default_rng(0).standard_normal((batch, 64, 64, C)).astype("float32")
    if implementation == "tf":
        layer = KerasAttention(C, rows=rows)
        layer.build(x.shape)
        forward, inputs = tf.function(layer), tf.constant(x)

        @tf.function
        def learn(x):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(tf.square(layer(x)))
            return tape.gradient(loss, [v.value for v in layer.trainable_variables])
    else:
        layer, inputs = TorchAttention(C, rows=rows), torch.from_numpy(x)
        forward = torch.no_grad()(lambda x: layer(x.movedim(-1, 1)).square().sum())

        def learn(x):
            layer(x.movedim(-1, 1)).square().sum().backward()

    run = learn if mode == "train" else forward
    run(inputs[:1, :8, :8])
    before = _peak()
    run(inputs)
    print((_peak() - before) // 1024)


def _peak() -> int:
    """Unlike getrusage's, it does not begin with that of the process that started this one."""
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])


def mib_per_sample(folder, implementation, mode, rows=1024):
    """MiB of a fresh process's peak that each sample of 64x64 positions costs."""
    few, many = (_mib(folder, implementation, mode, batch, rows) for batch in (1, 4))
    return (many - few) / 3


def _mib(folder, *arguments):
    log = folder / "-".join(map(str, arguments))
    process = worker_processes.start(_print_memory_of_attention, *arguments, environment={}, without=(), log=log)
    process.join()
    assert process.exitcode == 0, log.read_text()[-2000:]
    return int(log.read_text().split()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("implementation", ["tf", "torch"])
def test_evaluation_holds_one_block_of_weights_and_training_one_matrix(implementation, tmp_path):
    """Of 64 MiB a sample: a block of 1024 rows is 16 MiB; its logits, its weights and both gradients are held."""
    assert mib_per_sample(tmp_path, implementation, "evaluate") < 3 * 16
    assert mib_per_sample(tmp_path, implementation, "train") < 64 + 5 * 16
    assert mib_per_sample(tmp_path, implementation, "evaluate", rows=4096) > 3 * 16, "a whole matrix would show"
