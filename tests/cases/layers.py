"""One small pair for every kind of layer, as a user would bring it: a Keras reference and a port in plain torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import torch
import torch.nn.functional as F
from keras import layers as L
from torch import nn

import torch_impl.attention
import torch_impl.spectral_norm
from tf_impl.attention import SelfAttention
from tf_impl.spectral_norm import SpectralConv2D, SpectralConv2DTranspose, SpectralDense


@dataclass
class Case:
    """A pair, with what ``parity.verify`` needs besides."""

    reference: keras.Model
    port: nn.Module
    inputs: list[np.ndarray] | None = None


LAYERS: dict[str, Callable[[], Case]] = {}


def layer(build: Callable[[], tuple]) -> Callable[[], tuple]:
    """Register a pair under its function's name."""
    LAYERS[build.__name__] = lambda: Case(*build())
    return build


def chain(shape, *stack) -> keras.Model:
    """A sequential model of these layers; ``shape`` without its batch."""
    return keras.Sequential([keras.Input(shape), *stack])


class Padded(nn.Module):
    """``F.pad`` by these amounts, then a convolution."""

    def __init__(self, amounts, conv):
        super().__init__()
        self.amounts, self.conv = amounts, conv

    def forward(self, x):
        return self.conv(F.pad(x, self.amounts))


class Does(nn.Module):
    """Modules by name and a function that calls them."""

    def __init__(self, call, **children):
        super().__init__()
        for name, child in children.items():
            setattr(self, name, child)
        self.call = call

    def forward(self, *args):
        return self.call(self, *args)


@layer
def conv1d_same_strided():
    reference = chain((17, 3), L.Conv1D(4, 5, strides=2, padding="same", activation="relu"), L.Conv1D(2, 3))
    return reference, nn.Sequential(nn.Conv1d(3, 4, 5, stride=2, padding=2), nn.ReLU(), nn.Conv1d(4, 2, 3))


@layer
def conv1d_causal_dilated():
    reference = chain((None, 3), L.Conv1D(4, 3, dilation_rate=2, padding="causal"), L.Conv1D(2, 2, padding="causal"))
    first, second = nn.Conv1d(3, 4, 3, dilation=2), nn.Conv1d(4, 2, 2)
    return reference, nn.Sequential(Padded((4, 0), first), nn.ConstantPad1d((1, 0), 0.0), second)


@layer
def conv2d_same_strided_even():
    reference = chain((None, None, 3), L.Conv2D(4, 4, strides=2, padding="same"), L.Conv2D(5, (3, 5), padding="valid"))
    port = Does(
        lambda self, x: self.b(
            self.a(F.pad(x, [n for s in x.shape[:1:-1] for n in ((1, 1) if s % 2 == 0 else (1, 2))]))
        ),
        a=nn.Conv2d(3, 4, 4, stride=2),
        b=nn.Conv2d(4, 5, (3, 5)),
    )
    return reference, port


@layer
def conv2d_dilated_grouped():
    reference = chain((12, 10, 4), L.Conv2D(6, 3, dilation_rate=2, padding="same", groups=2), L.Conv2D(3, 1))
    return reference, nn.Sequential(nn.Conv2d(4, 6, 3, dilation=2, padding="same", groups=2), nn.Conv2d(6, 3, 1))


@layer
def conv3d_same_strided():
    reference = chain((7, 6, 5, 2), L.Conv3D(3, 3, strides=2, padding="same"), L.Conv3D(2, 2))
    return reference, nn.Sequential(Padded((1, 1, 0, 1, 1, 1), nn.Conv3d(2, 3, 3, stride=2)), nn.Conv3d(3, 2, 2))


class Cropped(nn.Module):
    """A full transposed convolution, cropped after the last axis by ``(before, after)`` pairs."""

    def __init__(self, conv, *crops):
        super().__init__()
        self.conv, self.crops = conv, crops

    def forward(self, x):
        y = self.conv(x)
        for axis, (before, after) in enumerate(self.crops, 2):
            y = y.narrow(axis, before, y.shape[axis] - before - after)
        return y


