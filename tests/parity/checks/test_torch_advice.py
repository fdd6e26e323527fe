"""Fixes of the rung ``structure`` are torch code, or plain advice that names no argument torch does not have."""

from __future__ import annotations

import inspect
import re

import pytest
import torch
from torch import nn

from parity.checks.structure import ATTRIBUTES
from parity.checks.torch_advice import ADVICE, JOINED, LAYERS, layer_code, setting_advice
from parity.numerics.resize_modes import RESIZE_MODES
from parity.numerics.spectral_norm import KEPT, OVERWRITTEN

VALUES: dict[str, tuple[object, ...]] = {
    "kernel_size": ([3, 3], [3, 1]), "pool_size": ([2, 2],), "strides": ([2, 1],), "dilation": ([2, 2],),
    "groups": (4,), "epsilon": (1e-3,), "momentum": (0.99, None), "function": ("relu", "softmax", "gelu_tanh"),
    "slope": (0.2,), "mode": tuple(RESIZE_MODES), "factor": ([2, 2],), "size": ([4, 4],), "rate": (0.3,),
    "power_iterations": (2,), "spectral_axis": ("outputs", "inputs"), "spectral_order": ("u, then v",),
    "spectral_norm": (KEPT, OVERWRITTEN, "none"), "features": (8,), "vocabulary": (50,), "operation": tuple(JOINED),
}  # fmt: skip
MODULES = (
    nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.Embedding,
    nn.Dropout, nn.GELU, nn.LeakyReLU, nn.ELU, nn.MaxPool2d, nn.AvgPool2d, nn.functional.interpolate,
    nn.functional.dropout, nn.functional.hardtanh, nn.utils.parametrizations.spectral_norm,
)  # fmt: skip
KNOWN = {name for module in MODULES for name in inspect.signature(module).parameters}


@pytest.mark.parametrize("setting", [*dict.fromkeys([*ATTRIBUTES, *ADVICE])])
def test_every_argument_in_a_fix_is_one_of_torch(setting: str) -> None:
    for value in VALUES.get(setting, (True, False)):
        fix = setting_advice("conv", setting, value)
        assert fix.strip() and not re.search(r"[,:]\s*$", fix), fix
        assert {*re.findall(r"\b(\w+)=", fix)} <= KNOWN, fix
    assert setting in ADVICE


def test_every_layer_that_may_be_missing_can_be_written_down() -> None:
    settings = {"features": 8, "kernel_size": [3, 3], "strides": [1, 1], "dilation": [1, 1], "groups": 1, "bias": True,
                "epsilon": 1e-3, "momentum": 0.99, "pool_size": [2, 2], "vocabulary": 9}  # fmt: skip
    for kind in LAYERS:
        code = layer_code(kind, settings, (2, 8, 8, 4))
        assert isinstance(eval(code, {"nn": nn}), nn.Module), code
    assert layer_code("dropout", {"rate": 0.3, "dropped": "channels"}, (2, 8, 8, 4)) == "nn.Dropout2d(p=0.3)"
    assert layer_code("activation", {"function": "tanh"}) == "torch.tanh(x)" and torch.tanh
    assert layer_code("unheard of", {}) == ""


def test_pooling_is_not_advised_as_resizing() -> None:
    assert "nn.MaxPool2d" in setting_advice("pool", "mode", "max")
    assert "num_groups=4" in setting_advice("groupnorm", "groups", 4)
    assert "weight at one" in setting_advice("batchnorm", "scale", False)
