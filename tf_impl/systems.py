"""The networks of every system in Keras; twin of torch_impl/systems.py."""

from __future__ import annotations

import keras

from shared_impl.config.presets import options_for, select
from shared_impl.config.systems import ModelConfig
from tf_impl.conditional_dcgan import ConditionalDCGANDiscriminator, ConditionalDCGANGenerator
from tf_impl.dcgan import DCGANDiscriminator, DCGANGenerator
from tf_impl.growing import growing_network
from tf_impl.soundgan import SoundGANDiscriminator, SoundGANGenerator
from tf_impl.specgan import SpecGANDiscriminator, SpecGANGenerator
from tf_impl.upsample_dcgan import UpsampleDCGANDiscriminator, UpsampleDCGANGenerator

NETWORKS: dict[str, dict[str, type[keras.Model]]] = {
    "specgan": {"generator": SpecGANGenerator, "discriminator": SpecGANDiscriminator},
    "dcgan": {"generator": DCGANGenerator, "discriminator": DCGANDiscriminator},
    "upsample_dcgan": {"generator": UpsampleDCGANGenerator, "discriminator": UpsampleDCGANDiscriminator},
    "conditional_dcgan": {"generator": ConditionalDCGANGenerator, "discriminator": ConditionalDCGANDiscriminator},
    "soundgan": {"generator": SoundGANGenerator, "discriminator": SoundGANDiscriminator},
}


def build(model: ModelConfig, network: str) -> keras.Model:
    """The ``generator`` or ``discriminator`` of a configuration's model section; ConfigError for another name."""
    constructor = select(NETWORKS[model.system], network, "network")
    built = constructor(**options_for(constructor, model))
    return growing_network(built, network, model) if model.stages and isinstance(built, keras.Sequential) else built
