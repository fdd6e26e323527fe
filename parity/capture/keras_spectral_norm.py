"""Spectral normalisation of Keras layers: its variables and settings.

Recognised are ``keras.layers.SpectralNormalization``, and layers that hold ``u``, ``v``, ``power_iterations`` and
``kernel``.
"""

from __future__ import annotations

from typing import Any

from keras import layers as L

from parity.numerics.spectral_norm import INPUTS, KEPT, OUTPUTS, OVERWRITTEN, U_FIRST, V_FIRST, U, V


def inner_layer(layer: Any) -> Any:
    """The layer that computes: the one inside a ``SpectralNormalization``, else the layer itself."""
    return layer.layer if isinstance(layer, L.SpectralNormalization) else layer


def spectral_vectors(layer: Any) -> dict[str, Any]:
    """The variables of a layer's spectral normalisation by slot; empty if it has none that is known."""
    if isinstance(layer, L.SpectralNormalization):
        return {U: layer.vector_u}
    if all(hasattr(layer, name) for name in ("u", "v", "power_iterations", "kernel")):
        return {U: layer.u, V: layer.v}
    return {}


def overwritten_variables(layer: Any) -> list[Any]:
    """Trainable variables that a layer changes by itself when it runs in training."""
    return [inner_layer(layer).kernel] if isinstance(layer, L.SpectralNormalization) else []


def spectral_settings(layer: Any) -> dict[str, Any]:
    """How a layer normalises its kernel spectrally; empty if it does not."""
    if not spectral_vectors(layer):
        return {}
    stock = isinstance(layer, L.SpectralNormalization)
    last_is_input = isinstance(inner_layer(layer), (L.Conv1DTranspose, L.Conv2DTranspose, L.Conv3DTranspose))
    return {
        "spectral_norm": OVERWRITTEN if stock else KEPT,
        "power_iterations": layer.power_iterations,
        "spectral_axis": INPUTS if stock and last_is_input else OUTPUTS,
        "spectral_order": V_FIRST if stock else U_FIRST,
    }
