"""Networks of ``keras.applications`` against torchvision's."""

from __future__ import annotations

import keras
from keras.src.applications import densenet
from torch import nn

from benchmarks.libraries.differences import (
    BIAS,
    PADDING,
    STRIDE,
    TOP,
    Preprocessed,
    application,
    border_not_counted,
    dropout,
    epsilon,
    momentum,
)
from benchmarks.libraries.packages import torchvision_models
from benchmarks.libraries.pair import Difference, LibraryPair


def vgg16() -> nn.Module:
    """Torchvision's VGG16 for images of 32x32, whose features are 1x1."""
    net = torchvision_models().vgg16(num_classes=10)
    net.avgpool, net.classifier[0] = nn.Identity(), nn.Linear(512, 4096)
    return net


def pairs() -> list[LibraryPair]:
    """All pairs of this module."""
    tv = torchvision_models()
    resnet_differences = (epsilon(1.001e-5), momentum(0.01), BIAS, STRIDE)
    densenet_differences = (epsilon(1.001e-5), momentum(0.01))
    return [
        LibraryPair("VGG16 / torchvision", lambda: application("VGG16", 32), vgg16, (dropout(0.0),)),
        LibraryPair(
            "VGG19 without top / torchvision",
            lambda: keras.applications.VGG19(include_top=False, weights=None, input_shape=(64, 64, 3)),
            lambda: tv.vgg19().features,
        ),
        LibraryPair(
            "ResNet50 / torchvision",
            lambda: application("ResNet50", 64),
            lambda: tv.resnet50(num_classes=10),
            resnet_differences,
            ("downsample",),
        ),
        LibraryPair(
            "DenseNet, eight layers / torchvision",
            lambda: densenet.DenseNet([2, 2, 2, 2], input_shape=(64, 64, 3), **TOP),
            lambda: tv.DenseNet(32, (2, 2, 2, 2), num_classes=10),
            densenet_differences,
        ),
        LibraryPair(
            "DenseNet121 / torchvision",
            lambda: application("DenseNet121", 64),
            lambda: tv.densenet121(num_classes=10),
            densenet_differences,
        ),
        LibraryPair(
            "MobileNetV2 / torchvision",
            lambda: application("MobileNetV2", 64, alpha=0.35),
            lambda: tv.mobilenet_v2(num_classes=10, width_mult=0.35),
            (epsilon(1e-3), momentum(0.001), PADDING, dropout(0.0)),
        ),
        LibraryPair(
            "MobileNetV3Small / torchvision",
            lambda: application("MobileNetV3Small", 64, include_preprocessing=False),
            lambda: tv.mobilenet_v3_small(num_classes=10),
            (momentum(0.001), PADDING),
        ),
        LibraryPair(
            "MobileNetV3Large / torchvision",
            lambda: application("MobileNetV3Large", 64, include_preprocessing=False),
            lambda: tv.mobilenet_v3_large(num_classes=10),
            (momentum(0.001), PADDING),
        ),
        LibraryPair(
            "EfficientNetB0 / torchvision",
            lambda: application("EfficientNetB0", 64),
            lambda: Preprocessed(tv.efficientnet_b0(num_classes=10)),
            (epsilon(1e-3), momentum(0.01), PADDING),
            largest=255.0,
            single=True,
        ),
        LibraryPair(
            "InceptionV3 / torchvision",
            lambda: application("InceptionV3", 96),
            lambda: tv.inception_v3(num_classes=10, aux_logits=False, init_weights=False),
            (momentum(0.01), dropout(0.0), Difference(("pooling-count",), "pool", border_not_counted)),
        ),
    ]
