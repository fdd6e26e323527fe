"""The rung distribution: many devices, with each framework's own engines, take the steps of one of that framework.

What the frameworks do otherwise than each other is for other rungs to find: an engine is held against its own
framework's process, never against the other's.
"""

from __future__ import annotations

from parity.checks.climbing import Outcome
from parity.checks.messages import describe
from parity.numerics.difference import difference
from parity.systems.distribution.device_runs import APART, RESUMED, EngineFailed, Job, results_for
from parity.systems.distribution.engines import ENGINES, Engine
from parity.systems.distribution.one_process import OneProcess, OwnProcesses
from parity.systems.training import trajectories
from parity.systems.training.context import TrainingContext
from parity.systems.training.first_difference import D_LOSSES, port_name
from parity.systems.training.lockstep import Arrays
from parity.systems.training.noise import cancelled, owner
from parity.systems.training.trajectories import Series
from parity.verdict import Check, Finding, Judgement

Losses = list[dict[str, float]]
FIXES = {
    "shards": "give device i of n rows i B / n to (i + 1) B / n - 1 of the batch and of all that is drawn for it, and "
    "batch norm the statistics of all devices where sync_batchnorm asks for it; average the reported losses, too",
    "gradient-average": "average gradients over all devices, and clip and apply what comes of it, on each alike",
    "devices": "average gradients, share examples and draws out evenly: nothing may be of one device alone",
    "checkpoint-resume": "save what all devices hold in common, and let nothing depend on how many there are",
    "engine": "run the command of README.md, section Many devices, by hand to see more",
}
GROWING = "networks grow on one device; several are refused"
REASON = "rounds too much to be compared; the same configuration is judged in float64"


def distribution(context: TrainingContext) -> Outcome:
    """2 and 4 replicas of every engine against one process of its framework; a run resumed on more devices."""
    outcome = Outcome()
    reason = GROWING if context.config.model.stages else "" if context.exact else REASON
    if reason:
        outcome.checks.append(Check("distribution", "state", "many devices", "abstain", message=reason))
        outcome.message = reason
        return outcome
    job = Job(context.config, torch=context.port.trainer, tensorflow=context.reference.trainer)
    results, alone, made = results_for(job), OwnProcesses(context, job), list[tuple[Engine, str]]()
    for engine in ENGINES:
        if job.uneven(engine):
            message = f"a batch of {context.config.training.batch_size} is not split evenly over {engine.replicas}"
            outcome.checks.append(Check("distribution", "state", engine.name, "abstain", message=message))
        for run in job.runs(engine):
            try:
                state, losses = results.result(job, engine, run)
            except EngineFailed as error:
                _failed(engine, run, str(error), outcome)
                break
            state = alone.implementation(engine.framework).to_reference(state, context.config)
            made.append((engine, run))
            if run == APART:
                _check_unsynchronised(context, alone, engine, state, outcome)
            else:
                _check_run(context, alone.run(engine.framework), job, engine, run, (state, losses), outcome)
    outcome.message = outcome.message or _summary(job, made, outcome)
    return outcome


def _check_run(
    context: TrainingContext,
    alone: OneProcess,
    job: Job,
    engine: Engine,
    run: str,
    got: tuple[Arrays, Losses],
    outcome: Outcome,
) -> None:
    """Every array and loss against the framework's own run in one process, at the same step."""
    span = job.span(run)
    what = engine.name + (", resumed from 2" if run == RESUMED else "")
    state, losses = got
    steps = slice(span.start, span.stop)
    series = trajectories.losses(alone.exact.losses[steps], losses, alone.nudged.losses[steps])
    diverged = _check_series(context, what, {**_states(alone, span.stop, state), **series}, outcome)
    if diverged:
        kind = "checkpoint-resume" if run == RESUMED else _kind(context, series)
        _report(context, kind, diverged.name, _describe(what, diverged), outcome)


