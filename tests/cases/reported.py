"""Porting faults that people reported in public, as small pairs: paddings, copies, pooling, normalisation, dropout.

Each fault stands beside its faithful port and beside ports that look like it. What happens between layers is in
`reported_between.py`, whole networks are in `reported_networks.py`; all three fill :data:`REPORTED`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from keras import layers as L
from torch import nn

from tests.cases.layers import Case, Cropped, Does, chain
from tests.cases.wrong_copies import held, put, randomised

TRAINING, INFERENCE, NOTHING = "training", "inference", ""


@dataclass(frozen=True)
class Reported:
    """``holds``: what the port may be used for. ``kind`` and ``layer`` (of the reference; of the port where the
    reference has none) of the first finding; ``also`` the kinds of causes of their own that follow.
    """

    build: Callable[[], Case]
    holds: str
    kind: str = ""
    layer: str = ""
    also: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)


REPORTED: dict[str, Reported] = {}


def faithful(name: str, build: Callable, *args: Any, **settings: Any) -> None:
    """Register a port that may be trained; ``settings`` are of ``parity.verify``."""
    _register(name, Reported(lambda: _case(build, args), TRAINING, settings=settings))


def wrong(
    name: str, kind: str, layer: str, build: Callable, *args: Any,
    holds: str = NOTHING, also: tuple[str, ...] = (), **settings: Any,
) -> None:  # fmt: skip
    """Register a port with a fault."""
    _register(name, Reported(lambda: _case(build, args), holds, kind, layer, also, settings))


def _register(name: str, pair: Reported) -> None:
    assert name not in REPORTED, name
    REPORTED[name] = pair


def _case(build: Callable, args: tuple) -> Case:
    return Case(*build(*args))


OWN = {"copy_weights": False}

# Strided convolutions "same"


def stem(size, kernel, conv, pad=None, explicit=0):
    front = [L.ZeroPadding2D(explicit)] if explicit else []
    conv_in = L.Conv2D(4, kernel, strides=2, padding="valid" if explicit else "same", name="conv")
    model = chain((size, size, 3), *front, conv_in, L.ReLU(), L.GlobalAveragePooling2D(), L.Dense(2))
    pad = pad if callable(pad) else (lambda x, amounts=pad: F.pad(x, amounts) if amounts else x)
    call = lambda self, x: self.fc(F.relu(self.conv(pad(x))).mean((2, 3)))  # noqa: E731
    return randomised(model), Does(call, conv=conv(), fc=nn.Linear(4, 2))


def strided(kernel, padding=0):
    return lambda: nn.Conv2d(3, 4, kernel, stride=2, padding=padding)


def same_of_any_size(x):
    """The amounts of TensorFlow's "same", kernel 3 and stride 2, for whatever size comes."""
    amounts = [n for size in (x.shape[3], x.shape[2]) for n in ((0, 1) if size % 2 == 0 else (1, 1))]
    return F.pad(x, amounts)


