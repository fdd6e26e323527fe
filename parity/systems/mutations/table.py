"""The mutations: what is changed where in which port, and what must be said about it. Data alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from parity.systems.mutations.changes import (
    Change,
    after,
    by,
    exchanged,
    held_in_evaluation,
    in_training,
    instead,
    like,
    rounded_to,
    setting,
    unshared,
    weights,
    with_kernel,
)
from parity.systems.mutations.torch_networks import FRAME, HOP

DISCRIMINATOR, GENERATOR = "dcgan_tiny.discriminator", "specgan_tiny.generator"


@dataclass(frozen=True)
class Mutation:
    """``network`` with ``at`` of its port put through ``change``: a finding of one of ``kinds`` must stand there.

    Args:
        at: name of a layer, or of an operation (a method) of the port.
        kinds: true words for the cause, separated by spaces.
        where: names of what is at the same place on either side, where it is not called ``at``.
        own_weights: what is changed are the port's own weights, after a right copy.
        training: without effect on inference; the verdict must say so.
        reference: what is changed is a layer of the reference.
        other: the layer that ``at`` is exchanged for: ``change`` takes it instead.
    """

    name: str
    network: str
    at: str
    change: Change
    kinds: str
    where: str = ""
    own_weights: bool = False
    training: bool = False
    reference: bool = False
    other: str = ""

    @property
    def pairs(self) -> bool:
        """Whether the mutation is also tried together with another one."""
        return not self.reference

    @property
    def places(self) -> frozenset[str]:
        """Names under which a finding may stand."""
        return frozenset({self.at, *self.where.split()})


def _own(name: str, network: str, at: str, change: Change, other: str = "") -> Mutation:
    return Mutation(name, network, at, change, "wrong-weights", own_weights=True, other=other)


M = Mutation
CONVOLUTIONS = [
    M("bias added", "ResNet", "conv_2", after(lambda y: y + 0.1), "scale-factor missing-bias extra-term",
      "bn_2"),
    M("bias forgotten", "DenseNet", "conv_1", like(bias=False), "missing-bias"),
    M("bias of a dense layer forgotten", "ConvNeXt", "widen", like(bias=False), "missing-bias"),
    M("stride", "ResNet", "conv_1", like(stride=1), "stride"),
    M("dilation forgotten", "DenseNet", "conv_2", like(dilation=1, padding=1), "dilation"),
    M("groups forgotten", "Inception", "five_b", like(groups=1), "groups"),
    M("kernel size", "Inception", "three", like(kernel_size=5, padding=2), "kernel-size"),
    M("padding at the other edge", "MobileNet", "stem_pad", by(lambda x: F.pad(x, (1, 0, 1, 0))), "padding-alignment",
      "stem"),
    M("padding on both sides", "ConvNeXt", "down_pad", by(lambda x: F.pad(x, (1, 1, 1, 1))), "padding-alignment",
      "down"),
    M("padding rows and columns exchanged", "MobileNet", "stem_pad", by(lambda x: F.pad(x, (1, 0, 0, 1))),
      "padding-alignment", "stem"),
    M("no padding", "DenseNet", "stem", setting(padding=(0, 0)), "padding-alignment"),
    M("padding mode reflect", "DenseNet", "stem",
      lambda layer: like(padding_mode="reflect")(layer), "padding-mode"),
    M("padding mode replicate", "Inception", "pad", by(lambda x: F.pad(x, (1, 1, 1, 1), "replicate")), "padding-mode",
      "stem"),
    M("zeros for reflections", "Inception", "pad", by(lambda x: F.pad(x, (1, 1, 1, 1))), "padding-mode", "stem"),
    M("circular padding", "UNet", "up_1", lambda layer: like(padding_mode="circular")(layer), "padding-mode"),
    M("padding value", "MobileNet", "stem_pad", by(lambda x: F.pad(x, (0, 1, 0, 1), value=1.0)), "padding-value",
      "stem"),
    M("transposed crop at the other edge", "UNet", "crop", by(lambda x: x[..., 1:, 1:]), "padding-alignment",
      "up_2"),
    M("kernel flipped", "Inception", "three", with_kernel(lambda w: w.flip(2, 3)), "kernel-layout"),
    M("kernel transposed", "ResNet", "conv_2", with_kernel(lambda w: w.transpose(2, 3)), "kernel-layout"),
    M("channels reversed", "ResNet", "stem", after(lambda y: y.flip(1)), "channel-order axis-reversed"),
]  # fmt: skip
POOLINGS = [
    M("pool pads with a constant", "ResNet", "stem_pool",
      instead(lambda: nn.Sequential(nn.ConstantPad2d(1, 0.5), nn.MaxPool2d(3, 2))), "padding-value", "stem_pad"),
    M("pool without padding", "ResNet", "stem_pool", setting(padding=0, ceil_mode=True), "padding-alignment",
      "stem_pad"),
    M("pool of average", "UNet", "pool", instead(lambda: nn.AvgPool2d(2)), "pooling-mode activation-kind"),
    M("pool of maximum", "DenseNet", "pool", instead(lambda: nn.MaxPool2d(2)), "pooling-mode activation-kind"),
    M("pool size", "UNet", "pool", instead(lambda: nn.MaxPool2d(3, 2, padding=1)),
      "pooling-size kernel-size padding-alignment"),
    M("pool size of a window", "Inception", "pool",
      instead(lambda: nn.AvgPool2d(5, 1, 2, count_include_pad=False)), "pooling-size kernel-size"),
    M("pool counts its padding", "Inception", "pool", setting(count_include_pad=True), "pooling-count"),
    M("pool rounds up", "Spectrogram", "pool", setting(ceil_mode=True), "pooling-size padding-alignment"),
    M("pool divides by another number", "DenseNet", "pool", setting(divisor_override=3), "scale-factor pooling-count"),
    M("global maximum for mean", "ResNet", "gap", by(lambda x: x.amax((2, 3))), "pooling-mode"),
    M("global mean for maximum", "Inception", "gmp", by(lambda x: x.mean((2, 3))), "pooling-mode"),
    M("global sum for mean", "DenseNet", "gap", by(lambda x: x.sum((2, 3))), "pooling-mode scale-factor"),
    M("last step for the mean", "Spectrogram", "gap", by(lambda x: x[..., -1]), "step-picked pooling-mode"),
    M("mask ignored", "Embedding", "pool", by(lambda x, tokens: x.mean(1)), "mask-ignored"),
]  # fmt: skip
RESIZINGS = [
    M(f"resized by {mode}", "UNet", "resize", by(function), "resize-mode")
    for mode, function in {
        "nearest": lambda x: F.interpolate(x, scale_factor=2),
        "aligned corners": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True),
        "bicubic": lambda x: F.interpolate(x, scale_factor=2, mode="bicubic"),
    }.items()
]
ACTIVATIONS = [
    M("ELU for ReLU", "ResNet", "relu_1", instead(nn.ELU), "activation-kind"),
    M("GELU for ReLU", "ResNet", "relu_2", instead(nn.GELU), "activation-kind"),
    M("ReLU6 for ReLU", "MobileNet", "reduce_act", instead(nn.ReLU6), "activation-kind clamp"),
    M("ReLU for ReLU6", "MobileNet", "expand_act", instead(nn.ReLU), "activation-kind clamp"),
    M("SiLU for hard SiLU", "MobileNet", "stem_act", instead(nn.SiLU), "activation-kind activation-form"),
    M("sigmoid for hard sigmoid", "MobileNet", "gate", instead(nn.Sigmoid), "activation-kind activation-form"),
    M("old hard sigmoid", "MobileNet", "gate", by(lambda x: (0.2 * x + 0.5).clamp(0, 1)), "activation-form"),
    M("activation forgotten", "ResNet", "relu_1", instead(nn.Identity), "missing-layer activation-kind"),
    M("activation of a convolution forgotten", "UNet", "relu", by(lambda x: x), "missing-layer activation-kind",
      "down_1 pool"),
    M("one activation more", "Embedding", "scale", after(torch.relu), "extra-layer activation-kind", "relu"),
    M("slope", "DenseNet", "relu_2", setting(negative_slope=0.01), "activation-slope"),
    M("alpha", "DenseNet", "last_act", setting(alpha=0.5), "activation-slope"),
    M("beta", "UNet", "up_act", setting(beta=2.0), "activation-slope"),
    M("one slope for all channels", "Inception", "act", instead(lambda: nn.PReLU(1)),
      "shared-weights activation-slope activation-kind"),
    M("tanh form of GELU", "ConvNeXt", "gelu", setting(approximate="tanh"), "activation-form"),
    M("quick GELU", "ConvNeXt", "gelu", by(lambda x: x * torch.sigmoid(1.702 * x)), "activation-form"),
    M("sigmoid for tanh", "Embedding", "act", instead(nn.Sigmoid), "activation-kind"),
    M("sigmoid forgotten", "UNet", "sigmoid", by(lambda x: x), "missing-layer activation-kind", "mask"),
    M("softmax over the batch", "DenseNet", "softmax", setting(dim=0), "softmax-axis"),
    M("softmax forgotten", "DenseNet", "softmax", instead(nn.Identity), "missing-layer activation-kind"),
    M("log softmax", "DenseNet", "softmax", instead(lambda: nn.LogSoftmax(-1)), "activation-kind"),
    M("softmax twice", "DenseNet", "softmax", after(lambda y: y.softmax(-1)), "extra-layer activation-kind"),
]  # fmt: skip
NORMALISATIONS = [
    M("epsilon of a batch norm", "ResNet", "bn_2", setting(eps=1e-5), "batchnorm-epsilon"),
    M("epsilon of a strided batch norm", "MobileNet", "stem_bn", setting(eps=1e-5), "batchnorm-epsilon"),
    M("epsilon of a layer norm", "ConvNeXt", "ln", setting(eps=1e-3), "layernorm-epsilon"),
    M("epsilon of the last layer norm", "ConvNeXt", "head_ln", setting(eps=1e-5), "layernorm-epsilon"),
    M("epsilon of a group norm", "ConvNeXt", "gn", setting(eps=1e-3), "groupnorm-epsilon"),
    M("groups of a group norm", "ConvNeXt", "gn", setting(num_groups=3), "groups"),
    M("momentum", "DenseNet", "bn_1", setting(momentum=0.1), "batchnorm-momentum", training=True),
    M("momentum the other way round", "ResNet", "stem_bn", setting(momentum=0.99), "batchnorm-momentum",
      training=True),
    M("batch norm held in the port", "MobileNet", "expand_bn", held_in_evaluation, "batchnorm-statistics",
      training=True),
    M("batch norm frozen in the reference", "ResNet", "bn_1", setting(trainable=False), "batchnorm-statistics",
      training=True, reference=True),
    M("batch norm forgotten", "MobileNet", "depthwise_bn", instead(nn.Identity), "missing-layer"),
    M("one batch norm more", "DenseNet", "conv_1",
      lambda layer: nn.Sequential(layer, nn.BatchNorm2d(4, eps=1e-3)), "extra-layer", "concat_1 conv_1.1"),
    M("batch statistics in evaluation", "DenseNet", "bn_2", setting(track_running_stats=False, running_mean=None,
      running_var=None), "batchnorm-statistics weights numeric"),
    M("layer norm forgotten", "ConvNeXt", "head_ln", instead(nn.Identity), "missing-layer"),
    M("unit norm missing", "Embedding", "unit", by(lambda x: x), "missing-layer normalisation"),
    M("unit norm over the batch", "Embedding", "unit", by(lambda x: F.normalize(x, dim=0)), "norm-axis"),
    M("unit norm by absolute values", "Embedding", "unit", by(lambda x: F.normalize(x, p=1, dim=-1)),
      "normalisation"),
    M("standard deviation by n - 1", "Spectrogram", "std",
      by(lambda x: x / (x.std((1, 2), keepdim=True) + 1e-2)), "variance-divisor"),
    M("standard deviation's epsilon", "Spectrogram", "std",
      by(lambda x: x / (x.std((1, 2), correction=0, keepdim=True) + 1e-1)), "norm-epsilon"),
    M("standardised over time alone", "Spectrogram", "mean",
      by(lambda x: x - x.mean(1, keepdim=True)), "norm-axis reduction-axis"),
]  # fmt: skip
JOINS = [
    M("difference for sum", "ResNet", "add", by(lambda x, skip, earlier: x - skip), "merge-operation scale-factor"),
    M("product for sum", "MobileNet", "add", by(lambda x, skip: x * skip), "merge-operation"),
    M("mean for sum", "ConvNeXt", "add", by(lambda x, skip: (x + skip) / 2), "merge-operation scale-factor"),
    M("sum for product", "MobileNet", "scale", by(lambda x, weight: x + weight), "merge-operation"),
    M("skip from another layer", "ResNet", "add", by(lambda x, skip, earlier: x + earlier), "wrong-source"),
    M("skip forgotten", "ResNet", "add", by(lambda x, skip, earlier: x), "missing-term missing-layer"),
    M("skip twice", "ConvNeXt", "add", by(lambda x, skip: x + skip + skip), "extra-term scale-factor"),
    M("excitation forgotten", "MobileNet", "scale", by(lambda x, weight: x), "missing-term missing-layer"),
    M("concat order", "DenseNet", "concat_1", by(lambda x, new: torch.cat([new, x], 1)), "concat-order"),
    M("concat order before a convolution", "UNet", "concat", by(lambda x, skip: torch.cat([skip, x], 1)),
      "concat-order"),
    M("branches exchanged", "Inception", "concat", by(lambda a, b, c, d: torch.cat([a, c, b, d], 1)), "concat-order"),
    M("concat order before a dense layer", "Inception", "both", by(lambda mean, most: torch.cat([most, mean], 1)),
      "concat-order"),
    M("outputs exchanged", "Embedding", "outputs", by(lambda first, other: (other, first)), "output-order",
      "first_fc other_fc output"),
    M("dict keys exchanged", "UNet", "outputs", by(lambda fine, mask: {"fine": mask, "mask": fine}), "output-order",
      "fine mask output sigmoid"),
    M("height and width exchanged", "ResNet", "stem_pool", after(lambda y: y.transpose(2, 3)), "axes-exchanged",
      "stem_pad"),
    M("height and width exchanged before Flatten", "MobileNet", "flatten",
      by(lambda x: x.transpose(2, 3).flatten(1)), "axes-exchanged flatten-order", "drop fc"),
    M("image upside down", "ConvNeXt", "stem", after(lambda y: y.flip(2)), "axis-reversed"),
    M("depth to space by channels", "UNet", "shuffle", by(lambda x: F.pixel_shuffle(x, 2)), "depth-to-space"),
    M("shared weights", "Embedding", "second", lambda other: other, "shared-weights", "hidden", other="hidden"),
    M("shared convolutions", "Inception", "five_a", lambda other: other, "shared-weights", "one", other="one"),
]  # fmt: skip
FACTORS = [
    M("factor", "Embedding", "widen", by(lambda x: x), "missing-layer scale-factor"),
    M("factor of another width", "Embedding", "widen", by(lambda x: x * 8**0.5), "scale-factor"),
    M("factor divides", "Embedding", "scale", by(lambda x: x / 4.0), "scale-factor"),
    M("pixels divided by 255", "MobileNet", "rescale", by(lambda x: x / 255), "scale-factor"),
    M("pixels not shifted", "MobileNet", "rescale", by(lambda x: x / 127.5), "scale-factor"),
    M("pixels doubly scaled", "DenseNet", "gap", after(lambda y: 2 * y), "scale-factor", "fc"),
    M("logarithm to base 10", "Spectrogram", "log", by(lambda x: torch.log10(x + 1e-3)), "log-base"),
    M("log1p", "Spectrogram", "log", by(torch.log1p), "log-offset"),
    M("another floor of the logarithm", "Spectrogram", "log", by(lambda x: torch.log(x + 1e-5)), "log-offset"),
    M("clamped logarithm", "Spectrogram", "log", by(lambda x: torch.log(x.clamp(min=1e-3))), "log-offset clamp"),
    M("symmetric window", "Spectrogram", "stft", by(lambda x, window: torch.stft(
        x, FRAME, HOP, FRAME, torch.hann_window(FRAME, periodic=False, dtype=x.dtype), center=False,
        return_complex=True).abs().mT), "stft-window"),
    M("no window", "Spectrogram", "stft", by(lambda x, window: torch.stft(
        x, FRAME, HOP, FRAME, torch.ones_like(window), center=False, return_complex=True).abs().mT), "stft-window"),
    M("centred frames", "Spectrogram", "stft", by(lambda x, window: torch.stft(
        x, FRAME, HOP, FRAME, window, center=True, return_complex=True).abs().mT), "stft-centre stft-frames"),
    M("power for magnitude", "Spectrogram", "stft", after(lambda y: y**2), "stft-power activation-kind", "mel"),
    M("normalised transform", "Spectrogram", "stft", after(lambda y: y / FRAME**0.5), "scale-factor", "mel"),
]  # fmt: skip
IN_TRAINING = [
    M("dropout's rate", "Embedding", "drop", setting(p=0.5), "dropout-rate", training=True),
    M("dropout forgotten", "MobileNet", "drop", instead(nn.Identity), "missing-layer dropout-rate", training=True),
    M("one per cent more in training", "ConvNeXt", "narrow", in_training(lambda y: 1.01 * y), "scale-factor", "add",
      training=True),
    M("clamp in training", "DenseNet", "transition", in_training(lambda y: y.clamp(-0.5, 0.5)), "clamp",
      training=True),
    M("ReLU in training", "UNet", "up_1", in_training(torch.relu), "activation-kind extra-layer clamp",
      "up_act", training=True),
    M("gradient lost", "ResNet", "conv_1", after(torch.detach), "numeric", training=True),
]  # fmt: skip
ROUNDINGS = [
    M("float16 inside", "ResNet", "conv_2", rounded_to(torch.float16), "precision"),
    M("bfloat16 inside", "ConvNeXt", "widen", rounded_to(torch.bfloat16), "precision", "gelu"),
    M("off by a millionth", "Inception", "three", after(lambda y: y * (1 + 1e-6)), "scale-factor numeric", "cat"),
]
OWN_WEIGHTS = [
    _own("kernel reversed", "ResNet", "conv_2", weights(weight=lambda w: w.flip(2, 3))),
    _own("kernel's channels exchanged", "ResNet", "conv_2", weights(weight=lambda w: w.transpose(0, 1))),
    _own("kernel's sides exchanged", "UNet", "up_1", weights(weight=lambda w: w.transpose(2, 3))),
    _own("kernel not transposed", "Embedding", "hidden", weights(weight=torch.t)),
    _own("gamma and beta exchanged", "ResNet", "bn_1", exchanged("weight", "bias")),
    _own("mean and variance exchanged", "MobileNet", "stem_bn", exchanged("running_mean", "running_var")),
    _own("statistics forgotten", "DenseNet", "bn_2", lambda layer: weights(
        running_mean=torch.zeros_like, running_var=torch.ones_like)(layer)),
    _own("another layer's weights", "Embedding", "second", lambda other: unshared(other), "hidden"),
    _own("bias forgotten", "UNet", "mask", weights(bias=torch.zeros_like)),
    _own("rounded through float16", "Inception", "fc", weights(weight=lambda w: w.half().to(w.dtype))),
    _own("dense rows not reordered", "MobileNet", "fc",
         weights(weight=lambda w: w.reshape(5, 4, 36).transpose(1, 2))),
    _own("kernel scaled", "ConvNeXt", "narrow", weights(weight=lambda w: w / 2)),
    _own("input channels reversed", "DenseNet", "stem", weights(weight=lambda w: w.flip(1))),
    _own("embedding shifted", "Embedding", "embed", weights(weight=lambda w: w.roll(1, 0))),
    _own("depthwise kernel's sides exchanged", "ConvNeXt", "depthwise", weights(weight=lambda w: w.transpose(2, 3))),
]  # fmt: skip
PROJECT = [
    M("epsilon", DISCRIMINATOR, "downconv_1_bn", setting(eps=1e-3), "batchnorm-epsilon"),
    M("momentum", DISCRIMINATOR, "downconv_3_bn", setting(momentum=0.5), "batchnorm-momentum", training=True),
    M("slope", DISCRIMINATOR, "downconv_1_lrelu", setting(negative_slope=0.1), "activation-slope"),
    M("ReLU for LeakyReLU", DISCRIMINATOR, "downconv_3_lrelu", instead(nn.ReLU), "activation-kind activation-slope"),
    M("norm forgotten", DISCRIMINATOR, "downconv_2_bn", instead(nn.Identity), "missing-layer"),
    M("factor", DISCRIMINATOR, "downconv_1", after(lambda y: y * 2**0.5), "scale-factor"),
    M("kernel flipped", DISCRIMINATOR, "downconv_2", with_kernel(lambda w: w.flip(2, 3)), "kernel-layout"),
    M("batch norm held", DISCRIMINATOR, "downconv_1_bn", held_in_evaluation, "batchnorm-statistics", training=True),
    M("float16 inside", DISCRIMINATOR, "downconv_3", rounded_to(torch.float16), "precision"),
    M("tanh forgotten", GENERATOR, "upconv_4_tanh", instead(nn.Identity), "missing-layer activation-kind"),
    M("GELU for ReLU", GENERATOR, "upconv_1_relu", instead(nn.GELU), "activation-kind"),
    M("height and width exchanged", GENERATOR, "upconv_2_relu", after(lambda y: y.transpose(2, 3)), "axes-exchanged"),
    M("channels reversed", GENERATOR, "upconv_3", after(lambda y: y.flip(1)), "channel-order axis-reversed"),
    M("kernel's sides exchanged", GENERATOR, "upconv_1", with_kernel(lambda w: w.transpose(2, 3)), "kernel-layout"),
]  # fmt: skip
MUTATIONS: list[Mutation] = [
    *CONVOLUTIONS, *POOLINGS, *RESIZINGS, *ACTIVATIONS, *NORMALISATIONS, *JOINS, *FACTORS, *IN_TRAINING, *ROUNDINGS,
    *OWN_WEIGHTS, *PROJECT,
]  # fmt: skip
