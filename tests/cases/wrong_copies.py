"""A network with a place for every wrong copy of its weights, and the copies: each changes a port that was right.

A copy is a function of the reference and the port, with the layer at which it must be found and words of its message.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import torch
import torch.nn.functional as F
from keras import layers as L
from torch import nn

Copy = Callable[[keras.Model, "Port"], None]


@dataclass(frozen=True)
class WrongCopy:
    """``fresh``: the reference holds what a new network holds, zero biases and unit scales included."""

    apply: Copy
    layer: str
    words: tuple[str, ...]
    fresh: bool = False


WRONG_COPIES: dict[str, WrongCopy] = {}


def wrong(layer: str, *words: str, fresh: bool = False) -> Callable[[Copy], Copy]:
    """Register a wrong copy under its function's name."""

    def register(apply: Copy) -> Copy:
        WRONG_COPIES[apply.__name__] = WrongCopy(apply, layer, words, fresh)
        return apply

    return register


def reference(fresh: bool = False) -> keras.Model:
    """Convolutions of all kinds, normalisations, PReLU, dense layers behind a Flatten; no value is like another."""
    x = given = keras.Input((8, 8, 3))
    x = L.BatchNormalization(name="b1")(L.Conv2D(4, 3, padding="same", name="c1")(x))
    x = L.DepthwiseConv2D(3, depth_multiplier=2, padding="same", name="dw")(x)
    x = L.PReLU("uniform", shared_axes=[1, 2], name="pr")(x)
    x = L.BatchNormalization(name="b2")(L.Conv2D(4, (3, 5), padding="same", name="c2")(x))
    x = L.Conv2D(4, (3, 5), padding="same", name="c3")(x)
    x = L.SeparableConv2D(6, 3, padding="same", name="sep")(L.Conv2DTranspose(4, 2, strides=2, name="up")(x))
    x = L.Dense(7, activation="relu", name="d1")(L.Flatten()(L.MaxPooling2D(4)(x)))
    x = L.Dense(7, activation="tanh", name="d3")(L.Dense(7, activation="relu", name="d2")(x))
    model = keras.Model(given, L.Dense(3, name="out")(L.LayerNormalization(name="ln")(x)))
    return model if fresh else randomised(model)


def randomised(model: keras.Model) -> keras.Model:
    """The model with random weights, scales and variances positive."""
    rng = np.random.default_rng(3)
    for variable in model.weights:
        positive = variable.name in ("gamma", "moving_variance")
        drawn = rng.uniform(0.5, 1.8, variable.shape) if positive else 0.4 * rng.standard_normal(variable.shape)
        variable.assign(drawn)
    return model


