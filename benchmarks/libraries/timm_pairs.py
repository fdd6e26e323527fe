"""Networks of ``keras.applications`` against timm's."""

from __future__ import annotations

from keras.src.applications import densenet
from torch import nn

from benchmarks.libraries import repairs
from benchmarks.libraries.differences import (
    PADDING,
    TOP,
    Preprocessed,
    application,
    border_not_counted,
    epsilon,
    momentum,
    small_convnext,
)
from benchmarks.libraries.packages import timm
from benchmarks.libraries.pair import Difference, LibraryPair


def head_dropout(rate: float) -> Difference:
    """Dropout before the classifier, which timm leaves out unless asked for; ``rate`` is Keras's."""

    def repair(port: nn.Module) -> nn.Module:
        for part in port.modules():
            if type(part).__name__ in ("EfficientNet", "MobileNetV3"):
                vars(part)["drop_rate"] = rate
        return port

    return Difference(("dropout-rate", "missing-layer"), "drop", repair, inference=False)


def path_dropout(network: str, rate: float) -> Difference:
    """Dropout of residual paths, which timm leaves out unless asked for."""

    def repair(port: nn.Module) -> nn.Module:
        rated = timm().create_model(network, num_classes=10, drop_path_rate=rate)
        for path, part in rated.named_modules():
            if type(part).__name__ == "DropPath":
                repairs.replace(port, f"network.{path}" if isinstance(port, Preprocessed) else path, part)
        return port

    return Difference(("dropout-rate", "missing-layer"), "drop", repair, inference=False)


def _net(name: str, **options: object) -> nn.Module:
    return timm().create_model(name, num_classes=10, **options)


def small_densenet() -> nn.Module:
    """timm's DenseNet, eight layers."""
    return timm().models.densenet.DenseNet(32, (2, 2, 2, 2), num_classes=10)


def small_timm_convnext() -> nn.Module:
    """timm's ConvNeXt, four blocks."""
    return timm().models.convnext.ConvNeXt(num_classes=10, depths=(1, 1, 1, 1), dims=(16, 24, 32, 48))


def pairs() -> list[LibraryPair]:
    """All pairs of this module."""
    return [
        LibraryPair(
            "MobileNet / timm",
            lambda: application("MobileNet", 64),
            lambda: _net("mobilenetv1_100"),
            (epsilon(1e-3), momentum(0.01), PADDING, head_dropout(1e-3)),
        ),
        LibraryPair(
            "MobileNetV2 / timm",
            lambda: application("MobileNetV2", 64, alpha=0.35),
            lambda: _net("mobilenetv2_035"),
            (epsilon(1e-3), momentum(0.001), PADDING),
        ),
        LibraryPair(
            "MobileNetV3Small / timm",
            lambda: application("MobileNetV3Small", 64, include_preprocessing=False),
            lambda: _net("tf_mobilenetv3_small_100"),
            (momentum(0.001), head_dropout(0.2)),
        ),
        LibraryPair(
            "MobileNetV3Small minimalistic / timm",
            lambda: application("MobileNetV3Small", 64, include_preprocessing=False, minimalistic=True),
            lambda: _net("tf_mobilenetv3_small_minimal_100"),
            (momentum(0.001), head_dropout(0.2)),
        ),
        LibraryPair(
            "EfficientNetB0 / timm",
            lambda: application("EfficientNetB0", 64),
            lambda: Preprocessed(_net("tf_efficientnet_b0")),
            (momentum(0.01), head_dropout(0.2), path_dropout("tf_efficientnet_b0", 0.2)),
            largest=255.0,
            single=True,
        ),
        LibraryPair(
            "EfficientNetV2B0 / timm",
            lambda: application("EfficientNetV2B0", 64, include_preprocessing=False),
            lambda: _net("tf_efficientnetv2_b0"),
            (head_dropout(0.2), path_dropout("tf_efficientnetv2_b0", 0.2)),
        ),
        LibraryPair(
            "Xception, odd sizes / timm",
            lambda: application("Xception", 71),
            lambda: _net("legacy_xception"),
            (epsilon(1e-3), momentum(0.01)),
        ),
        LibraryPair(
            "Xception, even sizes / timm",
            lambda: application("Xception", 96),
            lambda: _net("legacy_xception"),
            (epsilon(1e-3), momentum(0.01), Difference(("padding-alignment",), "pool|rep", repairs.same_pooling)),
        ),
        LibraryPair(
            "InceptionV3 / timm",
            lambda: application("InceptionV3", 96),
            lambda: _net("inception_v3"),
            (momentum(0.01), Difference(("pooling-count",), "pool", border_not_counted)),
        ),
        LibraryPair(
            "InceptionResNetV2 / timm",
            lambda: application("InceptionResNetV2", 96),
            lambda: _net("inception_resnet_v2"),
            (momentum(0.01),),
        ),
        LibraryPair(
            "DenseNet, eight layers / timm",
            lambda: densenet.DenseNet([2, 2, 2, 2], input_shape=(64, 64, 3), **TOP),
            small_densenet,
            (epsilon(1.001e-5), momentum(0.01)),
        ),
        LibraryPair("ConvNeXt, four blocks / timm", small_convnext, small_timm_convnext, single=True),
    ]