@layer
def conv1d_transpose_same():
    reference = chain((6, 3), L.Conv1DTranspose(4, 4, strides=2, padding="same"), L.Conv1DTranspose(2, 3))
    return reference, nn.Sequential(nn.ConvTranspose1d(3, 4, 4, stride=2, padding=1), nn.ConvTranspose1d(4, 2, 3))


@layer
def conv2d_transpose_same_odd():
    reference = chain((4, 3, 5), L.Conv2DTranspose(3, 5, strides=2, padding="same", activation="tanh"))
    return reference, nn.Sequential(Cropped(nn.ConvTranspose2d(5, 3, 5, stride=2), (1, 2), (1, 2)), nn.Tanh())


@layer
def conv2d_transpose_valid():
    reference = chain((4, 3, 5), L.Conv2DTranspose(3, (3, 4), strides=2, use_bias=False), L.LeakyReLU(0.2))
    return reference, nn.Sequential(nn.ConvTranspose2d(5, 3, (3, 4), stride=2, bias=False), nn.LeakyReLU(0.2))


@layer
def conv3d_transpose_same():
    reference = chain((3, 2, 4, 3), L.Conv3DTranspose(2, 4, strides=2, padding="same"))
    return reference, nn.ConvTranspose3d(3, 2, 4, stride=2, padding=1)


@layer
def depthwise_multiplier_1():
    reference = chain((9, 8, 3), L.DepthwiseConv2D(3, padding="same"), L.ReLU())
    return reference, nn.Sequential(nn.Conv2d(3, 3, 3, padding=1, groups=3), nn.ReLU())


@layer
def depthwise_multiplier_2():
    reference = chain((9, 8, 3), L.DepthwiseConv2D(3, strides=2, depth_multiplier=2), L.Conv2D(4, 1))
    return reference, nn.Sequential(nn.Conv2d(3, 6, 3, stride=2, groups=3), nn.Conv2d(6, 4, 1))


@layer
def depthwise_1d():
    reference = chain((11, 3), L.DepthwiseConv1D(3, depth_multiplier=2, activation="relu"))
    return reference, nn.Sequential(nn.Conv1d(3, 6, 3, groups=3), nn.ReLU())


@layer
def separable():
    reference = chain((9, 8, 3), L.SeparableConv2D(4, 3, padding="same", depth_multiplier=2, activation="relu"))
    port = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1, groups=3, bias=False), nn.Conv2d(6, 4, 1), nn.ReLU())
    return reference, port


@layer
def separable_1d():
    reference = chain((11, 3), L.SeparableConv1D(4, 3), L.Conv1D(2, 3))
    return reference, nn.Sequential(nn.Conv1d(3, 3, 3, groups=3, bias=False), nn.Conv1d(3, 4, 1), nn.Conv1d(4, 2, 3))


@layer
def dense_after_flatten():
    reference = chain((5, 4, 3), L.Conv2D(2, 3), L.Flatten(), L.Dense(6, activation="relu"), L.Dense(3))
    port = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 3))
    return reference, port


@layer
def dense_after_permuted_flatten():
    reference = chain((5, 4, 3), L.Conv2D(2, 3), L.ReLU(), L.Flatten(), L.Dense(6))
    port = Does(
        lambda self, x: self.fc(self.conv(x).relu().permute(0, 2, 3, 1).reshape(len(x), -1)),
        conv=nn.Conv2d(3, 2, 3),
        fc=nn.Linear(12, 6),
    )
    return reference, port


@layer
def dense_on_a_flattened_input():
    reference = chain((5, 4, 3), L.Flatten(), L.Dense(6), L.BatchNormalization(), L.Dense(2))
    bn = nn.BatchNorm1d(6, eps=1e-3, momentum=0.01)
    return reference, nn.Sequential(nn.Flatten(), nn.Linear(60, 6), bn, nn.Linear(6, 2))


@layer
def dense_after_global_pooling():
    reference = chain((6, 5, 3), L.Conv2D(4, 3), L.GlobalAveragePooling2D(), L.Dense(2, activation="sigmoid"))
    port = Does(
        lambda self, x: torch.sigmoid(self.fc(self.conv(x).mean((2, 3)))), conv=nn.Conv2d(3, 4, 3), fc=nn.Linear(4, 2)
    )
    return reference, port


