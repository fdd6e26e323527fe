"""Porting faults between the layers, reported in public, and their neighbours: resizing, functions, merges, constants.

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
from tests.cases.reported import INFERENCE, OWN, faithful, wrong
from tests.cases.wrong_copies import held, put, randomised

# Two convolutions with something between them


def convs(layers, call, shape=(9, 7, 3), **modules):
    model = chain(shape, L.Conv2D(4, 3, name="c"), *layers(), L.Conv2D(2, 3, name="d"))
    first = nn.Conv2d(3, 4, 3)
    return randomised(model), Does(
        lambda self, x: self.d(call(self, self.c(x))), c=first, d=nn.Conv2d(4, 2, 3), **modules
    )


def layer(build):
    return lambda: [build()]


def activation(name):
    return layer(lambda: L.Activation(name, name="act"))


def function(call, name="f"):
    return layer(lambda: L.Lambda(call, name=name))


def of(call):
    """A torch function of the value alone."""
    return lambda self, x: call(x)


def itself(x):
    return x


COMPOSITES = {
    "silu": ("silu", lambda x: x * torch.sigmoid(x)),
    "hard silu": ("hard_silu", lambda x: x * F.relu6(x + 3) / 6),
    "hard sigmoid": ("hard_sigmoid", lambda x: F.relu6(x + 3) / 6),
    "gelu": ("gelu", lambda x: x * 0.5 * (1 + torch.erf(x / 2**0.5))),
    "relu by clamp": ("relu", lambda x: x.clamp(min=0)),
    "relu by maximum": ("relu", lambda x: torch.maximum(x, torch.zeros(()))),
    "relu in place": ("relu", lambda x: x.clone().relu_()),
}
for name, (function_name, call) in COMPOSITES.items():
    faithful(f"composed: {name}", convs, activation(function_name), of(call))

OTHER_FUNCTIONS = {
    "gelu by tanh": ("gelu", "activation-form", lambda x: 0.5 * x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3)))),
    "quick gelu": ("gelu", "activation-form", lambda x: x * torch.sigmoid(1.702 * x)),
    "relu for relu6": ("relu6", "activation-kind", torch.relu),
    "relu forgotten": ("relu", "activation-kind", itself),
    "softplus of another beta": ("softplus", "activation-slope", lambda x: F.softplus(x, beta=2)),
}  # fmt: skip
for name, (function_name, kind, call) in OTHER_FUNCTIONS.items():
    wrong(name, kind, "act", convs, activation(function_name), of(call))
wrong("a relu too many", "activation-kind", "relu", convs, list, of(torch.relu))
wrong("leaky slope", "activation-slope", "act", convs, layer(lambda: L.LeakyReLU(0.3, name="act")),
      of(lambda x: F.leaky_relu(x, 0.01)))  # fmt: skip
wrong("elu alpha", "activation-slope", "act", convs, layer(lambda: L.ELU(name="act")), of(lambda x: F.elu(x, 0.5)))
wrong("limits of a clip", "clamp", "f", convs, function(lambda x: ops.clip(x, -0.5, 1)), of(lambda x: x.clamp(-2, 2)))
wrong("a factor", "scale-factor", "d", convs, list, of(lambda x: x * 8**0.5))
wrong("turned between convolutions", "axes-exchanged", "d", convs, list, of(lambda x: x.transpose(2, 3)), (8, 8, 3))
faithful("layers that do nothing", convs, lambda: [L.Dropout(0.0), L.Activation("linear"), L.Rescaling(1.0)],
         of(lambda x: F.adaptive_avg_pool2d(x, x.shape[2:])))  # fmt: skip


def slopes():
    return [L.PReLU(shared_axes=[1, 2], name="act")]


def prelu(number):
    return convs(slopes, lambda self, x: self.p(x), p=nn.PReLU(number))


faithful("a slope a channel", prelu, 4)
wrong("one slope for all channels", "activation-kind", "act", prelu, 1)

# Padding and shuffling


def reflected():
    return [L.Lambda(lambda x: ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="reflect"), name="f")]


def padded(mode, amounts=(1, 1, 1, 1)):
    return of(lambda x: F.pad(x, amounts, mode=mode))


faithful("padding by reflection", convs, reflected, padded("reflect"))
for mode in ("replicate", "constant"):
    wrong(f"padding by reflection, {mode} in the port", "padding-mode", "d", convs, reflected, padded(mode))
wrong("amounts of F.pad in Keras's order", "padding-alignment", "d", convs,
      layer(lambda: L.ZeroPadding2D(((1, 0), (2, 3)))), padded("constant", (1, 0, 2, 3)))  # fmt: skip


def shuffled(port):
    model = chain((6, 6, 3), L.Conv2D(8, 3), L.Lambda(lambda x: tf.nn.depth_to_space(x, 2), name="f"), L.Conv2D(2, 3))
    return randomised(model), Does(lambda self, x: self.d(port(self.c(x))), c=nn.Conv2d(3, 8, 3), d=nn.Conv2d(2, 2, 3))


def blocks_first(x):
    n, c, h, w = x.shape
    return x.view(n, 2, 2, c // 4, h, w).permute(0, 3, 4, 1, 5, 2).reshape(n, c // 4, 2 * h, 2 * w)


faithful("depth to space by hand", shuffled, blocks_first)
wrong("depth to space by pixel_shuffle", "depth-to-space", "f", shuffled, lambda x: F.pixel_shuffle(x, 2))

# Resizing


def resized(layers, call, size=4):
    model = chain((size, size, 3), L.Conv2D(2, 1), layers(), L.Conv2D(3, 3))
    return randomised(model), Does(lambda self, x: self.d(call(self.c(x))), c=nn.Conv2d(3, 2, 1), d=nn.Conv2d(2, 3, 3))


def alone(layers, call, size=4):
    return chain((size, size, 2), layers()), Does(lambda self, x: call(x))


def old():
    """TensorFlow 1's: a sample stands at its left edge."""

    def call(x):
        return tf.compat.v1.image.resize_bilinear(x, (8, 8), align_corners=False, half_pixel_centers=False)

    return L.Lambda(call, name="resize", output_shape=(8, 8, 2))


