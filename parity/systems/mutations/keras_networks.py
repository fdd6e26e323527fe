"""Small networks as libraries have them, in Keras: what the self-test breaks. ``diff`` with ``torch_networks.py``."""

# ruff: noqa: D102  (a method is one layer or operation, by its name)
from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers as L
from keras import ops

FRAME, HOP, MELS = 32, 16, 8
SCALE = 4.0  # of the logits of a unit vector


def norm(name: str) -> L.Layer:
    """Batch normalisation with Keras's constants."""
    return L.BatchNormalization(epsilon=1e-3, momentum=0.99, name=name)


def filterbank() -> np.ndarray:
    """Overlapping triangles, evenly spaced: [bins, MELS]."""
    bins = np.arange(FRAME // 2 + 1)[:, None] / (FRAME // 2) * (MELS + 1)
    return np.maximum(0.0, 1.0 - np.abs(bins - 1 - np.arange(MELS)))


class Network:
    """Layers by name, called with symbolic inputs."""

    shapes: tuple[tuple[int, ...], ...] = ((12, 12, 3),)
    dtype = "float32"

    def build(self) -> keras.Model:
        """The functional model."""
        inputs = [keras.Input(shape, dtype=self.dtype) for shape in self.shapes]
        return keras.Model(inputs[0] if len(inputs) == 1 else inputs, self(*inputs))

    def __call__(self, x: Any) -> Any:
        """Connect the layers."""
        raise NotImplementedError


class ResNet(Network):
    """A stem and a strided residual block."""

    def __init__(self) -> None:
        self.stem = L.Conv2D(6, 3, padding="same", use_bias=False, name="stem")
        self.stem_bn = norm("stem_bn")
        self.stem_relu = L.ReLU(name="stem_relu")
        self.stem_pad = L.ZeroPadding2D(1, name="stem_pad")
        self.stem_pool = L.MaxPooling2D(3, 2, name="stem_pool")
        self.shortcut = L.Conv2D(8, 1, strides=2, use_bias=False, name="shortcut")
        self.shortcut_bn = norm("shortcut_bn")
        self.pad_1 = L.ZeroPadding2D(1, name="pad_1")
        self.conv_1 = L.Conv2D(8, 3, strides=2, use_bias=False, name="conv_1")
        self.bn_1 = norm("bn_1")
        self.relu_1 = L.ReLU(name="relu_1")
        self.conv_2 = L.Conv2D(8, 3, padding="same", use_bias=False, name="conv_2")
        self.bn_2 = norm("bn_2")
        self.add = L.Add(name="add")
        self.relu_2 = L.ReLU(name="relu_2")
        self.gap = L.GlobalAveragePooling2D(name="gap")
        self.fc = L.Dense(5, name="fc")

    def __call__(self, x: Any) -> Any:
        x = self.stem_relu(self.stem_bn(self.stem(x)))  # [B, 12, 12, 6]
        x = self.stem_pool(self.stem_pad(x))  # [B, 6, 6, 6]
        skip = self.shortcut_bn(self.shortcut(x))  # [B, 3, 3, 8]
        x = self.relu_1(self.bn_1(self.conv_1(self.pad_1(x))))  # [B, 3, 3, 8]
        x = self.bn_2(self.conv_2(x))
        x = self.relu_2(self.add([x, skip]))
        return self.fc(self.gap(x))  # [B, 5]


class MobileNet(Network):
    """A strided stem and an inverted residual with squeeze-and-excitation."""

    def __init__(self) -> None:
        self.rescale = L.Rescaling(1 / 127.5, offset=-1.0, name="rescale")
        self.stem = L.Conv2D(4, 3, strides=2, padding="same", use_bias=False, name="stem")
        self.stem_bn = norm("stem_bn")
        self.stem_act = L.Activation("hard_silu", name="stem_act")
        self.expand = L.Conv2D(8, 1, use_bias=False, name="expand")
        self.expand_bn = norm("expand_bn")
        self.expand_act = L.ReLU(6.0, name="expand_act")
        self.depthwise = L.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")
        self.depthwise_bn = norm("depthwise_bn")
        self.depthwise_act = L.Activation("hard_silu", name="depthwise_act")
        self.squeeze = L.GlobalAveragePooling2D(keepdims=True, name="squeeze")
        self.reduce = L.Conv2D(3, 1, name="reduce")
        self.reduce_act = L.ReLU(name="reduce_act")
        self.excite = L.Conv2D(8, 1, name="excite")
        self.gate = L.Activation("hard_sigmoid", name="gate")
        self.scale = L.Multiply(name="scale")
        self.project = L.Conv2D(4, 1, use_bias=False, name="project")
        self.project_bn = norm("project_bn")
        self.add = L.Add(name="add")
        self.flatten = L.Flatten(name="flatten")
        self.drop = L.Dropout(0.2, name="drop")
        self.fc = L.Dense(5, name="fc")

    def __call__(self, x: Any) -> Any:
        x = self.rescale(x)
        skip = x = self.stem_act(self.stem_bn(self.stem(x)))  # [B, 6, 6, 4]
        x = self.expand_act(self.expand_bn(self.expand(x)))  # [B, 6, 6, 8]
        x = self.depthwise_act(self.depthwise_bn(self.depthwise(x)))
        weight = self.reduce_act(self.reduce(self.squeeze(x)))  # [B, 1, 1, 3]
        x = self.scale([x, self.gate(self.excite(weight))])
        x = self.add([self.project_bn(self.project(x)), skip])  # [B, 6, 6, 4]
        return self.fc(self.drop(self.flatten(x)))  # [B, 5]


class DenseNet(Network):
    """Two densely connected layers and a transition."""

    def __init__(self) -> None:
        self.stem = L.Conv2D(4, 3, padding="same", name="stem")
        self.bn_1 = norm("bn_1")
        self.relu_1 = L.ReLU(name="relu_1")
        self.conv_1 = L.Conv2D(4, 3, padding="same", name="conv_1")
        self.concat_1 = L.Concatenate(name="concat_1")
        self.bn_2 = norm("bn_2")
        self.relu_2 = L.LeakyReLU(0.2, name="relu_2")
        self.conv_2 = L.Conv2D(4, 3, dilation_rate=2, padding="same", name="conv_2")
        self.concat_2 = L.Concatenate(name="concat_2")
        self.transition = L.Conv2D(6, 1, name="transition")
        self.pool = L.AveragePooling2D(2, name="pool")
        self.last_act = L.ELU(1.0, name="last_act")
        self.gap = L.GlobalAveragePooling2D(name="gap")
        self.fc = L.Dense(5, name="fc")
        self.softmax = L.Softmax(name="softmax")

    def __call__(self, x: Any) -> Any:
        x = self.stem(x)  # [B, 12, 12, 4]
        x = self.concat_1([x, self.conv_1(self.relu_1(self.bn_1(x)))])  # [B, 12, 12, 8]
        x = self.concat_2([x, self.conv_2(self.relu_2(self.bn_2(x)))])  # [B, 12, 12, 12]
        x = self.pool(self.transition(x))  # [B, 6, 6, 6]
        x = self.gap(self.last_act(x))  # [B, 6]
        return self.softmax(self.fc(x))  # [B, 5]


class UNet(Network):
    """Down, up by resizing, a skip connection, and two outputs."""

    def __init__(self) -> None:
        self.down_1 = L.Conv2D(4, 3, padding="same", activation="relu", name="down_1")
        self.pool = L.MaxPooling2D(2, name="pool")
        self.down_2 = L.Conv2D(8, 3, padding="same", name="down_2")
        self.down_act = L.Activation("silu", name="down_act")
        self.resize = L.UpSampling2D(2, interpolation="bilinear", name="resize")
        self.concat = L.Concatenate(name="concat")
        self.up_1 = L.Conv2D(8, 3, padding="same", name="up_1")
        self.up_act = L.Activation("softplus", name="up_act")
        self.shuffle = L.Lambda(lambda x: tf.nn.depth_to_space(x, 2), name="shuffle")
        self.up_2 = L.Conv2DTranspose(4, 3, strides=2, padding="same", name="up_2")
        self.fine = L.Conv2D(3, 1, name="fine")
        self.mask = L.Conv2D(3, 1, activation="sigmoid", name="mask")

    def __call__(self, x: Any) -> Any:
        skip = self.down_1(x)  # [B, 12, 12, 4]
        x = self.down_act(self.down_2(self.pool(skip)))  # [B, 6, 6, 8]
        x = self.concat([self.resize(x), skip])  # [B, 12, 12, 12]
        x = self.up_act(self.up_1(x))  # [B, 12, 12, 8]
        return {"fine": self.fine(self.shuffle(x)), "mask": self.mask(self.up_2(x))}  # [B, 24, 24, 3] each


class Inception(Network):
    """Four branches, two poolings joined."""

    def __init__(self) -> None:
        self.pad = L.Lambda(lambda x: ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], "reflect"), name="pad")
        self.stem = L.Conv2D(6, 3, name="stem")
        self.one = L.Conv2D(4, 1, name="one")
        self.three = L.Conv2D(4, 3, padding="same", name="three")
        self.five_a = L.Conv2D(4, 1, name="five_a")
        self.five_act = L.Activation("tanh", name="five_act")
        self.five_b = L.Conv2D(4, 5, padding="same", groups=2, name="five_b")
        self.pool = L.AveragePooling2D(3, 1, padding="same", name="pool")
        self.pooled = L.Conv2D(4, 1, name="pooled")
        self.concat = L.Concatenate(name="concat")
        self.act = L.PReLU(shared_axes=[1, 2], name="act")
        self.gap = L.GlobalAveragePooling2D(name="gap")
        self.gmp = L.GlobalMaxPooling2D(name="gmp")
        self.both = L.Concatenate(name="both")
        self.fc = L.Dense(5, name="fc")

    def __call__(self, x: Any) -> Any:
        x = self.stem(self.pad(x))  # [B, 12, 12, 6]
        one, three = self.one(x), self.three(x)
        five = self.five_b(self.five_act(self.five_a(x)))
        x = self.concat([one, three, five, self.pooled(self.pool(x))])  # [B, 12, 12, 16]
        x = self.act(x)
        return self.fc(self.both([self.gap(x), self.gmp(x)]))  # [B, 5]