@layer
def dense_on_sequences():
    reference = chain((7, 5), L.Dense(4, activation="gelu"), L.LayerNormalization(epsilon=1e-5), L.Dense(3))
    return reference, nn.Sequential(nn.Linear(5, 4), nn.GELU(), nn.LayerNorm(4), nn.Linear(4, 3))


@layer
def dense_on_square_sequences():
    reference = chain((5, 5), L.Dense(5, activation="elu"), L.Dense(5))
    return reference, nn.Sequential(nn.Linear(5, 5), nn.ELU(), nn.Linear(5, 5))


@layer
def batchnorm_1d():
    reference = chain((6,), L.Dense(5), L.BatchNormalization(), L.ReLU(), L.Dense(2))
    bn = nn.BatchNorm1d(5, eps=1e-3, momentum=0.01)
    return reference, nn.Sequential(nn.Linear(6, 5), bn, nn.ReLU(), nn.Linear(5, 2))


@layer
def batchnorm_2d():
    reference = chain((6, 5, 3), L.Conv2D(4, 3, use_bias=False), L.BatchNormalization(epsilon=1e-5, momentum=0.9))
    return reference, nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4))


@layer
def batchnorm_3d():
    reference = chain((3, 4, 5, 2), L.Conv3D(4, 2), L.BatchNormalization(), L.LeakyReLU(0.1))
    bn = nn.BatchNorm3d(4, eps=1e-3, momentum=0.01)
    return reference, nn.Sequential(nn.Conv3d(2, 4, 2), bn, nn.LeakyReLU(0.1))


@layer
def batchnorm_without_scale():
    reference = chain((6, 5, 3), L.BatchNormalization(scale=False, center=False), L.Conv2D(2, 3))
    bn = nn.BatchNorm2d(3, eps=1e-3, momentum=0.01, affine=False)
    return reference, nn.Sequential(bn, nn.Conv2d(3, 2, 3))


@layer
def layernorm_last_axis():
    reference = chain((6, 5, 3), L.LayerNormalization(), L.Conv2D(2, 3))
    port = Does(
        lambda self, x: self.conv(self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)),
        norm=nn.LayerNorm(3, eps=1e-3),
        conv=nn.Conv2d(3, 2, 3),
    )
    return reference, port


@layer
def layernorm_several_axes():
    reference = chain((6, 5, 3), L.Conv2D(4, 3), L.LayerNormalization(axis=(1, 2, 3)), L.ReLU(), L.Conv2D(2, 1))
    norm = nn.LayerNorm([4, 4, 3], eps=1e-3)
    return reference, nn.Sequential(nn.Conv2d(3, 4, 3), norm, nn.ReLU(), nn.Conv2d(4, 2, 1))


@layer
def groupnorm():
    reference = chain((6, 5, 3), L.Conv2D(4, 3), L.GroupNormalization(2), L.Conv2D(2, 1))
    return reference, nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4, eps=1e-3), nn.Conv2d(4, 2, 1))


@layer
def instancenorm():
    reference = chain((6, 5, 3), L.Conv2D(4, 3), L.GroupNormalization(-1, epsilon=1e-5), L.Conv2D(2, 1))
    return reference, nn.Sequential(nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4, affine=True), nn.Conv2d(4, 2, 1))


@layer
def embedding():
    given = keras.Input((7,), dtype="int32")
    reference = keras.Model(given, L.Dense(2)(L.GlobalAveragePooling1D()(L.Embedding(11, 4)(given))))
    port = Does(lambda self, x: self.head(self.words(x).mean(1)), words=nn.Embedding(11, 4), head=nn.Linear(4, 2))
    return reference, port


@layer
def embedding_into_conv():
    given = keras.Input((9,), dtype="int32")
    reference = keras.Model(given, L.GlobalMaxPooling1D()(L.Conv1D(5, 3, activation="relu")(L.Embedding(11, 4)(given))))
    port = Does(
        lambda self, x: F.relu(self.conv(self.words(x).transpose(1, 2))).max(2).values,
        words=nn.Embedding(11, 4),
        conv=nn.Conv1d(4, 5, 3),
    )
    return reference, port


