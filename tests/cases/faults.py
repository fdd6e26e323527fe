"""Deliberate faults in the ports of the pairs: what is changed, and which finding must name which layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from tests.cases.layers import LAYERS, Attention, Case, Does, spectral
from tests.cases.models import MODELS

PAIRS = {**LAYERS, **MODELS}


@dataclass
class Fault:
    """``kind`` and ``layer`` (the port's name, a prefix of it) of the finding that must be among the first."""

    pair: str
    kind: str
    layer: str
    break_port: Callable[[nn.Module], nn.Module | None]

    def case(self) -> Case:
        case = PAIRS[self.pair]()
        case.port = self.break_port(case.port) or case.port
        return case


FAULTS: dict[str, Fault] = {}


def fault(pair: str, kind: str, layer: str) -> Callable:
    """Register a fault under its function's name."""

    def register(break_port: Callable[[nn.Module], nn.Module | None]) -> Callable:
        FAULTS[break_port.__name__] = Fault(pair, kind, layer, break_port)
        return break_port

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


@fault("layernorm_last_axis", "layernorm-epsilon", "norm")
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


@fault("activations_as_arguments", "activation-kind", ":relu6")
def activation_left_out(port):
    def call(self, x):
        functions = [None, F.selu, F.gelu, F.softsign, lambda x: F.leaky_relu(x, 0.2), F.mish]
        for dense, function in zip(self.stack, [*functions, lambda x: F.log_softmax(x, 1)], strict=True):
            x = dense(x) if function is None else function(dense(x))
        return x

    port.call = call


@fault("dense_on_sequences", "activation-form", "1")
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


@fault("pooling_max_and_average", "pooling-mode", "pool")
def maximum_for_average(port):
    port.pool = nn.MaxPool2d(3, 1)


@fault("pooling_1d_same", "pooling-size", "1")
def another_pool_size(port):
    port[1] = nn.MaxPool1d(3, stride=2)


@fault("pooling_same_average", "pooling-count", "1")
def padding_counted_in_the_mean(port):
    port[1].count_include_pad = True


@fault("dense_on_sequences", "activation-kind", "4")
def activation_at_the_end(port):
    port.append(nn.Tanh())


@fault("autoencoder_through_a_latent", "activation-kind", ":sigmoid")
def activation_missing_at_the_end(port):
    def call(self, x):
        code = torch.tanh(self.encode(F.relu(self.down(x)).flatten(1)))
        return self.up(F.relu(self.decode(code)).reshape(-1, 4, 4, 3))

    port.call = call


@fault("dense_after_global_pooling", "pooling-mode", "amax")
def global_maximum_for_average(port):
    port.call = lambda self, x: torch.sigmoid(self.fc(self.conv(x).amax((2, 3))))


@fault("residual_sums_of_every_spelling", "missing-term", "")
def shortcut_left_out(port):
    def call(self, x):
        a, b, c, d = self.convs
        x = a(x).relu()
        x = torch.add(b(x).relu(), x)
        x = x + c(x).relu()
        return self.last(d(x) + x)

    port.call = call


@fault("unet_with_skip", "concat-order", "cat")
def branches_joined_the_other_way(port):
    def forward(x):
        a = F.relu(port.enc[0](x))
        b = F.relu(port.enc[1](F.max_pool2d(a, 2)))
        return port.out(torch.cat([a, port.up(b)], dim=1))

    port.forward = forward


@fault("squeeze_and_excitation", "merge-operation", "add")
def gate_added(port):
    port.call = lambda self, x: (h := self.conv(x)) + self.excite(h.mean((2, 3)))[:, :, None, None]


@fault("shared_layers", "shared-weights", "other.0")
def towers_apart(port):
    other = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(96, 5))
    return Does(lambda self, a, b: self.head(self.one(a) - self.other(b)), one=port.tower, other=other, head=port.head)


@fault("subclassed_stages", "activation-kind", "/relu")
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


