"""The rung checkpoint: stopped, saved, loaded and resumed, in the same framework and in the other one."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from parity.checks.climbing import Outcome
from parity.checks.messages import describe
from parity.numerics.difference import Difference, difference
from parity.systems.training import lockstep, trajectories
from parity.systems.training.context import TrainingContext
from parity.systems.training.first_difference import port_name
from parity.systems.training.implementations import Implementation
from parity.systems.training.lockstep import Trajectory
from parity.verdict import Check, Finding, Judgement, first_line, judge
from shared_impl.storage import checkpoints

Array = np.ndarray
Arrays = dict[str, Array]
ADVICE = {
    "checkpoint-incomplete": "save and restore every array that the next step depends on, counts of updates included",
    "checkpoint-resume": "let the next step depend on the configuration, the step and the checkpoint's arrays alone",
    "checkpoint-crossing": "carry every array of the state across, transposed and reordered as its parameter is",
}


def checkpoint(context: TrainingContext) -> Outcome:
    """Resumed in the same framework a run continues bit for bit; in the other one, as the lockstep runs do."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory(prefix="parity-checkpoint-") as folder:
        for implementation, other in ((context.reference, context.port), (context.port, context.reference)):
            _resume(context, implementation, other, Path(folder) / implementation.name, outcome)
    across = (
        "as the run that stayed"
        if context.exact and context.first is None
        else "not judged: the frameworks part anyway"
    )
    outcome.message = (
        f"stopped after {context.stop} of {context.steps} steps and resumed: bit for bit in each framework; "
        f"carried across: {across}"
    )
    return outcome


def _resume(
    context: TrainingContext, implementation: Implementation, other: Implementation, folder: Path, outcome: Outcome
) -> None:
    """One implementation: its own checkpoint from disk, converted there and back, then the other's state converted."""
    fresh = context.build(implementation) if context.fresh else None

    def resume(state: Mapping[str, Array]) -> Trajectory:
        trainer = fresh or context.trainer(implementation)
        implementation.restore(trainer, state)
        return lockstep.run(implementation, trainer, context.config, range(context.stop, context.steps))

    what = f"resumed in {implementation.name}"
    try:
        stored = _stored(context, implementation, folder)
        _check_same(context, resume(stored), context.run(implementation), what, outcome)
        back = implementation.from_reference(implementation.to_reference(stored, context.config), context.config)
    except Exception as error:
        _refused(what, error, outcome)
        return
    same = stored.keys() == back.keys() and all(np.array_equal(stored[name], back[name]) for name in stored)
    outcome.checks.append(Check("checkpoint", "state", f"{implementation.name}, there and back", judge(same)))
    if not same:
        message = f"{implementation.name}: the state is another once it has crossed the bridge there and back"
        outcome.findings.append(_finding(context, "checkpoint-crossing", "state", message))
    if not context.exact or outcome.findings:
        return
    what = f"from {other.name} to {implementation.name}"
    try:
        converted = implementation.from_reference(
            other.to_reference(context.run(other).kept, context.config), context.config
        )
        _check_converted(context, resume(converted), what, outcome)
    except Exception as error:
        _refused(what, error, outcome)


def _stored(context: TrainingContext, implementation: Implementation, folder: Path) -> Arrays:
    """The state of the implementation's run, saved to a checkpoint on disk and read again."""
    manifest = {"config": context.config, "framework": implementation.name, "stream": {"batches": context.stop}}
    path = checkpoints.save(folder, context.stop, context.run(implementation).kept, manifest)
    return checkpoints.load(path, config=context.config, framework=implementation.name).arrays


def _check_same(context: TrainingContext, resumed: Trajectory, run: Trajectory, what: str, outcome: Outcome) -> None:
    """Every array and loss of every step after the stop, bit for bit."""
    diverged: dict[str, tuple[int, Difference]] = {}
    for i, state in enumerate(resumed.states):
        for name, expected in run.states[context.stop + i].items():
            if not np.array_equal(state[name], expected):
                diverged.setdefault(name, (i, difference(state[name], expected)))
    for name in run.states[0]:
        message = f"{name} is not as if the run had never been stopped" if name in diverged else ""
        outcome.checks.append(Check("checkpoint", name, what, judge(name not in diverged), message=message))
    same = resumed.losses == run.losses[context.stop :]
    message = "" if same else f"{what}: losses are not as if the run had never been stopped"
    outcome.checks.append(Check("checkpoint", "losses", what, judge(same), message=message))
    if diverged:
        name, (i, gap) = min(diverged.items(), key=lambda found: found[1][0])
        when, kind = (
            (f"step {context.stop + i}", "checkpoint-resume") if i else ("as read back", "checkpoint-incomplete")
        )
        message = f"{what}, {when}: {name} differs from the run that was never stopped: {describe(gap)}"
        outcome.findings.append(_finding(context, kind, name, message))


def _check_converted(context: TrainingContext, resumed: Trajectory, what: str, outcome: Outcome) -> None:
    """Every array and loss of every step after the stop, against the reference's run, as on the rung training."""
    if context.first is not None:
        message = f"the two frameworks part by themselves, at step {context.first.step}"
        outcome.checks.append(Check("checkpoint", "state", what, "abstain", message=message))
        return
    rest = slice(context.stop, None)
    runs = (context.expected, resumed, context.nudged)
    expected, got, nudged = (run.states if run is resumed else run.states[rest] for run in runs)
    start = context.expected.states[0]
    states = trajectories.states([start, *expected], [start, *got], [start, *nudged])
    losses = trajectories.losses(context.expected.losses[rest], resumed.losses, context.nudged.losses[rest])
    diverged = []
    for name, series in [*losses.items(), *states.items()]:
        i, noise = series.worst, context.noise.get(name, "")
        judgement: Judgement = "abstain" if noise else judge(not series.diverged(i), series.blurred(-1))
        message = noise or (f"{what}: {name}: {describe(series.gaps[i])}" if judgement == "fail" else "")
        limit = series.limits[i] / (series.scales[i] or 1.0)
        outcome.checks.append(Check("checkpoint", name, what, judgement, series.shares[i], limit, "relative", message))
        diverged += [name] * (judgement == "fail")
    if diverged:
        message = (
            f"{what}: {diverged[0]} leaves the run that stayed in one framework ({len(diverged)} arrays and losses do)"
        )
        outcome.findings.append(_finding(context, "checkpoint-crossing", diverged[0], message))


def _refused(what: str, error: Exception, outcome: Outcome) -> None:
    message = f"{what}: {first_line(error)}"
    outcome.checks.append(Check("checkpoint", "state", what, "fail", message=message))
    outcome.findings.append(
        Finding("checkpoint-incomplete", "state", "state", message, ADVICE["checkpoint-incomplete"], "checkpoint")
    )


def _finding(context: TrainingContext, kind: str, name: str, message: str) -> Finding:
    return Finding(kind, port_name(context, name), name, message, ADVICE[kind], "checkpoint")
