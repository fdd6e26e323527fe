"""Training states converted between the frameworks, and networks exported to files that need neither implementation.

A state is what ``tf_impl.checkpoints.state`` and ``torch_impl.checkpoints.state`` give: arrays by name.
"""

from __future__ import annotations

from parity.systems.conversion.states import to_keras, to_torch

__all__ = ["to_keras", "to_torch"]
