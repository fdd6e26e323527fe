"""The torch implementation: every system as a chain of named layers, each file the twin of one in tf_impl/.

Importing this package imports no framework; the first use of a name does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch_impl.systems import (
        NETWORKS,
        ConditionalDCGANDiscriminator,
        ConditionalDCGANGenerator,
        DCGANDiscriminator,
        DCGANGenerator,
        SoundGANDiscriminator,
        SoundGANGenerator,
        SpecGANDiscriminator,
        SpecGANGenerator,
        UpsampleDCGANDiscriminator,
        UpsampleDCGANGenerator,
        build,
    )

__all__ = [
    "ConditionalDCGANDiscriminator",
    "ConditionalDCGANGenerator",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "NETWORKS",
    "SoundGANDiscriminator",
    "SoundGANGenerator",
    "SpecGANDiscriminator",
    "SpecGANGenerator",
    "UpsampleDCGANDiscriminator",
    "UpsampleDCGANGenerator",
    "build",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'torch_impl' has no attribute '{name}'; it offers {', '.join(__all__)}")
    return getattr(import_module("torch_impl.systems"), name)
