"""The project's systems in training, under their recommended configurations and every option. Imports no framework.

Training is an algorithm, not a width: networks are made narrow and batches small, unless an override says otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from parity.checks.rung_names import ONE_DEVICE, TRAINING
from parity.verdict import UnusableInput
from shared_impl.config.presets import ConfigError, load
from shared_impl.config.schema import Config

if TYPE_CHECKING:
    from parity.verdict import Verdict

STEPS = 20
BRIEF = 6  # steps of an option, half of them once more after a resumption
# The most that a run here has of each; enough for batch statistics, several updates of D, and every layer.
SIZES = {"model.nz": 16, "model.dim": 2, "model.ngf": 8, "model.ndf": 8, "training.d_updates": 2}
# Systems that train narrow at a size of their own: a parity of steps needs no 256x256 pixels.
NARROW = {"conditional_dcgan": "conditional_dcgan_tiny", "soundgan": "soundgan_tiny"}
COMPARED = {"float32": "float64"}  # after some steps float32 is chaos: 2e-2 apart after 20 with the same formulas
TO_DATA = ("data.", "model.image_size", "training.precision")  # options that matter to the rung data
# What grows goes through three stages: settled, faded in over two steps and settled, and so again.
STAGES = "training.batch_size=4,training.stage_steps=4,training.steps=12"
# Variants of each system. Together they take every value of every option of loss, optimizer and training.
VARIANTS: dict[str, list[str]] = {
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


@dataclass(frozen=True)
class TrainingPair:
    """Both trainers of one configuration.

    ``brief`` pairs take fewer steps, and go on after a stop in the trainers that ran to the end; what keeps a moving
    average does so in fresh ones, but for networks that grow (tests/implementations/test_growing.py stops those).
    """

    name: str
    system: str
    preset: str
    overrides: tuple[str, ...] = ()
    network: str = "training"
    mirrored: bool = False
    rungs: tuple[str, ...] = TRAINING
    brief: bool = False

    @property
    def is_variant(self) -> bool:
        """Whether the pair is an option rather than the recommended configuration."""
        return ":" in self.name

    def config(self, seed: int = 0) -> Config:
        """The configuration, narrowed, in float64 unless it asks for bfloat16.

        Raises UnusableInput for a configuration that cannot be.
        """
        given = {override.partition("=")[0].strip() for override in self.overrides}
        try:
            asked = load(self.preset, self.overrides)
            settings = {"training.seed": seed, "training.steps": BRIEF if self.brief else STEPS} | _smaller(asked)
            own = [f"{name}={value}" for name, value in settings.items() if name not in given]
            precision = f"training.precision={COMPARED.get(asked.training.precision, asked.training.precision)}"
            return load(self.preset, [*self.overrides, *own, precision])
        except ConfigError as error:
            raise UnusableInput(str(error)) from error

    def verify(
        self,
        *,
        rungs: Iterable[str] | None = None,
        seed: int = 0,
        progress: Callable[[str], None] | None = None,
    ) -> Verdict:
        """This pair's verdict."""
        from parity.systems.training.verification import verify_training

        config = self.config(seed)
        averaged = config.training.ema is not None and not config.model.stages
        fresh = averaged or not self.brief
        verdict = verify_training(config, rungs=rungs or self.rungs, name=self.name, progress=progress, fresh=fresh)
        verdict.command = " ".join(["parity verify", *self.arguments, *([f"--seed {seed}"] if seed else [])])
        return verdict

    @property
    def arguments(self) -> tuple[str, ...]:
        """The command-line words that select this pair."""
        return (self.name,) if self in registry() else (f"{self.preset}.{self.network}", *self.overrides)


def registry() -> list[TrainingPair]:
    """The recommended configurations first, then every variant."""
    found = [_pair(system, variant) for system, variants in VARIANTS.items() for variant in variants]
    return sorted(found, key=lambda pair: pair.is_variant)


def options_in(variant: str) -> tuple[str, ...]:
    """``a=1,b=[2,3]`` as ``a=1`` and ``b=[2,3]``."""
    return tuple(re.split(r",(?![^\[]*\])", variant))


def _pair(system: str, variant: str) -> TrainingPair:
    name = f"{system}.training" + f":{variant}" * bool(variant)
    preset = NARROW.get(system, system)
    if not variant:
        return TrainingPair(name, system, preset)
    words = options_in(variant)
    rungs = tuple(rung for rung in ONE_DEVICE if rung != "data" or any(word.startswith(TO_DATA) for word in words))
    return TrainingPair(name, system, preset, words, rungs=rungs, brief=True)


def _smaller(asked: Config) -> dict[str, object]:
    """What narrows a configuration: sizes and batch."""
    portions = asked.training.accumulation
    found: dict[str, object] = {"training.batch_size": max(4, 2 * portions)}
    for name, most in SIZES.items():
        section, _, field = name.partition(".")
        value = getattr(getattr(asked, section), field, 0)
        if value > most:
            found[name] = most
    return found
