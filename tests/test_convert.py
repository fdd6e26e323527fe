"""Training states across the bridge: there and back bit for bit, and training goes on as if nothing had happened."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import tf_impl.checkpoints
import tf_impl.trainer
import torch_impl.checkpoints
import torch_impl.trainer
from common.checkpoints import CheckpointError
from common.config import load
from common.schema import Config
from parity.convert import to_keras, to_torch

HOUSES = {
    "tensorflow": (tf_impl.trainer.Trainer, tf_impl.checkpoints, to_torch),
    "torch": (torch_impl.trainer.Trainer, torch_impl.checkpoints, to_keras),
}
STEPS, CROSSED_AFTER = 6, 3
# float64 twins keep together to 2.5e-13 over 200 steps at this size; a wrong layout or a lost moment shows at 1e-4.
SAME = 1e-10
VARIANTS = {
    "dcgan": ("dcgan_tiny", ["training.ema=0.9", "optimizer.schedule=cosine"]),
    "dcgan rmsprop": ("dcgan_tiny", ["optimizer.kind=rmsprop", "model.nc=3"]),
    "specgan": ("specgan_tiny", ["training.d_updates=2", "training.ema=0.5"]),
    "specgan norm": ("specgan_tiny", ["training.d_updates=1", "model.use_batchnorm=true", "loss.kind=lsgan"]),
    "specgan wgan": ("specgan_tiny", ["training.d_updates=2", "loss.kind=wgan", "model.upsample=nearest"]),
}


def config_of(variant: str) -> Config:
    preset, overrides = VARIANTS[variant]
    return load(preset, ["training.precision=float64", "training.batch_size=4", f"training.steps={STEPS}", *overrides])


def batches(config: Config, skip: int = 0) -> Iterator[dict[str, np.ndarray]]:
    """Random images, the same for every run; ``skip`` of them already seen."""
    rng, side = np.random.RandomState(0), {"specgan": 128, "dcgan": 64}[config.model.system]
    made = ({"x": rng.randint(0, 256, (4, side, side, config.model.nc)).astype(np.uint8)} for _ in range(1000))
    for _ in range(skip):
        next(made)
    yield from made


def train(framework: str, config: Config, first: int, last: int, arrays=None) -> tuple[list[dict[str, float]], dict]:
    """The metrics of those steps, starting from a state or from the beginning, and the state after them."""
    make, files, _ = HOUSES[framework]
    trainer = make(config, STEPS)
    if arrays is not None:
        files.restore(trainer, arrays)
    stream = batches(config, first * config.training.d_updates)
    metrics = [{k: float(v) for k, v in trainer.step(i, stream).items()} for i in range(first, last)]
    return metrics, files.state(trainer)


def apart(one: list[dict[str, float]], other: list[dict[str, float]]) -> float:
    return max(abs(a[name] - b[name]) for a, b in zip(one, other, strict=True) for name in a | b)


@pytest.mark.parametrize("variant", VARIANTS)
def test_training_goes_on_across_the_bridge_as_either_framework_alone(variant):
    config = config_of(variant)
    alone = {name: train(name, config, 0, STEPS) for name in HOUSES}
    for here, there in (("tensorflow", "torch"), ("torch", "tensorflow")):
        begun, state = train(here, config, 0, CROSSED_AFTER)
        ended, last = train(there, config, CROSSED_AFTER, STEPS, HOUSES[here][2](state, config))
        for metrics, _ in alone.values():
            assert apart(begun + ended, metrics) <= SAME
        assert all(np.abs(last[name] - array).max() <= SAME for name, array in alone[there][1].items())


@pytest.mark.parametrize("group", ["g_optimizer/m", "d_optimizer/v", "g_optimizer/updates", "ema", "discriminator"])
def test_a_part_left_behind_shows(group):
    config = config_of("dcgan")
    metrics, last = train("torch", config, 0, STEPS)
    _, state = train("tensorflow", config, 0, CROSSED_AFTER)
    fresh = torch_impl.checkpoints.state(torch_impl.trainer.Trainer(config, STEPS))
    carried = {n: fresh[n] if n.startswith(group) else array for n, array in to_torch(state, config).items()}
    ended, other = train("torch", config, CROSSED_AFTER, STEPS, carried)
    off = max(np.abs(last[name] - array).max() for name, array in other.items())
    assert max(apart(ended, metrics[CROSSED_AFTER:]), off) > 1e5 * SAME


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_state_comes_back_bit_for_bit(variant):
    config = config_of(variant)
    for framework, there, back in (("tensorflow", to_torch, to_keras), ("torch", to_keras, to_torch)):
        make, files, _ = HOUSES[framework]
        rng = np.random.default_rng(0)
        sent = {name: rng.standard_normal(a.shape).astype(a.dtype) for name, a in files.state(make(config, 1)).items()}
        sent["moments/mean"] = rng.standard_normal(128)
        carried = there(sent, config)
        assert sent.keys() - carried.keys() and carried["moments/mean"] is sent["moments/mean"]
        assert all(array.flags.c_contiguous for array in carried.values())
        returned = back(carried, config)
        assert list(returned) == list(sent)
        assert all(returned[n].tobytes() == a.tobytes() and returned[n].dtype == a.dtype for n, a in sent.items())


def test_a_state_of_another_configuration_is_refused_by_name():
    config = config_of("dcgan")
    state = tf_impl.checkpoints.state(tf_impl.trainer.Trainer(config, 1))
    del state["g_optimizer/m/upconv_1/kernel"]
    state["ema/extra/kernel"] = np.zeros(3)
    state["generator/upconv_4/kernel"] = np.zeros((4, 4, 8, 1))
    with pytest.raises(CheckpointError) as error:
        to_torch(state, config)
    assert "ema/extra/kernel: got (3,), expected nothing" in str(error.value)
    assert "g_optimizer/m/upconv_1/kernel: got nothing, expected (4, 4, 32, 64)" in str(error.value)
    assert "generator/upconv_4/kernel: got (4, 4, 8, 1), expected (4, 4, 1, 8)" in str(error.value)
    with pytest.raises(CheckpointError, match=r"generator/upconv_0/kernel: got .*expected nothing"):
        to_keras(tf_impl.checkpoints.state(tf_impl.trainer.Trainer(config, 1)), config)
