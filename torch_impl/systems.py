"""The networks of every system in torch; twin of tf_impl/systems.py."""

from __future__ import annotations

from torch import nn

from shared_impl.config.presets import options_for, select
from shared_impl.config.systems import ModelConfig
from torch_impl.conditional_dcgan import ConditionalDCGANDiscriminator, ConditionalDCGANGenerator
from torch_impl.dcgan import DCGANDiscriminator, DCGANGenerator
from torch_impl.growing import growing_network
from torch_impl.soundgan import SoundGANDiscriminator, SoundGANGenerator
from torch_impl.specgan import SpecGANDiscriminator, SpecGANGenerator
from torch_impl.upsample_dcgan import UpsampleDCGANDiscriminator, UpsampleDCGANGenerator

NETWORKS: dict[str, dict[str, type[nn.Module]]] = {
    "specgan": {"generator": SpecGANGenerator, "discriminator": SpecGANDiscriminator},
    "dcgan": {"generator": DCGANGenerator, "discriminator": DCGANDiscriminator},
    "upsample_dcgan": {"generator": UpsampleDCGANGenerator, "discriminator": UpsampleDCGANDiscriminator},
    "conditional_dcgan": {"generator": ConditionalDCGANGenerator, "discriminator": ConditionalDCGANDiscriminator},
    "soundgan": {"generator": SoundGANGenerator, "discriminator": SoundGANDiscriminator},
}


def build(model: ModelConfig, network: str) -> nn.Module:
    """The ``generator`` or ``discriminator`` of a configuration's model section; ConfigError for another name."""
    constructor = select(NETWORKS[model.system], network, "network")
    built = constructor(**options_for(constructor, model))
    return growing_network(built, network, model) if model.stages and isinstance(built, nn.Sequential) else built
