"""Networks of ``keras.applications`` beside torch modules of the same layers, as somebody would port them."""

from __future__ import annotations

from collections.abc import Callable

import keras
import torch
from torch import nn

VGG16_WIDTHS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
RESNET50_BLOCKS = ((64, 3), (128, 4), (256, 6), (512, 3))
RESNET50_EPSILON = 1.001e-5


class VGG16(nn.Module):
    """VGG16 with its classifier (Simonyan and Zisserman 2014, arXiv:1409.1556)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width, count in VGG16_WIDTHS:
            for _ in range(count):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 1000)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[N, 3, 224, 224]`` to probabilities ``[N, 1000]``."""
        return torch.softmax(self.classifier(self.features(x).flatten(1)), -1)


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions beside a shortcut; the stride is that of the first, as in Keras."""

    def __init__(self, channels: int, width: int, stride: int, projected: bool) -> None:
        super().__init__()
        self.shortcut = (
            nn.Sequential(nn.Conv2d(channels, 4 * width, 1, stride), nn.BatchNorm2d(4 * width, RESNET50_EPSILON, 0.01))
            if projected
            else nn.Identity()
        )
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 1, stride), nn.BatchNorm2d(width, RESNET50_EPSILON, 0.01), nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width, RESNET50_EPSILON, 0.01), nn.ReLU(),
            nn.Conv2d(width, 4 * width, 1), nn.BatchNorm2d(4 * width, RESNET50_EPSILON, 0.01),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[N, C, H, W]`` to ``[N, 4 width, H / stride, W / stride]``."""
        shortcut = self.shortcut(x)
        return torch.relu(shortcut + self.layers(x))


class ResNet50(nn.Module):
    """ResNet50 as ``keras.applications`` builds it (He et al. 2015, arXiv:1512.03385)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 7, 2, padding=3), nn.BatchNorm2d(64, RESNET50_EPSILON, 0.01), nn.ReLU(),
            nn.ZeroPad2d(1), nn.MaxPool2d(3, 2),
        )  # fmt: skip
        blocks: list[nn.Module] = []
        channels = 64
        for stage, (width, count) in enumerate(RESNET50_BLOCKS):
            for number in range(count):
                stride = 2 if stage and not number else 1
                blocks.append(Bottleneck(channels, width, stride, projected=not number))
                channels = 4 * width
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(channels, 1000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[N, 3, 224, 224]`` to probabilities ``[N, 1000]``."""
        return torch.softmax(self.head(self.blocks(self.stem(x)).mean((2, 3))), -1)


NETWORKS: dict[str, Callable[[], tuple[keras.Model, nn.Module]]] = {
    "VGG16": lambda: (keras.applications.VGG16(weights=None), VGG16()),
    "ResNet50": lambda: (keras.applications.ResNet50(weights=None), ResNet50()),
}
"""Each network's Keras model and torch module."""
