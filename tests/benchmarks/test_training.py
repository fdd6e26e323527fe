"""What the bench compares is comparable: the tutorial's loops and our trainers learn the same from the same batch."""

from __future__ import annotations

import json
from importlib import import_module
from itertools import chain

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import contestants, feeding, flops, options, scaling, training
from shared_impl.config.presets import load
from torch_impl import build

SYSTEMS = ("dcgan", "specgan")


def tiny(system, precision="float32"):
    return load(f"{system}_tiny", ["training.batch_size=4", "training.d_updates=1", f"training.precision={precision}"])


@pytest.mark.parametrize("framework", contestants.FRAMEWORKS)
@pytest.mark.parametrize("system", SYSTEMS)
def test_the_tutorial_learns_what_the_trainer_learns(system, framework):
    module = import_module(f"benchmarks.contestants_{framework}")
    players = module.Ours(tiny(system, "float64")), module.Ours(tiny(system)), module.Tutorial(tiny(system))
    exact, *others = ([player.first(number) for number in range(training.TRIES)] for player in players)
    for seen in others:
        assert seen[0].keys() == exact[0].keys()
        assert float(seen[0]["d_loss"]) == pytest.approx(float(exact[0]["d_loss"]), rel=1e-4)
    rounding = [min(map(training.distance, seen, exact)) for seen in others]
    assert max(rounding) < 1e-4
    assert rounding[0] <= training.SCATTER * rounding[1] and rounding[1] <= training.SCATTER * rounding[0]


@pytest.mark.parametrize("framework", contestants.FRAMEWORKS)
def test_a_first_step_changes_no_weight(framework):
    module = import_module(f"benchmarks.contestants_{framework}")
    for kind in (module.Ours, module.Tutorial):
        player = kind(tiny("dcgan"))
        first, other, again = (player.first(number) for number in (0, 1, 0))
        assert float(first["d_loss"]) == pytest.approx(float(again["d_loss"]), rel=1e-6)
        assert training.distance(again, first) < 1e-6 < 1e-2 < training.distance(other, first)
        losses = [player.step(number)["d_loss"] for number in range(2)]
        assert losses[0] != losses[1]


def test_a_wrong_gradient_is_not_equal():
    expected = {"gradients/0": np.ones(4), "gradients/1": np.ones(2), "d_loss": np.zeros(())}
    got = dict(expected, **{"gradients/1": np.array([1.0, 1.06])})
    assert training.distance(got, expected) == pytest.approx(0.06 / np.sqrt(6))
    for ours, tutorial in ((1e-3, 1e-6), (1e-6, 1e-3)):  # less exact; and another algorithm than the tutorial's
        rounding = {"ours": ours, "tutorial": tutorial}
        assert not training.Figures("train a torch", "torch", 64, 1e9, rounding=rounding).equal


@pytest.mark.parametrize("preset", ["dcgan", "specgan", "specgan_tiny"])
@pytest.mark.parametrize("network", [0, 1])
def test_operations_are_those_that_torch_counts(preset, network):
    model = load(preset).model
    name = ("generator", "discriminator")[network]
    module = build(model, name)
    given = torch.zeros(2, model.nz) if name == "generator" else torch.zeros(2, 1, *[model.side] * 2)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(given)
    assert 2 * sum(layer.operations for layer in flops.layers(model)[network]) == counter.get_total_flops()


def test_a_step_needs_less_than_a_tutorial_computes():
    config = tiny("dcgan")
    loop = import_module("benchmarks.contestants_torch").Tutorial(config).loop
    real = torch.zeros(4, 1, 64, 64)
    with FlopCounterMode(display=False) as counter:
        loop.step(real)
    assert 0.5 * counter.get_total_flops() < flops.step(config) < counter.get_total_flops()