@fault("spectral_norm_of_every_kind", "spectral-norm", "0")
def spectral_norm_forgotten(port):
    port[0] = nn.Conv2d(3, 6, 4, 2, 1)


@fault("spectral_norm_of_every_kind", "spectral-norm", "7")
def spectral_norm_too_many(port):
    port[7] = spectral(nn.Linear(5, 2))


@fault("spectral_norm_of_every_kind", "spectral-norm", "5")
def more_power_iterations(port):
    port[5] = spectral(nn.Linear(252, 5), n_power_iterations=3)


@fault("spectral_norm_of_every_kind", "spectral-norm", "2")
def spectral_norm_of_another_matrix(port):
    port[2] = spectral(nn.ConvTranspose2d(6, 4, 3, 2), dim=0)


@fault("spectral_norm_of_the_torch_implementation", "spectral-norm", "1")
def spectral_norm_of_another_matrix_of_the_same_shape(port):
    port[1] = spectral(nn.ConvTranspose2d(4, 4, 2, 2), dim=0)


@fault("spectral_norm_of_every_kind", "spectral-norm", "0")
def spectral_norm_that_moves_v_first(port):
    port[0] = torch.nn.utils.spectral_norm(nn.Conv2d(3, 6, 4, 2, 1))


@fault("spectral_norm_of_every_kind", "spectral-norm", "0")
def power_iterations_that_settings_do_not_tell(port):
    norm = port[0].parametrizations.weight[0]
    norm.__class__ = type("Twice", (type(norm),), {"_power_method": _twice})


def _twice(self, weight, times):
    torch.nn.utils.parametrizations._SpectralNorm._power_method(self, weight, 2)


@fault("spectral_norm_of_every_kind", "spectral-norm", "2")
def spectral_norm_in_evaluation_alone(port):
    norm = port[2].parametrizations.weight[0]
    norm.__class__ = type("Bare", (type(norm),), {"forward": _bare})


def _bare(self, weight):
    normalised = torch.nn.utils.parametrizations._SpectralNorm.forward(self, weight)
    return weight if self.training else normalised


@fault("self_attention", "attention-scale", "1")
def logits_divided_by_the_root_of_their_size(port):
    port[1].factor = 2**-0.5


@fault("self_attention_of_the_torch_implementation", "attention-scale", "1")
def logits_multiplied(port):
    port[1] = Attention(16)
    port[1].factor = 0.37


@fault("self_attention", "attention-axis", "1")
def softmax_over_the_queries(port):
    port[1].axis = 1


@fault("self_attention", "attention-axis", "1")
def attention_transposed(port):
    port[1].turned = False


@fault("labels_into_a_generator", "scale-factor", "classes")
def embedding_scaled(port):
    embedding = port.classes
    embedding.forward = lambda label: F.embedding(label, embedding.weight) * 5**0.5


class CountedMean(nn.AvgPool2d):
    def forward(self, x):
        return F.avg_pool2d(x, 3, 1, 1, count_include_pad=True)


@fault("pooling_same_average", "pooling-count", "1")
def padding_counted_though_settings_do_not_tell(port):
    port[1] = CountedMean(3, 1, 1, count_include_pad=False)


class ShiftedPool(nn.AvgPool1d):
    def forward(self, x):
        return F.avg_pool1d(F.pad(x, (1, 0)), 2)


@fault("pooling_1d_shifted", "padding-alignment", "1")
def pooled_from_the_other_edge(port):
    port[1] = ShiftedPool(2)


class Corners(nn.Upsample):
    def forward(self, x):
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


@fault("upsampling_bilinear_layer", "resize-mode", "1")
def corners_aligned_though_settings_do_not_tell(port):
    port[1] = Corners(scale_factor=2, mode="bilinear", align_corners=False)


@fault("dropout_inert", "dropout-rate", "1")
def values_dropped_for_channels(port):
    port[1] = nn.Dropout(0.3)
