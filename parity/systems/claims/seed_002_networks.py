"""What the SoundGan tutorial says of its networks and their spectrograms, measured on soundgan."""

from __future__ import annotations

from typing import Any

import numpy as np

from parity.report.formats import count, error, shape
from parity.systems.claims.measured import Measure, Measured, truth, unless
from parity.systems.claims.stock import ELSEWHERE, batch, block, gap, hand_over
from parity.systems.claims.twins import AGREE, Twin, Twins, to_numpy, to_torch
from shared_impl.config.presets import load

SYSTEM = "soundgan"
NZ, WIDTH = 8, 2  # narrow: the tutorial's numbers are multiples of ngf and ndf
FIELDS = ("nz", "ngf", "ndf", "nc", "image_size")


def generator(twins: Twins) -> Twin:
    """The narrow generator of 256×256."""
    return twins.get("generator", SYSTEM, nz=NZ, ngf=WIDTH)


def discriminator(twins: Twins, **options: Any) -> Twin:
    """A narrow discriminator, by default of 256×256 with a depth of its own."""
    return twins.get("discriminator", SYSTEM, ndf=WIDTH, **options)


def configured(twins: Twins) -> Measured:
    """The settings that the tutorial's config holds, in ours."""
    model = load(SYSTEM).model
    found = [name for name in FIELDS if hasattr(model, name)]
    words = ", ".join(f"{name}={getattr(model, name)}" for name in found)
    return Measured(truth(len(found) == len(FIELDS)), f"section model: {words}", f"model 部分：{words}")


def first_up(twins: Twins) -> Measured:
    """The tutorial's first transposed convolution with our weights."""
    from torch import nn

    g = generator(twins)
    layer = nn.ConvTranspose2d(NZ, WIDTH * 32, 4, 1, 0, bias=False).double()
    fits = hand_over([g.exact.get_submodule("upconv_0")], layer)
    got = to_numpy(layer(to_torch(g.inputs)[:, :, None, None])) if fits else np.empty(0)
    return _layer(g, "upconv_0", gap(got, g.outputs["upconv_0"]) if fits else ELSEWHERE, 32 * WIDTH)


def last_up(twins: Twins) -> Measured:
    """The tutorial's seventh transposed convolution and tanh, with our weights."""
    from torch import nn

    g = generator(twins)
    apart = block(g, "upconv_6", [nn.ConvTranspose2d(WIDTH, 1, 4, stride=2, padding=1, bias=False), nn.Tanh()])
    return _layer(g, "upconv_6", apart, 1)


def first_down(twins: Twins) -> Measured:
    """The tutorial's first convolution and LeakyReLU, with our weights."""
    from torch import nn

    d = discriminator(twins)
    layers = [nn.Conv2d(1, WIDTH, 4, stride=2, padding=1, bias=False), nn.LeakyReLU(0.2)]
    return _layer(d, "downconv_0", block(d, "downconv_0", layers), WIDTH)


def last_down(twins: Twins) -> Measured:
    """The tutorial's sixth convolution with our weights, on the 8×8 features that 256×256 leaves."""
    from torch import nn

    d = discriminator(twins, patch=True)
    return _layer(d, "output", block(d, "output", [nn.Conv2d(16 * WIDTH, 1, 4, stride=1, padding=0, bias=False)]), 1)


def _layer(twin: Twin, name: str, apart: float, channels: int) -> Measured:
    made = twin.port_shapes[name]
    return Measured(
        truth(apart <= AGREE and made[1] == channels),
        f"{shape(made)} at width {WIDTH}; the stock torch layer, given our weights, is off from Keras's by"
        f" {error(apart)}",
        f"宽度 {WIDTH} 时 {shape(made)}；标准 torch 层使用同样权重，与 Keras 相差 {error(apart)}",
    )


