"""Parity of a network in Keras and in PyTorch: copy the weights, measure everything, say where and why it differs.

Importing this package imports no framework; the first use of a name does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parity.transfer.copying import copy_to_keras, copy_to_torch
    from parity.transfer.mismatches import WeightMismatch
    from parity.verdict import Finding, NotFaithful, UnusableInput, Verdict
    from parity.verification import verify

HOMES = {
    "verify": "parity.verification",
    "copy_to_torch": "parity.transfer.copying",
    "copy_to_keras": "parity.transfer.copying",
    "WeightMismatch": "parity.transfer.mismatches",
    "Finding": "parity.verdict",
    "NotFaithful": "parity.verdict",
    "UnusableInput": "parity.verdict",
    "Verdict": "parity.verdict",
}
__all__ = [
    "Finding",
    "NotFaithful",
    "UnusableInput",
    "Verdict",
    "WeightMismatch",
    "copy_to_keras",
    "copy_to_torch",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module 'parity' has no attribute '{name}'; it offers {', '.join(__all__)}")
    value = getattr(import_module(HOMES[name]), name)
    globals()[name] = value
    return value
