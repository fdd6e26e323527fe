"""Porting faults in small networks, reported in public: skip connections, heads, preprocessing, spectra.

Fills :data:`tests.cases.reported.REPORTED`.
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
import torch
import torch.nn.functional as F
from keras import layers as L
from keras import ops
from torch import nn

from tests.cases.layers import Does, chain
from tests.cases.reported import INFERENCE, faithful, wrong
from tests.cases.reported_between import function, itself, layer
from tests.cases.wrong_copies import randomised

# Skip connections, merges, several inputs and outputs


def residual(join):
    x = keras.Input((8, 8, 3))
    a = L.Conv2D(4, 3, padding="same", name="a")(x)
    b = L.Conv2D(4, 3, padding="same", name="b")(a)
    c = L.Conv2D(4, 3, padding="same", name="c")(b)
    model = randomised(keras.Model(x, L.Conv2D(2, 1, name="d")(L.Add(name="add")([a, c]))))

    def call(self, x):
        a = self.a(x)
        b = self.b(a)
        return self.d(join(a, b, self.c(b)))

    port = Does(call, a=nn.Conv2d(3, 4, 3, padding=1), b=nn.Conv2d(4, 4, 3, padding=1),
                c=nn.Conv2d(4, 4, 3, padding=1), d=nn.Conv2d(4, 2, 1))  # fmt: skip
    return model, port


faithful("skip connection", residual, lambda a, b, c: a + c)
faithful("skip connection in place", residual, lambda a, b, c: c.add_(a))
wrong("skip connection from another layer", "wrong-source", "add", residual, lambda a, b, c: b + c)
wrong("skip connection left out", "missing-term", "add", residual, lambda a, b, c: c)
wrong("one branch twice", "extra-term", "add#2", residual, lambda a, b, c: a + c + c)
wrong("difference for sum", "merge-operation", "add", residual, lambda a, b, c: c - a)
wrong("product for sum", "merge-operation", "add", residual, lambda a, b, c: a * c)
wrong("mean for sum", "scale-factor", "add", residual, lambda a, b, c: (a + c) / 2)


def three(merge, join):
    x = keras.Input((3,))
    parts = [L.Dense(4, name=name)(x) for name in "abc"]
    model = randomised(keras.Model(x, L.Dense(2)(merge()(parts))))
    port = Does(lambda self, x: self.d(join(self.a(x), self.b(x), self.c(x))), a=nn.Linear(3, 4), b=nn.Linear(3, 4),
                c=nn.Linear(3, 4), d=nn.Linear(4, 2))  # fmt: skip
    return model, port


faithful("a sum of three as two sums", three, L.Add, lambda a, b, c: a + b + c)
faithful("a mean of three by arithmetic", three, L.Average, lambda a, b, c: (a + b + c) / 3)
faithful("a maximum of three, stacked", three, L.Maximum, lambda a, b, c: torch.stack([a, b, c]).amax(0))


def joined(exchanged, pooled):
    x = keras.Input((6, 6, 3))
    a = L.Conv2D(4, 3, name="a")(x)
    b = a if pooled else L.Conv2D(4, 3, name="b")(x)
    parts = [L.GlobalAveragePooling2D()(a), L.GlobalMaxPooling2D()(b)] if pooled else [a, b]
    end = L.Dense(5) if pooled else L.Conv2D(2, 1)
    model = randomised(keras.Model(x, end(L.Concatenate(name="cat")(parts))))

    def call(self, x):
        a, b = (self.a(x).mean((2, 3)), self.a(x).amax((2, 3))) if pooled else (self.a(x), self.b(x))
        return self.d(torch.cat([b, a] if exchanged else [a, b], 1))

    last = nn.Linear(8, 5) if pooled else nn.Conv2d(8, 2, 1)
    return model, Does(call, a=nn.Conv2d(3, 4, 3), b=nn.Conv2d(3, 4, 3) if not pooled else nn.Identity(), d=last)


def flat_parts(exchanged):
    x = keras.Input((6, 6, 3))
    parts = [L.Flatten()(L.Conv2D(4, 3, name=name)(x)) for name in "ab"]
    model = randomised(keras.Model(x, L.Dense(5)(L.Concatenate(name="cat")(parts))))

    def call(self, x):
        a, b = self.a(x).flatten(1), self.b(x).flatten(1)
        return self.d(torch.cat([b, a] if exchanged else [a, b], 1))

    return model, Does(call, a=nn.Conv2d(3, 4, 3), b=nn.Conv2d(3, 4, 3), d=nn.Linear(128, 5))


def two_inputs(exchanged):
    a, b = keras.Input((5,), name="p"), keras.Input((5,), name="q")
    model = randomised(keras.Model([a, b], L.Dense(4)(L.Concatenate(name="cat")([a, b]))))
    return model, Does(lambda self, a, b: self.d(torch.cat([b, a] if exchanged else [a, b], 1)), d=nn.Linear(10, 4))


def two_outputs(exchanged, named=False):
    x = keras.Input((6,))
    h = L.Dense(5, activation="relu")(x)
    out = {"p": L.Dense(3, name="p")(h), "q": L.Dense(3, name="q")(h)}
    model = randomised(keras.Model(x, out if named else [*out.values()]))

    def call(self, x):
        h = F.relu(self.h(x))
        a, b = (self.q(h), self.p(h)) if exchanged else (self.p(h), self.q(h))
        return {"q": b, "p": a} if named else (a, b)

    return model, Does(call, h=nn.Linear(6, 5), p=nn.Linear(5, 3), q=nn.Linear(5, 3))


for exchanged in (False, True):
    for name, kind, where, build, args in (
        ("branches joined", "concat-order", "cat", joined, (False,)),
        ("flat branches joined", "channel-order", "cat", flat_parts, ()),
        ("two inputs", "concat-order", "cat", two_inputs, ()),
        ("two outputs", "output-order", "output 0", two_outputs, ()),
        ("two outputs by name", "output-order", "output 0", two_outputs, (True,)),
    ):
        if exchanged:
            wrong(f"{name}, exchanged", kind, where, build, exchanged, *args)
        else:
            faithful(name, build, exchanged, *args)


def excitation(gate):
    x = keras.Input((8, 8, 3))
    c = L.Conv2D(4, 3)(x)
    e = L.Dense(4, activation="sigmoid", name="e")(L.Dense(2, activation="relu")(L.GlobalAveragePooling2D()(c)))
    model = randomised(keras.Model(x, L.Conv2D(2, 1)(L.Multiply()([c, L.Reshape((1, 1, 4))(e)]))))

    def call(self, x):
        c = self.c(x)
        return self.d(c * gate(self.e(F.relu(self.r(c.mean((2, 3))))))[:, :, None, None])

    return model, Does(call, c=nn.Conv2d(3, 4, 3), r=nn.Linear(4, 2), e=nn.Linear(2, 4), d=nn.Conv2d(4, 2, 1))


faithful("squeeze and excitation", excitation, torch.sigmoid)
wrong("squeeze and excitation by a hard sigmoid", "activation-kind", "e", excitation, F.hardsigmoid)

# Rows of features: functions, constants, heads


def rows(layers, call, start=None):
    model = randomised(chain((6,), L.Dense(4, activation=start, name="a"), *layers(), L.Dense(2, name="d")))
    first = getattr(F, start) if start else itself
    return model, Does(lambda self, x: self.d(call(first(self.a(x)))), a=nn.Linear(6, 4), d=nn.Linear(4, 2))


def unit():
    return [L.UnitNormalization(name="f")]


def layer_norm():
    return [L.LayerNormalization(name="f")]


faithful("unit norm", rows, unit, lambda x: F.normalize(x, dim=-1))
wrong("unit norm left out", "normalisation", "f", rows, unit, itself)
wrong("another base of the logarithm", "log-base", "f", rows, function(ops.log10), torch.log, "softplus")
faithful("a base of the logarithm", rows, function(ops.log10), torch.log10, "softplus")
wrong("1 / d for 1 / sqrt(d)", "scale-factor", "f", rows, function(lambda x: x / 2.0), lambda x: x / 4.0)
faithful("a power by products", rows, function(lambda x: x**2), lambda x: x * x)


def tanh_gelu():
    return [L.Activation(lambda x: keras.activations.gelu(x, approximate=True), name="f")]


faithful("gelu by tanh of a callable", rows, tanh_gelu, lambda x: F.gelu(x, approximate="tanh"))
wrong("exact gelu for one by tanh of a callable", "activation-form", "f", rows, tanh_gelu, F.gelu)


def deviation(correction):
    model = randomised(
        chain((6, 6, 3), L.Conv2D(4, 3), L.Lambda(lambda x: ops.std(x, axis=(1, 2)), name="f"), L.Dense(2))
    )
    call = lambda self, x: self.d(self.c(x).std((2, 3), correction=correction))  # noqa: E731
    return model, Does(call, c=nn.Conv2d(3, 4, 3), d=nn.Linear(4, 2))


faithful("a standard deviation", deviation, 0)
wrong("a standard deviation with n - 1", "variance-divisor", "f", deviation, 1)


def preprocessed(layers, call):
    model = chain((8, 8, 3), layers(), L.Conv2D(4, 3, name="c"))
    return randomised(model) if not model.layers[0].weights else model, Does(
        lambda self, x: self.c(call(x)), c=nn.Conv2d(3, 4, 3)
    )


def centred():
    return L.Rescaling(1 / 127.5, -1, name="f")


def standardised():
    return L.Normalization(mean=[0.4, 0.5, 0.6], variance=[0.04, 0.09, 0.01], name="f")


def by_channel(*deviations):
    mean, deviation = (torch.tensor(values)[:, None, None] for values in ([0.4, 0.5, 0.6], deviations))
    return lambda x: (x - mean) / deviation


faithful("pixels from -1 to 1", preprocessed, centred, lambda x: x / 127.5 - 1)
wrong("pixels from -1 to 1, the offset forgotten", "scale-factor", "f", preprocessed, centred, lambda x: x / 127.5)
faithful("pixels standardised", preprocessed, standardised, by_channel(0.2, 0.3, 0.1))
wrong(
    "pixels standardised by other deviations",
    "scale-factor",
    "f",
    preprocessed,
    standardised,
    by_channel(0.2, 0.3, 0.2),
)


def colours(call):
    """The preprocessing of ``caffe`` models: BGR, the mean subtracted."""
    mean = np.array([103.939, 116.779, 123.68])
    model = chain((8, 8, 3), L.Lambda(lambda x: x[..., ::-1] - ops.cast(mean, x.dtype), name="f"), L.Conv2D(4, 3))
    values = torch.tensor(mean)[:, None, None]
    return randomised(model), Does(lambda self, x: self.c(call(x, values.to(x))), c=nn.Conv2d(3, 4, 3))


faithful("colours reversed, mean subtracted", colours, lambda x, mean: x.flip(1) - mean)
wrong("colours not reversed", "channel-order", "f", colours, lambda x, mean: x - mean)
wrong("colours reversed, their means not", "scale-factor", "f", colours, lambda x, mean: x.flip(1) - mean.flip(0))


def head(call, layers=None, activation_name=None):
    model = chain((5,), L.Dense(4, activation=activation_name, name="fc"), *(layers() if layers else []))
    return randomised(model), Does(lambda self, x: call(self.fc(x)), fc=nn.Linear(5, 4))


wrong("softmax left out", "activation-kind", "fc", head, itself, None, "softmax")
wrong("softmax over the batch", "softmax-axis", "fc", head, lambda x: x.softmax(0), None, "softmax")
faithful("argmax", head, lambda x: x.argmax(-1), function(lambda x: ops.argmax(x, -1)))
faithful("rounding", head, torch.round, function(ops.round))
faithful("comparison", head, lambda x: x > 0, function(lambda x: x > 0))
faithful("masked softmax", head, lambda x: torch.where(x > 0, x, -1e9).softmax(-1),
         function(lambda x: ops.softmax(ops.where(x > 0, x, -1e9))))  # fmt: skip
faithful("sum of squares", head, lambda x: (x**2).sum(-1), function(lambda x: ops.sum(x**2, -1)))


def given_positive(port):
    x = np.random.default_rng(0).uniform(0.5, 2, (4, 6))
    model = randomised(chain((6,), L.Lambda(ops.log), L.Dense(2)))
    return model, Does(lambda self, x: self.d(port(x)), d=nn.Linear(6, 2)), [x]


faithful("logarithm of given inputs", given_positive, torch.log)

# Layers one by one


def stack(layers, port):
    return randomised(chain((9, 9, 4), *layers())), port()


def two_convs(**first):
    return lambda: [L.Conv2D(4, 3, name="c", **first), L.Conv2D(2, 3)]


def torch_convs(first):
    return lambda: nn.Sequential(first(), nn.Conv2d(4, 2, 3))


SETTINGS = {
    "groups": ({"groups": 2}, lambda: nn.Conv2d(4, 4, 3)),
    "dilation": ({"dilation_rate": 2, "padding": "same"}, lambda: nn.Conv2d(4, 4, 3, padding=1)),
    "stride": ({"strides": 2}, lambda: nn.Conv2d(4, 4, 3)),
    "kernel-size": ({"padding": "same"}, lambda: nn.Conv2d(4, 4, 5, padding=2)),
    "missing-bias": ({}, lambda: nn.Conv2d(4, 4, 3, bias=False)),
}
for kind, (settings, port) in SETTINGS.items():
    wrong(f"a convolution's {kind}", kind, "c", stack, two_convs(**settings), torch_convs(port))


def shared(port_shares, keras_shares):
    x, layers = keras.Input((4,)), [L.Dense(4, name="a"), L.Dense(4, name="b")]
    model = randomised(keras.Model(x, layers[not keras_shares](L.ReLU()(layers[0](x)))))
    if not keras_shares:
        layers[1].set_weights(layers[0].get_weights())
    first = nn.Linear(4, 4)
    return model, Does(lambda self, x: self.q(F.relu(self.p(x))), p=first, q=first if port_shares else nn.Linear(4, 4))


faithful("shared weights", shared, True, True)
wrong("shared weights, two layers in the port", "shared-weights", "a#2", shared, False, True, holds=INFERENCE)
wrong("equal weights, one layer in the port", "shared-weights", "b", shared, True, False, holds=INFERENCE)


class Projection(L.Layer):
    """A product with a fixed matrix."""

    def build(self, shape):
        self.matrix = self.add_weight(shape=(shape[-1], 4), trainable=False, name="matrix")

    def call(self, x):
        return ops.matmul(x, self.matrix)


class Projected(nn.Module):
    def __init__(self, matrix):
        super().__init__()
        self.a, self.d = nn.Linear(6, 5), nn.Linear(4, 2)
        self.register_buffer("matrix", matrix)

    def forward(self, x):
        return self.d(self.a(x) @ self.matrix)


def fixed(factor):
    layer = Projection(name="f")
    model = randomised(chain((6,), L.Dense(5), layer, L.Dense(2)))
    return model, Projected(factor * torch.from_numpy(np.array(layer.matrix)))


faithful("a fixed matrix as a buffer", fixed, 1.0)
wrong("another fixed matrix", "missing-layer", "f", fixed, 1.01)


class Scale(L.Layer):
    """A factor a channel."""

    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],), name="factor")

    def call(self, x):
        return x * self.factor


wrong("a layer with weights that the port lacks", "missing-layer", "f", rows, layer(lambda: Scale(name="f")), itself)


def tied():
    tokens, table = keras.Input((5,), dtype="int32"), L.Embedding(7, 4)
    logits = L.Lambda(lambda x: ops.matmul(x, ops.transpose(table.embeddings)))
    model = randomised(keras.Model(tokens, logits(L.Dense(4)(table(tokens)))))
    call = lambda self, ids: F.linear(self.a(self.e(ids)), self.e.weight)  # noqa: E731
    return model, Does(call, e=nn.Embedding(7, 4), a=nn.Linear(4, 4)), [np.array([[1, 2, 3, 4, 5], [6, 0, 1, 1, 2]])]


faithful("an embedding that is the last layer too", tied)

# Sequences that are as long as wide: the layout of what is passed on shows in who reads it


def square(call, *layers):
    model = randomised(chain((5, 5), L.Conv1D(5, 3, padding="same"), *(one() for one in layers), L.Dense(2, name="d")))
    port = Does(call, c=nn.Conv1d(5, 5, 3, padding=1), bn=nn.BatchNorm1d(5, eps=1e-3, momentum=0.01), d=nn.Linear(5, 2))
    if not layers:
        port.bn = nn.Identity()
    return model, port


def norm_of_channels():
    return L.BatchNormalization(name="bn")


faithful("transposed for a dense layer", square, lambda self, x: self.d(self.c(x).transpose(1, 2)))
wrong("a view for a transpose", "axes-exchanged", "d", square, lambda self, x: self.d(self.c(x).view(-1, 5, 5)))
faithful("batch norm of channels", square, lambda self, x: self.d(self.bn(self.c(x)).transpose(1, 2)), norm_of_channels)
wrong("batch norm of steps", "axes-exchanged", "bn", square, lambda self, x: self.d(self.bn(self.c(x).transpose(1, 2))),
      norm_of_channels)  # fmt: skip

# Several faults in one port


def faulty(pad, eps, activate, slope):
    model = randomised(chain((8, 8, 3), L.Conv2D(4, 3, strides=2, padding="same", name="a"),
                             L.BatchNormalization(name="bn"), L.ReLU(name="relu"),
                             L.Conv2D(4, 3, padding="same", name="b"), L.LeakyReLU(0.3, name="leaky"),
                             L.GlobalAveragePooling2D(), L.Dense(2)))  # fmt: skip

    def call(self, x):
        x = activate(self.bn(self.a(F.pad(x, pad))))
        return self.d(F.leaky_relu(self.b(x), slope).mean((2, 3)))

    norm = nn.BatchNorm2d(4, eps=eps, momentum=0.01)
    return model, Does(call, a=nn.Conv2d(3, 4, 3, 2), bn=norm, b=nn.Conv2d(4, 4, 3, padding=1), d=nn.Linear(4, 2))


AFTER, BEFORE = (0, 1, 0, 1), (1, 0, 1, 0)
faithful("no fault of several", faulty, AFTER, 1e-3, F.relu, 0.3)
wrong("padding and slope", "padding-alignment", "a", faulty, BEFORE, 1e-3, F.relu, 0.01, also=("activation-slope",))
wrong("epsilon and slope", "batchnorm-epsilon", "bn", faulty, AFTER, 1e-5, F.relu, 0.01, also=("activation-slope",))
wrong("padding and a relu left out", "padding-alignment", "a", faulty, BEFORE, 1e-3, itself, 0.3,
      also=("activation-kind",))  # fmt: skip
wrong("padding, epsilon and slope", "padding-alignment", "a", faulty, BEFORE, 1e-5, F.relu, 0.01,
      also=("batchnorm-epsilon", "activation-slope"))  # fmt: skip

# Spectra


HANN = torch.hann_window(16)


def spectrum(window=HANN, power=1, factor=1.0, centred=False):
    def magnitude(x):
        return tf.abs(tf.signal.stft(x, 16, 8, fft_length=16, window_fn=tf.signal.hann_window))

    model = randomised(chain((64,), L.Lambda(magnitude, name="f"), L.Flatten(), L.Dense(3)))

    def call(self, x):
        frames = torch.stft(x, 16, 8, 16, window.to(x), center=centred, return_complex=True)
        return self.d((factor * frames.abs() ** power).transpose(1, 2).flatten(1))

    return model, Does(call, d=nn.Linear(63 if not centred else 81, 3))


faithful("spectrum", spectrum)
wrong("spectrum, symmetric window", "stft-window", "f", spectrum, torch.hann_window(16, periodic=False))
wrong("spectrum, no window", "stft-window", "f", spectrum, torch.ones(16))
wrong("spectrum, Hamming's window", "stft-window", "f", spectrum, torch.hamming_window(16))
wrong("spectrum, power for magnitude", "stft-power", "f", spectrum, HANN, 2)
wrong("spectrum, divided by sqrt(n)", "scale-factor", "f", spectrum, HANN, 1, 0.25)

# Stochastic depth: whole branches of a sample are dropped in training


class KerasDropPath(keras.Layer):
    def __init__(self, rate, **options):
        super().__init__(**options)
        self.rate, self.seeds = rate, keras.random.SeedGenerator(1)

    def call(self, x, training=False):
        if not training:
            return x
        kept = 1 - self.rate
        shape = (ops.shape(x)[0], *[1] * (len(x.shape) - 1))
        return x / kept * ops.floor(kept + keras.random.uniform(shape, dtype=x.dtype, seed=self.seeds))


class DropPath(nn.Module):
    def __init__(self, p, axes=1, scaled=True):
        super().__init__()
        self.p, self.axes, self.scaled = p, axes, scaled

    def forward(self, x):
        if not self.training:
            return x
        mask = x.new_empty(*x.shape[: self.axes], *[1] * (x.ndim - self.axes)).bernoulli_(1 - self.p)
        return x * (mask / (1 - self.p) if self.scaled else mask)


class FlooredDropPath(DropPath):
    def forward(self, x):
        if not self.training:
            return x
        kept = 1 - self.p
        return x.div(kept) * torch.floor(kept + torch.rand(len(x), *[1] * (x.ndim - 1), dtype=x.dtype))


def stochastic_depth(drop, port_drop):
    x = keras.Input((8, 8, 3))
    a = L.Conv2D(4, 3, padding="same", name="a")(x)
    b = L.Conv2D(4, 3, padding="same", name="b")(a)
    model = randomised(keras.Model(x, L.Conv2D(2, 1, name="c")(L.Add(name="add")([a, drop(name="drop")(b)]))))

    def call(self, x):
        a = self.a(x)
        return self.c(a + self.drop(self.b(a)))

    port = Does(call, a=nn.Conv2d(3, 4, 3, padding=1), b=nn.Conv2d(4, 4, 3, padding=1), drop=port_drop(),
                c=nn.Conv2d(4, 2, 1))  # fmt: skip
    return model, port


THIRD = 2 / 15  # has no short decimal: both sides must read it to its last digit
for name, drop in {
    "by noise_shape": lambda **k: L.Dropout(THIRD, noise_shape=(None, 1, 1, 1), **k),
    "of one's own": lambda **k: KerasDropPath(THIRD, **k),
}.items():
    faithful(f"stochastic depth {name}", stochastic_depth, drop, lambda: DropPath(THIRD))
    faithful(f"stochastic depth {name}, by a floor", stochastic_depth, drop, lambda: FlooredDropPath(THIRD))
    wrong(f"stochastic depth {name}, of another rate", "dropout-rate", "drop", stochastic_depth, drop,
          lambda: DropPath(0.3), holds=INFERENCE)  # fmt: skip
    wrong(f"stochastic depth {name}, left out", "missing-layer", "drop", stochastic_depth, drop, nn.Identity,
          holds=INFERENCE)  # fmt: skip
    wrong(f"stochastic depth {name}, channel by channel", "dropout-rate", "drop", stochastic_depth, drop,
          lambda: DropPath(THIRD, 2), holds=INFERENCE)  # fmt: skip
    wrong(f"stochastic depth {name}, value by value", "dropout-rate", "drop", stochastic_depth, drop,
          lambda: nn.Dropout(THIRD), holds=INFERENCE)  # fmt: skip
    wrong(f"stochastic depth {name}, not scaled", "dropout-rate", "drop", stochastic_depth, drop,
          lambda: DropPath(THIRD, scaled=False), holds=INFERENCE)  # fmt: skip

# Factors and offsets of one's own: layer scale, a learnable affine map


class KerasScale(keras.Layer):
    def __init__(self, single=False, centred=False, **options):
        super().__init__(**options)
        self.single, self.centred = single, centred

    def build(self, shape):
        size = () if self.single else (shape[-1],)
        self.factor = self.add_weight(shape=size, initializer="ones", name="factor")
        self.shift = self.add_weight(shape=size, initializer="zeros", name="shift") if self.centred else None

    def call(self, x):
        y = self.factor * x
        return y if self.shift is None else y + self.shift


class Affine(nn.Module):
    def __init__(self, *shape):
        super().__init__()
        self.scale, self.bias = nn.Parameter(torch.rand(shape)), nn.Parameter(torch.rand(shape))

    def forward(self, x):
        return self.scale * x + self.bias


def layer_scale(scale, **own):
    """A residual branch that is scaled by ``scale``; ``own`` are the port's modules and parameters."""

    def build(call):
        x = keras.Input((8, 4, 3))
        a = L.Conv2D(4, 3, padding="same", name="a")(x)
        b = scale(name="scale")(L.Conv2D(4, 3, padding="same", name="b")(a))
        model = randomised(keras.Model(x, L.Conv2D(2, 1, name="c")(L.Add(name="add")([a, b]))))
        port = Does(lambda self, x: self.c(joined(self, self.a(x))), a=nn.Conv2d(3, 4, 3, padding=1),
                    b=nn.Conv2d(4, 4, 3, padding=1), c=nn.Conv2d(4, 2, 1))  # fmt: skip
        joined = lambda self, a: a + call(self, self.b(a))  # noqa: E731
        for name, part in own.items():
            setattr(port, name, part())
        return model, port

    return build