@layer
def prelu_shared():
    reference = chain(
        (6, 5, 3), L.Conv2D(4, 3), L.PReLU(alpha_initializer="uniform", shared_axes=[1, 2]), L.Conv2D(2, 1)
    )
    return reference, nn.Sequential(nn.Conv2d(3, 4, 3), nn.PReLU(4), nn.Conv2d(4, 2, 1))


@layer
def prelu_on_dense():
    reference = chain((6,), L.Dense(4), L.PReLU(alpha_initializer="uniform"), L.Dense(2))
    return reference, nn.Sequential(nn.Linear(6, 4), nn.PReLU(4), nn.Linear(4, 2))


@layer
def pooling_max_and_average():
    reference = chain((13, 10, 3), L.MaxPooling2D(2), L.Conv2D(4, 1), L.AveragePooling2D(3, strides=1))
    port = Does(
        lambda self, x: self.pool(self.conv(F.max_pool2d(x, 2))), conv=nn.Conv2d(3, 4, 1), pool=nn.AvgPool2d(3, 1)
    )
    return reference, port


@layer
def pooling_1d_same():
    reference = chain((12, 3), L.Conv1D(4, 3), L.MaxPooling1D(2), L.AveragePooling1D(2, padding="same"))
    return reference, nn.Sequential(nn.Conv1d(3, 4, 3), nn.MaxPool1d(2), nn.AvgPool1d(2, ceil_mode=True))


@layer
def pooling_same_odd():
    reference = chain((13, 10, 3), L.Conv2D(4, 1), L.MaxPooling2D(3, strides=2, padding="same"))
    port = Does(
        lambda self, x: F.max_pool2d(F.pad(self.conv(x), (0, 1, 1, 1), value=float("-inf")), 3, 2),
        conv=nn.Conv2d(3, 4, 1),
    )
    return reference, port


@layer
def pooling_same_average():
    reference = chain((7, 6, 3), L.Conv2D(4, 1), L.AveragePooling2D(3, strides=1, padding="same"), L.ReLU())
    return reference, nn.Sequential(nn.Conv2d(3, 4, 1), nn.AvgPool2d(3, 1, 1, count_include_pad=False), nn.ReLU())


@layer
def pooling_3d():
    reference = chain((5, 6, 4, 2), L.MaxPooling3D(2), L.GlobalMaxPooling3D(), L.Dense(3))
    port = nn.Sequential(nn.MaxPool3d(2), nn.AdaptiveMaxPool3d(1), nn.Flatten(), nn.Linear(2, 3))
    return reference, port


@layer
def global_pooling_kept_dims():
    reference = chain((6, 5, 3), L.Conv2D(4, 3), L.GlobalAveragePooling2D(keepdims=True), L.Conv2D(2, 1), L.Flatten())
    port = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 2, 1), nn.Flatten())
    return reference, port


@layer
def zero_padding():
    reference = chain(
        (6, 5, 3), L.ZeroPadding2D(((1, 2), (0, 3))), L.Conv2D(4, 3, strides=2), L.ZeroPadding2D(1), L.Conv2D(2, 3)
    )
    port = nn.Sequential(nn.ZeroPad2d((0, 3, 1, 2)), nn.Conv2d(3, 4, 3, stride=2), nn.Conv2d(4, 2, 3, padding=1))
    return reference, port


@layer
def upsampling_nearest():
    reference = chain((4, 3, 2), L.UpSampling2D((2, 3)), L.Conv2D(3, 3, padding="same"))
    return reference, nn.Sequential(nn.Upsample(scale_factor=(2, 3)), nn.Conv2d(2, 3, 3, padding=1))


@layer
def upsampling_bilinear():
    reference = chain((4, 3, 2), L.Conv2D(3, 1), L.UpSampling2D(2, interpolation="bilinear"), L.ReLU())
    port = Does(
        lambda self, x: F.relu(F.interpolate(self.conv(x), scale_factor=2, mode="bilinear", align_corners=False)),
        conv=nn.Conv2d(2, 3, 1),
    )
    return reference, port


@layer
def upsampling_to_a_size():
    reference = chain((4, 3, 2), L.UpSampling2D((2, 3)), L.Conv2D(3, 3))
    return reference, Does(lambda self, x: self.conv(F.interpolate(x, size=(8, 9))), conv=nn.Conv2d(2, 3, 3))