class ConvNeXt(Network):
    """A block with layer normalisation, GELU and a residual, a group norm, downsampling."""

    def __init__(self) -> None:
        self.stem = L.Conv2D(6, 2, strides=2, name="stem")
        self.depthwise = L.DepthwiseConv2D(5, padding="same", name="depthwise")
        self.ln = L.LayerNormalization(epsilon=1e-6, name="ln")
        self.widen = L.Dense(12, name="widen")
        self.gelu = L.Activation("gelu", name="gelu")
        self.narrow = L.Dense(6, name="narrow")
        self.add = L.Add(name="add")
        self.gn = L.GroupNormalization(groups=2, epsilon=1e-5, name="gn")
        self.down = L.Conv2D(8, 3, strides=2, padding="same", name="down")
        self.gap = L.GlobalAveragePooling2D(name="gap")
        self.head_ln = L.LayerNormalization(epsilon=1e-3, name="head_ln")
        self.fc = L.Dense(5, name="fc")

    def __call__(self, x: Any) -> Any:
        skip = x = self.stem(x)  # [B, 6, 6, 6]
        x = self.ln(self.depthwise(x))
        x = self.narrow(self.gelu(self.widen(x)))  # [B, 6, 6, 6]
        x = self.gn(self.add([x, skip]))
        x = self.gap(self.down(x))  # [B, 8]
        return self.fc(self.head_ln(x))  # [B, 5]