def test_a_contestant_answers_each_line(monkeypatch, tmp_path):
    monkeypatch.setattr(contestants, "configuration", lambda system, batch, overrides=(): tiny(system))
    player = contestants.contestant("torch", "ours", "dcgan", 4)
    lines = ["steps 2", "d_updates 1", f"first 0 {tmp_path / 'first.npz'}", "memory"]
    steps, update, first, memory = contestants.serve(player, iter(lines))
    assert steps["seconds"] > 0 and set(steps["losses"]) >= {"d_loss", "g_loss"}
    assert update["seconds"] > 0 and "g_loss" not in update["losses"]
    assert "gradients/0" in np.load(first["written"])
    assert memory["gigabytes"] > 0
    with pytest.raises(ValueError, match="unknown command 'jump'; valid: steps N"):
        next(contestants.serve(player, iter(["jump"])))


def test_ratios_go_turn_by_turn_and_the_table_says_who_missed():
    figures = training.Figures("train dcgan torch", "torch", 64, 1e9)
    figures.seconds = {"ours": [1.0, 2.0, 1.0], "tutorial": [1.2, 4.0, 1.2]}
    figures.processor_seconds = {"ours": [1.0], "tutorial": [3.0]}
    figures.memory = dict.fromkeys(("ours", "tutorial"), {"gigabytes": 1.5, "device": "", "device_gigabytes": None})
    figures.rounding = {"ours": 2e-6, "tutorial": 1e-6}
    figures.rates = {"convolution": 2e9, "product": 4e9}
    assert figures.ratios == [1.2, 2.0, 1.2]
    text = training.to_markdown([figures])
    assert "1.20 (1.20 … 2.00) | 3.00 | at least 1.3: **missed** |" in text
    assert "| 2.0e-06 | 1.0e-06 | equal: met | 1.50 | 1.50 | 1 | 2 | 4 | 25% |" in text


def test_waiting_is_counted_where_a_run_waits():
    answers = feeding.serve("torch", "dcgan_tiny", chain(["2\n"], ["1\n"]))
    shown = json.loads(json.dumps(next(answers)))
    assert 0 < shown["waiting"] < shown["seconds"]
    assert feeding.to_markdown([feeding.Figures("feed", [1.0, 1.0], [0.2, 0.01])]).endswith("under 5%: **missed** |")


def test_scaling_is_shown_as_efficiency():
    figures = scaling.Figures("scale dcgan torch", {"alone": 32, "weak": 64, "strong": 32})
    figures.joined = {"alone": [0.4, 0.4], "weak": [0.5, 0.5], "strong": [0.25, 0.25]}
    figures.apart = {"alone": [0.4, 0.4], "weak": [0.45, 0.45], "strong": [0.25, 0.25]}
    weak, strong = scaling.to_markdown([figures]).splitlines()[-2:]
    assert "| 32 | 64 | 400 | 500 | 80 (80 … 80) % | 10 % |" in weak
    assert "| 32 | 32 | 400 | 250 | 80 (80 … 80) % | 0 % |" in strong


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.parametrize("framework", contestants.FRAMEWORKS)
def test_a_group_of_two_takes_steps_together_and_apart(framework, monkeypatch):
    job = scaling.Job(framework, "dcgan")
    monkeypatch.setattr(scaling, "SHARES", {"dcgan": 1})
    monkeypatch.setattr(scaling.Job, "groups", {"alone": (1, 1), "weak": (2, 2)})
    (figures,) = scaling.measure([job], 1, 2)
    for kind in (figures.joined, figures.apart):
        assert kind.keys() == {"alone", "weak"} and all(times[0] > 0 for times in kind.values())


def test_an_option_that_does_not_work_here_is_listed_as_failing(monkeypatch):
    monkeypatch.setattr(options, "STEPS", {"dcgan": 1})
    monkeypatch.setattr(options, "OPTIONS", {"impossible": "training.compile=maybe"})
    (figures,) = options.measure([options.Choice("torch", "dcgan", "impossible")], 1, 2)
    assert "does not work here" in options.to_markdown([figures])
    shown = options.Figures("option x", [0.2], [0.1], 3.0)
    assert "| x | 200 | 100 | 2.00 (2.00 … 2.00) | 3.0 |" in options.to_markdown([shown])