def depth(twins: Twins) -> Measured:
    """Transposed convolutions of the generator and the sides that they make."""
    g = generator(twins)
    sides = [values.shape[1] for name, values in g.outputs.items() if values.ndim == 4 and name.startswith("upconv")]
    path = " → ".join(map(str, dict.fromkeys(sides)))
    layers = len(g.layers("Conv2DTranspose"))
    return Measured(
        truth(layers == 7 and sides[-1] == 256 and g.error(g.exact) <= AGREE),
        f"{layers} transposed convolutions: {path}; both frameworks' images differ by {error(g.error(g.exact))}",
        f"{layers} 个转置卷积：{path}；两个框架的图像相差 {error(g.error(g.exact))}",
    )


def activations(twins: Twins) -> Measured:
    """Activations, batch norms and biases of both networks."""
    g, d = generator(twins), discriminator(twins, patch=True)
    slopes = {round(float(layer.negative_slope), 9) for twin in (g, d) for layer in twin.layers("LeakyReLU")}
    norms = len(g.layers("BatchNorm")) + len(d.layers("BatchNorm"))
    biases = sum(layer.use_bias for twin in (g, d) for layer in twin.layers("Conv2D", "Conv2DTranspose"))
    low, high = float(g.result.min()), float(g.result.max())
    return Measured(
        truth(slopes == {0.2} and not norms and not biases and low >= -1 and high <= 1),
        f"LeakyReLU {sorted(slopes)}, batch norms {norms}, biases {biases}; G's values {low:.3f} … {high:.3f}",
        f"LeakyReLU {sorted(slopes)}，批归一化 {norms} 个，偏置 {biases} 个；G 的值 {low:.3f} … {high:.3f}",
    )


def one_score(twins: Twins) -> Measured:
    """Scores of six convolutions at the sizes of both networks, and of as many as the image needs."""
    d = discriminator(twins, patch=True)
    convolutions = len(d.layers("Conv2D"))
    half = to_torch(d.inputs[:, :128, :128])
    numbers = [d.exact(images).shape[1] for images in (half, to_torch(d.inputs))]
    own = discriminator(twins)
    return Measured(
        "false" if numbers[0] != 1 else unless(numbers[1] != 1, "conditional"),
        f"{convolutions} convolutions leave {numbers[0]} score at 128×128 but {numbers[1]} at the generator's 256×256"
        f" (here patch=true); the depth that follows the size, {len(own.layers('Conv2D'))}, leaves"
        f" {shape(own.result.shape)}",
        f"{convolutions} 个卷积在 128×128 时得到 {numbers[0]} 个评分，在生成器的 256×256 时得到 {numbers[1]} 个（此处"
        " patch=true）；"
        f"深度随尺寸变化时为 {len(own.layers('Conv2D'))} 个卷积，输出 {shape(own.result.shape)}",
    )


def output_size(twins: Twins) -> Measured:
    """The tutorial's formula against the sizes that the discriminator's layers make."""
    d, size, path = discriminator(twins, patch=True), 256, [256]
    for module in d.modules("Conv2d"):
        size = (size + 2 * module.padding[0] - module.kernel_size[0]) // module.stride[0] + 1
        path.append(size)
    made = [shapes[2] for name, shapes in d.port_shapes.items() if name in ("output", *_downs(d))]
    wrong = sum(a != b for a, b in zip(path[1:], made, strict=True))
    words = " → ".join(map(str, path))
    return Measured(truth(not wrong), f"{words}; unequal: {wrong}", f"{words}；不同：{wrong} 个")


def _downs(d: Twin) -> list[str]:
    return [layer.name for layer in d.layers("Conv2D") if layer.name.startswith("downconv")]


def latents(twins: Twins) -> Measured:
    """Images of latents in both forms."""
    g = generator(twins)
    flat = to_torch(g.inputs)
    apart = gap(to_numpy(g.exact(flat[:, :, None, None])), to_numpy(g.exact(flat)))
    return Measured(
        truth(apart == 0),
        f"its first layer needs [N, nz, 1, 1]; ours takes [N, nz] too, and images differ by {error(apart)}",
        f"其第一层需要 [N, nz, 1, 1]；我们的也接受 [N, nz]，图像相差 {error(apart)}",
    )


