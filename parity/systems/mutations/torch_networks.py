"""Small networks as libraries have them, in torch: what the self-test breaks. ``diff`` with ``keras_networks.py``."""

# ruff: noqa: D102  (a method is one layer or operation, by its name)
from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

FRAME, HOP, MELS = 32, 16, 8
SCALE = 4.0  # of the logits of a unit vector


def norm(channels: int) -> nn.BatchNorm2d:
    """Batch normalisation with Keras's constants."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def filterbank() -> np.ndarray:
    """Overlapping triangles, evenly spaced: [bins, MELS]."""
    bins = np.arange(FRAME // 2 + 1)[:, None] / (FRAME // 2) * (MELS + 1)
    return np.maximum(0.0, 1.0 - np.abs(bins - 1 - np.arange(MELS)))


class ResNet(nn.Module):
    """A stem and a strided residual block."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.stem_bn = norm(6)
        self.stem_relu = nn.ReLU()
        self.stem_pool = nn.MaxPool2d(3, 2, padding=1)
        self.shortcut = nn.Conv2d(6, 8, 1, stride=2, bias=False)
        self.shortcut_bn = norm(8)
        self.conv_1 = nn.Conv2d(6, 8, 3, stride=2, padding=1, bias=False)
        self.bn_1 = norm(8)
        self.relu_1 = nn.ReLU()
        self.conv_2 = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.bn_2 = norm(8)
        self.relu_2 = nn.ReLU()
        self.fc = nn.Linear(8, 5)

    def add(self, x: Tensor, skip: Tensor, earlier: Tensor) -> Tensor:
        return x + skip

    def gap(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem_relu(self.stem_bn(self.stem(x)))  # [B, 6, 12, 12]
        x = self.stem_pool(x)  # [B, 6, 6, 6]
        skip = self.shortcut_bn(self.shortcut(x))  # [B, 8, 3, 3]
        earlier = x = self.relu_1(self.bn_1(self.conv_1(x)))  # [B, 8, 3, 3]
        x = self.bn_2(self.conv_2(x))
        x = self.relu_2(self.add(x, skip, earlier))
        return self.fc(self.gap(x))  # [B, 5]


class MobileNet(nn.Module):
    """A strided stem and an inverted residual with squeeze-and-excitation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, stride=2, bias=False)
        self.stem_bn = norm(4)
        self.stem_act = nn.Hardswish()
        self.expand = nn.Conv2d(4, 8, 1, bias=False)
        self.expand_bn = norm(8)
        self.expand_act = nn.ReLU6()
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.depthwise_bn = norm(8)
        self.depthwise_act = nn.Hardswish()
        self.squeeze = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(8, 3, 1)
        self.reduce_act = nn.ReLU()
        self.excite = nn.Conv2d(3, 8, 1)
        self.gate = nn.Hardsigmoid()
        self.project = nn.Conv2d(8, 4, 1, bias=False)
        self.project_bn = norm(4)
        self.drop = nn.Dropout(0.2)
        self.fc = nn.Linear(4 * 6 * 6, 5)

    def rescale(self, x: Tensor) -> Tensor:
        return x / 127.5 - 1.0

    def stem_pad(self, x: Tensor) -> Tensor:
        return F.pad(x, (0, 1, 0, 1))

    def scale(self, x: Tensor, weight: Tensor) -> Tensor:
        return x * weight

    def add(self, x: Tensor, skip: Tensor) -> Tensor:
        return x + skip

    def flatten(self, x: Tensor) -> Tensor:
        return x.flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.rescale(x)
        skip = x = self.stem_act(self.stem_bn(self.stem(self.stem_pad(x))))  # [B, 4, 6, 6]
        x = self.expand_act(self.expand_bn(self.expand(x)))  # [B, 8, 6, 6]
        x = self.depthwise_act(self.depthwise_bn(self.depthwise(x)))
        weight = self.reduce_act(self.reduce(self.squeeze(x)))  # [B, 3, 1, 1]
        x = self.scale(x, self.gate(self.excite(weight)))
        x = self.add(self.project_bn(self.project(x)), skip)  # [B, 4, 6, 6]
        return self.fc(self.drop(self.flatten(x)))  # [B, 5]


class DenseNet(nn.Module):
    """Two densely connected layers and a transition."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.bn_1 = norm(4)
        self.relu_1 = nn.ReLU()
        self.conv_1 = nn.Conv2d(4, 4, 3, padding=1)
        self.bn_2 = norm(8)
        self.relu_2 = nn.LeakyReLU(0.2)
        self.conv_2 = nn.Conv2d(8, 4, 3, dilation=2, padding=2)
        self.transition = nn.Conv2d(12, 6, 1)
        self.pool = nn.AvgPool2d(2)
        self.last_act = nn.ELU()
        self.fc = nn.Linear(6, 5)
        self.softmax = nn.Softmax(dim=-1)

    def concat_1(self, x: Tensor, new: Tensor) -> Tensor:
        return torch.cat([x, new], 1)

    def concat_2(self, x: Tensor, new: Tensor) -> Tensor:
        return torch.cat([x, new], 1)

    def gap(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)  # [B, 4, 12, 12]
        x = self.concat_1(x, self.conv_1(self.relu_1(self.bn_1(x))))  # [B, 8, 12, 12]
        x = self.concat_2(x, self.conv_2(self.relu_2(self.bn_2(x))))  # [B, 12, 12, 12]
        x = self.pool(self.transition(x))  # [B, 6, 6, 6]
        x = self.gap(self.last_act(x))  # [B, 6]
        return self.softmax(self.fc(x))  # [B, 5]


class UNet(nn.Module):
    """Down, up by resizing, a skip connection, and two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.down_1 = nn.Conv2d(3, 4, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.down_2 = nn.Conv2d(4, 8, 3, padding=1)
        self.down_act = nn.SiLU()
        self.up_1 = nn.Conv2d(12, 8, 3, padding=1)
        self.up_act = nn.Softplus()
        self.up_2 = nn.ConvTranspose2d(8, 4, 3, stride=2)
        self.fine = nn.Conv2d(2, 3, 1)
        self.mask = nn.Conv2d(4, 3, 1)

    def relu(self, x: Tensor) -> Tensor:
        return F.relu(x)

    def resize(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)

    def concat(self, x: Tensor, skip: Tensor) -> Tensor:
        return torch.cat([x, skip], 1)

    def shuffle(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        return x.view(n, 2, 2, c // 4, h, w).permute(0, 3, 4, 1, 5, 2).reshape(n, c // 4, 2 * h, 2 * w)

    def crop(self, x: Tensor) -> Tensor:
        return x[..., :-1, :-1]

    def sigmoid(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x)

    def outputs(self, fine: Tensor, mask: Tensor) -> Any:
        return {"fine": fine, "mask": mask}

    def forward(self, x: Tensor) -> Any:
        skip = self.relu(self.down_1(x))  # [B, 4, 12, 12]
        x = self.down_act(self.down_2(self.pool(skip)))  # [B, 8, 6, 6]
        x = self.concat(self.resize(x), skip)  # [B, 12, 12, 12]
        x = self.up_act(self.up_1(x))  # [B, 8, 12, 12]
        mask = self.sigmoid(self.mask(self.crop(self.up_2(x))))
        return self.outputs(self.fine(self.shuffle(x)), mask)  # [B, 3, 24, 24] each


class Inception(nn.Module):
    """Four branches, two poolings joined."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3)
        self.one = nn.Conv2d(6, 4, 1)
        self.three = nn.Conv2d(6, 4, 3, padding=1)
        self.five_a = nn.Conv2d(6, 4, 1)
        self.five_act = nn.Tanh()
        self.five_b = nn.Conv2d(4, 4, 5, padding=2, groups=2)
        self.pool = nn.AvgPool2d(3, 1, padding=1, count_include_pad=False)
        self.pooled = nn.Conv2d(6, 4, 1)
        self.act = nn.PReLU(16)
        self.fc = nn.Linear(32, 5)

    def pad(self, x: Tensor) -> Tensor:
        return F.pad(x, (1, 1, 1, 1), "reflect")

    def concat(self, one: Tensor, three: Tensor, five: Tensor, pooled: Tensor) -> Tensor:
        return torch.cat([one, three, five, pooled], 1)

    def gap(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))

    def gmp(self, x: Tensor) -> Tensor:
        return x.amax((2, 3))

    def both(self, mean: Tensor, most: Tensor) -> Tensor:
        return torch.cat([mean, most], 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(self.pad(x))  # [B, 6, 12, 12]
        one, three = self.one(x), self.three(x)
        five = self.five_b(self.five_act(self.five_a(x)))
        x = self.concat(one, three, five, self.pooled(self.pool(x)))  # [B, 16, 12, 12]
        x = self.act(x)
        return self.fc(self.both(self.gap(x), self.gmp(x)))  # [B, 5]


class ConvNeXt(nn.Module):
    """A block with layer normalisation, GELU and a residual, a group norm, downsampling."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 2, stride=2)
        self.depthwise = nn.Conv2d(6, 6, 5, padding=2, groups=6)
        self.ln = nn.LayerNorm(6, eps=1e-6)
        self.widen = nn.Linear(6, 12)
        self.gelu = nn.GELU()
        self.narrow = nn.Linear(12, 6)
        self.gn = nn.GroupNorm(2, 6, eps=1e-5)
        self.down = nn.Conv2d(6, 8, 3, stride=2)
        self.head_ln = nn.LayerNorm(8, eps=1e-3)
        self.fc = nn.Linear(8, 5)

    def last(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1)

    def first(self, x: Tensor) -> Tensor:
        return x.permute(0, 3, 1, 2)

    def add(self, x: Tensor, skip: Tensor) -> Tensor:
        return x + skip

    def down_pad(self, x: Tensor) -> Tensor:
        return F.pad(x, (0, 1, 0, 1))

    def gap(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        skip = x = self.stem(x)  # [B, 6, 6, 6]
        x = self.ln(self.last(self.depthwise(x)))  # channels last
        x = self.first(self.narrow(self.gelu(self.widen(x))))  # [B, 6, 6, 6]
        x = self.gn(self.add(x, skip))
        x = self.gap(self.down(self.down_pad(x)))  # [B, 8]
        return self.fc(self.head_ln(x))  # [B, 5]


class Spectrogram(nn.Module):
    """A log mel spectrogram of each clip, standardised, and a small convolutional head."""

    window: Tensor
    filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(FRAME))
        self.register_buffer("filters", torch.from_numpy(filterbank().astype("float32")))
        self.conv = nn.Conv1d(MELS, 6, 3, padding=1)
        self.act = nn.ReLU()
        self.pool = nn.MaxPool1d(2)
        self.fc = nn.Linear(6, 5)

    def stft(self, x: Tensor, window: Tensor) -> Tensor:
        return torch.stft(x, FRAME, HOP, FRAME, window, center=False, return_complex=True).abs().mT

    def mel(self, x: Tensor, filters: Tensor) -> Tensor:
        return x @ filters

    def log(self, x: Tensor) -> Tensor:
        return torch.log(x + 1e-3)

    def mean(self, x: Tensor) -> Tensor:
        return x - x.mean((1, 2), keepdim=True)

    def std(self, x: Tensor) -> Tensor:
        return x / (x.std((1, 2), correction=0, keepdim=True) + 1e-2)

    def gap(self, x: Tensor) -> Tensor:
        return x.mean(2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.log(self.mel(self.stft(x, self.window), self.filters))  # [B, 7, 8]
        x = self.std(self.mean(x))
        x = self.pool(self.act(self.conv(x.mT)))  # [B, 6, 3]
        return self.fc(self.gap(x))  # [B, 5]


class Embedding(nn.Module):
    """Tokens, their mean without padding, a unit vector, scaled logits."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(12, 6)
        self.hidden = nn.Linear(6, 6)
        self.act = nn.Tanh()
        self.second = nn.Linear(6, 6)
        self.drop = nn.Dropout(0.3)
        self.first_fc = nn.Linear(6, 4)
        self.other_fc = nn.Linear(6, 4)

    def widen(self, x: Tensor) -> Tensor:
        return x * 6**0.5

    def pool(self, x: Tensor, tokens: Tensor) -> Tensor:
        mask = (tokens != 0).to(x.dtype)[..., None]
        return (x * mask).sum(1) / mask.sum(1)

    def unit(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=-1)

    def scale(self, x: Tensor) -> Tensor:
        return x * SCALE

    def outputs(self, first: Tensor, other: Tensor) -> Any:
        return first, other

    def forward(self, tokens: Tensor) -> Any:
        x = self.pool(self.widen(self.embed(tokens)), tokens)  # [B, 6]
        x = self.drop(self.second(self.act(self.hidden(x))))
        x = self.scale(self.unit(x))
        return self.outputs(self.first_fc(x), self.other_fc(x))  # [B, 4] each