@layer
def dropout_inert():
    reference = chain((6, 5, 3), L.Conv2D(4, 3), L.SpatialDropout2D(0.3), L.Flatten(), L.Dropout(0.5), L.Dense(2))
    port = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout2d(0.3), nn.Flatten(), nn.Dropout(0.5), nn.Linear(48, 2))
    return reference, port


@layer
def activations_as_layers():
    kinds = [L.Activation("swish"), L.ELU(0.5), L.Activation("softplus"), L.Activation("hard_sigmoid"), L.Softmax()]
    reference = chain((6,), *[part for kind in kinds for part in (L.Dense(5), kind)])
    modules = [nn.SiLU(), nn.ELU(0.5), nn.Softplus(), nn.Hardsigmoid(), nn.Softmax(dim=-1)]
    linears = [nn.Linear(6 if n == 0 else 5, 5) for n in range(5)]
    return reference, nn.Sequential(*[part for pair in zip(linears, modules, strict=True) for part in pair])


@layer
def activations_as_arguments():
    names = ["relu6", "selu", "gelu", "softsign", "leaky_relu", "mish", "log_softmax"]
    reference = chain((6,), *[L.Dense(5, activation=name) for name in names])
    functions = [
        F.relu6,
        F.selu,
        F.gelu,
        F.softsign,
        lambda x: F.leaky_relu(x, 0.2),
        F.mish,
        lambda x: F.log_softmax(x, 1),
    ]

    def call(self, x):
        for dense, function in zip(self.stack, functions, strict=True):
            x = function(dense(x))
        return x

    return reference, Does(call, stack=nn.ModuleList([nn.Linear(6 if n == 0 else 5, 5) for n in range(7)]))


@layer
def pooling_3d_average():
    reference = chain((5, 6, 7, 2), L.AveragePooling3D(2), L.Conv3D(3, 1), L.GlobalAveragePooling3D())
    return reference, nn.Sequential(nn.AvgPool3d(2), nn.Conv3d(2, 3, 1), nn.AdaptiveAvgPool3d(1), nn.Flatten())


@layer
def dense_at_every_step():
    reference = chain((7, 5), L.TimeDistributed(L.Dense(4, activation="relu")), L.Dense(2))
    return reference, nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2))


@layer
def dense_as_convolution_of_ones():
    reference = chain((6, 5, 3), L.Dense(4), L.Conv2D(2, 3), L.Dense(3))
    return reference, nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 3), nn.Conv2d(2, 3, 1))


@layer
def convolution_of_ones_as_dense():
    reference = chain((7, 5), L.Conv1D(4, 1, activation="relu"), L.Dense(2))
    return reference, nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2))


@layer
def rescaling_by_a_rounded_constant():
    reference = chain((8, 8, 3), L.Rescaling(1 / 255.0), L.Conv2D(4, 3))
    return reference, Does(lambda self, x: self.conv(x / 255.0), conv=nn.Conv2d(3, 4, 3))


@layer
def stock_leaky_relu():
    reference = chain((6, 5, 3), L.Conv2D(8, 3, padding="same"), L.LeakyReLU(0.2), L.Conv2D(1, 3), L.LeakyReLU(0.3))
    port = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.LeakyReLU(0.2), nn.Conv2d(8, 1, 3), nn.LeakyReLU(0.3))
    return reference, port


def spectral(module, **settings):
    return torch.nn.utils.parametrizations.spectral_norm(module, **settings)


@layer
def spectral_norm_of_every_kind():
    reference = chain(
        (8, 6, 3),
        *(SpectralConv2D(6, 4, 2, "same", activation="relu"), SpectralConv2DTranspose(4, 3, 2, "valid")),
        *(L.LeakyReLU(0.2), L.Flatten(), SpectralDense(5), L.ReLU(), L.Dense(2)),
    )
    port = nn.Sequential(
        *(spectral(nn.Conv2d(3, 6, 4, 2, 1)), nn.ReLU(), spectral(nn.ConvTranspose2d(6, 4, 3, 2)), nn.LeakyReLU(0.2)),
        *(nn.Flatten(), spectral(nn.Linear(252, 5)), nn.ReLU(), nn.Linear(5, 2)),
    )
    return reference, port


