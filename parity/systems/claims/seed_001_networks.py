"""What the DCGAN experiments log says of its networks, measured on upsample_dcgan."""

from __future__ import annotations

from typing import Any

import numpy as np

from parity.report.formats import error, shape
from parity.systems.claims.measured import Measure, Measured, both_sides, truth, unless
from parity.systems.claims.stock import block, gap
from parity.systems.claims.twins import AGREE, Twin, Twins, keras_float64, to_numpy, to_torch

SYSTEM = "upsample_dcgan"


def ends(network: str, given: tuple[int, ...], made: tuple[int, ...]) -> Measure:
    """Shapes without the batch at both ends of a network, channels first as the log has them."""

    def found(twins: Twins) -> Measured:
        twin = twins.get(network, SYSTEM)
        port = tuple(to_torch(twin.inputs).shape), list(twin.port_shapes.values())[-1]
        keras = twin.inputs.shape, twin.result.shape
        holds = (port[0][1:], port[1][1:]) == (given, made) and keras[1] == to_numpy_shape(port[1])
        return both_sides(holds, *(" → ".join(map(shape, side)) for side in (keras, port)))

    return found


def to_numpy_shape(port: tuple[int, ...]) -> tuple[int, ...]:
    """A shape of the port with its channels last."""
    return (port[0], *port[2:], port[1]) if len(port) == 4 else port


def as_written(network: str, prefix: str, size: tuple[int, ...], write: Any) -> Measure:
    """A block in stock torch, as ``write(nn)`` gives it, with our weights: its size and its values."""

    def found(twins: Twins) -> Measured:
        from torch import nn

        twin = twins.get(network, SYSTEM)
        last = [name for name in twin.port_shapes if name.startswith(prefix)][-1]
        got, apart = twin.port_shapes[last], block(twin, prefix, write(nn))
        return Measured(
            truth(got[1:] == size and apart <= AGREE),
            f"{shape(got)}; the stock torch layers, given our weights, are off from Keras's by {error(apart)}",
            f"{shape(got)}；标准 torch 层使用同样权重，与 Keras 相差 {error(apart)}",
        )

    return found


def strided(twins: Twins) -> Measured:
    """The discriminator's first convolution by SAME and by one pixel on every side."""
    import keras

    d = twins.get("discriminator", SYSTEM)
    own = d.reference.get_layer("downconv_0")
    with keras_float64():
        same = keras.layers.Conv2D(own.filters, 3, 2, "same")
        same.build(d.inputs.shape)
    same.set_weights(own.get_weights())
    apart = gap(np.asarray(same(d.inputs)), d.outputs["downconv_0"])
    exact = d.layer_error(d.exact, "downconv_0") if "downconv_0_pad" not in d.outputs else _padded(d)
    return Measured(
        unless(apart > AGREE and exact <= AGREE, "conditional") if exact <= AGREE else "false",
        f"SAME pads (0, 1) and gives the same shape, but with the same weights values are off by {error(apart)};"
        f" padded by one on every side: {error(exact)}",
        f"SAME 填充 (0, 1)，形状相同，但同样权重下数值相差 {error(apart)}；四边各填充 1 时：{error(exact)}",
    )


def _padded(d: Twin) -> float:
    return gap(
        to_numpy(d.exact.get_submodule("downconv_0")(to_torch(d.inputs))),
        d.outputs["downconv_0"],
    )


def flattened(twins: Twins) -> Measured:
    """Features in front of the discriminator's dense layer."""
    d = twins.get("discriminator", SYSTEM)
    keras, torch = d.outputs["flatten"].shape[1], d.port_shapes["flatten"][1]
    plain = d.error(d.port(ordered=False))
    return Measured(
        truth(keras == torch == 8192),
        f"Keras {keras}, PyTorch {torch}; in the order (h, w, c) and (c, h, w): not reordered, D is off by"
        f" {error(plain)}",
        f"Keras {keras}，PyTorch {torch}；顺序分别为 (h, w, c) 与 (c, h, w)：不重排时 D 相差 {error(plain)}",
    )


def dropped(twins: Twins) -> Measured:
    """How many channels the discriminator's dropout drops, and whether whole ones."""
    import torch

    d = twins.get("discriminator", SYSTEM)
    layers = d.modules("ChannelDropout")
    keras = [layer.rate for layer in d.layers("ChannelDropout")]
    with torch.random.fork_rng():
        torch.manual_seed(twins.seed)
        ones = torch.ones(64, 512, 2, 2, dtype=torch.float64)
        kept = layers[-1].train()(ones)
        layers[-1].eval()
    whole = bool((kept.amax((2, 3)) == kept.amin((2, 3))).all())
    rate, scale = float((kept == 0).double().mean()), float(kept.max())
    holds = keras == [layer.p for layer in layers] == [0.25] * 4 and whole and abs(rate - 0.25) < 0.02
    return Measured(
        truth(holds),
        f"{len(layers)} layers of rate {keras[0]} in both; of 64 × 512 channels {rate:.1%} are dropped, whole ones:"
        f" {whole}, the others times {scale:.4g}",
        f"两边各 {len(layers)} 层，比率 {keras[0]}；64 × 512 个通道中丢弃 {rate:.1%}，整通道："
        f"{'是' if whole else '否'}，"
        f"其余乘以 {scale:.4g}",
    )


def probability(twins: Twins) -> Measured:
    """The discriminator's values and where they come from."""
    d = twins.get("discriminator", SYSTEM)
    scores, logits = d.result, d.outputs["squeeze"]
    apart = float(np.abs(scores - 1 / (1 + np.exp(-logits))).max())
    holds = bool(((scores > 0) & (scores < 1)).all()) and apart <= AGREE and d.error(d.exact) <= AGREE
    words = ", ".join(f"{value:.4f}" for value in scores)
    return Measured(
        truth(holds),
        f"{words}: the sigmoid of the dense layer within {error(apart)}",
        f"{words}：即全连接层的 sigmoid，相差 {error(apart)}",
    )


def receptive_fields(twins: Twins) -> Measured:
    """Receptive fields of both discriminators' convolutions."""
    fields = []
    for implementation in ("dcgan", SYSTEM):
        size, jump = 1, 1
        for layer in twins.get("discriminator", implementation).layers("Conv2D")[:4]:
            size, jump = size + (layer.kernel_size[0] - 1) * jump, jump * layer.strides[0]
        fields.append(size)
    return Measured(
        truth(fields[0] > fields[1]),
        f"four convolutions of D see {fields[0]} pixels a side with 4×4, {fields[1]} with 3×3",
        f"D 的四个卷积：4×4 时感受野边长 {fields[0]}，3×3 时 {fields[1]}",
    )


def widths(twins: Twins) -> Measured:
    """Channels of both networks."""
    g, d = (twins.get(network, SYSTEM) for network in ("generator", "discriminator"))
    up = [g.outputs["z_project_reshape"].shape[-1], *(layer.filters for layer in g.layers("Conv2D")[:-1])]
    down = [layer.filters for layer in d.layers("Conv2D")]
    return Measured(
        truth((up, down) == ([512, 256, 128, 64], [64, 128, 256, 512])), f"G {up}, D {down}", f"G {up}，D {down}"
    )
