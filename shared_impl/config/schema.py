"""The sections of a configuration: every field, its type, its default and which combinations are impossible.

Defaults that depend on the network or on the loss stand in two tables: RECIPES (what each system's original used,
shared_impl/config/systems.py) and RECOMMENDED (the optimiser that goes with each loss).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import model_validator

from shared_impl.config.section import Count, Index, NotNegative, Positive, Section, Share
from shared_impl.config.systems import RECIPES, Medium, ModelConfig, Sizes

Loss = Literal["wgan-gp", "wgan", "lsgan", "dcgan", "bce", "hinge"]

# train_specgan.py's optimiser for each of its losses, and the usual one for the others.
RECOMMENDED: dict[str, dict[str, Any]] = {
    "wgan-gp": {"kind": "adam", "lr": 1e-4, "beta1": 0.5, "beta2": 0.9},
    "wgan": {"kind": "rmsprop", "lr": 5e-5},
    "lsgan": {"kind": "rmsprop", "lr": 1e-4},
    "dcgan": {"kind": "adam", "lr": 2e-4, "beta1": 0.5, "beta2": 0.999},
    "bce": {"kind": "adam", "lr": 2e-4, "beta1": 0.5, "beta2": 0.999},
    # Two rates, without momentum (Heusel et al. 2017, arXiv:1706.08500; Zhang et al. 2019, arXiv:1805.08318)
    "hinge": {"kind": "adam", "lr": 1e-4, "lr_d": 4e-4, "beta1": 0.0, "beta2": 0.9},
}
# Where the loss recommends another kind. The epsilons are TF 1's.
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "adam": {"lr": 1e-4, "epsilon": 1e-8},
    "rmsprop": {"lr": 5e-5, "epsilon": 1e-10},
}


# The first word of data.source, and how it is written; what the first four hold (csv and tfds hold either).
SOURCES = {
    "digits": "digits",
    "drums": "drums[:FOLDER]",
    "images": "images:FOLDER",
    "audio": "audio:FOLDER",
    "csv": "csv:FILE",
    "tfds": "tfds:NAME",
}
EMBEDDED = ("digits", "drums")
GIVES: dict[str, Medium] = {"digits": "image", "images": "image", "drums": "audio", "audio": "audio"}


class DataConfig(Section):
    """Where examples come from and how they are cut to size; audio fields concern audio systems only."""

    source: str = "digits"  # digits, drums[:FOLDER], images:FOLDER, audio:FOLDER, csv:FILE or tfds:NAME
    strict: bool = False  # a broken file ends the run instead of being counted
    workers: Index = 0  # decoding processes; 0: threads of this one
    prefetch: Count = 4  # batches prepared ahead
    resize: Literal["bilinear", "bicubic", "lanczos", "box"] = "bilinear"
    sample_rate: Count = 16000
    overlap: Share = 0.0  # of consecutive slices
    first_slice: bool = False  # only the first slice of each file, zero-padded
    pad_end: bool = False  # zero-pad the last slice instead of dropping it
    random_offset: bool = True  # start each file at U{0 ... 16383}
    moments: str | None = None  # .npz of the moments command; None: measured before training
    label_columns: list[str] = []  # of a csv; empty: the first after the path
    balance: bool = False  # every class is shown as often as the largest one
    # What every image shown is changed by at random, each time it is shown
    flip: Literal["none", "horizontal", "vertical", "both"] = "none"
    rotate: NotNegative = 0.0  # by up to so many degrees either way; what turns in from outside repeats the edge
    jitter: Share = 0.0  # brightness, contrast and saturation times 1 +- this

    @property
    def augments(self) -> bool:
        """Whether images are changed at all."""
        return self.flip != "none" or self.rotate > 0 or self.jitter > 0

    @model_validator(mode="after")
    def _is_a_source(self) -> Self:
        word, colon, place = self.source.partition(":")
        if word not in SOURCES or bool(colon) != bool(place) or (place and word == "digits"):
            raise ValueError(f"source is {self.source!r}; valid: {', '.join(SOURCES.values())}")
        if not place and word not in EMBEDDED:
            raise ValueError(f"source is {self.source!r}: it needs a place, as in {SOURCES[word]}")
        return self


class LossConfig(Section):
    """Which game is played."""

    kind: Loss
    penalty_weight: Positive = 10.0  # wgan-gp
    clip: Positive = 0.01  # wgan: every weight of D is kept within +-clip
    label_smoothing: Share = 0.0  # lsgan, dcgan, bce: D's target for real is 1 - this
    smooth_fakes: bool = False  # and for fakes is this
    d_scale: Positive = 0.5  # lsgan, dcgan, bce: weight of each half of D's loss
    auxiliary_weight: Positive = 1.0  # model.label=auxiliary: of naming the class, for D on real and fake, and for G
    perceptual_weight: NotNegative = 0.0  # G's, of the mean distance of VGG19's features between fakes and real images
    texture_weight: NotNegative = 0.0  # G's, of the mean distance of the features' Gram matrices
    features: str | None = None  # file of VGG19's weights for these two, Keras's or torch's

    @property
    def imitates(self) -> bool:
        """Whether G is to give its fakes the features of real images."""
        return bool(self.perceptual_weight or self.texture_weight)


class OptimizerConfig(Section):
    """One optimiser for both networks; ``lr_g`` and ``lr_d`` overrule ``lr``."""

    kind: Literal["adam", "rmsprop"]
    lr: Positive
    lr_g: Positive | None = None
    lr_d: Positive | None = None
    beta1: Share = 0.9
    beta2: Share = 0.999
    epsilon: Positive
    # adam: tensorflow adds epsilon to the uncorrected root ("epsilon hat", Kingma and Ba 2015, section 2), torch to the
    # corrected one
    epsilon_place: Literal["tensorflow", "torch"] = "tensorflow"
    decay: Share = 0.9  # rmsprop: of the mean square
    initial_accumulator: NotNegative = 1.0  # rmsprop: TF 1 starts at one
    schedule: Literal["fixed", "cosine", "linear"] = "fixed"
    final_lr: NotNegative = 0.0  # of cosine and linear, reached at the last step
    clip_norm: Positive | None = None  # of each network's whole gradient


class TrainingConfig(Section):
    """How long and in which portions. A step is ``d_updates`` updates of D, then one of G."""

    steps: Count | None = None
    epochs: Count | None = None
    batch_size: Count = 64
    seed: Index = 0
    d_updates: Count = 5
    reuse_fakes: bool = False  # G learns from the very fakes that D has just seen
    accumulation: Count = 1  # portions of a batch whose gradients are averaged
    # Deviation of the Gaussian noise on every image that D sees (Soenderby et al. 2017, arXiv:1610.04490): with it D
    # must judge forms, and not textures too fine for G, by which it tells few and smooth images apart at once
    instance_noise: NotNegative = 0.0
    ema: Share | None = None  # decay of the generator's moving average, which then makes the samples
    precision: Literal["float32", "bfloat16", "float64"] = "float32"
    compile: bool = False  # torch.compile (not through a gradient penalty), or XLA: for GPUs; slower on processors
    latents: Literal["uniform", "normal"] = "uniform"
    stage_steps: Count = 1000  # model.growing: of each stage before the last; half of a stage's steps fade its size in
    stage_batches: Sizes = ()  # likewise: their batch sizes, multiples of batch_size; empty: batch_size itself

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.steps is not None and self.epochs is not None:
            raise ValueError(f"steps={self.steps} and epochs={self.epochs}: give one of them")
        if self.batch_size % self.accumulation:
            raise ValueError(
                f"batch_size={self.batch_size} cannot be split into accumulation={self.accumulation} equal portions"
            )
        if self.reuse_fakes and self.d_updates != 1:
            raise ValueError(f"reuse_fakes needs d_updates=1, got {self.d_updates}")
        if uneven := [size for size in self.stage_batches if size % self.batch_size]:
            raise ValueError(
                f"stage_batches has {uneven[0]}: expected multiples of batch_size={self.batch_size}, as a stage joins "
                "whole batches of the last one's"
            )
        return self


class DistributionConfig(Section):
    """The devices that share each batch: ``training.batch_size`` is what they get together."""

    # one device; mirrored: all of one process (TensorFlow); multi_worker: several processes (TF_CONFIG, torchrun);
    # auto: as started, and all GPUs that are visible
    strategy: Literal["auto", "one", "mirrored", "multi_worker"] = "auto"
    devices: str = "auto"  # auto, cpu or gpu, or so many of each machine: cpu:2 tries two out without a GPU
    sync_batchnorm: bool = False  # batch statistics of all devices' examples, as on one device
    # Seconds that a worker waits for the others, in a step and at the start, where the first one may be measuring the
    # moments of all sounds: measure those of large data before, with the command moments
    timeout: Positive = 1800.0

    @model_validator(mode="after")
    def _are_devices(self) -> Self:
        kind, colon, count = self.devices.partition(":")
        counted = kind != "auto" and count.isdecimal() and int(count) > 0
        if kind not in ("auto", "cpu", "gpu") or (colon and not counted):
            raise ValueError(f"devices is {self.devices!r}; valid: auto, cpu, gpu, cpu:N, gpu:N")
        if self.strategy == "one" and colon and int(count) > 1:
            raise ValueError(f"strategy=one and devices={self.devices}: give one device, or another strategy")
        return self


class RunsConfig(Section):
    """Where runs are kept and how often something is written; all intervals in steps."""

    folder: str = "runs"
    log_every: Count = 10
    sample_every: Count = 200
    checkpoint_every: Count = 500
    keep: Count = 3  # latest checkpoints kept, beside the best
    samples: Count = 64  # images of a sample grid
    previews: Count = 32  # clips of an audio preview
    tensorboard: bool = True


class Config(Section):
    """A whole configuration; one YAML file in configs/ each. Only ``model`` must be given."""

    model: ModelConfig
    data: DataConfig
    loss: LossConfig
    optimizer: OptimizerConfig
    training: TrainingConfig
    distribution: DistributionConfig = DistributionConfig()
    runs: RunsConfig = RunsConfig()

    @model_validator(mode="before")
    @classmethod
    def _completed(cls, content: Any) -> Any:
        """Fill in what the system and the loss recommend; values of the wrong kind are left to the schema."""
        if not isinstance(content, Mapping):
            return content
        model = content.get("model")
        recipe = RECIPES.get(str(model.get("system")), {}) if isinstance(model, Mapping) else {}
        content = {**content, **{name: _under(content.get(name), recipe.get(name, {})) for name in FILLED}}
        if all(isinstance(content[name], Mapping) for name in ("loss", "optimizer", "training")):
            advised = RECOMMENDED.get(str(content["loss"].get("kind")), {"kind": "adam"})
            kind = content["optimizer"].get("kind", advised["kind"])
            advised = advised if kind == advised["kind"] else {"kind": kind}
            content["optimizer"] = {**OPTIMIZERS.get(str(kind), {}), **advised, **content["optimizer"]}
            if not {"steps", "epochs"} & content["training"].keys():
                content["training"] = {"epochs": 100, **content["training"]}
        return content

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        medium = self.model.medium
        word = self.data.source.partition(":")[0]
        if word in GIVES and GIVES[word] != medium:
            fitting = ", ".join(form for name, form in SOURCES.items() if GIVES.get(name, medium) == medium)
            raise ValueError(
                f"data.source={self.data.source} gives {GIVES[word]} data, but model.system={self.model.system} "
                f"learns from {medium} data: use one of {fitting}"
            )
        if medium == "audio" and self.model.nc != 1:
            raise ValueError(f"model.nc={self.model.nc}: spectrograms of mono audio have one channel")
        if medium == "audio" and self.data.augments:
            raise ValueError(f"data.flip, rotate and jitter change images; model.system={self.model.system} has none")
        if self.model.probabilities != (self.loss.kind == "bce"):
            raise ValueError(
                f"loss.kind={self.loss.kind}, but D of model.system={self.model.system} gives "
                + (
                    "probabilities: use loss.kind=bce, or model.output=logit"
                    if self.model.probabilities
                    else "logits: use loss.kind=dcgan, or for upsample_dcgan model.output=probability"
                )
            )
        self._refuse_lacking_features()
        stages, batches = list(self.model.stages[:-1]), list(self.training.stage_batches)
        if batches and len(batches) != len(stages):
            raise ValueError(
                f"training.stage_batches={batches}: expected a batch size for each of model.growing={stages}, or none"
            )
        return self

    def _refuse_lacking_features(self) -> None:
        terms = [name for name in ("perceptual_weight", "texture_weight") if getattr(self.loss, name)]
        if terms and self.loss.features is None:
            raise ValueError(
                f"loss.{terms[0]} compares features of VGG19: name the file of its weights with loss.features=FILE"
            )
        if terms and self.model.nc not in (1, 3):
            raise ValueError(f"loss.{terms[0]}: VGG19 sees grey or coloured images, got model.nc={self.model.nc}")

    def advice(self) -> list[str]:
        """What is possible but unlikely to be meant, a sentence each."""
        told = []
        if self.loss.kind == "wgan-gp" and self.model.critic_normalises_batches:
            options = [
                f"model.{name}=false or " for name in ("use_batchnorm", "batchnorm_d") if hasattr(self.model, name)
            ]
            told.append(
                "loss.kind=wgan-gp with batch norm in the critic: the penalty is meant for each sample by itself "
                f"(Gulrajani et al. 2017, section 4); prefer {''.join(options)}another loss"
            )
        if self.training.accumulation > 1 and self.training.reuse_fakes:
            told.append(
                f"training.accumulation={self.training.accumulation} with training.reuse_fakes=true: only D's batch is "
                "split, G learns from the whole one at once; training.reuse_fakes=false splits both"
            )
        stages, length = self.model.stages[:-1], self.training.stage_steps
        if stages and self.training.steps is not None and self.training.steps <= len(stages) * length + length // 2:
            told.append(
                f"training.steps={self.training.steps} ends before the networks have grown to {self.model.side}x"
                f"{self.model.side}: {len(stages)} stages of training.stage_steps={length} and half a stage of fading "
                "come first"
            )
        return told


FILLED = ("data", "loss", "optimizer", "training")


def total_steps(training: TrainingConfig, examples: int) -> int:
    """How many steps a run takes that shows D so many examples an epoch (of balanced classes more than there are)."""
    if training.steps is not None:
        return training.steps
    steps, left = 0, (training.epochs or 1) * examples / (training.batch_size * training.d_updates)
    for size in training.stage_batches:
        share = size // training.batch_size
        length = min(math.ceil(left / share), training.stage_steps)
        steps, left = steps + length, max(left - length * share, 0)
    return steps + math.ceil(left)


def _under(given: Any, defaults: Mapping[str, Any]) -> Any:
    return {**defaults, **(given or {})} if given is None or isinstance(given, Mapping) else given
