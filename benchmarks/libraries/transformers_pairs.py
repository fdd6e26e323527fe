"""Networks of ``keras.applications`` against the convolutional ones of ``transformers``."""

from __future__ import annotations

from torch import nn

from benchmarks.libraries import repairs
from benchmarks.libraries.differences import ANYWHERE, Preprocessed, application, dropout, momentum, small_convnext
from benchmarks.libraries.packages import transformers
from benchmarks.libraries.pair import Difference, LibraryPair

# EfficientNetFinalBlockLayer has nn.Dropout where Keras drops whole samples.
VALUES_FOR_SAMPLES = Difference(("dropout-rate",), "blocks", repairs.sample_dropout("blocks"), inference=False)


def keep_probability(rate: float) -> Difference:
    """Dropout that got TensorFlow's keep probability for its rate."""
    return dropout(rate)


def mobilenet_v1() -> nn.Module:
    """MobileNet of a quarter of the width."""
    tr = transformers()
    config = tr.MobileNetV1Config(depth_multiplier=0.25, min_depth=8, tf_padding=True, num_labels=10)
    return tr.MobileNetV1ForImageClassification(config)


def mobilenet_v2() -> nn.Module:
    """MobileNetV2 of 0.35 of the width."""
    tr = transformers()
    config = tr.MobileNetV2Config(depth_multiplier=0.35, tf_padding=True, num_labels=10)
    return tr.MobileNetV2ForImageClassification(config)


def efficientnet() -> nn.Module:
    """EfficientNetB0."""
    tr = transformers()
    config = tr.EfficientNetConfig(
        width_coefficient=1.0, depth_coefficient=1.0, hidden_dim=1280, dropout_rate=0.2, image_size=64, num_labels=10
    )
    return tr.EfficientNetForImageClassification(config)


def convnext() -> nn.Module:
    """ConvNeXt, four blocks."""
    tr = transformers()
    config = tr.ConvNextConfig(hidden_sizes=[16, 24, 32, 48], depths=[1, 1, 1, 1], num_labels=10)
    return tr.ConvNextForImageClassification(config)


def pairs() -> list[LibraryPair]:
    """All pairs of this module."""
    return [
        LibraryPair(
            "MobileNet / transformers",
            lambda: application("MobileNet", 64, alpha=0.25),
            mobilenet_v1,
            (momentum(0.01), keep_probability(1e-3)),
        ),
        LibraryPair(
            "MobileNetV2 / transformers",
            lambda: application("MobileNetV2", 64, alpha=0.35),
            mobilenet_v2,
            (momentum(0.001), keep_probability(0.0)),
        ),
        LibraryPair(
            "EfficientNetB0 / transformers",
            lambda: application("EfficientNetB0", 64),
            lambda: Preprocessed(efficientnet()),
            (momentum(0.01), VALUES_FOR_SAMPLES),
            largest=255.0,
            single=True,
        ),
        LibraryPair(
            "ConvNeXt, four blocks / transformers",
            small_convnext,
            convnext,
            (Difference(("layernorm-epsilon",), ANYWHERE, repairs.norm_epsilon(1e-6)),),
            single=True,
        ),
    ]
