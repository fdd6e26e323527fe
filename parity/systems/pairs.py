"""The project's own pairs: every network of every system, and its training, in every option. Imports no framework.

A pair's name is ``system.network`` (full width, all defaults, as far as its values) or ``system.network:option=value``
(tiny width, every rung);
``system.training`` (:mod:`parity.systems.training.pairs`) is always narrow, and its options belong to any section.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import yaml

from parity.checks.rung_names import NETWORK
from parity.systems.training import pairs as in_training
from parity.systems.training.pairs import TrainingPair, options_in
from parity.verdict import UnusableInput
from shared_impl.config.presets import ConfigError, checked, load, presets

if TYPE_CHECKING:
    import keras
    from torch import nn

    from parity.verdict import Verdict

Built = tuple["keras.Model", "nn.Module"]
NETWORKS = ("generator", "discriminator")
FOUR_DIMENSIONAL = "latent=4d"
MIRRORED = "mirrored"
STAGE = "stage="  # of a network that grows: all its weights are drawn, and not only those that a run gives them
GROWING = {sizes: [f"growing={sizes},{STAGE}{i}" for i in range(3)] for sizes in ("[8,16]", "[8,32]")}
SYMMETRIC = [f"padding=symmetric,kernel_len={n}" + f",{MIRRORED}" * (n % 2) for n in range(3, 8)]
# Option variants of each network, as overrides of the tiny preset's model section.
OPTIONS: dict[tuple[str, str], list[str]] = {
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


# Presets whose networks are compared as large as they are, on the rungs up to their values; the deep rungs are climbed
# narrow, as options.
WIDE = {
    "specgan": "specgan",
    "dcgan": "dcgan",
    "upsample_dcgan": "upsample_dcgan",
    "soundgan": "soundgan",
    "conditional_dcgan": "conditional_dcgan",
    "conditional_dcgan_improved": "conditional_dcgan",
}
# A pass takes a second or more: compared briefly.
LARGE = ("specgan", "soundgan", "conditional_dcgan", "conditional_dcgan_improved")
SHALLOW = NETWORK[: NETWORK.index("forward") + 1]


@dataclass(frozen=True)
class Pair:
    """One network, built twice from one configuration.

    ``mirrored`` pairs are compared in a mirror (kernels and images flipped): symmetric padding of an odd kernel is
    exact there and only there.
    """

    name: str
    system: str
    network: str
    preset: str
    overrides: tuple[str, ...] = ()
    four_dimensional: bool = False
    mirrored: bool = False
    rungs: tuple[str, ...] = NETWORK
    brief: bool = False
    stage: int | None = None

    @property
    def is_variant(self) -> bool:
        """Whether the pair is an option at tiny width rather than the default at full width."""
        return ":" in self.name

    def build(self, seed: int = 0) -> Built:
        """Both networks, freshly initialised from ``seed``."""
        import keras
        import torch

        import tf_impl
        import torch_impl

        model = _model(self.preset, self.overrides)
        keras.utils.set_random_seed(seed)
        torch.manual_seed(seed)
        reference, port = tf_impl.build(model, self.network), torch_impl.build(model, self.network)
        if model.stages:
            stage = len(model.growing) if self.stage is None else self.stage
            reference, port = (
                implementation.growing.of_stage(built, model, self.network, stage)
                for implementation, built in ((tf_impl, reference), (torch_impl, port))
            )
        return reference, _fed_four_dimensional(port) if self.four_dimensional else port

    def verify(
        self,
        *,
        rungs: Iterable[str] | None = None,
        seed: int = 0,
        progress: Callable[[str], None] | None = None,
    ) -> Verdict:
        """This pair's verdict on ``rungs``, by default those that it has (see :func:`parity.verify`)."""
        from parity.verification import verify

        reference, port = self.build(seed)
        verdict = verify(
            reference,
            port,
            rungs=self.rungs if rungs is None else rungs,
            seed=seed,
            mirrored=self.mirrored,
            brief=self.brief,
            name=self.name,
            progress=progress,
        )
        verdict.command = " ".join(["parity verify", *self.arguments, *([f"--seed {seed}"] if seed else [])])
        return verdict

    def in_a_mirror(self) -> Pair:
        """The same pair, compared in a mirror."""
        if self.mirrored:
            return self
        separator = "," if ":" in self.name else ":"
        return replace(self, mirrored=True, name=f"{self.name}{separator}{MIRRORED}")

    @property
    def arguments(self) -> tuple[str, ...]:
        """The command-line words that select this pair."""
        if self in registry():
            return (self.name,)
        return (f"{self.preset}.{self.network}", *self.overrides, *(["--mirrored"] if self.mirrored else []))


def registry() -> list[AnyPair]:
    """All pairs, networks and training: the defaults first, then every option."""
    found: list[AnyPair] = [*networks(), *in_training.registry()]
    return sorted(found, key=lambda pair: pair.is_variant)


