"""Results of holding recorded arrays against computed ones, and how their distance is measured. Plain NumPy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from parity.numerics.difference import TINY, Difference, difference, scale
from parity.systems.golden.limits import LIMITS
from parity.verdict import Judgement

Where = tuple[str, str, str]  # record, setting and quantity; "" for what the entry is not about


@dataclass(frozen=True)
class GoldenResult:
    """One recorded array compared with what one framework computes.

    ``error`` is measured as ``LIMITS`` describes; it is largest at ``index``, where ``got`` was computed and
    ``expected`` is recorded. With the judgement ``abstain`` there are no numbers and no ``framework``: ``message``
    says what is not judged and why.
    """

    record: str
    setting: str
    framework: str
    quantity: str
    judgement: Judgement
    error: float | None = None
    limit: float | None = None
    index: tuple[int, ...] = ()
    got: float | None = None
    expected: float | None = None
    message: str = ""

    @property
    def passed(self) -> bool:
        """Whether the result is not a failure; one that is not judged counts as passed."""
        return self.judgement != "fail"

    @property
    def judged(self) -> bool:
        """Whether the array was compared at all."""
        return self.judgement != "abstain"


def not_judged(where: Where, reason: str) -> GoldenResult:
    """The result of a record, setting or quantity that is not judged."""
    record, setting, quantity = where
    message = " ".join(f"{path(where)}: {reason}".split())  # names may hold line breaks
    return GoldenResult(record, setting, "", quantity, "abstain", message=message)


def path(where: Where) -> str:
    """``record/setting/quantity``, without the empty parts."""
    return "/".join(part for part in where if part)


Limit = float | np.ndarray  # of a whole array, or of each of its values


class Measure(NamedTuple):
    """How far an array is from the recorded one, given a limit, and the unit in which mismatches are counted."""

    difference: Callable[[np.ndarray, np.ndarray, Limit], Difference]
    unit: str


def _by_value(got: np.ndarray, expected: np.ndarray, limit: Limit) -> Difference:
    """With a limit for each value, the worst value is the one whose error is the largest multiple of its limit."""
    if isinstance(limit, float):
        return difference(got, expected, limit * scale(expected))
    gap = relative_gap(got, expected)
    worst = np.unravel_index(int(np.argmax(gap / limit)), gap.shape)
    return Difference(
        float(gap[worst]) * scale(expected),
        float(gap[worst]),
        float(np.mean(gap > limit)),
        tuple(int(i) for i in worst),
        float(got[worst]),
        float(expected[worst]),
    )


def _by_clip(got: np.ndarray, expected: np.ndarray, limit: Limit) -> Difference:
    """``relative`` is the largest relative rms of a clip of ``[B, ...]``; ``worst`` lies in that clip."""
    clips = [difference(one, other) for one, other in zip(got, expected, strict=True)]
    relative = relative_rms(got, expected)
    clip = int(np.argmax(relative))
    return replace(
        clips[clip],
        relative=float(relative[clip]),
        mismatched=float(np.mean(relative > limit)),
        worst=(clip, *clips[clip].worst),
    )


VALUES, CLIPS = Measure(_by_value, "values"), Measure(_by_clip, "clips")


def relative_gap(got: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Each value's difference over the largest expected value; infinite for NaN and infinity."""
    gap = np.abs(np.asarray(got, np.float64) - expected) / max(scale(expected), TINY)
    return np.where(np.isfinite(gap), gap, np.inf)


def relative_rms(got: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Root mean square of the difference over that of the expected values, per clip of ``[B, ...]``; NaN: infinite."""
    got, expected = (np.asarray(array, np.float64).reshape(len(array), -1) for array in (got, expected))
    apart, whole = np.square(got - expected).mean(1), np.square(expected).mean(1)
    return np.nan_to_num(np.sqrt(apart / np.maximum(whole, TINY)), nan=np.inf)


def judge(
    where: Where,
    recorded: np.ndarray,
    computed: dict[str, np.ndarray],
    limit: Limit,
    measure: Measure = VALUES,
) -> list[GoldenResult]:
    """One result per framework of ``computed`` for the array ``where``."""
    results = [_judge_one(where, framework, array, recorded, limit, measure) for framework, array in computed.items()]
    if all(result.passed for result in results):
        return results
    first, *others = computed.values()
    apart = max((measure.difference(other, first, limit).relative for other in others), default=np.inf)
    if all(not result.passed for result in results) and apart < max(LIMITS["float64"], np.min(limit) / 1000):
        hint = f"; {' and '.join(computed)} agree with each other to {apart:.0e}: the record itself stands apart"
        return [replace(result, message=result.message + hint) for result in results]
    return results


def _judge_one(
    where: Where,
    framework: str,
    array: np.ndarray,
    recorded: np.ndarray,
    limit: Limit,
    measure: Measure,
) -> GoldenResult:
    record, setting, quantity = where
    found = measure.difference(array, recorded, limit)
    limit = limit if isinstance(limit, float) else float(limit[found.worst])
    passed = found.relative <= limit
    message = "" if passed else (
        f"{path(where)}: {framework} is {found.relative:.1e} from "
        f"the record (limit {limit:.0e}, {found.mismatched:.2%} of the {measure.unit} beyond it); worst at "
        f"{list(found.worst)}: got {found.got:.9g}, expected {found.expected:.9g}"
    )  # fmt: skip
    return GoldenResult(
        record,
        setting,
        framework,
        quantity,
        "pass" if passed else "fail",
        found.relative,
        limit,
        found.worst,
        found.got,
        found.expected,
        message,
    )
