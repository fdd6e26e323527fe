"""The best value is the lowest of what is watched, and a run ends once nothing has been lower for its patience."""

from __future__ import annotations

import math

import pytest

from shared_impl.config.presets import ConfigError
from shared_impl.config.runs import RunsConfig
from shared_impl.training.best_value import BestValue


def test_the_lowest_value_is_the_best_and_equals_do_not_replace_it() -> None:
    best = BestValue(RunsConfig(patience=4))
    for step, value in ((2, 3.0), (4, 1.0), (6, 1.0), (8, 2.0), (10, math.nan)):
        best.judge(step, value)
    assert (best.best.step, best.best.value) == (4, 1.0)
    assert not best.ended(7) and "not been below 1, its value at step 4" in best.ended(8)
    assert not BestValue(RunsConfig(), best.recorded()).ended(100)


def test_what_a_checkpoint_recorded_counts_for_the_same_quantity_only() -> None:
    best = BestValue(RunsConfig(monitor="g_loss"))
    best.judge(2, best.value({"g_loss": 5.0}, distance=1.0))
    assert BestValue(RunsConfig(monitor="g_loss"), best.recorded()).best == best.best
    assert BestValue(RunsConfig(), best.recorded()).best is None
    with pytest.raises(ConfigError, match="runs.monitor=fid: no such metric; this run has sample_distance, g_loss"):
        BestValue(RunsConfig(monitor="fid")).value({"g_loss": 5.0}, 1.0)