def doubles(twins: Twins) -> Measured:
    """A transposed convolution of the port, which pads by one, against Keras's SAME."""
    g = generator(twins)
    names = [layer.name for layer in g.layers("Conv2DTranspose")][1:]
    apart = max(g.layer_error(g.exact, name) for name in names)
    return Measured(
        truth(apart <= AGREE),
        f"{len(names)} layers double the size; padding 1 equals SAME at kernel 4 and stride 2 within {error(apart)}",
        f"{len(names)} 层使尺寸加倍；卷积核 4、步幅 2 时填充 1 与 SAME 相差 {error(apart)}",
    )


def framing(frame: int, hop: int, samples: int) -> Measure:
    """Spectrograms of sound by this framing, and the length of the sound made of them again."""

    def found(twins: Twins) -> Measured:
        from torch_impl.spectrogram import spectrogram, waveform

        own = load(SYSTEM).model.framing
        sound = batch(twins, 1, samples) / 10
        zero, one = sound.new_zeros(frame // 2 + 1), sound.new_ones(frame // 2 + 1)
        image = spectrogram(sound, zero, one, frame=frame, hop=hop)
        again = waveform(image, zero, one, iterations=0, frame=frame, hop=hop)
        got = tuple(image.shape[1:]), again.shape[1]
        return Measured(
            truth(own == (frame, hop, samples) and got == ((1, 256, 256), samples)),
            f"{count(samples)} samples give {shape(image.shape)}, the highest bin dropped, which give"
            f" {count(again.shape[1])}"
            f" samples again; the preset's framing: {own.frame}/{own.hop}",
            f"{count(samples)} 个采样得到 {shape(image.shape)}（去掉最高频点），再得到 {count(again.shape[1])} 个采样；"
            "预设的分帧："
            f"{own.frame}/{own.hop}",
        )

    return found


def logits(twins: Twins) -> Measured:
    """The discriminator's values and whether anything squashes them."""
    d = discriminator(twins)
    squashed = len(d.modules("Sigmoid"))
    words = ", ".join(f"{value:.3f}" for value in d.result)
    return Measured(
        truth(not squashed), f"logits {words}; sigmoids: {squashed}", f"logit {words}；sigmoid：{squashed} 个"
    )


def both_learn(twins: Twins) -> Measured:
    """Whether one step of the preset moves both networks, the discriminator first."""
    import torch

    from torch_impl.trainer import NONE, PASSES, Drawn, Trainer

    words = ["model.ngf=2", "model.ndf=2", "model.nz=8", "model.image_size=64", "loss.kind=dcgan"]
    words += ["training.d_updates=1", "training.reuse_fakes=true", "training.precision=float64"]
    trainer = Trainer(load(SYSTEM, words), steps=1)
    before = [
        [p.detach().clone() for p in network.parameters()] for network in (trainer.discriminator, trainer.generator)
    ]
    real = batch(twins, 4, 1, 64, 64).tanh()
    nothing, undropped = torch.zeros(4, 1, 1, 1, dtype=torch.float64), torch.zeros(4, len(PASSES), 0)
    drawn = Drawn(batch(twins, 4, 8), nothing.flatten(), nothing, undropped, torch.from_numpy(NONE), nothing, nothing)
    trainer.update_both(real, drawn, 1e-3, 1e-3)
    moved = [
        sum(bool((p != old).any()) for p, old in zip(network.parameters(), olds, strict=True))
        for network, olds in zip((trainer.discriminator, trainer.generator), before, strict=True)
    ]
    every = [len(olds) for olds in before]
    return Measured(
        truth(moved == every),
        f"one step moves {moved[0]} of {every[0]} parameters of D, then {moved[1]} of {every[1]} of G",
        f"一步更新 D 的 {every[0]} 个参数中的 {moved[0]} 个，再更新 G 的 {every[1]} 个中的 {moved[1]} 个",
    )
