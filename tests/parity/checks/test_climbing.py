"""Each rung can fail: the port is broken on purpose, and that rung fails at that layer."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from inspect import signature

import keras
import numpy as np
import pytest
import torch
from torch import nn

import parity
import tf_impl
import torch_impl
from parity.capture.dry_run import first_runs
from parity.capture.keras_adapter import KerasAdapter
from parity.capture.torch_adapter import TorchAdapter
from parity.checks.measurements import Measurements
from parity.checks.measuring import measure
from parity.checks.registry import NETWORK, NETWORK_RUNGS, known_rungs
from parity.match.alignment import match_steps
from parity.numerics.tolerance import rounding_limit
from parity.systems.mutants import MUTANTS, Mutant, like
from parity.systems.selftest import run_mutant
from parity.systems.training.registry import BFLOAT16_RUNGS, TRAINING, TRAINING_RUNGS
from parity.transfer.aligned_models import align
from parity.verdict import UnusableInput, Verdict
from shared_impl.config.presets import load


def twins(system: str, network: str, *options: str) -> tuple:
    model = load(f"{system}_tiny", [f"model.{option}" for option in options]).model
    torch.manual_seed(0)
    return tf_impl.build(model, network), torch_impl.build(model, network)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.rung}-{mutant.name}")
def test_a_broken_port_fails_that_rung_at_that_layer(mutant: Mutant) -> None:
    result = run_mutant(mutant)
    assert result.caught, f"{result.complaints}: {result.verdict.to_text()}"
    assert result.verdict.first_divergence is not None
    with pytest.raises(parity.NotFaithful, match=mutant.layer):
        result.verdict.raise_if_failed()


def test_every_rung_has_a_mutant_that_breaks_it() -> None:
    assert {mutant.rung for mutant in MUTANTS} == set(NETWORK)


def test_every_row_of_the_tables_names_a_function_of_one_context() -> None:
    for rung in (*NETWORK_RUNGS.values(), *TRAINING_RUNGS.values(), *BFLOAT16_RUNGS.values()):
        module, _, name = rung.function.partition(":")
        assert len(signature(getattr(import_module(module), name)).parameters) == 1, rung.name


def test_rungs_of_training_follow_those_of_networks() -> None:
    assert [*known_rungs()] == [*NETWORK, *TRAINING]


def test_the_selftest_sees_a_fault_that_is_not_caught() -> None:
    harmless = replace(MUTANTS[0], fault=lambda layer: layer)
    assert run_mutant(harmless).complaints == ["not caught: the broken port passes"]
    misnamed = replace(MUTANTS[0], kind="stride", layer="downconv_3_bn", besides=frozenset())
    (wrong_rungs, wrong_name) = run_mutant(misnamed).complaints
    assert "also fails" in wrong_rungs and "instead of stride" in wrong_name


def shift(port: nn.Module) -> None:
    next(mutant for mutant in MUTANTS if mutant.rung == "padding").put_into(port)


def test_only_the_broken_layer_is_wrong_by_itself() -> None:
    reference, port = twins("specgan", "generator")
    shift(port)
    verdict = parity.verify(reference, port)
    wrong = [row.layer for row in verdict.layers if row.isolated is not None and row.isolated > 1e-9]
    chained = [row.layer for row in verdict.layers if row.float64 is not None and row.float64 > 1e-9]
    assert wrong == ["upconv_2"]
    assert chained[0] == "upconv_2" and chained[-1] == "upconv_4_tanh"
    assert verdict.first_divergence.layer == "upconv_2"
    victims = [row for row in verdict.layers if row.layer in chained[1:]]
    assert all("inherits" in row.note for row in victims)


def test_the_referee_says_which_side_is_wrong() -> None:
    reference, port = twins("specgan", "generator")
    shift(port)
    rows = {row.layer: row for row in parity.verify(reference, port, rungs=["forward"]).layers}
    assert rows["upconv_2"].referee == "reference"
    assert rows["upconv_1"].referee == rows["z_project"].referee == "both"


def test_nan_in_the_port_fails() -> None:
    class Broken(nn.Tanh):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) / (x * 0)

    reference, port = twins("dcgan", "generator")
    port.upconv_4_tanh = Broken()
    verdict = parity.verify(reference, port, rungs=["forward"])
    assert not verdict.passed
    assert "NaN or infinity" in verdict.to_text()


def test_a_half_precision_step_is_no_rounding() -> None:
    class Lossy(nn.Conv2d):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = super().forward(x)
            return y if y.dtype == torch.float64 else y.half().float()

    reference, port = twins("dcgan", "discriminator")
    port.downconv_1 = like(Lossy)(port.downconv_1)
    verdict = parity.verify(reference, port, rungs=["forward"])
    failed = [check for check in verdict.rungs["forward"].checks if check.judgement == "fail"]
    assert failed[0].layer == "downconv_1"
    assert all(check.what.startswith("float32") for check in failed)


class InLanes(nn.Linear):
    """Adds up its products in 16 lanes, each of them one after another, in the precision of what it is given.

    No kernel of a framework adds more products one after another: vector units hold 16 float32 (AVX-512), or fewer in
    several accumulators. NumPy's sums along the first axis are made in exactly this order on every machine.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        products = (x.detach()[:, None] * self.weight.detach()).numpy()
        lanes = products.reshape(*products.shape[:-1], -1, 16)
        sums = np.add.accumulate(np.add.accumulate(lanes, -2)[..., -1, :], -1)[..., -1]
        return torch.from_numpy(sums.copy()) + self.bias