@layer
def spectral_norm_of_the_torch_implementation():
    reference = chain(
        (6, 5, 3), SpectralConv2D(4, 3, power_iterations=2, use_bias=False), SpectralConv2DTranspose(4, 2, 2, "same")
    )
    first = torch_impl.spectral_norm.SpectralConv2D(3, 4, 3, power_iterations=2, bias=False)
    return reference, nn.Sequential(first, torch_impl.spectral_norm.SpectralConv2DTranspose(4, 4, 2, 2))


class Attention(nn.Module):
    """Self-attention as ports write it; ``factor`` on the logits, softmax along ``axis``, ``turned`` or not."""

    def __init__(self, channels, gamma="gamma", shape=(1,)):
        super().__init__()
        self.q, self.k, self.v = (nn.Conv2d(channels, n, 1) for n in (max(channels // 8, 1), channels // 8, channels))
        self.name, self.factor, self.axis, self.turned = gamma, 1.0, -1, True
        setattr(self, gamma, nn.Parameter(torch.zeros(shape)))

    def forward(self, x):
        b, c, h, w = x.shape
        q, k, v = (conv(x).view(b, -1, h * w) for conv in (self.q, self.k, self.v))
        weights = torch.softmax(torch.bmm(q.permute(0, 2, 1), k) * self.factor, self.axis)
        attended = torch.bmm(v, weights.permute(0, 2, 1) if self.turned else weights)
        return getattr(self, self.name) * attended.view(b, c, h, w) + x


def attending(port):
    reference = chain((6, 5, 3), L.Conv2D(16, 3), SelfAttention(16, rows=5), L.ReLU(), L.Conv2D(2, 1))
    return reference, nn.Sequential(nn.Conv2d(3, 16, 3), port, nn.ReLU(), nn.Conv2d(16, 2, 1))


@layer
def self_attention():
    return attending(Attention(16))


@layer
def self_attention_of_the_torch_implementation():
    return attending(torch_impl.attention.SelfAttention(16, rows=7))


@layer
def self_attention_with_a_parameter_of_another_name():
    return attending(Attention(16, "strength", (1, 1, 1)))


@layer
def labels_into_a_generator():
    z, label = keras.Input((6,), name="z"), keras.Input((), dtype="int32", name="label")
    joined = L.Concatenate()([z, L.Embedding(4, 5, name="classes")(label)])
    image = L.Conv2DTranspose(3, 4)(L.Reshape((1, 1, 11))(joined))

    def call(self, z, label):
        return self.up(torch.cat([z, self.classes(label)], 1)[:, :, None, None])

    port = Does(call, classes=nn.Embedding(4, 5), up=nn.ConvTranspose2d(11, 3, 4))
    return keras.Model([z, label], image), port


@layer
def pooling_1d_shifted():
    reference = chain((13, 3), L.Conv1D(4, 3), L.AveragePooling1D(2, padding="same"), L.ReLU())
    return reference, nn.Sequential(nn.Conv1d(3, 4, 3), nn.AvgPool1d(2, ceil_mode=True), nn.ReLU())


@layer
def upsampling_bilinear_layer():
    reference = chain((4, 3, 2), L.Conv2D(3, 1), L.UpSampling2D(2, interpolation="bilinear"), L.ReLU())
    return reference, nn.Sequential(nn.Conv2d(2, 3, 1), nn.Upsample(scale_factor=2, mode="bilinear"), nn.ReLU())


@layer
def pooling_padded_and_counted():
    reference = chain((7, 6, 3), L.Conv2D(4, 1), L.ZeroPadding2D(1), L.AveragePooling2D(3, strides=2), L.ReLU())
    return reference, nn.Sequential(nn.Conv2d(3, 4, 1), nn.AvgPool2d(3, 2, 1), nn.ReLU())


@layer
def spectral_norm_before_batchnorm():
    reference = chain((8, 6, 3), SpectralConv2D(4, 3), L.BatchNormalization(epsilon=1e-5, momentum=0.9), L.ReLU())
    return reference, nn.Sequential(spectral(nn.Conv2d(3, 4, 3)), nn.BatchNorm2d(4), nn.ReLU())
