"""Judging the training records: the losses of every update and the weights that remain."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from itertools import zip_longest

import numpy as np

from parity.numerics.difference import ROUNDING_LIMIT
from parity.systems.golden.networks import Arrays, dcgan_first_forward
from parity.systems.golden.records import DCGANSetting, Record, SpecGANTrainingSetting
from parity.systems.golden.replay import Replay, dcgan_training, specgan_training
from parity.systems.golden.results import LIMITS, MOST, GoldenResult, judge, relative_gap
from parity.verdict import Judgement

LOSSES = ("D_loss", "G_loss")
# Float32 runs, at most, that show what rounding can do. Of 60 drawn settings (all losses, dim 1 to 4, batch 2 to 6)
# that Keras trained in float32 without oneDNN, 27 missed README.md's figures, mostly where the sign of an input
# of a (Leaky)ReLU flips. With oneDNN, 25 of those were within the limits that two such runs give, all within eight.
RUNS = 10


def judge_specgan_training(record: Record) -> list[GoldenResult]:
    """Both losses at every update, and all final weights, of every setting."""
    settings = {
        name: record.setting(SpecGANTrainingSetting, options, name) for name, options in record.settings.items()
    }
    unknown = [key for key in record.arrays if key.split("/", 1)[0] not in settings]
    if unknown:
        raise record.unusable(".npz", f"{unknown[0]} belongs to no setting of {record.path.name}.json")
    recorded = {name: _recorded(record, name, setting) for name, setting in settings.items()}
    return [
        result for name, setting in settings.items() for result in _judge_setting(record, name, setting, recorded[name])
    ]


def judge_dcgan_training(record: Record) -> list[GoldenResult]:
    """The first fakes and logits, the losses of every step, and the state that remains of both networks."""
    setting = record.setting(DCGANSetting, record.settings)
    forward = {"first_fake": (setting.batch, setting.ch, 64, 64), "first_logits": (setting.batch,)}
    record.expect(forward | dict.fromkeys(("loss_D", "loss_G"), (setting.steps,)))
    first, trained = dcgan_first_forward(record, setting), dcgan_training(record, setting)
    computed = {framework: first[framework] | trained[framework] for framework in first}
    known = {key: array.shape for arrays in computed.values() for key, array in arrays.items()}
    record.expect(known)
    _refuse_unknown(record, record.arrays, known)
    return [
        result
        for key in known
        for result in judge(
            (record.path.name, "", key),
            record.arrays[key],
            {framework: arrays[key] for framework, arrays in computed.items() if key in arrays},
            LIMITS["float64" if key in forward else "float64 training"],
        )
    ]


def _recorded(record: Record, name: str, setting: SpecGANTrainingSetting) -> Arrays:
    """The setting's arrays; UnusableInput unless they are those that the settings imply."""
    updates = (setting.loops * (setting.disc_nupdates + 1),)
    variables = setting.generator_variables + setting.discriminator_variables
    shapes = dict.fromkeys(LOSSES, updates) | {f"final/{variable}": shape for variable, shape in variables}
    record.expect({f"{name}/order": updates}, kind="U")
    record.expect({f"{name}/{key}": shape for key, shape in shapes.items()})
    order, implied = record.arrays[f"{name}/order"].tolist(), _order(setting)
    if order != implied:
        at = next(i for i, (one, other) in enumerate(zip(order, implied, strict=True)) if one != other)
        steps = f"loops={setting.loops} and disc_nupdates={setting.disc_nupdates}"
        raise record.unusable(".npz", f"{name}/order: update {at} is {order[at]!r}, {steps} imply {implied[at]!r}")
    arrays = {key.removeprefix(f"{name}/"): array for key, array in record.arrays.items() if key.startswith(f"{name}/")}
    _refuse_unknown(record, arrays, {"order", *shapes}, f"{name}/")
    return {key: arrays[key] for key in shapes}


def _order(setting: SpecGANTrainingSetting) -> list[str]:
    """Which network each update is of."""
    return [*["D"] * setting.disc_nupdates, "G"] * setting.loops


def _refuse_unknown(record: Record, arrays: Iterable[str], known: Container[str], prefix: str = "") -> None:
    if unknown := sorted(key for key in arrays if key not in known):
        raise record.unusable(".npz", f"{prefix}{unknown[0]}: training with these settings has no such quantity")


def _judge_setting(
    record: Record, name: str, setting: SpecGANTrainingSetting, recorded: Arrays
) -> Iterator[GoldenResult]:
    played, rounded = specgan_training(record, name, setting)
    orders = [_judge_order(record, name, framework, run, setting) for framework, run in played.items()]
    yield from orders
    if not all(result.passed for result in orders):
        left = f"{record.path.name}/{name}: losses and weights, since the updates are not the record's"
        yield GoldenResult(record.path.name, name, "", "", "abstain", message=left)
        return
    computed = {framework: run.arrays for framework, run in played.items()}
    for key, limit in _limits(setting, recorded, computed, rounded).items():
        arrays = {framework: found[key] for framework, found in computed.items()}
        yield from judge((record.path.name, name, key), recorded[key], arrays, limit)


def _judge_order(
    record: Record, name: str, framework: str, run: Replay, setting: SpecGANTrainingSetting
) -> GoldenResult:
    """``error`` is the share of updates that are of the wrong network."""
    pairs = list(zip_longest(run.order, _order(setting), fillvalue="none"))
    wrong = [i for i, (got, expected) in enumerate(pairs) if got != expected]
    message = ""
    if wrong:
        got, expected = pairs[wrong[0]]
        message = f"{record.path.name}/{name}/order: update {wrong[0]} of {framework} is {got}, the record's {expected}"
    judgement: Judgement = "fail" if wrong else "pass"
    error = len(wrong) / len(pairs)
    return GoldenResult(record.path.name, name, framework, "order", judgement, error, 0.0, message=message)


def _limits(
    setting: SpecGANTrainingSetting, recorded: Arrays, computed: Mapping[str, Arrays], rounded: Iterator[Arrays]
) -> Arrays:
    """A limit for each recorded value: the figures of README.md, and where a framework is not within them, what
    float32 does to this very run."""
    runs = computed.values()
    loss = LIMITS["wgan-gp loss" if setting.loss == "wgan-gp" else "loss"]
    limits = {
        key: np.full(array.shape, loss if key in LOSSES else LIMITS["final weight"]) for key, array in recorded.items()
    }
    for _ in range(RUNS):
        if not any(_in_doubt(relative_gap(run[key], recorded[key]), limits[key]) for run in runs for key in limits):
            break
        shown = next(rounded)
        for key in limits:
            limits[key] = np.maximum(limits[key], np.minimum(ROUNDING_LIMIT * shown[key], MOST))
    return limits


def _in_doubt(gap: np.ndarray, limit: np.ndarray) -> bool:
    """Whether some value is beyond its limit, but not too far for rounding."""
    return bool(((gap > limit) & (gap <= MOST)).any())
