"""Training pairs: which configurations they are, that no option is left out, and how far apart two runs may be."""

from __future__ import annotations

import typing
from typing import Any

import numpy as np
import pytest

from parity.systems.registry import training_pairs
from parity.systems.selection import select, with_rungs
from parity.systems.training import lockstep, trajectories
from parity.systems.training.noise import owner
from parity.systems.training.training_pair import TrainingPair
from parity.verdict import UnusableInput
from shared_impl.config.loss import LossConfig
from shared_impl.config.optimizer import OptimizerConfig
from shared_impl.config.training import TrainingConfig


def test_owners_of_arrays() -> None:
    assert owner("d_optimizer/m/downconv_0/kernel") == "discriminator/downconv_0/kernel"
    assert owner("ema/upconv_0/bias") == owner("generator/upconv_0/bias") == "generator/upconv_0/bias"
    assert owner("g_optimizer/updates") == "g_optimizer/updates"


def test_limits_follow_the_rounding_that_the_reference_shows() -> None:
    start, end = {"w": np.ones(4)}, {"w": np.full(4, 1.5)}
    rounded = {"w": end["w"] * (1 + 1e-14)}

    def apart(gap: float) -> trajectories.Series:
        return trajectories.states([start, end], [start, {"w": end["w"] + gap}], [start, rounded])["w"]

    assert not apart(60 * 1.5e-14).diverged(1) and apart(70 * 1.5e-14).diverged(1)
    assert apart(float("nan")).diverged(1) and not apart(0.0).blurred(1)
    assert apart(3e-14).multiple == pytest.approx(2, rel=0.05)
    lost = trajectories.states([start, end], [start, end], [start, {"w": end["w"] + 0.4}])["w"]
    assert lost.blurred(1)


def test_a_bias_that_cancels_is_held_against_its_kernel() -> None:
    start = {"d/m/out/kernel": np.zeros((2, 1)), "d/m/out/bias": np.zeros(1)}
    end = {"d/m/out/kernel": np.full((2, 1), 0.1), "d/m/out/bias": np.full(1, 1e-4)}
    got = {name: array + 5e-17 for name, array in end.items()}
    assert not trajectories.states([start, end], [start, got], [start, end])["d/m/out/bias"].diverged(1)
    alone = [{"d/m/out/bias": state["d/m/out/bias"]} for state in (start, end, got)]
    assert trajectories.states([alone[0], alone[1]], [alone[0], alone[2]], [alone[0], alone[1]])[
        "d/m/out/bias"
    ].diverged(1)


def test_losses_are_held_against_the_largest_of_their_step() -> None:
    reference = [{"d_loss": 8.0, "d_fake": 1e-9}]
    near, far = [{"d_loss": 8.0, "d_fake": 1e-9 + 1e-15}], [{"d_loss": 8.0, "d_fake": 2e-9}]
    assert not trajectories.losses(reference, near, near)["d_fake"].diverged(0)
    assert trajectories.losses(reference, far, reference)["d_fake"].diverged(0)


def test_a_nudge_moves_every_value_by_its_last_bits() -> None:
    before = {"w": np.array([1.0, -3.0, 0.0]), "updates": np.array(5)}
    after = lockstep.nudged(before, 0)
    assert np.allclose(np.abs(after["w"] / np.where(before["w"], before["w"], 1) - 1)[:2], lockstep.NUDGE)
    assert after["w"][2] == 0 and after["updates"] == 5


# What training pairs need not vary, with the reason.
FIXED = {"steps": "the length of the run", "epochs": "likewise", "batch_size": "of the drawn batches", "seed": "--seed"}
FIXED |= dict.fromkeys(
    ("features", "perceptual_weight", "texture_weight"),
    "they need a file of the user's; tests/implementations/test_imitation.py writes one and compares them",
)
FIXED["compile"] = "how it is computed, and not what; tests/implementations/test_train.py compares it"


