"""Claims about shapes, layers and settings."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import numpy as np

from parity.numerics.difference import difference
from parity.padding.axis import Axis
from parity.report.formats import count, error, shape
from parity.systems.claims.measured import Measured, both_sides, truth
from parity.systems.claims.twins import Twin, Twins, to_numpy, to_torch

CONVOLUTIONS = ("Conv2D", "Conv2DTranspose")
OPTIONS = {"nz": 100, "kernel_len": 5, "dim": 64, "nc": 1, "use_batchnorm": False}


def latents(twins: Twins) -> Measured:
    """The generator's input: both forms of the latents give one image."""
    g = twins.generator
    z = to_torch(g.inputs)
    flat, tall = (to_numpy(g.exact(form)) for form in (z, z[:, :, None, None]))
    gap = difference(tall, flat).relative
    return Measured(
        truth(g.reference.input_shape == (None, 100) and gap == 0),
        f"Keras takes {shape(g.reference.input_shape)}; PyTorch takes both forms, images differ by {error(gap)}",
        f"Keras 接受 {shape(g.reference.input_shape)}；PyTorch 两种形式均可，图像相差 {error(gap)}",
    )


def projection(twins: Twins) -> Measured:
    """The dense layer's kernel and the reshape behind it."""
    g = twins.generator
    kernel = tuple(g.reference.get_layer("z_project").kernel.shape)
    weight = tuple(g.exact.get_submodule("z_project").weight.shape)
    after = g.outputs["z_project_reshape"].shape, g.port_shapes["z_project_reshape"]
    holds = kernel == weight[::-1] == (100, 16384) and after[0][1:] == (4, 4, 1024) and after[1][1:] == (1024, 4, 4)
    return both_sides(
        holds, f"{kernel[0]} → {kernel[1]}, {shape(after[0])}", f"{weight[1]} → {weight[0]}, {shape(after[1])}"
    )


def ends(twin: Twin, reference: tuple[int, ...], port: tuple[int, ...], at_input: bool = False) -> Measured:
    """Shape of a network's output, or of its input, in both layouts."""
    got = twin.inputs.shape if at_input else twin.result.shape
    other = tuple(to_torch(twin.inputs).shape) if at_input else list(twin.port_shapes.values())[-1]
    return both_sides(got[1:] == reference and other[1:] == port, shape(got), shape(other))


def flow(twin: Twin) -> Measured:
    """Every layer's output shape on both sides, channel axis apart."""
    pairs = [(values.shape, twin.port_shapes.get(name)) for name, values in twin.outputs.items()]
    unequal = sum(
        port != np.moveaxis(np.empty(ref, bool), -1, 1).shape if len(ref) == 4 else port != ref for ref, port in pairs
    )
    return Measured(
        truth(not unequal),
        f"{len(pairs)} outputs compared, {unequal} unequal",
        f"比较 {len(pairs)} 个输出，{unequal} 个不同",
    )


def shapes(twins: Twins) -> Measured:
    """The flow through both networks."""
    found = flow(twins.generator), flow(twins.discriminator)
    return Measured(
        truth(all(each.verdict == "true" for each in found)),
        f"G: {found[0].en}; D: {found[1].en}",
        f"G：{found[0].zh}；D：{found[1].zh}",
    )


def formula(twins: Twins) -> Measured:
    """The transposed convolution's output sizes by the padding calculus."""
    sizes = {size: Axis("conv-transpose", size, 5, 2).output((2, 1)) for size in (4, 8)}
    words = ", ".join(f"{size} → {out}" for size, out in sizes.items())
    return Measured(truth(sizes == {4: 8, 8: 16}), f"sizes only: {words}", f"仅就尺寸而言：{words}")


def first_layers(twins: Twins) -> Measured:
    """What stands between the reshape and the first transposed convolution."""
    found = []
    for use_batchnorm in (False, True):
        g = twins.get("generator", dim=4, use_batchnorm=use_batchnorm)
        names = [layer.name for layer in g.reference.layers], [name for name, _ in g.exact.named_children()]
        found.append([between[between.index("z_project_reshape") + 1 : between.index("upconv_0")] for between in names])
    holds = found == [[["z_project_relu"]] * 2, [["z_project_bn", "z_project_relu"]] * 2]
    words = " / ".join(", ".join(side[0]) for side in found)
    return Measured(truth(holds), f"after the reshape, in both: {words}", f"重塑之后，两边均为：{words}")


TORCH_KINDS = {"Conv2DTranspose": ("ConvTranspose2d",), "Conv2D": ("Conv2d",), "Dense": ("Linear",)}


def layer_counts(twin: Twin, wanted: dict[str, int]) -> Measured:
    """How many layers of each kind both sides have."""
    keras = {"Conv2DTranspose": 0, "Conv2D": 0, "Dense": 0}
    for layer in twin.reference.layers:
        if type(layer).__name__ in keras:
            keras[type(layer).__name__] += 1
    torch = {kind: len(twin.modules(*names)) for kind, names in TORCH_KINDS.items()}
    holds = {**dict.fromkeys(keras, 0), **wanted} == keras == torch
    return both_sides(holds, *(", ".join(f"{n} {kind}" for kind, n in side.items() if n) for side in (keras, torch)))