class InHalves(InLanes):
    """Rounds its sums to half precision, unless it is given float64."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = super().forward(x)
        return y if y.dtype == torch.float64 else y.half().float()


def measured(reference: keras.Model, port: nn.Module) -> Measurements:
    sides = KerasAdapter(reference), TorchAdapter(port)
    runs = first_runs(*sides, None, seed=0, mirrored=False, brief=False)
    return measure(align(*sides, runs, match_steps(runs.reference, runs.port.trace, {})))


def test_a_wide_layer_may_add_up_in_any_order_but_not_in_half_precision() -> None:
    """What the port rounds is made in NumPy, so it is the same on every machine; what the reference rounds is not.

    The port's rounding stays below the limit even against a reference that rounds once, and in half precision exceeds
    it even against one that adds up in lanes.
    """
    keras.utils.set_random_seed(0)
    width = 8192
    reference = keras.Sequential([keras.Input((width,)), keras.layers.Dense(3, name="sum")])
    limit = rounding_limit(width)
    lanes, halves = (measured(reference, nn.Sequential(layer(width, 3))).of("sum")[0] for layer in (InLanes, InHalves))
    assert lanes.rounding_limit == halves.rounding_limit == limit
    assert lanes.port_rounding < limit * lanes.scale * 2.0**-24
    assert halves.port_rounding > limit * lanes.port_rounding
    assert parity.verify(reference, nn.Sequential(InLanes(width, 3)), rungs=["forward"]).passed
    verdict = parity.verify(reference, nn.Sequential(InHalves(width, 3)), rungs=["forward"])
    failed = [check for check in verdict.rungs["forward"].checks if check.judgement == "fail"]
    assert {check.layer for check in failed} == {"sum", "output"}
    assert all(check.what.startswith("float32") for check in failed)


def test_unknown_rung_lists_the_valid_ones() -> None:
    reference, port = twins("dcgan", "generator")
    with pytest.raises(UnusableInput, match="'forwards'.*structure, weights"):
        parity.verify(reference, port, rungs=["forwards"])
    with pytest.raises(UnusableInput, match="no rung 'training' here: it needs a system"):
        parity.verify(reference, port, rungs=["forward", "training"])


def test_a_verdict_is_the_same_twice() -> None:
    def numbers(verdict: Verdict) -> list[float | None]:
        return [check.measured for rung in verdict.rungs.values() for check in rung.checks]

    reference, port = twins("dcgan", "discriminator")
    assert numbers(parity.verify(reference, port, seed=3)) == numbers(parity.verify(reference, port, seed=3))


@pytest.mark.parametrize(
    ("layer", "shape", "products"),
    [
        (keras.layers.Dense(3), (7,), 7),
        (keras.layers.Conv2D(4, (3, 5)), (9, 9, 6), 90),
        (keras.layers.Conv2D(4, 3, groups=2), (9, 9, 6), 27),
        (keras.layers.DepthwiseConv2D(3, depth_multiplier=2), (9, 9, 6), 9),
        (keras.layers.Conv2DTranspose(4, 5, strides=2), (9, 9, 6), 54),
        (keras.layers.Conv2DTranspose(4, 3), (9, 9, 6), 54),
        (keras.layers.ReLU(), (7,), 1),
    ],
)
def test_a_layer_knows_how_many_products_it_adds_up(layer: keras.Layer, shape: tuple, products: int) -> None:
    side = KerasAdapter(keras.Sequential([keras.Input(shape), layer]))
    (step,) = (step for step in side.run([np.zeros((1, *shape))]).steps if step.kind != "identity")
    assert step.products == products


def test_limits_grow_with_products_beyond_what_was_measured() -> None:
    assert [rounding_limit(n) for n in (1, 1600, 6400)] == [8, 8, 16]
