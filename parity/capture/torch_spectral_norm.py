"""Spectral normalisation of torch modules: where it keeps its tensors, and its settings."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.parametrize import is_parametrized
from torch.nn.utils.spectral_norm import SpectralNorm

from parity.numerics.spectral_norm import INPUTS, KEPT, OUTPUTS, U_FIRST, V_FIRST, U, V


def spectral_slots(module: Any) -> dict[str, str]:
    """The names of the kept kernel and of both vectors in a module, by slot; empty if it is not normalised."""
    norm = _normalisation(module)
    if norm is None:
        return {}
    if isinstance(norm, _SpectralNorm):
        inner = "parametrizations.weight.0"
        return {"kernel": "parametrizations.weight.original", U: f"{inner}._u", V: f"{inner}._v"}
    return {"kernel": "weight_orig", U: "weight_u", V: "weight_v"}


def spectral_settings(module: Any) -> dict[str, Any]:
    """How a module normalises its weight spectrally; empty if it does not."""
    norm = _normalisation(module)
    if norm is None:
        return {}
    outputs = int(isinstance(module, (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)))
    return {
        "spectral_norm": KEPT,
        "power_iterations": norm.n_power_iterations,
        "spectral_axis": OUTPUTS if norm.dim == outputs else INPUTS,
        "spectral_order": U_FIRST if isinstance(norm, _SpectralNorm) else V_FIRST,
    }


def _normalisation(module: Any) -> Any:
    """The spectral normalisation of a module's weight, new or old, if nothing else transforms the weight; else None."""
    if is_parametrized(module, "weight"):
        (first, *others) = module.parametrizations.weight
        alone = len(module.parametrizations) == 1 and not others
        return first if alone and isinstance(first, _SpectralNorm) and hasattr(first, "_u") else None
    hooks = [hook for hook in module._forward_pre_hooks.values() if isinstance(hook, SpectralNorm)]
    return hooks[0] if hooks and hooks[0].name == "weight" else None
