"""G imitates features of real images: from one file of VGG19 weights both implementations take the same steps."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import save_file

from parity.systems.selection import select
from shared_impl.features.vgg import CONVOLUTIONS


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Weights of VGG19's shapes that keep the size of what goes through (He et al. 2015), by torchvision's names."""
    rng, tensors = np.random.default_rng(0), {}
    for layer in CONVOLUTIONS:
        kernel, bias = layer.shapes.values()
        drawn = rng.standard_normal((kernel[3], kernel[2], *kernel[:2])) * np.sqrt(2 / np.prod(kernel[:3]))
        tensors[f"features.{layer.feature}.weight"] = drawn.astype(np.float32)
        tensors[f"features.{layer.feature}.bias"] = np.zeros(bias, np.float32)
    path = tmp_path_factory.mktemp("vgg") / "vgg19.safetensors"
    save_file(tensors, path)
    return path


@pytest.mark.parametrize(
    "words",
    [
        ["loss.perceptual_weight=3", "loss.texture_weight=100"],
        ["loss.perceptual_weight=3", "training.reuse_fakes=false", "training.accumulation=2", "model.nc=1"],
    ],
)
def test_both_implementations_take_the_same_steps(file, words):
    (pair,) = select(["conditional_dcgan_tiny.training", *words, f"loss.features={file}", "training.steps=3"])
    verdict = pair.verify(rungs=["step", "training"])
    assert verdict.passed, verdict.to_text()
    expected = {"perceptual"} | ({"texture"} if "loss.texture_weight=100" in words else set())
    seen = {check.what for rung in verdict.rungs.values() for check in rung.checks}
    assert expected <= {name.split("/")[-1] for name in seen} | {
        check.layer for r in verdict.rungs.values() for check in r.checks
    }
