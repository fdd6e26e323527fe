"""Which known function a callable computes, found from its values. Plain NumPy.

Names prove little: ``keras.ops.gelu`` and ``keras.activations.gelu`` share one and differ, a lambda or a partial has
none, and ``x * relu6(x + 3) / 6`` is the function that a layer elsewhere carries as its name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from parity.numerics.reference_ops import activations
from parity.numerics.tolerance import SLACK

Array = np.ndarray
GRID = np.linspace(-8.0, 8.0, 257)[None] + 0.0123
"""``[1, n]``, beyond every knee of the known functions (the outermost is ReLU6's, at 6), and never at one."""
# Kernels in float32 agree with a definition to a few units; two functions of the table differ by 1e-4 and more on GRID.
AGREES = SLACK * 2.0**-24
SETTINGS: dict[str, dict[str, Any]] = {
    "gelu": {"function": "gelu", "approximate": False},
    "gelu_tanh": {"function": "gelu", "approximate": True},
}
NOT_ELEMENTWISE = ("softmax", "log_softmax")


def identify(call: Callable[[Array], Any]) -> dict[str, Any] | None:
    """The settings of the elementwise activation that ``call`` computes; None if it is no known one, or fails.

    ``call`` takes and returns arrays of the shape of :data:`GRID`.
    """
    try:
        with np.errstate(all="ignore"):
            values, reversed_values = np.asarray(call(GRID)), np.asarray(call(GRID[:, ::-1].copy()))
    except Exception:
        return None
    if values.shape != GRID.shape or values.dtype.kind != "f" or not np.isfinite(values).all():
        return None
    if not _agree(values, reversed_values[:, ::-1]):
        return None
    return next((settings for settings, compute in _candidates(values) if _agree(values, compute(GRID))), None)


def _candidates(values: Array) -> list[tuple[dict[str, Any], Callable[[Array], Array]]]:
    """The known functions, those with a parameter at the value that the leftmost point asks for."""
    plain = [
        (SETTINGS.get(name, {"function": name}), compute)
        for name, compute in activations.FUNCTIONS.items()
        if name not in NOT_ELEMENTWISE and not name.startswith("leaky_relu")
    ]
    x, y = float(GRID[0, 0]), float(values[0, 0])
    slope, alpha = _decimal(y / x), _decimal(y / np.expm1(x))
    return [
        *plain,
        ({"function": "leaky_relu", "slope": slope}, lambda x: activations.leaky_relu(x, slope)),
        ({"function": "elu", "slope": alpha}, lambda x: activations.elu(x, alpha)),
    ]


def _decimal(number: float) -> float:
    """The number without the float32 rounding of the constant that it came from."""
    return float(f"{number:.6g}")


def _agree(a: Array, b: Array) -> bool:
    return bool((np.abs(a - b) <= AGREES * np.maximum(1.0, np.abs(b))).all())
