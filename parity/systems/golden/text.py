"""Golden results as text: a table, the failures, what is not judged, and the counts. Plain NumPy."""

from __future__ import annotations

from parity.numerics.difference import TINY
from parity.systems.golden.results import GoldenResult

SHOWN_FAILURES = 20
ByFramework = dict[str, GoldenResult]


def render(results: list[GoldenResult]) -> str:
    """A table of the recorded arrays, the failures, what is not judged, and two lines of counts.

    Arrays that pass and share the first two parts of their names are one row: the one closest to its limit.
    """
    judged = [result for result in results if result.judged]
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
    abstaining = [result for result in results if not result.judged]
    lines += [f"not judged: {result.message}" for result in abstaining]
    lines.append(f"judged: {len(arrays)}; not judged: {len(abstaining)}")
    agreeing = sum(map(_passed, arrays.values()))
    lines.append(f"{agreeing} of {len(arrays)} recorded arrays agree in {' and '.join(frameworks)}")
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
