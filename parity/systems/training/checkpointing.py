"""The rung checkpoint: stopped, saved, read back and resumed, in each framework and across the bridge."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from parity.checks.context import Outcome
from parity.checks.values import describe
from parity.numerics.difference import Difference, difference
from parity.systems.training import lockstep, trajectories
from parity.systems.training.context import Bench
from parity.systems.training.first_difference import port_name
from parity.systems.training.lockstep import Trajectory
from parity.systems.training.trainers import House
from parity.verdict import Check, Finding, Judgement, first_line, judge
from shared_impl.training import checkpoints

Array = np.ndarray
Arrays = dict[str, Array]
ADVICE = {
    "checkpoint-incomplete": "save and restore every array that the next step depends on, counts of updates included",
    "checkpoint-resume": "let the next step depend on the configuration, the step and the checkpoint's arrays alone",
    "checkpoint-crossing": "carry every array of the state across, transposed and reordered as its parameter is",
}


def checkpoint(bench: Bench) -> Outcome:
    """Resumed in the same framework a run goes on bit for bit; carried across, as the runs in lockstep do."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory(prefix="parity-checkpoint-") as folder:
        for house, other in ((bench.reference, bench.port), (bench.port, bench.reference)):
            _resume(bench, house, other, Path(folder) / house.name, outcome)
    across = (
        "as the run that stayed" if bench.exact and bench.first is None else "not judged: the frameworks part anyway"
    )
    outcome.message = (
        f"stopped after {bench.stop} of {bench.steps} steps and resumed: bit for bit in each framework; "
        f"carried across: {across}"
    )
    return outcome


RUNGS: dict[str, Callable[[Bench], Outcome]] = {"checkpoint": checkpoint}


def _resume(bench: Bench, house: House, other: House, folder: Path, outcome: Outcome) -> None:
    """One house: its own checkpoint from the disk, there and back across the bridge, then the other house's state."""
    fresh = bench.build(house) if bench.fresh else None

    def go_on(state: Mapping[str, Array]) -> Trajectory:
        trainer = fresh or bench.trainer(house)
        house.restore(trainer, state)
        return lockstep.run(house, trainer, bench.config, range(bench.stop, bench.steps))

    what = f"resumed in {house.name}"
    try:
        stored = _stored(bench, house, folder)
        _judge_same(bench, go_on(stored), bench.run(house), what, outcome)
        back = house.from_reference(house.to_reference(stored, bench.config), bench.config)
    except Exception as error:
        _refused(what, error, outcome)
        return
    same = stored.keys() == back.keys() and all(np.array_equal(stored[name], back[name]) for name in stored)
    outcome.checks.append(Check("checkpoint", "state", f"{house.name}, there and back", judge(same)))
    if not same:
        message = f"{house.name}: the state is another once it has crossed the bridge there and back"
        outcome.findings.append(_finding(bench, "checkpoint-crossing", "state", message))
    if not bench.exact or outcome.findings:
        return
    what = f"from {other.name} to {house.name}"
    try:
        crossed = house.from_reference(other.to_reference(bench.run(other).kept, bench.config), bench.config)
        _judge_crossed(bench, go_on(crossed), what, outcome)
    except Exception as error:
        _refused(what, error, outcome)


def _stored(bench: Bench, house: House, folder: Path) -> Arrays:
    """The state of the house's run, saved to a checkpoint on disk and read again."""
    manifest = {"config": bench.config, "framework": house.name, "stream": {"batches": bench.stop}}
    path = checkpoints.save(folder, bench.stop, bench.run(house).kept, manifest)
    return checkpoints.load(path, config=bench.config, framework=house.name).arrays


def _judge_same(bench: Bench, resumed: Trajectory, run: Trajectory, what: str, outcome: Outcome) -> None:
    """Every array and loss of every step after the stop, bit for bit."""
    parted: dict[str, tuple[int, Difference]] = {}
    for i, state in enumerate(resumed.states):
        for name, expected in run.states[bench.stop + i].items():
            if not np.array_equal(state[name], expected):
                parted.setdefault(name, (i, difference(state[name], expected)))
    for name in run.states[0]:
        message = f"{name} is not as if the run had never been stopped" if name in parted else ""
        outcome.checks.append(Check("checkpoint", name, what, judge(name not in parted), message=message))
    same = resumed.losses == run.losses[bench.stop :]
    message = "" if same else f"{what}: losses are not as if the run had never been stopped"
    outcome.checks.append(Check("checkpoint", "losses", what, judge(same), message=message))
    if parted:
        name, (i, gap) = min(parted.items(), key=lambda found: found[1][0])
        when, kind = (f"step {bench.stop + i}", "checkpoint-resume") if i else ("as read back", "checkpoint-incomplete")
        message = f"{what}, {when}: {name} differs from the run that was never stopped: {describe(gap)}"
        outcome.findings.append(_finding(bench, kind, name, message))


def _judge_crossed(bench: Bench, crossed: Trajectory, what: str, outcome: Outcome) -> None:
    """Every array and loss of every step after the stop, against the reference's run, as in the rung training."""
    if bench.first is not None:
        message = f"the two frameworks part by themselves, at step {bench.first.step}"
        outcome.checks.append(Check("checkpoint", "state", what, "abstain", message=message))
        return
    rest = slice(bench.stop, None)
    runs = (bench.expected, crossed, bench.nudged)
    expected, got, nudged = (run.states if run is crossed else run.states[rest] for run in runs)
    start = bench.expected.states[0]
    states = trajectories.states([start, *expected], [start, *got], [start, *nudged])
    losses = trajectories.losses(bench.expected.losses[rest], crossed.losses, bench.nudged.losses[rest])
    parted = []
    for name, series in [*losses.items(), *states.items()]:
        i, noise = series.worst, bench.noise.get(name, "")
        judgement: Judgement = "abstain" if noise else judge(not series.diverged(i), series.blurred(-1))
        message = noise or (f"{what}: {name}: {describe(series.gaps[i])}" if judgement == "fail" else "")
        limit = series.limits[i] / (series.scales[i] or 1.0)
        outcome.checks.append(Check("checkpoint", name, what, judgement, series.shares[i], limit, "relative", message))
        parted += [name] * (judgement == "fail")
    if parted:
        message = (
            f"{what}: {parted[0]} leaves the run that stayed in one framework ({len(parted)} arrays and losses do)"
        )
        outcome.findings.append(_finding(bench, "checkpoint-crossing", parted[0], message))


def _refused(what: str, error: Exception, outcome: Outcome) -> None:
    message = f"{what}: {first_line(error)}"
    outcome.checks.append(Check("checkpoint", "state", what, "fail", message=message))
    outcome.findings.append(
        Finding("checkpoint-incomplete", "state", "state", message, ADVICE["checkpoint-incomplete"], "checkpoint")
    )


def _finding(bench: Bench, kind: str, name: str, message: str) -> Finding:
    return Finding(kind, port_name(bench, name), name, message, ADVICE[kind], "checkpoint")