def _check_unsynchronised(
    context: TrainingContext, alone: OwnProcesses, engine: Engine, state: Arrays, outcome: Outcome
) -> None:
    """Without synchronised batch norm: against one process that normalises each device's rows separately."""
    what = f"{engine.name}, batch norm of each by itself"
    simulated = alone.normalised_apart(engine.framework, engine.replicas)
    steps = alone.job.first_steps
    noise = cancelled(context.config)
    comparable = {
        name: series
        for name, series in _states(alone.run(engine.framework), steps, state).items()
        if owner(name) not in noise and not series.blurred(-1)
    }
    gaps = {name: difference(state[name], simulated[name]) for name in comparable}
    diverged = [name for name, gap in gaps.items() if not gap.absolute <= comparable[name].limits[-1]]
    if diverged:
        message = f"{what}: {diverged[0]}: {describe(gaps[diverged[0]])} from a process that normalises the same rows"
        outcome.checks.append(Check("distribution", diverged[0], what, "fail", message=message))
        if not outcome.findings:  # otherwise this is the same fault again
            _report(context, "shards", diverged[0], message, outcome)
        return
    apart = max(series.shares[-1] for series in comparable.values())
    left = max(gap.absolute / (comparable[name].scales[-1] or 1.0) for name, gap in gaps.items())
    batch = context.config.training.batch_size
    message = (
        f"without sync_batchnorm each of {engine.replicas} devices normalises by its own {batch // engine.replicas} of "
        f"{batch} examples: after {steps} steps up to {apart:.2g} from one device, and {left:.1g} from one "
        "process that normalises the same rows by themselves"
    )
    outcome.checks.append(
        Check("distribution", "batch norm", what, "known-difference", apart, None, "relative", message)
    )


def _states(alone: OneProcess, step: int, state: Arrays) -> dict[str, Series]:
    start, expected, nudged = alone.exact.states[0], alone.exact.states[step], alone.nudged.states[step]
    return trajectories.states([start, expected], [start, state], [start, nudged])


def _check_series(context: TrainingContext, what: str, found: dict[str, Series], outcome: Outcome) -> Series | None:
    """A check for each array or loss at its last step; returns the first that diverged."""
    noise, diverged = cancelled(context.config), None
    for name, series in found.items():
        reason = noise.get(owner(name), "") if "/" in name else ""
        i = max(series.worst, 1) if "/" in name else series.worst  # index 0 of an array is the start
        judgement: Judgement = "fail" if series.diverged(i) else "abstain" if series.blurred(i) else "pass"
        message = f"{what}: {name}: {describe(series.gaps[i])}" if judgement == "fail" else ""
        if reason and judgement != "pass":
            judgement, message = "abstain", reason
        limit = series.limits[i] / (series.scales[i] or 1.0)
        outcome.checks.append(
            Check("distribution", name, what, judgement, series.shares[i], limit, "relative", message)
        )
        if judgement == "fail" and diverged is None:
            diverged = series
    return diverged


def _kind(context: TrainingContext, losses: dict[str, Series]) -> str:
    """The kind of a divergence from the start: D's first losses depend on its inputs only, the rest on gradients."""
    if context.config.training.d_updates > 1:
        return "devices"  # reported losses are those of the last update: either may be the cause
    return "shards" if any(losses[name].diverged(0) for name in D_LOSSES if name in losses) else "gradient-average"


def _describe(what: str, series: Series) -> str:
    return f"{what}: {series.name}: {describe(series.gaps[series.worst])} from the run in one process of that framework"


def _report(context: TrainingContext, kind: str, name: str, message: str, outcome: Outcome) -> None:
    layer = port_name(context, name) if "/" in name else name
    outcome.findings.append(Finding(kind, layer, name, message, FIXES[kind], "distribution"))
    outcome.message = outcome.message or message


def _failed(engine: Engine, run: str, message: str, outcome: Outcome) -> None:
    outcome.checks.append(Check("distribution", engine.name, run, "fail", message=message))
    if not any(finding.layer == engine.name for finding in outcome.findings):
        outcome.findings.append(Finding("engine", engine.name, engine.name, message, FIXES["engine"], "distribution"))
    outcome.message = outcome.message or message


def _summary(job: Job, runs: list[tuple[Engine, str]], outcome: Outcome) -> str:
    if not runs:
        return outcome.checks[0].message
    passed = [check.measured for check in outcome.checks if check.judgement == "pass" and check.measured is not None]
    replicas = " and ".join(dict.fromkeys(str(engine.replicas) for engine, _ in runs))
    kinds = ", ".join(dict.fromkeys(engine.kind for engine, _ in runs))
    more = any(run == RESUMED for _, run in runs)
    resumed = "; 4 went on where 2 had stopped, for one step more" if more else ""
    apart = next((f"; {check.message}" for check in outcome.checks if check.judgement == "known-difference"), "")
    return (
        f"{replicas} replicas of {kinds}: {job.first_steps} steps as one process of the same framework{resumed}: "
        f"within {max(passed, default=0.0):.1g}{apart}"
    )
