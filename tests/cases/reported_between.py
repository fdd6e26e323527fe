"""Porting faults between the layers, reported in public: functions, padding, resizing, masks, Flatten.

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
from tests.cases.reported import OWN, faithful, wrong
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


def tanh_form(x):
    return 0.5 * x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3)))


OTHER_FUNCTIONS = {
    "gelu by tanh": ("gelu", "activation-form", tanh_form),
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
    how = "" if given else ", inputs drawn"
    wrong(f"mean of all steps{how}", "mask-ignored", "pool", masked, L.GlobalAveragePooling1D,
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

    def call(self, x):
        x = F.relu(self.c(x))
        return self.fc((x.transpose(1, 2) if transposed else x).flatten(1))

    port = Does(call, c=nn.Conv1d(3, 4, 3), fc=nn.Linear(16, 5))
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
