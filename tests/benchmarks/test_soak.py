"""The soak in short: runs harmed at random moments end as those let alone do, and one that does not is noticed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.soak import configurations, trials
from benchmarks.soak.__main__ import attempt, main
from benchmarks.soak.harms import HARMS, Harm
from benchmarks.soak.trials import Died, Trial, survive, uninterrupted
from shared_impl.config.presets import load

IMPLEMENTATIONS = ("tf_impl", "torch_impl")
processes = pytest.mark.processes


def test_every_configuration_can_be_drawn_and_is_valid() -> None:
    drawn = [configurations.draw(random.Random(seed), 1) for seed in range(200)]
    assert {tuple(words[: len(system)]) for words in drawn for system in configurations.SYSTEMS
            if tuple(words[: len(system)]) == system} == set(configurations.SYSTEMS)  # fmt: skip
    for words in drawn:
        load(words[0], words[1:])


def test_every_harm_is_drawn_in_both_frameworks() -> None:
    for implementation in IMPLEMENTATIONS:
        names = {name for seed in range(200) for name, _, _ in Trial(seed, implementation).words()[2]}
        assert names == HARMS.keys()
        assert {Trial(seed, implementation).words()[1] for seed in range(50)} == {1, 2}


@processes
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("name", ["SIGKILL", "reader gone, SIGHUP", "disk full", "folder refuses"])
def test_a_harmed_run_ends_as_one_let_alone(
    name: str, implementation: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = configurations.draw(random.Random(1), 1)
    monkeypatch.setattr(Trial, "words", lambda trial: (words, 1, [(name, 0.4, 0.3)]))
    assert attempt(Trial(0, implementation), {}), capsys.readouterr().out


@pytest.fixture
def let_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Trial, dict, Path]]:
    words = configurations.draw(random.Random(1), 1)
    monkeypatch.setattr(Trial, "words", lambda trial: (words, 1, [("SIGKILL", 0.4, 0.3)]))
    for part in ("whole", "harmed"):
        (tmp_path / part).mkdir()
    trial = Trial(0, "torch_impl")
    yield trial, uninterrupted(trial, tmp_path / "whole"), tmp_path / "harmed"


@processes
@pytest.mark.parametrize("part", ["arrays", "metrics", "pictures"])
def test_a_run_that_ends_otherwise_has_died(part: str, let_alone: tuple[Trial, dict, Path]) -> None:
    trial, whole, folder = let_alone
    if part == "arrays":
        name = next(name for name, array in whole["arrays"].items() if array.dtype == np.float64)
        whole["arrays"][name] = np.nextafter(whole["arrays"][name], np.inf)
    elif part == "metrics":
        whole["metrics"][-1]["d_loss"] = 0.0
    else:
        whole["pictures"].append("step-00000099.png")
    with pytest.raises(Died, match="differs from the uninterrupted run"):
        survive(trial, folder, whole)


@processes
def test_an_end_that_was_not_to_be_has_died(
    let_alone: tuple[Trial, dict, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    trial, whole, folder = let_alone
    monkeypatch.setitem(trials.HARMS, "SIGKILL", Harm((0,), HARMS["SIGKILL"].signals))
    with pytest.raises(Died, match="SIGKILL: worker 0 ended with status -9, expected"):
        survive(trial, folder, whole)


@processes
def test_the_sum_is_printed_and_a_death_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ends = iter([True, False, True])
    monkeypatch.setattr("benchmarks.soak.__main__.attempt", lambda trial, references: next(ends))
    assert main(["--runs", "3", "--framework", "torch_impl", "--jobs", "1"]) == 1
    assert capsys.readouterr().out == "torch_impl: survived 2 of 3\n"
