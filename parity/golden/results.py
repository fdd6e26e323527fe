"""What checking a golden record found, the limits it was held against, and both as text. Plain NumPy."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from parity.compare import difference
from parity.verdict import Judgement

# Largest difference over the record's largest value. The first two are how closely independent float64 code agreed
# with these float32 records (README.md, "How closely a right implementation agrees"); a forward pass whose own float32
# rounding is large is given compare.ROUNDING_LIMIT times that rounding. The third is how closely faithful twins agree
# in float64, in which its record was taken.
LIMITS = {"forward": 7e-6, "moving-average": 2e-7, "float64": 1e-12}
SHOWN_FAILURES = 20


@dataclass(frozen=True)
class GoldenResult:
    """One recorded array held against one framework.

    ``error`` is the largest difference over the record's largest value, at ``index`` of the record, where ``got`` was
    computed and ``expected`` is on record. A judgement ``abstain`` (``framework`` empty, no numbers) says in
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


def judge(
    where: tuple[str, str, str], recorded: np.ndarray, computed: dict[str, np.ndarray], limit: float
) -> list[GoldenResult]:
    """One result per framework for the array ``where`` (record, setting, quantity)."""
    results = [_judge_one(where, framework, array, recorded, limit) for framework, array in computed.items()]
    if all(result.passed for result in results):
        return results
    first, *others = computed.values()
    apart = max(difference(other, first).relative for other in others)
    if all(not result.passed for result in results) and apart < LIMITS["float64"]:
        hint = f"; {' and '.join(computed)} agree with each other to {apart:.0e}: the record itself stands apart"
        return [replace(result, message=result.message + hint) for result in results]
    return results


def _judge_one(
    where: tuple[str, str, str], framework: str, array: np.ndarray, recorded: np.ndarray, limit: float
) -> GoldenResult:
    record, setting, quantity = where
    found = difference(array, recorded, limit * float(np.abs(recorded).max()))
    passed = found.relative <= limit
    message = "" if passed else (
        f"{'/'.join(part for part in (record, setting, quantity) if part)}: {framework} is {found.relative:.1e} from "
        f"the record (limit {limit:.0e}, {found.mismatched:.2%} of the values beyond it); worst at "
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


def render(results: list[GoldenResult]) -> str:
    """A table of the recorded arrays, then what failed and why, what was not judged, and one line that sums up."""
    judged = [result for result in results if result.judgement != "abstain"]
    failed = [result for result in judged if not result.passed]
    frameworks = list(dict.fromkeys(result.framework for result in judged))
    arrays: dict[tuple[str, str, str], dict[str, GoldenResult]] = {}
    for result in judged:
        arrays.setdefault((result.record, result.setting, result.quantity), {})[result.framework] = result
    rows = [("record", "setting", "quantity", *frameworks, "limit", "")]
    for names, by_framework in arrays.items():
        errors = [f"{by_framework[framework].error:.1e}" for framework in frameworks]
        verdict = "pass" if all(result.passed for result in by_framework.values()) else "FAIL"
        rows.append((*names, *errors, f"{next(iter(by_framework.values())).limit:.0e}", verdict))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += [f"FAIL {result.message}" for result in failed[:SHOWN_FAILURES]]
    if len(failed) > SHOWN_FAILURES:
        lines.append(f"... and {len(failed) - SHOWN_FAILURES} more failures of the table above")
    lines += [f"not judged: {result.message}" for result in results if result.judgement == "abstain"]
    fine = sum(all(result.passed for result in by_framework.values()) for by_framework in arrays.values())
    lines.append(f"{fine} of {len(arrays)} recorded arrays agree in {' and '.join(frameworks)}")
    return "\n".join(lines)