class Spectrogram(Network):
    """A log mel spectrogram of each clip, standardised, and a small convolutional head."""

    shapes = ((128,),)

    def __init__(self) -> None:
        self.stft = L.Lambda(lambda x: tf.abs(tf.signal.stft(x, FRAME, HOP, FRAME)), name="stft")
        self.mel = L.Lambda(lambda x: ops.matmul(x, ops.cast(filterbank(), x.dtype)), name="mel")
        self.log = L.Lambda(lambda x: ops.log(x + 1e-3), name="log")
        self.mean = L.Lambda(lambda x: x - ops.mean(x, axis=(1, 2), keepdims=True), name="mean")
        self.std = L.Lambda(lambda x: x / (ops.std(x, axis=(1, 2), keepdims=True) + 1e-2), name="std")
        self.conv = L.Conv1D(6, 3, padding="same", name="conv")
        self.act = L.ReLU(name="act")
        self.pool = L.MaxPooling1D(2, name="pool")
        self.gap = L.GlobalAveragePooling1D(name="gap")
        self.fc = L.Dense(5, name="fc")

    def __call__(self, x: Any) -> Any:
        x = self.log(self.mel(self.stft(x)))  # [B, 7, 8]
        x = self.std(self.mean(x))
        x = self.pool(self.act(self.conv(x)))  # [B, 3, 6]
        return self.fc(self.gap(x))  # [B, 5]


class Embedding(Network):
    """Tokens, their mean without padding, a unit vector, scaled logits."""

    shapes = ((8,),)
    dtype = "int32"

    def __init__(self) -> None:
        self.embed = L.Embedding(12, 6, mask_zero=True, name="embed")
        self.widen = L.Lambda(lambda x: x * 6**0.5, name="widen", mask=lambda x, mask: mask)
        self.pool = L.GlobalAveragePooling1D(name="pool")
        self.hidden = L.Dense(6, name="hidden")
        self.act = L.Activation("tanh", name="act")
        self.second = L.Dense(6, name="second")
        self.drop = L.Dropout(0.3, name="drop")
        self.unit = L.UnitNormalization(name="unit")
        self.scale = L.Rescaling(SCALE, name="scale")
        self.first_fc = L.Dense(4, name="first_fc")
        self.other_fc = L.Dense(4, name="other_fc")

    def __call__(self, x: Any) -> Any:
        x = self.pool(self.widen(self.embed(x)))  # [B, 6]
        x = self.drop(self.second(self.act(self.hidden(x))))
        x = self.scale(self.unit(x))
        return self.first_fc(x), self.other_fc(x)  # [B, 4] each