ALIGNED = "padding-alignment"
for k in (3, 5, 7):
    wrong(f"stem {k}x{k}, symmetric padding", ALIGNED, "conv", stem, 8, k, strided(k, k // 2))
    before, after = (k - 2) // 2, (k - 1) // 2
    faithful(f"stem {k}x{k}, padded by hand", stem, 8, k, strided(k), (before, after, before, after))
faithful("stem 3x3 on an odd size, symmetric padding", stem, 9, 3, strided(3, 1))
faithful("stem 4x4, symmetric padding", stem, 8, 4, strided(4, 1))
faithful("stem 1x1, no padding", stem, 8, 1, strided(1))
faithful("stem 3x3 behind ZeroPadding2D", stem, 8, 3, strided(3, 1), None, 1)
wrong("stem of free size, right on odd ones", ALIGNED, "conv", stem, None, 3, strided(3, 1))
wrong("stem of free size, right on even ones", ALIGNED, "conv", stem, None, 3, strided(3), (0, 1, 0, 1))
faithful("stem of free size, padded by its size", stem, None, 3, strided(3), same_of_any_size)

# Transposed convolutions "same"


def decoder(kernel, port):
    return randomised(chain((5, 5, 4), L.Conv2DTranspose(3, kernel, strides=2, padding="same", name="up"))), port()


def transposed(kernel, padding=0, output=0):
    return lambda: nn.ConvTranspose2d(4, 3, kernel, stride=2, padding=padding, output_padding=output)


for k in (3, 5):
    wrong(f"transposed {k}x{k}, output padding", ALIGNED, "up", decoder, k, transposed(k, k // 2, 1))
    crop = ((k - 2) // 2, (k - 1) // 2)
    faithful(f"transposed {k}x{k}, cropped", decoder, k, lambda k=k, c=crop: Cropped(transposed(k)(), c, c))
faithful("transposed 4x4, padding 1", decoder, 4, transposed(4, 1))
faithful("transposed 2x2", decoder, 2, transposed(2))

# Separable and depthwise convolutions


def temporal(padding, conv_padding=0):
    layer = L.SeparableConv2D(6, (1, 16), padding="same", use_bias=False, name="sep")
    model = chain((1, 32, 4), layer, L.BatchNormalization(), L.Activation("elu"))
    depthwise = nn.Conv2d(4, 4, (1, 16), groups=4, bias=False, padding=conv_padding)
    port = nn.Sequential(nn.ZeroPad2d(padding), depthwise, nn.Conv2d(4, 6, 1, bias=False),
                         nn.BatchNorm2d(6, eps=1e-3, momentum=0.01), nn.ELU())  # fmt: skip
    return randomised(model), port


faithful("separable (1, 16), 7 before and 8 after", temporal, (7, 8, 0, 0))
faithful("separable (1, 16), padding='same'", temporal, (0, 0, 0, 0), "same")
wrong("separable (1, 16), 8 before and 7 after", ALIGNED, "sep:depthwise", temporal, (8, 7, 0, 0))
wrong("separable (1, 16), one column too many", ALIGNED, "sep:depthwise", temporal, (0, 0, 0, 0), (0, 8))


def depthwise(size=(8, 8), multiplier=2, groups=3, call=None, axes=None):
    model = randomised(chain((*size, 3), L.DepthwiseConv2D(3, depth_multiplier=multiplier, padding="same", name="dw")))
    layer = nn.Conv2d(3, 3 * multiplier, 3, padding=1, groups=groups)
    if axes:
        put(layer.weight, held(model, "dw", "kernel").transpose(axes))
        put(layer.bias, held(model, "dw", "bias"))
    return model, Does(call or (lambda self, x: self.dw(x)), dw=layer)


def turned(self, x):
    return self.dw(x.transpose(2, 3)).transpose(2, 3)


faithful("depthwise", depthwise)
for size in ((8, 8), (8, 6)):
    wrong(f"depthwise on an image turned, {size}", "axes-exchanged", "dw", depthwise, size, 2, 3, turned)
wrong("depthwise without groups", "groups", "dw", depthwise, (8, 8), 2, 1)
faithful("depthwise, own weights", depthwise, (8, 8), 2, 3, None, (2, 3, 0, 1), **OWN)
faithful("depthwise of multiplier 1, copied as a kernel", depthwise, (8, 8), 1, 3, None, (3, 2, 0, 1), **OWN)
wrong("depthwise copied as a kernel", "wrong-weights", "dw", depthwise, (8, 8), 2, 3, None, (3, 2, 0, 1), **OWN)
wrong("depthwise copied turned", "wrong-weights", "dw", depthwise, (8, 8), 2, 3, None, (2, 3, 1, 0), **OWN)


def volume(axes=None):
    model = chain((6, 6, 6, 1), L.Conv3D(4, 3, padding="same", name="in"), L.LeakyReLU(0.2), L.Conv3D(2, 1, name="out"))
    port = Does(lambda self, x: self.b(F.leaky_relu(self.a(x), 0.2)), a=nn.Conv3d(1, 4, 3, padding=1),
                b=nn.Conv3d(4, 2, 1))  # fmt: skip
    randomised(model)
    for module, name in ((port.a, "in"), (port.b, "out")) if axes else ():
        put(module.weight, held(model, name, "kernel").transpose(axes))
        put(module.bias, held(model, name, "bias"))
    return model, port


faithful("volumes", volume)
faithful("volumes, own weights", volume, (4, 3, 0, 1, 2), **OWN)
wrong("volumes copied by .T", "wrong-weights", "in", volume, (4, 3, 2, 1, 0), **OWN)


def steps_copied_by_t():
    model, port = randomised(chain((9, 3), L.Conv1D(4, 3, padding="same", name="c"))), nn.Conv1d(3, 4, 3, padding=1)
    put(port.weight, held(model, "c", "kernel").T)
    put(port.bias, held(model, "c", "bias"))
    return model, port


faithful("steps copied by .T, which is right in one dimension", steps_copied_by_t, **OWN)

# Causal convolutions


def causal(first, second):
    """``first`` and ``second``: (padding of the convolution, padding before it, what is kept behind it)."""
    layers = [L.Conv1D(8, 3, dilation_rate=2, padding="causal", activation="relu", name="c0"),
              L.Conv1D(8, 3, dilation_rate=4, padding="causal", name="c1")]  # fmt: skip

    def call(self, x):
        x = F.relu(self.c0(F.pad(x, first[1]))[..., first[2]])
        return self.c1(F.pad(x, second[1]))[..., second[2]]

    c0, c1 = nn.Conv1d(4, 8, 3, dilation=2, padding=first[0]), nn.Conv1d(8, 8, 3, dilation=4, padding=second[0])
    return randomised(chain((20, 4), *layers)), Does(call, c0=c0, c1=c1)


ALL, NONE = slice(None), (0, 0)
faithful("causal, padded on the left", causal, (0, (4, 0), ALL), (0, (8, 0), ALL))
faithful("causal, the end cut", causal, (4, NONE, slice(None, -4)), (8, NONE, slice(None, -8)))
wrong("causal, padded on both sides", ALIGNED, "c0", causal, (2, NONE, ALL), (4, NONE, ALL), also=(ALIGNED,))
wrong("causal, the beginning cut", ALIGNED, "c0", causal, (4, NONE, slice(4, None)), (8, NONE, slice(8, None)),
      also=(ALIGNED,))  # fmt: skip
wrong("causal, the dilation forgotten", ALIGNED, "c0", causal, (0, (2, 0), ALL), (0, (2, 0), ALL))

# Pooling


def pooled(layer, port, size=6):
    return chain((size, size, 2), layer()), port()


def average(window, stride):
    return lambda: L.AveragePooling2D(window, strides=stride, padding="same", name="pool")


faithful("average of the image alone", pooled, average(3, 1),
         lambda: nn.AvgPool2d(3, 1, 1, count_include_pad=False))  # fmt: skip
wrong("average of the padding too", "pooling-count", "pool", pooled, average(3, 1), lambda: nn.AvgPool2d(3, 1, 1))
wrong("average of the padding too, one pixel", "pooling-count", "pool", pooled, average(3, 1),
      lambda: nn.AvgPool2d(3, 1, 1), 1)  # fmt: skip
faithful("average 2x2 of an odd size", pooled, average(2, 2), lambda: nn.AvgPool2d(2, 2, ceil_mode=True), 7)
faithful("average 3x3 of an even size", pooled, average(3, 2), lambda: nn.AvgPool2d(3, 2, ceil_mode=True))
wrong("average 3x3 of an even size, padded", ALIGNED, "pool", pooled, average(3, 2),
      lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False))  # fmt: skip


def maximum(leaky, pool, front=()):
    activation = L.LeakyReLU(negative_slope=0.3) if leaky else L.ReLU()
    padding = "valid" if front else "same"
    model = chain((8, 8, 3), L.Conv2D(4, 1, name="c"), activation, *(layer() for layer in front),
                  L.MaxPooling2D(3, 2, padding=padding, name="pool"))  # fmt: skip
    randomised(model)
    if leaky:
        model.get_layer("c").bias.assign(np.full(4, -3.0))  # most cells are negative: zeros win over them
    return model, nn.Sequential(nn.Conv2d(3, 4, 1), nn.LeakyReLU(0.3) if leaky else nn.ReLU(), pool())


def padded_maximum(value, amounts=(0, 1, 0, 1)):
    return lambda: nn.Sequential(nn.ConstantPad2d(amounts, value), nn.MaxPool2d(3, 2))


ZEROS = (lambda: L.ZeroPadding2D(1),)
wrong("maximum of zeros, ported without", "padding-value", "pool", maximum, True, lambda: nn.MaxPool2d(3, 2, 1), ZEROS)
faithful("maximum of zeros behind ReLU, ported without", maximum, False, lambda: nn.MaxPool2d(3, 2, 1), ZEROS)
faithful("maximum, -inf padded", maximum, True, padded_maximum(float("-inf")))
faithful("maximum behind ReLU, zeros padded", maximum, False, padded_maximum(0.0))
wrong("maximum, zeros padded", "padding-value", "pool", maximum, True, padded_maximum(0.0))
wrong("maximum, padded on both sides", ALIGNED, "pool", maximum, True, lambda: nn.MaxPool2d(3, 2, 1))

# Dropout and rounding up


def inflated(size, rate):
    model = chain((size, size, 3), L.MaxPooling2D(3, 2, padding="same", name="pool"), L.Conv2D(4, 1), L.Dropout(0.0),
                  L.GlobalAveragePooling2D())  # fmt: skip
    port = Does(lambda self, x: self.drop(self.conv(F.max_pool2d(x, 3, 2, ceil_mode=True))).mean((2, 3)),
                conv=nn.Conv2d(3, 4, 1), drop=nn.Dropout(rate))  # fmt: skip
    return randomised(model), port


faithful("ceil_mode on an even size", inflated, 8, 0.0)
wrong("ceil_mode on an odd size", ALIGNED, "pool", inflated, 9, 0.0)
wrong("all dropped for none", "extra-layer", "drop", inflated, 8, 1.0, holds=INFERENCE)


def dropped(layer, port):
    model = chain((5,), L.Dense(4), layer(), L.Dense(2))
    return randomised(model), nn.Sequential(nn.Linear(5, 4), *port(), nn.Linear(4, 2))


def rate_of(p):
    return lambda: L.Dropout(p, name="drop")


faithful("dropout", dropped, rate_of(0.3), lambda: [nn.Dropout(0.3)])
wrong("the share kept for the share dropped", "dropout-rate", "drop", dropped, rate_of(0.3), lambda: [nn.Dropout(0.7)],
      holds=INFERENCE)  # fmt: skip
wrong("dropout forgotten", "missing-layer", "drop", dropped, rate_of(0.3), list, holds=INFERENCE)
wrong("dropout forgotten, inference alone", "", "", dropped, rate_of(0.3), list, holds=INFERENCE, scope="inference")
wrong("noise forgotten", "missing-layer", "noise", dropped, lambda: L.GaussianNoise(0.3, name="noise"), list,
      holds=INFERENCE)  # fmt: skip


class DropPath(nn.Module):
    """Drops whole samples, as timm's."""

    def forward(self, x):
        return x * (torch.rand(len(x), 1) > 0.3).to(x) / 0.7 if self.training else x


class AlwaysDropped(nn.Module):
    def forward(self, x):
        return F.dropout(x, 0.3)


wrong("whole samples dropped by the port alone", "extra-layer", "1", dropped, lambda: L.Activation("linear"),
      lambda: [DropPath()], holds=INFERENCE)  # fmt: skip
wrong("dropout in evaluation too", "dropout-rate", "drop", dropped, rate_of(0.3), lambda: [AlwaysDropped()])

# Batch normalisation


def normed(norm, variance=None, **settings):
    model = randomised(chain((8, 8, 3), L.Conv2D(4, 3, use_bias=False), L.BatchNormalization(name="bn", **settings),
                             L.ReLU(), L.Conv2D(2, 1)))  # fmt: skip
    if variance:
        model.get_layer("bn").moving_variance.assign(variance * np.array([0.7, 1.0, 1.3, 1.6]))
    return model, nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), norm(), nn.ReLU(), nn.Conv2d(4, 2, 1))


def batchnorm(eps=1e-3, momentum=0.01, frozen="", **settings):
    def build():
        norm = nn.BatchNorm2d(4, eps=eps, momentum=momentum, **settings)
        for name in filter(None, [frozen]):
            getattr(norm, name).requires_grad_(False)
        return norm

    return build


faithful("batch norm", normed, batchnorm())
faithful("batch norm, small variance", normed, batchnorm(), 5e-4)
wrong("batch norm, torch's epsilon", "batchnorm-epsilon", "bn", normed, batchnorm(1e-5))
wrong("batch norm, torch's epsilon, small variance", "batchnorm-epsilon", "bn", normed, batchnorm(1e-5), 5e-4)
for momentum in (0.1, 0.99):
    wrong(f"batch norm, momentum {momentum}", "batchnorm-momentum", "bn", normed, batchnorm(1e-3, momentum),
          holds=INFERENCE)  # fmt: skip
wrong("batch norm, momentum, inference alone", "", "", normed, batchnorm(1e-3, 0.1), holds=INFERENCE, scope="inference")


def bare(norm, scale=True, center=True):
    return normed(norm, None, scale=scale, center=center)


faithful("batch norm without scale, frozen at one", bare, batchnorm(frozen="weight"), False)
faithful("batch norm without scale, trainable at one", bare, batchnorm(), False)
faithful("batch norm without offset, frozen at zero", bare, batchnorm(frozen="bias"), True, False)
faithful("batch norm without both, affine=False", bare, batchnorm(affine=False), False, False)


class OffsetBeside(nn.Module):
    """A batch norm without parameters, and an offset added to it."""

    def __init__(self):
        super().__init__()
        self.norm, self.offset = batchnorm(affine=False)(), nn.Parameter(torch.zeros(4))

    def forward(self, x):
        return self.norm(x) + self.offset[:, None, None]


faithful("batch norm without scale, its offset beside it", bare, OffsetBeside, False)


def port_left_in_training_mode():
    model, port = normed(batchnorm())
    return model, port.train()


faithful("batch norm, port left in training mode", port_left_in_training_mode)


def statistics_exchanged():
    model, port = normed(batchnorm())
    put(port[0].weight, held(model, model.layers[0].name, "kernel").transpose(3, 2, 0, 1))
    put(port[3].weight, held(model, model.layers[3].name, "kernel").transpose(3, 2, 0, 1))
    put(port[3].bias, held(model, model.layers[3].name, "bias"))
    for mine, theirs in zip(
        (port[1].weight, port[1].bias, port[1].running_var, port[1].running_mean),
        ("gamma", "beta", "moving_mean", "moving_variance"), strict=True,
    ):  # fmt: skip
        put(mine, held(model, "bn", theirs))
    return model, port


wrong("batch norm, mean and variance exchanged", "wrong-weights", "bn", statistics_exchanged, **OWN)


class HeldInEvaluation(nn.BatchNorm2d):
    def train(self, mode=True):
        return super().train(False)


def frozen_norm(norm, reference=True, port=True):
    model = randomised(chain((8, 8, 3), L.Conv2D(4, 3, name="conv"), L.BatchNormalization(name="bn"),
                             L.GlobalAveragePooling2D(), L.Dense(2)))  # fmt: skip
    layers = Does(lambda self, x: self.fc(self.bn(self.conv(x)).mean((2, 3))), conv=nn.Conv2d(3, 4, 3), bn=norm(),
                  fc=nn.Linear(4, 2))  # fmt: skip
    for name in ("conv", "bn"):
        model.get_layer(name).trainable = not reference
        getattr(layers, name).requires_grad_(not port)
    return model, layers


def evaluating(momentum=0.01):
    return lambda: HeldInEvaluation(4, eps=1e-3, momentum=momentum)


STATISTICS = "batchnorm-statistics"
faithful("frozen batch norm, held in evaluation", frozen_norm, evaluating())
faithful("frozen batch norm, held in evaluation, torch's momentum", frozen_norm, evaluating(0.1))
wrong("frozen batch norm, requires_grad=False alone", STATISTICS, "bn", frozen_norm, batchnorm(), holds=INFERENCE)
wrong("batch norm held in evaluation by the port alone", STATISTICS, "bn", frozen_norm, evaluating(), False, False,
      holds=INFERENCE)  # fmt: skip

# Layer and group normalisation


def layernorm(norm, epsilon, factor):
    model = randomised(
        chain((6, 16), L.Dense(16, name="a"), L.LayerNormalization(epsilon=epsilon, name="ln"), L.Dense(1))
    )
    for variable in model.get_layer("a").weights:
        variable.assign(factor * variable.numpy())
    return model, nn.Sequential(nn.Linear(16, 16), norm(), nn.Linear(16, 1))


def torch_layernorm(eps):
    return lambda: nn.LayerNorm(16, eps=eps)


faithful("layer norm of small values", layernorm, torch_layernorm(1e-12), 1e-12, 0.01)
wrong("layer norm of small values, torch's epsilon", "layernorm-epsilon", "ln", layernorm, torch_layernorm(1e-5), 1e-12,
      0.01)  # fmt: skip
wrong("layer norm, torch's epsilon", "layernorm-epsilon", "ln", layernorm, torch_layernorm(1e-5), 1e-3, 1.0)


def unet(norm, keras_norm=None, inputs=None):
    layer = keras_norm() if keras_norm else L.GroupNormalization(groups=2, epsilon=1e-6, name="norm")
    model = chain((8, 8, 8), layer, L.Activation("silu"), L.Conv2D(8, 3, padding="same"))
    return randomised(model), nn.Sequential(norm(), nn.SiLU(), nn.Conv2d(8, 8, 3, padding=1)), inputs


def groupnorm(groups=2, eps=1e-6):
    return lambda: nn.GroupNorm(groups, 8, eps=eps)


def nearly_constant():
    return [1 + 1e-3 * np.random.default_rng(3).standard_normal((2, 8, 8, 8))]


def over_pixels(axis):
    return lambda: L.LayerNormalization(axis=axis, epsilon=1e-6, name="norm")


faithful("group norm", unet, groupnorm())
for groups in (4, 8):
    wrong(f"group norm, {groups} groups for 2", "groups", "norm", unet, groupnorm(groups))
wrong("group norm, epsilon", "groupnorm-epsilon", "norm", unet, groupnorm(2, 1e-5))
wrong("group norm, epsilon, nearly constant input", "groupnorm-epsilon", "norm", unet, groupnorm(2, 1e-5), None,
      nearly_constant())  # fmt: skip
wrong("layer norm of each pixel, GroupNorm(1)", "missing-layer", "norm", unet, groupnorm(1), over_pixels(-1),
      also=("extra-layer",))  # fmt: skip
faithful("layer norm of the image", unet, lambda: nn.LayerNorm((8, 8, 8), eps=1e-6), over_pixels([-3, -2, -1]))


def six_blocks():
    layers, modules = [], []
    for _ in range(6):
        layers += [L.GroupNormalization(groups=2, epsilon=1e-6), L.Activation("silu"), L.Conv2D(8, 3, padding="same")]
        modules += [groupnorm()(), nn.SiLU(), nn.Conv2d(8, 8, 3, padding=1)]
    return randomised(chain((8, 8, 8), *layers)), nn.Sequential(*modules)


faithful("six blocks of group norm: rounding grows", six_blocks)