def window_sizes(twins: Twins, attribute: tuple[str, str], wanted: int) -> Measured:
    """Every kernel size or stride of all convolutions; ``attribute`` names it in Keras and in torch."""
    own, other = attribute
    keras = {n for twin in twins.both for layer in twin.layers(*CONVOLUTIONS) for n in getattr(layer, own)}
    torch = {
        n for twin in twins.both for module in twin.modules("Conv2d", "ConvTranspose2d") for n in getattr(module, other)
    }
    return both_sides(keras == torch == {wanted}, *(", ".join(map(str, sorted(side))) for side in (keras, torch)))


def generator_activations(twins: Twins) -> Measured:
    """The generator's activations in order."""
    g = twins.generator
    keras = [getattr(layer, "activation", type(layer)).__name__ for layer in g.layers("ReLU", "Activation")]
    torch = [type(module).__name__ for module in g.modules("ReLU", "Tanh")]
    holds = keras == ["ReLU"] * 5 + ["tanh"] and torch == ["ReLU"] * 5 + ["Tanh"]
    return both_sides(
        holds, f"5 × {keras[0]}, {keras[-1]}" if holds else keras, f"5 × {torch[0]}, {torch[-1]}" if holds else torch
    )


def slopes(twins: Twins, implementation: str = "specgan") -> Measured:
    """The negative slopes of a discriminator's LeakyReLUs."""
    d = twins.get("discriminator", implementation)
    keras = [float(layer.negative_slope) for layer in d.layers("LeakyReLU")]
    torch = [module.negative_slope for module in d.modules("LeakyReLU")]
    convolutions = len(d.layers("Conv2D")) - (implementation == "dcgan")
    holds = keras == torch == [0.2] * convolutions
    return both_sides(holds, f"{len(keras)} × {sorted(set(keras))}", f"{len(torch)} × {sorted(set(torch))}")


def activations(twins: Twins) -> Measured:
    """The activations of both networks."""
    found = generator_activations(twins), slopes(twins)
    return Measured(
        truth(all(each.verdict == "true" for each in found)),
        " | ".join(each.en for each in found),
        " | ".join(each.zh for each in found),
    )


def last_dense(twins: Twins) -> Measured:
    """The discriminator's last layer and the axis that is squeezed away."""
    d = twins.discriminator
    kernel, weight = (
        tuple(d.reference.get_layer("output").kernel.shape),
        tuple(d.exact.get_submodule("output").weight.shape),
    )
    ends = d.outputs["squeeze"].shape, d.port_shapes["squeeze"]
    holds = kernel == weight[::-1] == (16384, 1) and all(len(end) == 1 for end in ends)
    return both_sides(
        holds, f"{kernel[0]} → {kernel[1]}, {shape(ends[0])}", f"{weight[1]} → {weight[0]}, {shape(ends[1])}"
    )


def first_norm(twins: Twins) -> Measured:
    """Which convolutions of the discriminator have a batch norm."""
    d = twins.get("discriminator", dim=4, use_batchnorm=True)
    keras = [layer.name for layer in d.layers("BatchNorm")]
    torch = [name for name, module in d.exact.named_modules() if type(module).__name__ == "BatchNorm2d"]
    holds = keras == torch == [f"downconv_{index}_bn" for index in range(1, 5)]
    return both_sides(holds, ", ".join(keras), ", ".join(torch))


def default(name: str) -> Callable[[Twins], Measured]:
    """Measures the default of one option in every constructor that has it."""

    def found(twins: Twins) -> Measured:
        classes = [type(side) for twin in twins.both for side in (twin.reference, twin.exact)]
        defaults = [inspect.signature(cls).parameters[name].default for cls in classes
                    if name in inspect.signature(cls).parameters]  # fmt: skip
        words = f"{name}={', '.join(sorted({str(value) for value in defaults}))}"
        return Measured(
            truth(set(defaults) == {OPTIONS[name]}),
            f"{words} in {len(defaults)} constructors",
            f"{len(defaults)} 个构造函数中 {words}",
        )

    return found


def channels(twins: Twins) -> Measured:
    """Channels at the open ends of both networks."""
    g, d = twins.generator, twins.discriminator
    keras = g.result.shape[-1], d.inputs.shape[-1]
    torch = g.port_shapes["upconv_4"][1], d.exact.get_submodule("downconv_0").in_channels
    return both_sides(set(keras) | set(torch) == {1}, f"G {keras[0]}, D {keras[1]}", f"G {torch[0]}, D {torch[1]}")


def nothing_added(twins: Twins) -> Measured:
    """Layers with weights in each network."""
    numbers = [(len([layer for layer in twin.reference.layers if layer.weights]),
                len([m for m in twin.exact.modules() if next(m.parameters(recurse=False), None) is not None]))
               for twin in twins.both]  # fmt: skip
    keras, torch = zip(*numbers, strict=True)
    return both_sides(keras == torch == (6, 6), *(f"{side[0]} + {side[1]}" for side in (keras, torch)))


def parameters(twins: Twins) -> Measured:
    """Numbers of parameters."""
    numbers = [(twin.reference.count_params(), sum(p.numel() for p in twin.exact.parameters()))
               for twin in twins.both]  # fmt: skip
    keras, torch = zip(*numbers, strict=True)
    return both_sides(
        keras == torch == (19_065_345, 17_427_969),
        *(f"G {count(side[0])}, D {count(side[1])}" for side in (keras, torch)),
    )