class Port(nn.Module):
    """The faithful port."""

    def __init__(self) -> None:
        super().__init__()
        self.c1, self.b1 = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4, eps=1e-3, momentum=0.01)
        self.dw, self.pr = nn.Conv2d(4, 8, 3, padding=1, groups=4), nn.PReLU(8)
        self.c2, self.b2 = nn.Conv2d(8, 4, (3, 5), padding=(1, 2)), nn.BatchNorm2d(4, eps=1e-3, momentum=0.01)
        self.c3, self.up = nn.Conv2d(4, 4, (3, 5), padding=(1, 2)), nn.ConvTranspose2d(4, 4, 2, stride=2)
        self.sd, self.sp = nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False), nn.Conv2d(4, 6, 1)
        self.d1, self.d2, self.d3 = nn.Linear(96, 7), nn.Linear(7, 7), nn.Linear(7, 7)
        self.ln, self.out = nn.LayerNorm(7, eps=1e-3), nn.Linear(7, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.c3(self.b2(self.c2(self.pr(self.dw(self.b1(self.c1(x)))))))
        x = F.max_pool2d(self.sp(self.sd(self.up(x))), 4).flatten(1)
        return self.out(self.ln(torch.tanh(self.d3(F.relu(self.d2(F.relu(self.d1(x))))))))


def held(model: keras.Model, layer: str, slot: str) -> np.ndarray:
    """A weight of the reference."""
    return next(v.numpy() for v in model.get_layer(layer).weights if v.path.split("/")[-1] == slot)


def put(parameter: torch.Tensor, value: np.ndarray) -> None:
    """Write values into a parameter, reshaped until they fit."""
    change(parameter, lambda _: torch.from_numpy(np.array(value, order="C")).reshape(parameter.shape))


def change(parameter: torch.Tensor, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Replace a parameter's value by a function of it."""
    with torch.no_grad():
        parameter.copy_(function(parameter.detach().clone()).clone())


def exchange(a: torch.Tensor, b: torch.Tensor) -> None:
    """Exchange two parameters' values."""
    before = a.detach().clone()
    change(a, lambda _: b)
    change(b, lambda _: before)


@wrong("c1", "axes reversed (.T)", "height and width exchanged")
def kernel_reversed(model, port):
    put(port.c1.weight, held(model, "c1", "kernel").T)


@wrong("c1", "not transposed", "reshaped")
def kernel_reshaped(model, port):
    put(port.c1.weight, held(model, "c1", "kernel"))


@wrong("c1", "flipped along height and width")
def kernel_flipped(model, port):
    change(port.c1.weight, lambda w: w.flip(2, 3))


@wrong("c2", "flipped along width")
def kernel_flipped_along_one_axis(model, port):
    change(port.c2.weight, lambda w: w.flip(3))


@wrong("c1", "reversed along input channels")
def colours_reversed(model, port):
    change(port.c1.weight, lambda w: w.flip(1))


@wrong("c3", "input channels and output channels exchanged")
def channels_exchanged(model, port):
    change(port.c3.weight, lambda w: w.transpose(0, 1))


@wrong("up", "output channels and input channels exchanged")
def transposed_channels_exchanged(model, port):
    change(port.up.weight, lambda w: w.transpose(0, 1))


@wrong("dw", "channels and multipliers exchanged", "(3, 2, 0, 1)", "(2, 3, 0, 1)")
def depthwise_as_a_plain_kernel(model, port):
    put(port.dw.weight, held(model, "dw", "kernel").transpose(3, 2, 0, 1))


@wrong("sep:depthwise", "height and width exchanged")
def depthwise_half_exchanged(model, port):
    change(port.sd.weight, lambda w: w.transpose(2, 3))


@wrong("d2", "not transposed", "inputs and outputs exchanged")
def dense_not_transposed(model, port):
    change(port.d2.weight, lambda w: w.T)


@wrong("d1", "rows not reordered for the Flatten", "(h, w, c)", "(c, h, w)")
def rows_as_they_are(model, port):
    put(port.d1.weight, held(model, "d1", "kernel").T)


@wrong("d1", "rows stand in (c, w, h)")
def rows_in_another_order(model, port):
    put(port.d1.weight, held(model, "d1", "kernel").reshape(4, 4, 6, 7).transpose(2, 1, 0, 3).reshape(96, 7).T)


@wrong("d1", "the wrong way round")
def rows_reordered_backwards(model, port):
    put(port.d1.weight, held(model, "d1", "kernel").reshape(6, 4, 4, 7).transpose(1, 2, 0, 3).reshape(96, 7).T)


@wrong("d2", "axis 0 in another order", "[3, 1, 0, 2, 4, 6, 5]")
def outputs_shuffled(model, port):
    change(port.d2.weight, lambda w: w[[3, 1, 0, 2, 4, 6, 5]])


@wrong("b1", "gamma and beta are exchanged")
def scale_and_offset_exchanged(model, port):
    exchange(port.b1.weight, port.b1.bias)


@wrong("b1", "gamma and beta are exchanged", fresh=True)
def fresh_scale_and_offset_exchanged(model, port):
    exchange(port.b1.weight, port.b1.bias)


@wrong("ln", "gamma and beta are exchanged")
def scale_and_offset_of_a_layer_norm_exchanged(model, port):
    exchange(port.ln.weight, port.ln.bias)


@wrong("b2", "moving_mean and moving_variance are exchanged")
def mean_and_variance_exchanged(model, port):
    exchange(port.b2.running_mean, port.b2.running_var)


@wrong("b1", "moving_mean and moving_variance are exchanged", fresh=True)
def fresh_mean_and_variance_exchanged(model, port):
    exchange(port.b1.running_mean, port.b1.running_var)


@wrong("b1", "2 layers (b1, b2)", "running statistics were not copied", "left at 0", "left at 1")
def statistics_left_out(model, port):
    port.b1.reset_running_stats()
    port.b2.reset_running_stats()


@wrong("b1", "square root")
def deviation_for_variance(model, port):
    change(port.b1.running_var, torch.sqrt)


@wrong("b1", "plus 0.001")
def epsilon_added_to_the_variance(model, port):
    change(port.b1.running_var, lambda v: v + 1e-3)


@wrong("b2", "another layer", "b1's")
def norm_of_another_layer(model, port):
    port.b2.load_state_dict(port.b1.state_dict())


@wrong("d2", "2 layers hold the weights of another", "d3's", "d2's")
def two_layers_exchanged(model, port):
    exchange(port.d2.weight, port.d3.weight)
    exchange(port.d2.bias, port.d3.bias)


@wrong("d3", "another layer", "ln's beta")
def bias_of_another_layer(model, port):
    change(port.d3.bias, lambda b: port.ln.bias)


@wrong("c2", "bias: left at 0, never copied")
def bias_left_at_zero(model, port):
    change(port.c2.bias, torch.zeros_like)


@wrong("c2", "bias: equals none of the reference's", "as torch's fresh ones")
def bias_left_fresh(model, port):
    torch.manual_seed(1)
    change(port.c2.bias, lambda b: nn.Conv2d(8, 4, (3, 5)).bias)


@wrong("pr", "left at 0.25")
def slopes_left_fresh(model, port):
    change(port.pr.weight, lambda a: torch.full_like(a, 0.25))


@wrong("sep", "equal none of the reference's, in any order tried: were they copied?")
def pointwise_half_left_fresh(model, port):
    torch.manual_seed(1)
    port.sp.reset_parameters()


@wrong("c1", "all 15 layers", "equal none of the reference's, in any order tried: were they copied?")
def nothing_copied(model, port):
    torch.manual_seed(5)
    for name, new in Port().state_dict().items():
        change(port.state_dict()[name], lambda _, new=new: new)


@wrong("c1", "all 15 layers", "rounded through float16")
def through_float16(model, port):
    port.half().float()


@wrong("c1", "all 15 layers", "rounded through bfloat16")
def through_bfloat16(model, port):
    port.bfloat16().float()


@wrong("c2", "rounded to eight bits, one scale")
def through_eight_bits(model, port):
    step = port.c2.weight.detach().abs().max() / 127
    change(port.c2.weight, lambda w: torch.round(w / step) * step)


@wrong("c2", "rounded to eight bits, a scale for each output")
def through_eight_bits_an_output(model, port):
    step = port.c2.weight.detach().abs().amax((1, 2, 3), keepdim=True) / 127
    change(port.c2.weight, lambda w: torch.round(w / step) * step)


@wrong("c1", "1/255 times")
def scaled(model, port):
    change(port.c1.weight, lambda w: w / 255)


@wrong("d2", "not transposed", "0.7 times")
def scaled_and_not_transposed(model, port):
    change(port.d2.weight, lambda w: 0.7 * w.T)


@wrong("c1", "negated")
def negated(model, port):
    change(port.c1.weight, torch.neg)


@wrong("d2", "2 of 49 values")
def partly(model, port):
    change(port.d2.weight, lambda w: torch.where(torch.arange(49).reshape(7, 7) < 2, 0 * w, w))
