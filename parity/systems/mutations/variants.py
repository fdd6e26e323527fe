"""Faithful variants of the small networks' ports: other arrangements that compute the same. Data alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from parity.systems.mutations.changes import Change, after, before, by, instead
from parity.systems.mutations.torch_networks import FRAME, HOP


@dataclass(frozen=True)
class Variant:
    """``network`` with ``at`` of its port put through ``change``: whatever is said of it is a false alarm."""

    name: str
    network: str
    at: str
    change: Change


def _padded_convolution(layer: nn.Conv2d) -> nn.Module:
    pad = layer.padding[0]
    layer.padding = (0, 0)
    return nn.Sequential(nn.ZeroPad2d(int(pad)), layer)


V = Variant
VARIANTS = [
    V("as it is", "ResNet", "fc", lambda layer: layer),
    V("padding layer before a convolution", "ResNet", "conv_1", _padded_convolution),
    V("ReLU as a clamp", "ResNet", "relu_1", by(lambda x: x.clamp(min=0))),
    V("ReLU as a maximum", "ResNet", "relu_2", by(lambda x: torch.maximum(x, torch.zeros_like(x)))),
    V("functional ReLU", "ResNet", "stem_relu", by(F.relu)),
    V("adaptive pooling and flatten", "ResNet", "gap", by(lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1))),
    V("mean over a flattened image", "ResNet", "gap", by(lambda x: x.flatten(2).mean(-1))),
    V("mean as a sum over a count", "ResNet", "gap", by(lambda x: x.sum((2, 3)) / 9)),
    V("sum the other way round", "ResNet", "add", by(lambda x, skip, earlier: skip + x)),
    V("sum of a stack", "ResNet", "add", by(lambda x, skip, earlier: torch.stack([x, skip]).sum(0))),
    V("pool of -inf padding", "ResNet", "stem_pool", lambda _: nn.Sequential(
        nn.ConstantPad2d(1, float("-inf")), nn.MaxPool2d(3, 2))),
    V("hard SiLU by hand", "MobileNet", "stem_act", by(lambda x: x * F.relu6(x + 3) / 6)),
    V("hard SiLU by hard sigmoid", "MobileNet", "depthwise_act", by(lambda x: x * F.hardsigmoid(x))),
    V("hard sigmoid by hand", "MobileNet", "gate", by(lambda x: (x + 3).clamp(0, 6) / 6)),
    V("ReLU6 as a clamp", "MobileNet", "expand_act", by(lambda x: x.clamp(0, 6))),
    V("pixels by hand", "MobileNet", "rescale", by(lambda x: (x - 127.5) / 127.5)),
    V("padding layer", "MobileNet", "stem_pad", instead(lambda: nn.ZeroPad2d((0, 1, 0, 1)))),
    V("flatten by view", "MobileNet", "flatten", by(lambda x: x.reshape(x.shape[0], -1))),
    V("flatten channels last", "MobileNet", "flatten", by(lambda x: x.permute(0, 2, 3, 1).flatten(1))),
    V("squeezed by two means", "MobileNet", "squeeze", by(lambda x: x.mean(3, keepdim=True).mean(2, keepdim=True))),
    V("expanded gate", "MobileNet", "scale", by(lambda x, weight: x * weight.expand_as(x))),
    V("leaky ReLU by where", "DenseNet", "relu_2", by(lambda x: torch.where(x > 0, x, 0.2 * x))),
    V("leaky ReLU by maximum", "DenseNet", "relu_2", by(lambda x: torch.maximum(x, 0.2 * x))),
    V("ELU by hand", "DenseNet", "last_act", by(lambda x: torch.where(x > 0, x, torch.exp(x.clamp(max=0)) - 1))),
    V("pool by reshaping", "DenseNet", "pool", by(lambda x: x.unflatten(3, (6, 2)).unflatten(2, (6, 2)).mean((3, 5)))),
    V("softmax by hand", "DenseNet", "softmax", by(
        lambda x: torch.exp(x - x.logsumexp(-1, keepdim=True)))),
    V("concat by stacking", "DenseNet", "concat_1", by(lambda x, new: torch.stack([x, new], 1).flatten(1, 2))),
    V("SiLU by hand", "UNet", "down_act", by(lambda x: x * torch.sigmoid(x))),
    V("softplus by hand", "UNet", "up_act", by(lambda x: torch.logaddexp(x, torch.zeros_like(x)))),
    V("sigmoid by tanh", "UNet", "sigmoid", by(lambda x: 0.5 * (torch.tanh(x / 2) + 1))),
    V("resized to a size", "UNet", "resize", instead(lambda: nn.Upsample(size=(12, 12), mode="bilinear"))),
    V("depth to space by permuted channels", "UNet", "shuffle", by(lambda x: F.pixel_shuffle(
        x.unflatten(1, (4, 2)).transpose(1, 2).flatten(1, 2), 2))),
    V("keys in another order", "UNet", "outputs", by(lambda fine, mask: {"mask": mask, "fine": fine})),
    V("reflection layer", "Inception", "pad", instead(lambda: nn.ReflectionPad2d(1))),
    V("concat in two steps", "Inception", "concat", by(
        lambda a, b, c, d: torch.cat([torch.cat([a, b], 1), torch.cat([c, d], 1)], 1))),
    V("global maximum of a pool", "Inception", "gmp", by(lambda x: F.max_pool2d(x, 12).flatten(1))),
    V("tanh by sigmoid", "Inception", "five_act", by(lambda x: 2 * torch.sigmoid(2 * x) - 1)),
    V("pool over counted windows", "Inception", "pool", by(
        lambda x: F.avg_pool2d(x, 3, 1, 1) / F.avg_pool2d(torch.ones_like(x), 3, 1, 1))),
    V("GELU by hand", "ConvNeXt", "gelu", by(lambda x: x * 0.5 * (1 + torch.erf(x / 2**0.5)))),
    V("dense layers as convolutions", "ConvNeXt", "last", by(lambda x: x.permute(0, 2, 3, 1).contiguous())),
    V("skip added in two halves", "ConvNeXt", "add", by(lambda x, skip: torch.lerp(x, skip, 0.5) * 2)),
    V("frames by hand", "Spectrogram", "stft", by(
        lambda x, window: torch.fft.rfft(x.unfold(-1, FRAME, HOP) * window).abs())),
    V("mel bands by einsum", "Spectrogram", "mel", by(lambda x, filters: torch.einsum("btf,fm->btm", x, filters))),
    V("natural logarithm by base 2", "Spectrogram", "log", by(lambda x: torch.log2(x + 1e-3) / 1.4426950408889634)),
    V("variance by hand", "Spectrogram", "std", by(
        lambda x: x / ((x - x.mean((1, 2), keepdim=True)).square().mean((1, 2), keepdim=True).sqrt() + 1e-2))),
    V("unit norm by hand", "Embedding", "unit", by(lambda x: x / x.norm(dim=-1, keepdim=True))),
    V("masked mean by filling", "Embedding", "pool", by(lambda x, tokens: x.masked_fill(
        (tokens == 0)[..., None], 0).sum(1) / (tokens != 0).sum(1, keepdim=True))),
    V("factor as a product of two", "Embedding", "widen", by(lambda x: x * 2**0.5 * 3**0.5)),
    V("outputs in a list", "Embedding", "outputs", by(lambda first, other: [first, other])),
    V("identity around", "Embedding", "scale", after(lambda y: y + 0.0)),
    V("cast around", "Embedding", "act", before(lambda x: x.to(x.dtype))),
]  # fmt: skip
