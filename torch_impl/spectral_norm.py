"""Spectral normalisation in torch, NCHW, as stock torch has it; twin of tf_impl/spectral_norm.py.

Miyato et al. 2018, arXiv:1802.05957, as ``torch.nn.utils.parametrizations.spectral_norm`` does it: each forward pass in
training makes one power iteration, and the weight is divided by sigma = u^T W v, where u and v are constants to the
gradient and sigma is not. The state dict has torch's names: ``parametrizations.weight.original`` and, below
``parametrizations.weight.0``, ``_u`` ``[out]`` and ``_v`` ``[rest]``, both of length one and fit to the initial weight
by 15 iterations.
"""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm


class _Spectral(nn.Module):
    """Parametrises the weight of a stock layer."""

    def __init__(self, *args: Any, power_iterations: int = 1, epsilon: float = 1e-12, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        spectral_norm(self, n_power_iterations=power_iterations, eps=epsilon)


class SpectralConv2D(_Spectral, nn.Conv2d):
    """``Conv2d`` whose weight ``[out, in, k, k]`` is spectrally normalised; ``v`` is ``[in k k]``."""


class SpectralConv2DTranspose(_Spectral, nn.ConvTranspose2d):
    """``ConvTranspose2d`` whose weight ``[in, out, k, k]`` is spectrally normalised; ``v`` is ``[in k k]``."""


class SpectralDense(_Spectral, nn.Linear):
    """``Linear`` whose weight ``[out, in]`` is spectrally normalised; ``v`` is ``[in]``."""
