"""One deliberate fault in the port of a pair of the zoo: what is done, and what must be said about which layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from zoo_layers import LAYERS, Case, Does
from zoo_models import MODELS

PAIRS = {**LAYERS, **MODELS}


@dataclass
class Fault:
    """``kind`` and ``layer`` (the port's name, a prefix of it) of the finding that must be among the first."""

    pair: str
    kind: str
    layer: str
    spoil: Callable[[nn.Module], nn.Module | None]

    def case(self) -> Case:
        case = PAIRS[self.pair]()
        case.port = self.spoil(case.port) or case.port
        return case


FAULTS: dict[str, Fault] = {}


def fault(pair: str, kind: str, layer: str) -> Callable:
    """Register a fault under its function's name."""

    def register(spoil: Callable[[nn.Module], nn.Module | None]) -> Callable:
        FAULTS[spoil.__name__] = Fault(pair, kind, layer, spoil)
        return spoil

    return register


@fault("conv2d_transpose_same_odd", "padding-alignment", "0.conv")
def cropped_at_the_other_edge(port):
    port[0].crops = ((2, 1), (2, 1))


@fault("transposed_convolution_cropped_by_slices", "padding-alignment", "up")
def sliced_at_the_other_edge(port):
    port.call = lambda self, x: self.last(F.relu(self.up(x)[:, :, 1:, 1:]))


@fault("conv3d_same_strided", "padding-alignment", "0.conv")
def padded_at_the_other_edge(port):
    port[0].amounts = (1, 1, 1, 0, 1, 1)


@fault("zero_padding", "padding-alignment", "1")
def padding_layer_turned(port):
    port[0] = nn.ZeroPad2d((3, 0, 1, 2))


@fault("temporal_network_with_chomps", "padding-alignment", "net.0")
def chomped_in_front(port):
    port.net[1].forward = lambda x: x[:, :, 2:]


@fault("conv1d_causal_dilated", "padding-alignment", "0.conv")
def not_causal(port):
    port[0].amounts = (2, 2)


@fault("conv2d_dilated_grouped", "dilation", "0")
def without_dilation(port):
    port[0].dilation = (1, 1)
    port[0]._reversed_padding_repeated_twice = [1, 1, 1, 1]


@fault("conv2d_dilated_grouped", "groups", "0")
def without_groups(port):
    port[0] = nn.Conv2d(4, 6, 3, dilation=2, padding="same")


@fault("depthwise_multiplier_2", "stride", "0")
def another_stride(port):
    port[0] = nn.Conv2d(3, 6, 3, stride=(2, 1), groups=3)


@fault("depthwise_multiplier_1", "missing-bias", "0")
def depthwise_without_bias(port):
    port[0] = nn.Conv2d(3, 3, 3, padding=1, groups=3, bias=False)


@fault("separable", "missing-bias", "1")
def pointwise_without_bias(port):
    port[1] = nn.Conv2d(6, 4, 1, bias=False)


@fault("dense_after_flatten", "missing-bias", "2")
def dense_without_bias(port):
    port[2] = nn.Linear(12, 6, bias=False)


@fault("conv3d_transpose_same", "kernel-size", "convtranspose3d")
def another_kernel_size(port):
    return nn.ConvTranspose3d(3, 2, 2, stride=2)


@fault("batchnorm_1d", "batchnorm-epsilon", "1")
def stock_epsilon_1d(port):
    port[1] = nn.BatchNorm1d(5, momentum=0.01)


@fault("batchnorm_2d", "batchnorm-momentum", "1")
def another_momentum(port):
    port[1] = nn.BatchNorm2d(4, momentum=0.01)


@fault("batchnorm_3d", "missing-layer", "")
def without_batchnorm(port):
    port[1] = nn.Identity()


@fault("layernorm_last_axis", "numeric", "norm")
def layernorm_epsilon(port):
    port.norm.eps = 1e-5


@fault("groupnorm", "groups", "1")
def more_groups(port):
    port[1] = nn.GroupNorm(4, 4, eps=1e-3)


@fault("stock_leaky_relu", "activation-slope", "1")
def another_slope(port):
    port[1] = nn.LeakyReLU(0.1)


@fault("activations_as_layers", "activation-kind", "1")
def relu_for_swish(port):
    port[1] = nn.ReLU()


@fault("activations_as_arguments", "activation-kind", "stack.1")
def activation_left_out(port):
    def call(self, x):
        functions = [None, F.selu, F.gelu, F.softsign, lambda x: F.leaky_relu(x, 0.2), F.mish]
        for dense, function in zip(self.stack, [*functions, lambda x: F.log_softmax(x, 1)], strict=True):
            x = dense(x) if function is None else function(dense(x))
        return x

    port.call = call


@fault("dense_on_sequences", "activation-kind", "1")
def approximate_gelu(port):
    port[1] = nn.GELU(approximate="tanh")


@fault("upsampling_bilinear", "resize-mode", "interpolate")
def corners_aligned(port):
    port.call = lambda self, x: F.relu(F.interpolate(self.conv(x), scale_factor=2, mode="bilinear", align_corners=True))


@fault("upsampling_nearest", "resize-mode", "0")
def bilinear_for_nearest(port):
    port[0] = nn.Upsample(scale_factor=(2, 3), mode="bilinear")


@fault("dropout_inert", "dropout-rate", "1")
def another_dropout_rate(port):
    port[1].p = 0.2


@fault("dropout_inert", "missing-layer", "")
def without_dropout(port):
    port[3] = nn.Identity()


@fault("dropout_inert", "dropout-rate", "3.dropout")
def dropout_in_evaluation(port):
    class Always(nn.Module):
        def forward(self, x):
            return F.dropout(x, 0.5)

    port[3] = Always()


@fault("pooling_max_and_average", "numeric", "pool")
def maximum_for_average(port):
    port.pool = nn.MaxPool2d(3, 1)


@fault("pooling_1d_same", "kernel-size", "1")
def another_pool_size(port):
    port[1] = nn.MaxPool1d(3, stride=2)


@fault("pooling_same_average", "pooling-count", "1")
def padding_counted_in_the_mean(port):
    port[1].count_include_pad = True


@fault("dense_on_sequences", "activation-kind", "3")
def activation_at_the_end(port):
    port.append(nn.Tanh())


@fault("autoencoder_through_a_latent", "activation-kind", "up")
def activation_missing_at_the_end(port):
    def call(self, x):
        code = torch.tanh(self.encode(F.relu(self.down(x)).flatten(1)))
        return self.up(F.relu(self.decode(code)).reshape(-1, 4, 4, 3))

    port.call = call


@fault("dense_after_global_pooling", "numeric", "amax")
def global_maximum_for_average(port):
    port.call = lambda self, x: torch.sigmoid(self.fc(self.conv(x).amax((2, 3))))


@fault("residual_sums_of_every_spelling", "numeric", "convs.1")
def shortcut_left_out(port):
    def call(self, x):
        a, b, c, d = self.convs
        x = a(x).relu()
        x = torch.add(b(x).relu(), x)
        x = x + c(x).relu()
        return self.last(d(x) + x)

    port.call = call


@fault("unet_with_skip", "channel-order", "cat")
def branches_joined_the_other_way(port):
    def forward(x):
        a = F.relu(port.enc[0](x))
        b = F.relu(port.enc[1](F.max_pool2d(a, 2)))
        return port.out(torch.cat([a, port.up(b)], dim=1))

    port.forward = forward


@fault("squeeze_and_excitation", "numeric", "add")
def gate_added(port):
    port.call = lambda self, x: (h := self.conv(x)) + self.excite(h.mean((2, 3)))[:, :, None, None]


@fault("shared_layers", "numeric", "other.0")
def towers_apart(port):
    other = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(96, 5))
    return Does(lambda self, a, b: self.head(self.one(a) - self.other(b)), one=port.tower, other=other, head=port.head)


@fault("subclassed_stages", "activation-kind", "blocks.1.conv_out")
def activation_missing_in_a_block(port):
    block = port.blocks[1]
    block.forward = lambda x: F.relu(block.conv_out(block.bn(block.conv_in(x))) + x)


@fault("subclass_in_sequential_in_functional", "padding-alignment", "entry")
def symmetric_padding(port):
    port.entry = nn.Conv2d(3, 4, 3, stride=2, padding=1)
    blocks, pool, head = port.blocks, port.pool, port.classifier
    port.forward = lambda x: head(blocks[1](pool(blocks[0](F.relu(port.entry(x))))).mean(dim=[2, 3]))


@fault("two_outputs", "activation-kind", "sigmoid")
def sigmoid_for_softmax(port):
    port.call = lambda self, x: (self.map(h := F.relu(self.body(x))), torch.sigmoid(self.logits(h.flatten(1))))
