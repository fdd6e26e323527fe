"""The rungs step and training: one step from equal states, then many in lockstep."""

from __future__ import annotations

from parity.checks.climbing import Outcome
from parity.checks.messages import describe
from parity.systems.training.context import TrainerStopped, TrainingContext
from parity.systems.training.network_causes import network_findings
from parity.systems.training.trajectories import Series
from parity.verdict import Check, Judgement


def step(context: TrainingContext) -> Outcome:
    """Equal initial states, bit for bit, and equal states and losses after one step."""
    outcome = Outcome()
    try:
        lacking = context.lacking
    except TrainerStopped as stopped:
        stop = Check("step", stopped.layer, "run", "fail", message=str(stopped))
        return Outcome([stop], network_findings(context, "step"))
    for name in lacking:
        side = context.port.name if name in context.expected.states[0] else context.reference.name
        outcome.checks.append(Check("step", name, "start", "fail", message=f"{name}: {side}'s state does not hold it"))
    for name, series in context.states.items():
        gap = series.gaps[0]
        fine = not gap.absolute
        message = "" if fine else f"{name}: {describe(gap)}"
        outcome.checks.append(
            Check("step", name, "start", "pass" if fine else "fail", gap.relative, 0.0, "relative", message)
        )
    outcome.checks += [_check("step", series, 0, "step 1") for series in context.losses.values()]
    outcome.checks += [
        _check("step", series, 1, "step 1", context.noise.get(name, "")) for name, series in context.states.items()
    ]
    if not any(check.judgement == "fail" for check in outcome.checks):
        outcome.message = (
            f"{len(context.states)} arrays equal at the start bit for bit; {len(context.losses)} losses and all arrays "
            f"after {_updates(context)}"
        )
    _report_first(context, outcome, "step")
    return outcome


def training(context: TrainingContext) -> Outcome:
    """Every loss and every array of the state after each of many steps."""
    outcome = Outcome()
    for series in context.losses.values():
        i = series.worst
        outcome.checks.append(_check("training", series, i, f"step {i + 1}"))
    for name, series in context.states.items():
        i = _most_telling_step(series)
        outcome.checks.append(_check("training", series, i, f"step {i}", context.noise.get(name, "")))
    _report_first(context, outcome, "training")
    largest = max((series.multiple for series in [*context.losses.values(), *context.judged.values()]), default=0.0)
    outcome.message = outcome.message or (
        f"{context.steps} steps in lockstep; the two runs part by at most {largest:.1f} times what rounding does"
    )
    return outcome


def _most_telling_step(series: Series) -> int:
    """The first step at which the series has diverged; else the one nearest to its limit."""
    diverged = [i for i in range(1, len(series.gaps)) if series.diverged(i)]
    return diverged[0] if diverged else max(series.worst, 1)


def _check(rung: str, series: Series, i: int, what: str, noise: str = "") -> Check:
    gap, largest = series.gaps[i], series.scales[i] or 1.0
    judgement: Judgement = "fail" if series.diverged(i) else "abstain" if series.blurred(i) else "pass"
    message = f"{series.name}: {what}: {describe(gap)}" if judgement == "fail" else ""
    if judgement == "abstain":
        message = f"rounding alone moves it by {series.deviation[i]:.1g}, training by {series.moved[i]:.1g}"
    if noise:
        judgement, message = "abstain", noise
    return Check(
        rung, series.name, what, judgement, gap.absolute / largest, series.limits[i] / largest, "relative", message
    )


def _report_first(context: TrainingContext, outcome: Outcome, rung: str) -> None:
    """The headline of a failure: where and why the runs diverge."""
    if context.first is None:
        return
    if context.first.finding.rung == rung:
        outcome.findings += context.causes
        outcome.message = context.causes[0].message
    elif rung == "training":
        when = f"step {context.first.step}" if context.first.step else "the start"
        outcome.message = f"the runs part at {when}: {context.first.name}"


def _updates(context: TrainingContext) -> str:
    count = context.config.training.d_updates
    return f"{count} update{'s' * (count > 1)} of D and one of G"
