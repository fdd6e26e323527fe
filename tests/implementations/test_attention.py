"""Self-attention: both implementations compute its definition, to any derivative, and never hold more of it than they say."""

from __future__ import annotations

import subprocess
import sys
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
from shared_impl.draws import Draws
from tf_impl.attention import SelfAttention as KerasAttention
from tf_impl.layers import precision
from torch_impl.attention import SelfAttention as TorchAttention

ROOT = Path(__file__).resolve().parents[2]
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
    for mine, theirs in zip(whole.weights, reference.weights, strict=True):
        mine.assign(theirs)
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
        (slope,) = torch.autograd.grad(scalar, given, create_graph=True)
        scalar = slope.square().sum()
    found = dict(zip(dict(port.named_parameters()), torch.autograd.grad(scalar, list(port.parameters())), strict=True))
    function = tf.function(gradients_of) if graph else gradients_of
    got = function(reference, tf.constant(x), penalty)
    largest = max(float(g.abs().max()) for g in found.values())
    for variable, slope in zip(reference.trainable_variables, got, strict=True):
        name = "block." + variable.path.split("block/")[1].replace("/", ".").replace("kernel", "weight")
        expected = found[name].numpy()
        expected = expected.transpose(2, 3, 1, 0) if expected.ndim == 4 else expected
        assert np.abs(slope - expected).max() <= SAME * largest, name  # the key's bias moves nothing: noise


def test_the_paths_of_layers_inside_name_what_is_drawn():
    reference, port, _ = pair()
    carried = nn.Sequential(TorchAttention(C).double())
    parity.copy_to_torch(reference, carried)
    for (name, mine), theirs in zip(port.named_parameters(), carried.parameters(), strict=True):
        assert torch.equal(mine, theirs), name
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


MEMORY = """
import sys
from pathlib import Path
import numpy as np
implementation, mode, batch, rows = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
x = np.random.default_rng(0).standard_normal((batch, 64, 64, 16)).astype("float32")
if implementation == "tf":
    import tensorflow as tf
    from tf_impl.attention import SelfAttention
    layer, given = SelfAttention(16, rows=rows), tf.constant(x)
    layer.build(x.shape)

    def learn(x):
        with tf.GradientTape() as tape:
            scalar = tf.reduce_sum(tf.square(layer(x)))
        return tape.gradient(scalar, [v.value for v in layer.trainable_variables])

    run = tf.function(learn if mode == "train" else lambda x: layer(x))
else:
    import torch
    from torch_impl.attention import SelfAttention
    layer, given = SelfAttention(16, rows=rows), torch.from_numpy(np.moveaxis(x, -1, 1).copy())

    def run(x):
        with torch.set_grad_enabled(mode == "train"):
            scalar = layer(x).square().sum()
        if mode == "train":
            scalar.backward()

run(given[:1, :8, :8] if implementation == "tf" else given[:1, :, :8, :8])


def peak():  # unlike getrusage's, which begins with that of the process that started this one
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])


before = peak()
run(given)
print((peak() - before) // 1024)
"""


def per_sample(implementation, mode, rows=1024):
    """MiB of a fresh process's peak that each sample of 64x64 positions costs."""
    few, many = (_peak(implementation, mode, batch, rows) for batch in (2, 8))
    return (many - few) / 6


def _peak(implementation, mode, batch, rows):
    command = [sys.executable, "-c", MEMORY, implementation, mode, str(batch), str(rows)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout.split()[-1])


@pytest.mark.parametrize("implementation", ["tf", "torch"])
def test_no_more_than_a_block_is_held_in_evaluation_and_one_matrix_in_training(implementation):
    """Of 64 MiB a sample: a block of 1024 rows is 16 MiB; its logits, its weights and the slopes of both are held."""
    assert per_sample(implementation, "evaluate") < 3 * 16
    assert per_sample(implementation, "train") < 64 + 5 * 16
    assert per_sample(implementation, "evaluate", rows=4096) > 3 * 16, "the whole matrix at once would show"
