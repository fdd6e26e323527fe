"""Every pair of the project: where a new system's networks, its training and their options are listed.

A network has two kinds of pairs: at full width under its preset's defaults (:data:`FULL_WIDTH`), on the rungs up to its
values, and at tiny width under options (:data:`NETWORK_VARIANTS`), on every rung. Training
(:data:`TRAINING_VARIANTS`) is always narrow. A pair's name is ``system.network``, or ``system.network:option=value,…``.

Imports no framework.
"""

from __future__ import annotations

import re

from parity.checks.registry import NETWORK
from parity.systems.network_pair import NETWORKS, NetworkPair
from parity.systems.training.registry import ONE_DEVICE
from parity.systems.training.training_pair import TrainingPair

AnyPair = NetworkPair | TrainingPair

# Presets whose networks are compared at full width, and their system.
FULL_WIDTH = {
    "specgan": "specgan",
    "dcgan": "dcgan",
    "upsample_dcgan": "upsample_dcgan",
    "soundgan": "soundgan",
    "conditional_dcgan": "conditional_dcgan",
    "conditional_dcgan_improved": "conditional_dcgan",
}
# Presets one of whose passes takes a second or more: compared on one batch in evaluation mode.
LARGE = ("specgan", "soundgan", "conditional_dcgan", "conditional_dcgan_improved")
SHALLOW = NETWORK[: NETWORK.index("forward") + 1]

# Words of a network variant that are no option of the model.
FOUR_DIMENSIONAL = "latent=4d"  # latents as [N, nz, 1, 1]
MIRRORED = "mirrored"  # images and kernels flipped: the only way in which symmetric padding of an odd kernel is exact
STAGE = "stage="  # stage of a growing network; all its weights are drawn, not only those that a run gives them
GROWING = {sizes: [f"growing={sizes},{STAGE}{i}" for i in range(3)] for sizes in ("[8,16]", "[8,32]")}
SYMMETRIC = [f"padding=symmetric,kernel_len={n}" + f",{MIRRORED}" * (n % 2) for n in range(3, 8)]
# Options of each network, as overrides of the model section of the preset SYSTEM_tiny. Together they take every value
# of every option of the system's model.
NETWORK_VARIANTS: dict[tuple[str, str], list[str]] = {
    ("specgan", "generator"): [
        "kernel_len=3,nc=3",
        "kernel_len=4",
        "init=normal",
        f"kernel_len=6,{FOUR_DIMENSIONAL}",
        "kernel_len=7,init=normal,use_batchnorm=true",
        "upsample=nearest",
        "upsample=nearest,kernel_len=4",
        "upsample=linear,use_batchnorm=true",
        "upsample=cubic",
        *SYMMETRIC,
    ],
    ("specgan", "discriminator"): [
        "kernel_len=3,nc=3",
        "kernel_len=4",
        "init=normal",
        "kernel_len=6,use_batchnorm=true",
        "kernel_len=7,init=normal,use_batchnorm=true",
        *SYMMETRIC,
    ],
    ("dcgan", "generator"): [f"nc=3,init=framework,{FOUR_DIMENSIONAL}"],
    ("dcgan", "discriminator"): ["nc=3,init=framework"],
    ("upsample_dcgan", "generator"): [
        "upsample=bilinear,momentum=0.2",
        f"nc=1,init=normal,{FOUR_DIMENSIONAL}",
        *GROWING["[8,32]"],
    ],
    ("upsample_dcgan", "discriminator"): [
        "output=logit,nc=1,init=normal",
        "momentum=0.2,dropout=0.0",
        *GROWING["[8,32]"],
    ],
    ("soundgan", "generator"): [f"image_size=128,init=normal,{FOUR_DIMENSIONAL}"],
    ("soundgan", "discriminator"): ["image_size=64,init=normal", "patch=true,image_size=256"],
    ("conditional_dcgan", "generator"): [
        "attention_at=[8],init=framework",
        "attention_at=[4,16],spectral_norm_g=true",
        "image_size=64,nc=1",
        *GROWING["[8,16]"],
    ],
    ("conditional_dcgan", "discriminator"): [
        "nc=1,init=framework",
        "label=projected,batchnorm_d=false,attention_d=[8]",
        "label=replicated,image_size=64,scales=2",
        "label=auxiliary",
        "label=auxiliary,batchnorm_d=false",
        "image_size=128,scales=3",
        *GROWING["[8,16]"],
        f"label=projected,batchnorm_d=false,attention_d=[8],growing=[8,16],{STAGE}2",
    ],
}

