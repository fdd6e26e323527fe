"""A pair of networks of the project: one configuration, built in both frameworks and verified. Imports no framework."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import yaml

from parity.checks.registry import NETWORK
from shared_impl.config.presets import checked, load

if TYPE_CHECKING:
    import keras
    from torch import nn

    from parity.verdict import Verdict

NETWORKS = ("generator", "discriminator")


@dataclass(frozen=True)
class NetworkPair:
    """One network, built twice from one configuration.

    Args:
        name: of the verdict.
        network: ``generator`` or ``discriminator``.
        preset: whose model section the ``overrides`` (``model.option=value``) change.
        four_dimensional: the port takes latents as ``[N, nz, 1, 1]``.
        mirrored: compare with images and kernels flipped: symmetric padding of an odd kernel is exact there only.
        rungs: those that the pair is verified on.
        brief: compare values on one batch, in evaluation mode only.
        stage: of a growing network; None is the last one.
        registered: whether the name alone selects the pair.
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
    registered: bool = False

    @property
    def is_variant(self) -> bool:
        """Whether the pair is an option at tiny width rather than the default at full width."""
        return ":" in self.name

    @property
    def model(self) -> Any:
        """The model's configuration; a network may be one that no run could train, such as SpecGAN in colour."""
        model = load(self.preset).model
        words = (override.removeprefix("model.").partition("=") for override in self.overrides)
        changes = {field: yaml.safe_load(value) for field, _, value in words}
        return checked(type(model), {**dict(model), **changes}, where=self.preset)

    def build(self, seed: int = 0) -> tuple[keras.Model, nn.Module]:
        """Both networks, freshly initialised from ``seed``."""
        import keras
        import torch

        import tf_impl
        import torch_impl

        model = self.model
        keras.utils.set_random_seed(seed)
        torch.manual_seed(seed)
        reference, port = tf_impl.build(model, self.network), torch_impl.build(model, self.network)
        if model.stages:
            stage = len(model.growing) if self.stage is None else self.stage
            reference, port = (
                implementation.growing.network_at_stage(built, model, self.network, stage)
                for implementation, built in ((tf_impl, reference), (torch_impl, port))
            )
        return reference, _with_four_dimensional_latents(port) if self.four_dimensional else port

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

    def in_a_mirror(self) -> NetworkPair:
        """The same pair, compared with images and kernels flipped."""
        if self.mirrored:
            return self
        separator = "," if ":" in self.name else ":"
        return replace(self, mirrored=True, name=f"{self.name}{separator}mirrored", registered=False)

    @property
    def arguments(self) -> tuple[str, ...]:
        """The command-line words that select this pair."""
        if self.registered:
            return (self.name,)
        return (f"{self.preset}.{self.network}", *self.overrides, *(["--mirrored"] if self.mirrored else []))


def _with_four_dimensional_latents(port: Any) -> nn.Module:
    """The generator with inputs ``[N, nz]`` reshaped to ``[N, nz, 1, 1]``."""
    from torch import nn

    return nn.Sequential(nn.Unflatten(1, (-1, 1, 1)), port)