def to(size, interpolation):
    return lambda: L.Resizing(size, size, interpolation=interpolation, name="resize")


def by_two(interpolation):
    return lambda: L.UpSampling2D(2, interpolation=interpolation, name="resize")


def interpolated(**settings):
    return lambda x: F.interpolate(x, **settings)


def left_edges():
    at = torch.arange(8) * 0.5
    low = at.floor().long()
    return low, (low + 1).clamp(max=3), at - low


def gathered(x):
    low, high, part = left_edges()
    x = x[:, :, low] * (1 - part.to(x))[:, None] + x[:, :, high] * part.to(x)[:, None]
    return x[..., low] * (1 - part.to(x)) + x[..., high] * part.to(x)


def selected(x):
    low, high, part = left_edges()
    for axis in (2, 3):
        share = part.to(x).reshape((-1,) + (1,) * (3 - axis))
        x = torch.lerp(x.index_select(axis, low), x.index_select(axis, high), share)
    return x


RIGHT = {
    "TensorFlow 1, gathered": (old, gathered, 4),
    "TensorFlow 1, selected": (old, selected, 4),
    "bilinear by two": (by_two("bilinear"), interpolated(scale_factor=2, mode="bilinear"), 4),
    "nearest by two": (by_two("nearest"), interpolated(scale_factor=2), 4),
    "nearest by an index": (by_two("nearest"), lambda x: x[:, :, torch.arange(8) // 2][..., torch.arange(8) // 2], 4),
    "nearest by repeating": (by_two("nearest"), lambda x: x.repeat_interleave(2, 2).repeat_interleave(2, 3), 4),
    "nearest to half": (to(4, "nearest"), interpolated(size=4, mode="nearest-exact"), 8),
    "bicubic, antialiased": (to(12, "bicubic"), interpolated(size=12, mode="bicubic", antialias=True), 6),
    "bilinear to a quarter": (to(4, "bilinear"), interpolated(size=4, mode="bilinear"), 16),
    "bilinear to 5/3": (to(10, "bilinear"), interpolated(size=10, mode="bilinear"), 6),
}
WRONG = {
    "TensorFlow 1 by half pixels": (old, interpolated(size=8, mode="bilinear"), 4),
    "TensorFlow 1 by corners": (old, interpolated(size=8, mode="bilinear", align_corners=True), 4),
    "bilinear by corners": (by_two("bilinear"), interpolated(scale_factor=2, mode="bilinear", align_corners=True), 4),
    "nearest for nearest-exact": (to(4, "nearest"), interpolated(size=4), 8),
    "bilinear for nearest": (by_two("nearest"), interpolated(scale_factor=2, mode="bilinear"), 4),
    "bicubic of another a": (to(12, "bicubic"), interpolated(size=12, mode="bicubic"), 6),
    "bicubic for nearest": (by_two("nearest"), interpolated(scale_factor=2, mode="bicubic"), 4),
    "antialiasing": (to(4, "bilinear"), interpolated(size=4, mode="bilinear", antialias=True), 16),
}
for place, build in (("alone", alone), ("between convolutions", resized)):
    for name, (layers, call, size) in RIGHT.items():
        faithful(f"resize {place}: {name}", build, layers, call, size)
    for name, (layers, call, size) in WRONG.items():
        wrong(f"resize {place}: {name}", "resize-mode", "resize", build, layers, call, size)
wrong("resize by three for two", "resize-mode", "resize", resized, by_two("nearest"), interpolated(scale_factor=3))

# Masks


def masked(pool, forward, given=True):
    tokens = keras.Input((6,), dtype="int32")
    x = L.Dense(4, activation="relu")(L.Embedding(10, 4, mask_zero=True)(tokens))
    model = randomised(keras.Model(tokens, L.Dense(1)(pool(name="pool")(x))))
    port = Does(lambda self, ids: self.b(forward(F.relu(self.a(self.e(ids))), ids != 0)), e=nn.Embedding(10, 4),
                a=nn.Linear(4, 4), b=nn.Linear(4, 1))  # fmt: skip
    ids = [np.array([[3, 5, 2, 0, 0, 0], [1, 2, 3, 4, 5, 0], [9, 8, 7, 6, 5, 4]])]
    return model, port, ids if given else None


def mean_of_tokens(x, mask):
    return (x * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)


faithful("mean of the tokens", masked, L.GlobalAveragePooling1D, mean_of_tokens)
faithful("maximum, which ignores the mask", masked, L.GlobalMaxPooling1D, lambda x, mask: x.amax(1))
for given in (True, False):
    wrong(f"mean of all steps{', inputs drawn' * (not given)}", "mask-ignored", "pool", masked, L.GlobalAveragePooling1D,
          lambda x, mask: x.mean(1), given)  # fmt: skip

# Flatten


def classifier(order=None, permuted=False, size=6, filters=4):
    """``order``: which axes of the image the rows of the port's own weights run through; None leaves them."""
    model = randomised(chain((size, size, 3), L.Conv2D(filters, 3, activation="relu", name="c"), L.MaxPooling2D(2),
                             L.Flatten(), L.Dense(5, name="fc")))  # fmt: skip
    side = (size - 2) // 2

    def call(self, x):
        x = F.max_pool2d(F.relu(self.c(x)), 2)
        return self.fc((x.permute(0, 2, 3, 1) if permuted else x).flatten(1))

    port = Does(call, c=nn.Conv2d(3, filters, 3), fc=nn.Linear(side * side * filters, 5))
    if order:
        put(port.c.weight, held(model, "c", "kernel").transpose(3, 2, 0, 1))
        put(port.c.bias, held(model, "c", "bias"))
        put(
            port.fc.weight,
            held(model, "fc", "kernel").reshape(side, side, filters, 5).transpose(*order, 3).reshape(-1, 5).T,
        )
        put(port.fc.bias, held(model, "fc", "bias"))
    return model, port


LAST, FIRST = (0, 1, 2), (2, 0, 1)
for permuted in (False, True):
    faithful(f"flatten, permuted {permuted}", classifier, None, permuted)
    own = FIRST, LAST
    faithful(f"flatten, permuted {permuted}, own weights", classifier, own[permuted], permuted, **OWN)
    wrong(f"flatten, permuted {permuted}, rows the other way", "wrong-weights", "fc", classifier, own[not permuted],
          permuted, **OWN)  # fmt: skip
faithful("flatten of one pixel, own weights", classifier, LAST, False, 4, **OWN)
faithful("flatten of one channel, own weights", classifier, LAST, False, 6, 1, **OWN)


def text(transposed, own=False):
    model = randomised(chain((6, 3), L.Conv1D(4, 3, activation="relu", name="c"), L.Flatten(), L.Dense(5, name="fc")))
    port = Does(lambda self, x: self.fc((F.relu(self.c(x)).transpose(1, 2) if transposed else F.relu(self.c(x))).flatten(1)),
                c=nn.Conv1d(3, 4, 3), fc=nn.Linear(16, 5))  # fmt: skip
    for name in ("c", "fc") if own else ():
        put(getattr(port, name).weight, held(model, name, "kernel").T)
        put(getattr(port, name).bias, held(model, name, "bias"))
    return model, port


faithful("flatten of steps, transposed, own weights", text, True, True, **OWN)
wrong("flatten of steps, kernel.T", "wrong-weights", "fc", text, False, True, **OWN)


def turned_flatten():
    model = randomised(chain((5, 6, 3), L.Conv2D(4, 3), L.Flatten(), L.Dense(2, name="d")))
    call = lambda self, x: self.d(self.c(x).transpose(2, 3).flatten(1))  # noqa: E731
    return model, Does(call, c=nn.Conv2d(3, 4, 3), d=nn.Linear(48, 2))


wrong("flatten of an image turned", "flatten-order", "d", turned_flatten)

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
wrong("mean for sum", "scale-factor", "d", residual, lambda a, b, c: (a + c) / 2)


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

# Spectra


def spectrum(window=torch.hann_window(16), power=1, factor=1.0, centred=False):
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
wrong("spectrum, power for magnitude", "stft-power", "f", spectrum, torch.hann_window(16), 2)
wrong("spectrum, divided by sqrt(n)", "scale-factor", "f", spectrum, torch.hann_window(16), 1, 0.25)
