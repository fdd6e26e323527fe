"""Judging ``specgan_training``: the order of updates, both losses at every update, and the final weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest

import numpy as np

from parity.numerics.tolerance import ROUNDING_LIMIT
from parity.systems.golden import replay
from parity.systems.golden.limits import LARGEST_LIMIT, LIMITS
from parity.systems.golden.not_judged import known_settings, unknown_quantities
from parity.systems.golden.records import Record
from parity.systems.golden.replay import Replay
from parity.systems.golden.results import GoldenResult, judge, not_judged, relative_gap
from parity.systems.golden.settings import SpecGANTrainingSetting
from parity.systems.golden.weights import BATCH_NORM, RUNNING, Arrays
from parity.verdict import Judgement

LOSSES = ("D_loss", "G_loss")
# Float32 runs, at most, that show what rounding can do. Of 60 drawn settings (all losses, dim 1 to 4, batch 2 to 6)
# that Keras trained in float32 without oneDNN, 27 missed README.md's figures, mostly where the sign of an input
# of a (Leaky)ReLU flips. With oneDNN, 25 of those were within the limits that two such runs give, all within eight.
RUNS = 10


def judge_record(record: Record) -> list[GoldenResult]:
    """Every setting."""
    settings, results = known_settings(record, SpecGANTrainingSetting)
    recorded: dict[str, Arrays] = {}
    for name, setting in settings.items():
        recorded[name], left_out = _recorded(record, name, setting)
        results += left_out
    for name, setting in settings.items():
        results += _judge_setting(record, name, setting, recorded[name])
    return results


def _recorded(record: Record, name: str, setting: SpecGANTrainingSetting) -> tuple[Arrays, list[GoldenResult]]:
    """The arrays to judge by quantity, and results for those that are not judged.

    Raises UnusableInput where an array is missing or is not what the settings imply.
    """
    updates = (setting.loops * (setting.disc_nupdates + 1),)
    variables = dict(setting.generator_variables + setting.discriminator_variables)
    exempt = _exempt(variables)
    keys = {key.removeprefix(f"{name}/") for key in record.keys if key.startswith(f"{name}/")}
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(LOSSES, updates)
    shapes |= {f"final/{variable}": shape for variable, shape in variables.items() if variable not in exempt}
    record.expect({f"{name}/order": updates}, kind="U")
    record.expect({f"{name}/{key}": shape for key, shape in shapes.items()})
    order, implied = record.arrays[f"{name}/order"].tolist(), _order(setting)
    if order != implied:
        at = next(i for i, (one, other) in enumerate(zip(order, implied, strict=True)) if one != other)
        steps = f"loops={setting.loops} and disc_nupdates={setting.disc_nupdates}"
        raise record.unusable(".npz", f"{name}/order: update {at} is {order[at]!r}, {steps} imply {implied[at]!r}")
    results = [
        not_judged((record.name, name, f"final/{variable}"), reason)
        for variable, reason in exempt.items()
        if f"final/{variable}" in keys
    ]
    known = {"order", *shapes, *(f"final/{variable}" for variable in exempt)}
    results += unknown_quantities(record, name, keys, known)
    return {key: record.arrays[f"{name}/{key}"] for key in shapes}, results


def _exempt(variables: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
    """The variables whose final values are not judged, and why."""
    normalised = {variable.rsplit("/", 2)[0] for variable in variables if variable.split("/")[-2] == BATCH_NORM}
    reasons = {}
    for variable in variables:
        scope, kind, slot = variable.rsplit("/", 2)
        if slot == "bias" and scope in normalised:
            reasons[variable] = "rounding noise: batch normalisation cancels the bias in front of it"
        elif slot in RUNNING and kind == BATCH_NORM and scope.startswith("D/"):
            reasons[variable] = "never updated by the original; the implementations do not keep it"
    return reasons


def _order(setting: SpecGANTrainingSetting) -> list[str]:
    """The network that each update moves."""
    return [*["D"] * setting.disc_nupdates, "G"] * setting.loops


def _judge_setting(
    record: Record, name: str, setting: SpecGANTrainingSetting, recorded: Arrays
) -> Iterator[GoldenResult]:
    replays, rounding = replay.specgan_training(record, name, setting)
    orders = [_judge_order(record, name, framework, run, setting) for framework, run in replays.items()]
    yield from orders
    if not all(result.passed for result in orders):
        reason = "losses and weights, since the updates are not the record's"
        yield not_judged((record.name, name, ""), reason)
        return
    computed = {framework: run.arrays for framework, run in replays.items()}
    for key, limit in _limits(setting, recorded, computed, rounding).items():
        arrays = {framework: found[key] for framework, found in computed.items()}
        yield from judge((record.name, name, key), recorded[key], arrays, limit)


def _judge_order(
    record: Record, name: str, framework: str, run: Replay, setting: SpecGANTrainingSetting
) -> GoldenResult:
    """``error`` is the share of updates that move the wrong network."""
    pairs = list(zip_longest(run.order, _order(setting), fillvalue="none"))
    wrong = [i for i, (got, expected) in enumerate(pairs) if got != expected]
    message = ""
    if wrong:
        got, expected = pairs[wrong[0]]
        message = f"{record.name}/{name}/order: update {wrong[0]} of {framework} is {got}, the record's {expected}"
    judgement: Judgement = "fail" if wrong else "pass"
    error = len(wrong) / len(pairs)
    return GoldenResult(record.name, name, framework, "order", judgement, error, 0.0, message=message)


def _limits(
    setting: SpecGANTrainingSetting, recorded: Arrays, computed: Mapping[str, Arrays], rounding: Iterator[Arrays]
) -> Arrays:
    """A limit for each recorded value: the figures of README.md and, where a framework is beyond them, what float32
    rounding does to this very run.
    """
    runs = computed.values()
    loss = LIMITS["wgan-gp loss" if setting.loss == "wgan-gp" else "loss"]
    limits = {
        key: np.full(array.shape, loss if key in LOSSES else LIMITS["final weight"]) for key, array in recorded.items()
    }
    for _ in range(RUNS):
        if not any(_in_doubt(relative_gap(run[key], recorded[key]), limits[key]) for run in runs for key in limits):
            break
        sample = next(rounding)
        for key in limits:
            limits[key] = np.maximum(limits[key], np.minimum(ROUNDING_LIMIT * sample[key], LARGEST_LIMIT))
    return limits


def _in_doubt(gap: np.ndarray, limit: np.ndarray) -> bool:
    """Whether some value is beyond its limit, but not too far for rounding."""
    return bool(((gap > limit) & (gap <= LARGEST_LIMIT)).any())
