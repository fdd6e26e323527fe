"""What checking a golden record found, the limits it was held against, and both as text. Plain NumPy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from parity.numerics.difference import TINY, Difference, difference, scale
from parity.verdict import Judgement

# Largest difference over the record's largest value; of sound, relative rms of the clip that is furthest off. All but
# the last three are how closely independent float64 code agreed with these float32 records (README.md, "How closely a
# right implementation agrees"); what depends on rounding more than the records at hand do is given
# compare.ROUNDING_LIMIT times the float32 rounding that Keras itself shows, or in training that float32 runs show.
# Images are made from the recorded spectrogram in its own precision by steps that round nothing; "float64" is how
# closely faithful twins agree in the precision in which that record was taken, and "float64 training" how closely the
# project holds whole trajectories in it.
LIMITS = {
    "forward": 7e-6,
    "moving-average": 2e-7,
    "moments": 4e-6,
    "spectrogram": 3e-5,
    "griffin-lim": 7e-5,
    "loss": 1e-6,
    "wgan-gp loss": 1e-5,
    "final weight": 1e-5,
    "image": 0.0,
    "float64": 1e-12,
    "float64 training": 1e-10,
}
# No rounding makes room for more: by as much, that chapter says, misses what is wrong in its formulas.
MOST = 1e-2
SHOWN_FAILURES = 20


@dataclass(frozen=True)
class GoldenResult:
    """One recorded array held against one framework.

    ``error`` is as ``LIMITS`` has it; at ``index`` of the record it is worst, where ``got`` was computed and
    ``expected`` is on record. A judgement ``abstain`` (``framework`` empty, no numbers) says in
    ``message`` what is not judged and why.
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
        """Whether nothing speaks against it; abstaining does not."""
        return self.judgement != "fail"


Limit = float | np.ndarray  # of a whole array, or of each of its values


class Measure(NamedTuple):
    """How far an array is from the record, within which limit, and what the share beyond it is a share of."""

    difference: Callable[[np.ndarray, np.ndarray, Limit], Difference]
    shares: str


def _by_value(got: np.ndarray, expected: np.ndarray, limit: Limit) -> Difference:
    """With a limit for each value, the worst is the one that exceeds its own by most."""
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
    """``relative`` is the largest relative rms of a clip ``[B, ...]``; ``worst`` lies in that clip."""
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
    """Each value's difference over the largest value expected; NaN and infinity are infinitely far."""
    gap = np.abs(np.asarray(got, np.float64) - expected) / max(scale(expected), TINY)
    return np.where(np.isfinite(gap), gap, np.inf)


def relative_rms(got: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Root mean square of the difference over that of what is expected, per clip of ``[B, ...]``; NaN is infinite."""
    got, expected = (np.asarray(array, np.float64).reshape(len(array), -1) for array in (got, expected))
    apart, whole = np.square(got - expected).mean(1), np.square(expected).mean(1)
    return np.nan_to_num(np.sqrt(apart / np.maximum(whole, TINY)), nan=np.inf)


def judge(
    where: tuple[str, str, str],
    recorded: np.ndarray,
    computed: dict[str, np.ndarray],
    limit: Limit,
    measure: Measure = VALUES,
) -> list[GoldenResult]:
    """One result per framework for the array ``where`` (record, setting, quantity)."""
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
    where: tuple[str, str, str],
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
        f"{'/'.join(part for part in (record, setting, quantity) if part)}: {framework} is {found.relative:.1e} from "
        f"the record (limit {limit:.0e}, {found.mismatched:.2%} of the {measure.shares} beyond it); worst at "
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


ByFramework = dict[str, GoldenResult]


def render(results: list[GoldenResult]) -> str:
    """A table of the recorded arrays, then what failed and why, what was not judged, and one line that sums up.

    Arrays that pass and share the first two words of their names are one row: the one closest to its limit.
    """
    judged = [result for result in results if result.judgement != "abstain"]
    failed = [result for result in judged if not result.passed]
    frameworks = list(dict.fromkeys(result.framework for result in judged))
    arrays: dict[tuple[str, str, str], ByFramework] = {}
    for result in judged:
        arrays.setdefault((result.record, result.setting, result.quantity), {})[result.framework] = result
    rows: dict[tuple[str, str, str], list[ByFramework]] = {}
    for (record, setting, quantity), found in arrays.items():
        family = "/".join(quantity.split("/")[:2]) if _passed(found) else quantity
        rows.setdefault((record, setting, family), []).append(found)
    table = [("record", "setting", "quantity", *frameworks, "limit", "")]
    table += [_row(names, alike, frameworks) for names, alike in rows.items()]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    lines += [f"FAIL {result.message}" for result in failed[:SHOWN_FAILURES]]
    if len(failed) > SHOWN_FAILURES:
        lines.append(f"... and {len(failed) - SHOWN_FAILURES} more failures of the table above")
    lines += [f"not judged: {result.message}" for result in results if result.judgement == "abstain"]
    fine = sum(map(_passed, arrays.values()))
    lines.append(f"{fine} of {len(arrays)} recorded arrays agree in {' and '.join(frameworks)}")
    return "\n".join(lines)


def _row(names: tuple[str, str, str], alike: list[ByFramework], frameworks: list[str]) -> tuple[str, ...]:
    shown = max(alike, key=_share_of_limit)
    record, setting, quantity = names
    label = f"{quantity}/* ({len(alike)})" if len(alike) > 1 else next(iter(shown.values())).quantity
    errors = [f"{shown[framework].error:.1e}" if framework in shown else "-" for framework in frameworks]
    limit = min(result.limit or 0.0 for result in shown.values())
    return record, setting, label, *errors, f"{limit:.0e}", "pass" if _passed(shown) else "FAIL"


def _share_of_limit(found: ByFramework) -> float:
    return max((result.error or 0.0) / (result.limit or TINY) for result in found.values())


def _passed(found: ByFramework) -> bool:
    return all(result.passed for result in found.values())
