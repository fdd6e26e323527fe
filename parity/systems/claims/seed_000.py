"""Seed 000, the check-list of the original SpecGAN port: every claim by its measurement.

A claim's words stand in :mod:`parity.systems.claims.seed_000_texts`.
"""

from __future__ import annotations

from parity.systems.claims import structure, surroundings, values
from parity.systems.claims.measured import Claim, Document, Measure, unmeasured
from parity.systems.claims.seed_000_texts import SECTIONS, TEXTS

Size = tuple[int, int, int]
UPCONVS: dict[str, Size] = {
    "upconv_0": (8, 8, 512),
    "upconv_1": (16, 16, 256),
    "upconv_2": (32, 32, 128),
    "upconv_3": (64, 64, 64),
    "upconv_4": (128, 128, 1),
}
DOWNCONVS: dict[str, Size] = {
    "downconv_0": (64, 64, 64),
    "downconv_1": (32, 32, 128),
    "downconv_2": (16, 16, 256),
    "downconv_3": (8, 8, 512),
    "downconv_4": (4, 4, 1024),
}


def _layers(letter: str, sizes: dict[str, Size]) -> dict[str, Measure]:
    network = {"g": "generator", "d": "discriminator"}[letter]

    def one(name: str) -> Measure:
        return lambda twins: values.layer(twins.get(network), name, sizes[name])

    return {f"{letter}.layer{index}": one(name) for index, name in enumerate(sizes)}


CLAIMS: dict[str, Measure] = {
    "g.input": structure.latents,
    "g.project": structure.projection,
    "g.first": structure.first_layers,
    **_layers("g", UPCONVS),
    "g.output": lambda twins: structure.ends(twins.generator, (128, 128, 1), (1, 128, 128)),
    "g.activations": structure.generator_activations,
    "g.range": values.output_range,
    "g.order": lambda twins: values.channel_order(twins.generator),
    "d.input": lambda twins: structure.ends(twins.discriminator, (128, 128, 1), (1, 128, 128), at_input=True),
    **_layers("d", DOWNCONVS),
    "d.flatten": lambda twins: values.channel_order(twins.discriminator),
    "d.dense": structure.last_dense,
    "d.output": values.logits,
    "d.activation": structure.slopes,
    "d.first-norm": structure.first_norm,
    **{f"p.{name}": structure.default(name) for name in ("nz", "kernel_len", "dim", "nc", "use_batchnorm")},
    "flow.g": lambda twins: structure.flow(twins.generator),
    "flow.d": lambda twins: structure.flow(twins.discriminator),
    "padding": values.padding,
    "formula": structure.formula,
    "norm.modes": values.norm_modes,
    "g.layers": lambda twins: structure.layer_counts(twins.generator, {"Conv2DTranspose": 5, "Dense": 1}),
    "d.layers": lambda twins: structure.layer_counts(twins.discriminator, {"Conv2D": 5, "Dense": 1}),
    "kernel": lambda twins: structure.window_sizes(twins, ("kernel_size", "kernel_size"), 5),
    "stride": lambda twins: structure.window_sizes(twins, ("strides", "stride"), 2),
    "channels": structure.channels,
    "dcgan.kernel": surroundings.kernels,
    "dcgan.field": surroundings.receptive_field,
    "dcgan.channels": surroundings.colour,
    "dcgan.norm": surroundings.norms,
    "dcgan.activation": lambda twins: structure.slopes(twins, "dcgan"),
    "dcgan.layers": surroundings.depth,
    "features.better": unmeasured(
        "a judgement about trained networks and listening; nothing here is trained",
        "这是关于训练结果与听感的评价；此处没有训练任何网络",
    ),
    "quality.module": surroundings.module,
    "quality.view": lambda twins: values.channel_order(twins.generator),
    "quality.device": surroundings.device,
    "quality.apply": surroundings.apply_initialiser,
    "quality.docs": surroundings.documentation,
    "quality.tests": unmeasured(
        "the file it speaks of is not part of this project, whose tests stand beside its twins",
        "所指文件不属于本项目；本项目的测试与两套网络并列存放",
    ),
    "notes.loss": values.loss,
    "nc": values.one_channel,
    "complete": values.completeness,
    "init": values.initial_weights,
    "nothing-added": structure.nothing_added,
    "kernels-kept": lambda twins: structure.window_sizes(twins, ("kernel_size", "kernel_size"), 5),
    "no-features": surroundings.no_features,
    "syntax": values.only_syntax,
    "usage.shapes": surroundings.usage,
    "usage.latent": values.latent_distribution,
    "files": unmeasured("the files listed are not part of this project", "所列文件不属于本项目"),
    "score": values.overall,
    "score.g": lambda twins: values.score(twins.generator, list(UPCONVS)),
    "score.d": lambda twins: values.score(twins.discriminator, list(DOWNCONVS)),
    "score.parameters": structure.parameters,
    "score.shapes": structure.shapes,
    "score.activations": structure.activations,
}

DOCUMENT = Document(
    "000",
    {"en": "Check-list of the SpecGAN port", "zh": "SpecGAN 移植的核对清单"},
    SECTIONS,
    tuple(Claim(name, sections, en, zh, CLAIMS[name]) for name, (sections, en, zh) in TEXTS.items()),
)