def networks() -> list[Pair]:
    """The pairs of networks: the defaults at full width first, then every option."""
    defaults = [
        Pair(f"{preset}.{network}", system, network, preset, rungs=SHALLOW, brief=preset in LARGE)
        for preset, system in WIDE.items()
        for network in NETWORKS
    ]
    return defaults + [_option(*key, option) for key, options in OPTIONS.items() for option in options]


def select(words: Sequence[str]) -> list[AnyPair]:
    """The pairs that command-line words name.

    A word is a system (``specgan``: every pair of it), a network or training (``specgan.generator``,
    ``specgan.training``), a pair, a preset (``specgan_tiny``) with or without ``.network``, or an override
    (``optimizer.kind=rmsprop``) of the presets named; networks take those of their model only.

    Raises:
        UnusableInput: an unknown word (the valid ones are listed), or an override without a preset.
    """
    overrides = tuple(word for word in words if "=" in word and ":" not in word.partition("=")[0])
    chosen: list[AnyPair] = []
    for word in words:
        if word not in overrides:
            chosen += _named(word, overrides)
    if overrides and not any(_from(word) for word in words if word not in overrides):
        raise UnusableInput(
            f"{' '.join(overrides)}: overrides need a preset to override; valid: {', '.join(presets())}"
        )
    return list(dict.fromkeys(chosen))


def in_a_mirror(pairs: Sequence[AnyPair]) -> list[AnyPair]:
    """The networks among ``pairs``, compared in a mirror; UnusableInput if there is none."""
    found: list[AnyPair] = [pair.in_a_mirror() for pair in pairs if isinstance(pair, Pair)]
    if not found:
        raise UnusableInput("networks are compared in a mirror, training is not: leave --mirrored out")
    return found


def climbing(pairs: Sequence[AnyPair], rungs: Sequence[str]) -> list[AnyPair]:
    """Those of ``pairs`` that have any of ``rungs``; UnusableInput if there is none."""
    found = [pair for pair in pairs if set(rungs) & set(pair.rungs)]
    if not found:
        have = ", ".join(dict.fromkeys(rung for pair in pairs for rung in pair.rungs))
        raise UnusableInput(f"none of the pairs named has a rung {', '.join(rungs)}; they have {have}")
    return found


def _from(word: str) -> bool:
    """Whether a word may name a preset, whose configuration overrides change."""
    preset, _, network = word.partition(".")
    return preset in presets() and network in ("", *NETWORKS, in_training.TrainingPair.network)


def _named(word: str, overrides: tuple[str, ...]) -> list[AnyPair]:
    preset, _, network = word.partition(".")
    found = [pair for pair in registry() if word in (pair.system, f"{pair.system}.{pair.network}", pair.name)]
    if _from(word) and (overrides or not found):
        names = [network] if network else [*NETWORKS, in_training.TrainingPair.network]
        return [_from_preset(preset, name, overrides) for name in names]
    if not found:
        names = [pair.name for pair in registry()]
        close = get_close_matches(word, [*names, *_systems(), *presets()], n=1)
        hint = f", did you mean {close[0]}?" if close else ""
        raise UnusableInput(
            f"unknown pair {word!r}{hint}; systems and presets: {', '.join(presets())}; pairs: {', '.join(names)}"
        )
    return found


def _systems() -> list[str]:
    return list(dict.fromkeys(system for system, _ in OPTIONS))


def _option(system: str, network: str, option: str) -> Pair:
    words = options_in(option)
    stages = [word for word in words if word.startswith(STAGE)]
    overrides = tuple(f"model.{word}" for word in words if word not in (FOUR_DIMENSIONAL, MIRRORED, *stages))
    return Pair(
        f"{system}.{network}:{option}", system, network, f"{system}_tiny", overrides,
        FOUR_DIMENSIONAL in words, MIRRORED in words,
        stage=int(stages[0].removeprefix(STAGE)) if stages else None,
    )  # fmt: skip


def _from_preset(preset: str, network: str, overrides: tuple[str, ...]) -> AnyPair:
    try:
        model = load(preset, overrides).model
    except ConfigError as error:
        raise UnusableInput(str(error)) from error
    if network in NETWORKS:
        overrides = tuple(override for override in overrides if override.startswith("model."))
    name = f"{preset}.{network}" + (f":{','.join(overrides)}" if overrides else "")
    if network in NETWORKS:
        return Pair(name, model.system, network, preset, overrides)
    return TrainingPair(name, model.system, preset, overrides)


def _model(preset: str, overrides: Iterable[str]) -> Any:
    """The preset's model with overrides; a network may be what no run could train, such as SpecGAN in colour."""
    model = load(preset).model
    words = (override.removeprefix("model.").partition("=") for override in overrides)
    changes = {field: yaml.safe_load(value) for field, _, value in words}
    return checked(type(model), {**dict(model), **changes}, where=preset)


AnyPair = Pair | TrainingPair


def _fed_four_dimensional(port: Any) -> nn.Module:
    """The generator fed latents as ``[N, nz, 1, 1]``."""
    from torch import nn

    return nn.Sequential(nn.Unflatten(1, (-1, 1, 1)), port)
