"""The Keras implementation: every system as a chain of named layers, each file the twin of one in torch_impl/.

Importing this package imports no framework; the first use of a name does.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tf_impl.systems import (
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

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # its greetings would bury what a command prints

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
        raise AttributeError(f"module 'tf_impl' has no attribute '{name}'; it offers {', '.join(__all__)}")
    return getattr(import_module("tf_impl.systems"), name)