# Growing networks go through three stages in 12 steps: settled, faded in over two steps, settled, and so again.
STAGES = "training.batch_size=4,training.stage_steps=4,training.steps=12"
# Overrides of each system's preset; the first entry is the recommended configuration. Together they take every value
# of every option of loss, optimizer and training.
TRAINING_VARIANTS: dict[str, list[str]] = {
    "specgan": [
        "",
        "loss.kind=wgan,loss.clip=0.1,model.upsample=linear,model.kernel_len=3,training.latents=normal",
        "loss.kind=lsgan,model.use_batchnorm=true,training.instance_noise=0.2,model.upsample=cubic,model.kernel_len=3,"
        "model.init=normal,optimizer.epsilon_place=torch",
        "loss.kind=dcgan,model.upsample=nearest,model.kernel_len=3,optimizer.schedule=linear,optimizer.clip_norm=0.1,"
        "optimizer.beta1=0.0,optimizer.epsilon=0.000001",
    ],
    "upsample_dcgan": [
        "",
        "model.upsample=bilinear,model.output=logit,loss.kind=wgan-gp,training.reuse_fakes=false,data.rotate=30",
        "model.init=normal,model.momentum=0.1",
        f"model.growing=[8,32],{STAGES},training.stage_batches=[8,4],training.ema=0.9,training.instance_noise=0.1,"
        "model.momentum=0.2,model.dropout=0.5,training.accumulation=2",
    ],
    "conditional_dcgan": [
        "",
        "model.label=projected,model.batchnorm_d=false,model.attention_at=[8,16],model.attention_d=[8],loss.kind=hinge,"
        "training.reuse_fakes=false,training.accumulation=2,data.flip=both,data.rotate=20,data.jitter=0.2",
        "model.label=auxiliary,loss.auxiliary_weight=0.5,model.spectral_norm_g=true,model.init=framework,"
        "optimizer.beta2=0.99,optimizer.epsilon_place=tensorflow",
        f"model.growing=[8,16],{STAGES},training.stage_batches=[8,4],loss.kind=hinge,training.reuse_fakes=false,"
        "model.label=projected,model.batchnorm_d=false,model.spectral_norm_g=true",
        "model.label=replicated,model.image_size=64,model.scales=2,loss.kind=wgan-gp,training.reuse_fakes=false,"
        "training.d_updates=1",
    ],
    "dcgan": [
        "",
        "loss.d_scale=0.5,loss.label_smoothing=0.1,loss.smooth_fakes=true,training.instance_noise=0.3,training.ema=0.9,"
        "optimizer.kind=rmsprop,optimizer.initial_accumulator=0,optimizer.decay=0.95,model.init=framework",
        "training.precision=bfloat16",
    ],
    "soundgan": [
        "",
        "model.patch=true,model.image_size=256,data.first_slice=true,model.init=normal,loss.kind=hinge",
        "loss.kind=wgan-gp,loss.penalty_weight=5,training.reuse_fakes=false,training.latents=uniform,"
        "training.d_updates=3,optimizer.schedule=cosine,optimizer.final_lr=0.00001,optimizer.lr_g=0.0002,"
        "optimizer.lr_d=0.0004,optimizer.clip_norm=0.5",
    ],
}

# Systems that train from their tiny preset: steps can be compared without 256x256 pixels.
NARROW = {"conditional_dcgan": "conditional_dcgan_tiny", "soundgan": "soundgan_tiny"}
DATA_OPTIONS = ("data.", "model.image_size", "training.precision")  # overrides that matter to the rung data


def registry() -> list[AnyPair]:
    """All pairs, networks and training: the defaults first, then every variant."""
    found: list[AnyPair] = [*network_pairs(), *training_pairs()]
    return sorted(found, key=lambda pair: pair.is_variant)


def network_pairs() -> list[NetworkPair]:
    """The pairs of networks: the defaults at full width first, then every variant."""
    defaults = [
        NetworkPair(
            f"{preset}.{network}", system, network, preset, rungs=SHALLOW, brief=preset in LARGE, registered=True
        )
        for preset, system in FULL_WIDTH.items()
        for network in NETWORKS
    ]
    return defaults + [
        _network_variant(*key, variant) for key, variants in NETWORK_VARIANTS.items() for variant in variants
    ]


def training_pairs() -> list[TrainingPair]:
    """The pairs of trainers: the recommended configurations first, then every variant."""
    found = [_training_pair(system, variant) for system, variants in TRAINING_VARIANTS.items() for variant in variants]
    return sorted(found, key=lambda pair: pair.is_variant)


def options_in(variant: str) -> tuple[str, ...]:
    """``a=1,b=[2,3]`` as ``a=1`` and ``b=[2,3]``."""
    return tuple(re.split(r",(?![^\[]*\])", variant))


def _network_variant(system: str, network: str, variant: str) -> NetworkPair:
    words = options_in(variant)
    stages = [word for word in words if word.startswith(STAGE)]
    overrides = tuple(f"model.{word}" for word in words if word not in (FOUR_DIMENSIONAL, MIRRORED, *stages))
    return NetworkPair(
        f"{system}.{network}:{variant}",
        system,
        network,
        f"{system}_tiny",
        overrides,
        four_dimensional=FOUR_DIMENSIONAL in words,
        mirrored=MIRRORED in words,
        stage=int(stages[0].removeprefix(STAGE)) if stages else None,
        registered=True,
    )


def _training_pair(system: str, variant: str) -> TrainingPair:
    name = f"{system}.training" + f":{variant}" * bool(variant)
    preset = NARROW.get(system, system)
    if not variant:
        return TrainingPair(name, system, preset, registered=True)
    words = options_in(variant)
    rungs = tuple(rung for rung in ONE_DEVICE if rung != "data" or any(word.startswith(DATA_OPTIONS) for word in words))
    return TrainingPair(name, system, preset, words, rungs=rungs, brief=True, registered=True)
