"""The self-test's mutations: found where they are, by their cause, alone and in pairs; faithful variants pass."""

from __future__ import annotations

import inspect
from dataclasses import replace

import pytest

from parity.systems.mutations import keras_networks, torch_networks
from parity.systems.mutations.changes import setting
from parity.systems.mutations.networks import SMALL
from parity.systems.mutations.table import MUTATIONS, Mutation
from parity.systems.mutations.trial import Trial, TrialResult, compatible, pairs, run, singles
from parity.systems.mutations.variants import VARIANTS
from parity.systems.selftest_tasks import TaskResult, score, tasks

BY_NAME = {trial.name: trial for trial in singles()}
SINGLE = [
    "Spectrogram: logarithm to base 10",
    "Spectrogram: standard deviation by n - 1",
    "Spectrogram: symmetric window",
    "Embedding: unit norm missing",
    "Embedding: mask ignored",
    "Embedding: factor",
    "ConvNeXt: tanh form of GELU",
    "MobileNet: ReLU6 for ReLU",
    "Embedding: kernel not transposed",
]
TWO = [
    ("Embedding: mask ignored", "Embedding: dropout's rate"),
    ("ConvNeXt: quick GELU", "ConvNeXt: epsilon of a group norm"),
]
FAITHFUL = ["softplus by hand", "frames by hand", "unit norm by hand", "GELU by hand"]


@pytest.mark.parametrize("name", SINGLE)
def test_a_mutation_is_found_at_its_layer_by_its_cause(name: str) -> None:
    result = TrialResult(BY_NAME[name], run(BY_NAME[name]))
    assert result.right, (result.expected, result.outcome)


@pytest.mark.parametrize("names", TWO, ids=" and ".join)
def test_two_faults_in_one_port_are_both_found(names: tuple[str, str]) -> None:
    one, other = (BY_NAME[name].mutations[0] for name in names)
    trial = Trial(one.network, (one, other))
    result = TrialResult(trial, run(trial))
    assert result.right, (result.expected, result.outcome)


@pytest.mark.parametrize("name", FAITHFUL)
def test_a_port_written_in_another_way_passes(name: str) -> None:
    (variant,) = [one for one in VARIANTS if one.name == name]
    trial = Trial(variant.network, variant=variant)
    assert not TrialResult(trial, run(trial)).false_alarm


def test_a_mutation_without_effect_counts_as_missed() -> None:
    harmless = replace(MUTATIONS[0], network="Embedding", at="act", change=lambda layer: layer)
    result = TrialResult(Trial("Embedding", (harmless,)), run(Trial("Embedding", (harmless,))))
    assert not result.outcome.killed and not result.right_layer and not result.right_cause


def test_a_misnamed_mutation_counts_as_wrong() -> None:
    fault = setting(eps=1e-1)
    elsewhere = Mutation("epsilon", "ConvNeXt", "head_ln", fault, "stride")
    result = TrialResult(Trial("ConvNeXt", (elsewhere,)), run(Trial("ConvNeXt", (elsewhere,))))
    assert result.right_layer and not result.right_cause and not result.right


def test_every_mutation_and_variant_changes_something_that_exists() -> None:
    for row in (*MUTATIONS, *VARIANTS):
        if row.network in SMALL and not getattr(row, "reference", False):
            assert hasattr(getattr(torch_networks, row.network)(), row.at), row
    names = [trial.name for trial in (*singles(), *pairs())]
    assert len(set(names)) == len(names)


def test_pairs_are_made_of_different_places() -> None:
    assert all(compatible(*trial.mutations) and len(trial.mutations) == 2 for trial in pairs())
    assert {trial.network for trial in pairs()} >= set(SMALL)


def test_the_networks_are_twins() -> None:
    for name in SMALL:
        keras_side, torch_side = getattr(keras_networks, name), getattr(torch_networks, name)
        assert inspect.getdoc(keras_side) == inspect.getdoc(torch_side)


def test_a_score_names_the_goals_that_are_missed() -> None:
    fine = TaskResult("single", "a", "", "", True, True, True, 0.0)
    rows = [fine] * 19 + [replace(fine, right_layer=False)]
    assert score(rows).reached and score(rows).counts["right layer"] == 19
    assert score([*rows, replace(fine, right_layer=False)]).missed == ["right layer"]
    assert score([replace(fine, killed=False)] + rows).missed[0] == "killed"
    assert score([*rows, replace(fine, group="faithful")]).missed == ["false alarms"]


def test_tasks_are_chosen_by_words() -> None:
    assert all("ResNet" in name or "ResNet" in group for group, name in tasks(["resnet"]))
    assert {group for group, _ in tasks(["faithful"])} == {"faithful"}