@pytest.mark.parametrize("section", [LossConfig, OptimizerConfig, TrainingConfig], ids=lambda cls: cls.__name__)
def test_variants_take_every_option_of_the_schema(section: type) -> None:
    name = section.__name__.removesuffix("Config").lower()
    configs = [pair.config() for pair in training_pairs()]
    taken = {field: {getattr(getattr(config, name), field) for config in configs} for field in section.model_fields}
    for field, info in section.model_fields.items():
        if field in FIXED:
            continue
        valid = set(typing.get_args(info.annotation)) if typing.get_origin(info.annotation) is typing.Literal else set()
        lacking = {value for value in valid if value != "float32"} - taken[field]  # float32 is judged in float64
        assert not lacking and len(taken[field]) > 1, f"{name}.{field}: only {taken[field]}, lacking {lacking}"


def test_variants_take_every_network_option_that_training_meets() -> None:
    models = [pair.config().model for pair in training_pairs()]
    for system, options in {
        "specgan": {"use_batchnorm": {True, False}, "upsample": {"zeros", "nearest", "linear", "cubic"},
                    "init": {"glorot", "normal"}},
        "dcgan": {"init": {"normal", "framework"}},
        "soundgan": {"init": {"normal", "framework"}, "patch": {True, False}},
        "upsample_dcgan": {"upsample": {"nearest", "bilinear"}, "output": {"probability", "logit"},
                           "init": {"normal", "framework"}},
        "conditional_dcgan": {"label": {"map", "projected", "replicated", "auxiliary"}, "batchnorm_d": {True, False},
                              "spectral_norm_g": {True, False}, "init": {"normal", "framework"}},
    }.items():  # fmt: skip
        for field, values in options.items():
            assert {getattr(model, field) for model in models if model.system == system} == values


def test_each_loss_is_trained_by_its_recommended_optimiser() -> None:
    recommended = {"wgan-gp": "adam", "wgan": "rmsprop", "lsgan": "rmsprop", "dcgan": "adam"}
    for system in ("specgan", "dcgan"):
        found = {(p.config().loss.kind, p.config().optimizer.kind) for p in training_pairs() if p.system == system}
        assert system == "dcgan" or set(recommended.items()) <= found


def config_of(*words: str) -> Any:
    (pair,) = select(words)
    assert isinstance(pair, TrainingPair)
    return pair.config()


def test_configurations_are_narrowed_unless_they_say_otherwise() -> None:
    config = config_of("specgan.training", "training.precision=float32")
    assert (config.model.dim, config.model.nz, config.training.batch_size, config.training.d_updates) == (2, 16, 4, 2)
    assert (config.training.steps, config.training.precision) == (20, "float64")
    config = config_of("specgan.training", "model.dim=8", "training.batch_size=6", "training.accumulation=3")
    assert (config.model.dim, config.training.batch_size, config.training.precision) == (8, 6, "float64")
    assert config_of("dcgan.training", "training.accumulation=4").training.batch_size == 8


def test_words_select_networks_and_training() -> None:
    names = [pair.name for pair in select(["specgan_tiny", "optimizer.kind=rmsprop", "model.nc=1"])]
    assert names == [
        "specgan_tiny.generator:model.nc=1",
        "specgan_tiny.discriminator:model.nc=1",
        "specgan_tiny.training:optimizer.kind=rmsprop,model.nc=1",
    ]
    everything = select(["dcgan"])
    assert {"dcgan.generator", "dcgan.training"} <= {pair.name for pair in everything}
    assert [pair.name for pair in select(["dcgan.training"])] == [
        p.name for p in training_pairs() if p.system == "dcgan"
    ]
    assert [pair.name for pair in with_rungs(everything, ["step"])] == [
        p.name for p in training_pairs() if p.system == "dcgan"
    ]
    with pytest.raises(UnusableInput, match="none of the pairs named has a rung data; they have structure, "):
        with_rungs(select(["dcgan.generator"]), ["data"])


def test_options_that_do_not_matter_to_data_leave_it_out() -> None:
    for system in {pair.system for pair in training_pairs()}:
        first, *others = (pair for pair in training_pairs() if pair.system == system)
        assert "data" in first.rungs
        for pair in others:
            own, default = pair.config(), first.config()
            assert "data" in pair.rungs or (own.data, own.model.framing) == (default.data, default.model.framing)


def test_the_command_of_a_verdict_gives_it_again() -> None:
    for words in (
        ["dcgan.training", "training.steps=2", "loss.kind=lsgan"],
        [next(pair.name for pair in training_pairs() if pair.is_variant)],
    ):
        (pair,) = select(words)
        assert select(pair.arguments) == [pair]