PER_CHANNEL = layer_scale(KerasScale, gamma=lambda: nn.Parameter(torch.rand(4, 1, 1)))
FLAT = layer_scale(KerasScale, gamma=lambda: nn.Parameter(torch.rand(4)))
faithful("layer scale", PER_CHANNEL, lambda self, x: self.gamma * x)
faithful("layer scale in place", PER_CHANNEL, lambda self, x: x.mul_(self.gamma))
faithful("layer scale, reshaped", FLAT, lambda self, x: x * self.gamma.reshape(1, -1, 1, 1))
faithful("layer scale, channels last", FLAT, lambda self, x: (self.gamma * x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))
wrong("layer scale along the width", "axes-exchanged", "scale", FLAT, lambda self, x: x * self.gamma)
wrong("layer scale added", "scale-factor", "scale", PER_CHANNEL, lambda self, x: x + self.gamma)
wrong("layer scale left out", "missing-layer", "scale", layer_scale(KerasScale), lambda self, x: x)
for name, single in {"per channel": False, "single": True}.items():
    shape = [1] if single else [4, 1, 1]
    own = layer_scale(lambda name, s=single: KerasScale(s, True, name=name), affine=lambda s=shape: Affine(*s))
    faithful(f"affine map of one's own, {name}", own, lambda self, x: self.affine(x))
    wrong(f"affine map of one's own, {name}, left out", "missing-layer", "scale", own, lambda self, x: x)


# Weights that nothing reads: the head of a feature extractor


def features(call, part):
    model = chain((8, 8, 3), L.Conv2D(4, 3, padding="same", name="conv"))
    return randomised(model), Does(call, conv=nn.Conv2d(3, 4, 3, padding=1), part=part())


def ones():
    layer = nn.Linear(4, 1)
    nn.init.constant_(layer.weight, 0.25)
    return layer


faithful("a head that never runs", features, lambda self, x: self.conv(x), lambda: nn.Linear(4, 10))
faithful("a norm that never runs", features, lambda self, x: self.conv(x), lambda: nn.BatchNorm2d(4))
wrong("a weight that is read by arithmetic", "extra-layer", "part.weight", features,
      lambda self, x: self.conv(x) * self.part.weight.sum(), ones, holds=INFERENCE)  # fmt: skip
wrong("a weight that is read in training alone", "extra-layer", "part.weight", features,
      lambda self, x: self.conv(x) * (self.part.weight.sum() if self.training else 1), ones,
      holds=INFERENCE)  # fmt: skip
