"""The whole configuration: its sections, and which combinations of their fields are impossible or unlikely.

Each section stands in a file of its name (data, loss, optimizer, training, distribution, runs; ``model`` in systems);
defaults that depend on the system or on the loss stand in recipes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import model_validator

from shared_impl.config.data import MEDIUM_OF, SOURCES, DataConfig
from shared_impl.config.distribution import DistributionConfig
from shared_impl.config.loss import LossConfig
from shared_impl.config.optimizer import OptimizerConfig
from shared_impl.config.recipes import with_defaults
from shared_impl.config.runs import RunsConfig
from shared_impl.config.section import Section
from shared_impl.config.systems import ModelConfig
from shared_impl.config.training import TrainingConfig


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
        """Fill in what the system and the loss recommend."""
        return with_defaults(content) if isinstance(content, Mapping) else content

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        self._validate_medium()
        self._validate_discriminator_output()
        self._validate_features()
        self._validate_stages()
        return self

    def _validate_medium(self) -> None:
        """The data are of the kind that the system learns from."""
        medium = self.model.medium
        word = self.data.source.partition(":")[0]
        if word in MEDIUM_OF and MEDIUM_OF[word] != medium:
            fitting = ", ".join(form for name, form in SOURCES.items() if MEDIUM_OF.get(name, medium) == medium)
            raise ValueError(
                f"data.source={self.data.source} gives {MEDIUM_OF[word]} data, but model.system={self.model.system} "
                f"learns from {medium} data: use one of {fitting}"
            )
        if medium == "audio" and self.model.nc != 1:
            raise ValueError(f"model.nc={self.model.nc}: spectrograms of mono audio have one channel")
        if medium == "audio" and self.data.augments:
            raise ValueError(f"data.flip, rotate and jitter change images; model.system={self.model.system} has none")

    def _validate_discriminator_output(self) -> None:
        """Probabilities go with the loss ``bce``, logits with every other one."""
        if self.model.probabilities != (self.loss.kind == "bce"):
            raise ValueError(
                f"loss.kind={self.loss.kind}, but D of model.system={self.model.system} gives "
                + (
                    "probabilities: use loss.kind=bce, or model.output=logit"
                    if self.model.probabilities
                    else "logits: use loss.kind=dcgan, or for upsample_dcgan model.output=probability"
                )
            )

    def _validate_features(self) -> None:
        """The perceptual losses have the weights of VGG19, and images that it can be given."""
        terms = [name for name in ("perceptual_weight", "texture_weight") if getattr(self.loss, name)]
        if terms and self.loss.features is None:
            raise ValueError(
                f"loss.{terms[0]} compares features of VGG19: name the file of its weights with loss.features=FILE"
            )
        if terms and self.model.nc not in (1, 3):
            raise ValueError(f"loss.{terms[0]}: VGG19 sees grey or coloured images, got model.nc={self.model.nc}")

    def _validate_stages(self) -> None:
        """Each stage of growing has a batch size, or none has."""
        stages, batches = list(self.model.stages[:-1]), list(self.training.stage_batches)
        if batches and len(batches) != len(stages):
            raise ValueError(
                f"training.stage_batches={batches}: expected a batch size for each of model.growing={stages}, or none"
            )

    def advice(self) -> list[str]:
        """What is possible but unlikely to be meant, a sentence each."""
        sentences = []
        if self.loss.kind == "wgan-gp" and self.model.critic_normalises_batches:
            options = [
                f"model.{name}=false or " for name in ("use_batchnorm", "batchnorm_d") if hasattr(self.model, name)
            ]
            sentences.append(
                "loss.kind=wgan-gp with batch norm in the critic: the penalty is meant for each sample by itself "
                f"(Gulrajani et al. 2017, section 4); prefer {''.join(options)}another loss"
            )
        if self.training.accumulation > 1 and self.training.reuse_fakes:
            sentences.append(
                f"training.accumulation={self.training.accumulation} with training.reuse_fakes=true: only D's batch is "
                "split, G learns from the whole one at once; training.reuse_fakes=false splits both"
            )
        stages, length = self.model.stages[:-1], self.training.stage_steps
        if stages and self.training.steps is not None and self.training.steps <= len(stages) * length + length // 2:
            sentences.append(
                f"training.steps={self.training.steps} ends before the networks have grown to {self.model.side}x"
                f"{self.model.side}: {len(stages)} stages of training.stage_steps={length} and half a stage of fading "
                "come first"
            )
        return sentences
