"""Pairs small enough for the tests: the libraries' own builders with a block or two a stage."""

from __future__ import annotations

import keras
from keras.src.applications import densenet, efficientnet, mobilenet_v3, resnet
from torch import nn

from benchmarks.libraries.differences import (
    BIAS,
    PADDING,
    STRIDE,
    TOP,
    Preprocessed,
    epsilon,
    momentum,
    small_convnext,
)
from benchmarks.libraries.packages import timm, torchvision_models
from benchmarks.libraries.pair import LibraryPair


def resnet_reference() -> keras.Model:
    """Keras's ResNet with a block in each of two stages."""

    def stages(x: keras.KerasTensor) -> keras.KerasTensor:
        for number, (filters, stride) in enumerate([(64, 1), (128, 2)], 2):
            x = resnet.stack_residual_blocks_v1(x, filters, 1, stride1=stride, name=f"conv{number}")
        return x

    return resnet.ResNet(stages, False, True, input_shape=(32, 32, 3), name="resnet", **TOP)


def resnet_port() -> nn.Module:
    """Torchvision's ResNet with a block in each of two stages."""
    models = torchvision_models()
    net = models.ResNet(models.resnet.Bottleneck, [1, 1, 1, 1], num_classes=10)
    net.layer3, net.layer4, net.fc = nn.Identity(), nn.Identity(), nn.Linear(512, 10)
    return net


def convnext_port() -> nn.Module:
    """Torchvision's ConvNeXt, four blocks."""
    tv = torchvision_models().convnext
    widths = [16, 24, 32, 48, None]
    blocks = [tv.CNBlockConfig(a, b, 1) for a, b in zip(widths, widths[1:], strict=False)]
    return tv.ConvNeXt(blocks, num_classes=10)


def densenet_port() -> nn.Module:
    """timm's DenseNet, four layers; its batch normalizations hold the activation behind them."""
    return timm().models.densenet.DenseNet(32, (1, 1, 1, 1), num_classes=10)


def efficientnet_reference() -> keras.Model:
    """Keras's EfficientNet of half the width, three blocks in two stages; dropout is another pair's."""
    stage = {"id_skip": True, "se_ratio": 0.25}
    stages = [
        {"kernel_size": 3, "repeats": 1, "filters_in": 32, "filters_out": 16, "expand_ratio": 1, "strides": 1, **stage},
        {"kernel_size": 5, "repeats": 2, "filters_in": 16, "filters_out": 24, "expand_ratio": 4, "strides": 2, **stage},
    ]
    return efficientnet.EfficientNet(
        0.5, 1.0, 224, dropout_rate=0.2, blocks_args=stages, input_shape=(32, 32, 3), name="efficientnet", **TOP
    )


def efficientnet_port() -> nn.Module:
    """Torchvision's EfficientNet of half the width, three blocks in two stages, behind Keras's preprocessing."""
    tv = torchvision_models().efficientnet
    stages = [
        tv.MBConvConfig(1, 3, 1, 32, 16, 1, width_mult=0.5),
        tv.MBConvConfig(4, 5, 2, 16, 24, 2, width_mult=0.5),
    ]
    return Preprocessed(tv.EfficientNet(stages, 0.2, last_channel=640, num_classes=10))


def mobilenet_reference() -> keras.Model:
    """Keras's MobileNetV3 with three blocks: ReLU and hard swish, with and without squeeze and excitation."""

    def stages(x: keras.KerasTensor, kernel: int, activation: object, se_ratio: float) -> keras.KerasTensor:
        block = mobilenet_v3._inverted_res_block
        x = block(x, 1, 16, 3, 2, se_ratio, mobilenet_v3.relu, 0)
        x = block(x, 4, 24, kernel, 2, se_ratio, activation, 1)
        return block(x, 2, 24, kernel, 1, None, activation, 2)

    return mobilenet_v3.MobileNetV3(
        stages, 64, (32, 32, 3), 1.0, "small", include_preprocessing=False, name="mobilenet", **TOP
    )


def mobilenet_port() -> nn.Module:
    """Torchvision's MobileNetV3 with the same three blocks."""
    tv = torchvision_models().mobilenetv3
    blocks = [
        tv.InvertedResidualConfig(16, 3, 16, 16, True, "RE", 2, 1, 1.0),
        tv.InvertedResidualConfig(16, 5, 64, 24, True, "HS", 2, 1, 1.0),
        tv.InvertedResidualConfig(24, 5, 48, 24, False, "HS", 1, 1, 1.0),
    ]
    return tv.MobileNetV3(blocks, 64, num_classes=10)


def pairs() -> list[LibraryPair]:
    """All pairs of this module."""
    return [
        LibraryPair(
            "ResNet, two blocks / torchvision",
            resnet_reference,
            resnet_port,
            (epsilon(1.001e-5), momentum(0.01), BIAS, STRIDE),
            ("downsample",),
        ),
        LibraryPair("ConvNeXt, four blocks / torchvision", small_convnext, convnext_port, single=True),
        LibraryPair(
            "DenseNet, four layers / timm",
            lambda: densenet.DenseNet([1, 1, 1, 1], input_shape=(32, 32, 3), **TOP),
            densenet_port,
            (epsilon(1.001e-5), momentum(0.01)),
        ),
        LibraryPair(
            "EfficientNet, three blocks / torchvision",
            efficientnet_reference,
            efficientnet_port,
            (epsilon(1e-3), momentum(0.01), PADDING),
            largest=255.0,
            single=True,
        ),
        LibraryPair(
            "MobileNetV3, three blocks / torchvision",
            mobilenet_reference,
            mobilenet_port,
            (momentum(0.001), PADDING),
        ),
    ]
