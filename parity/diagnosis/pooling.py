"""Hypotheses about pooling. Plain NumPy."""

from __future__ import annotations

from parity.diagnosis.evidence import Evidence, Explanation

COUNTS = {True: "counts the padding", False: "leaves the padding out"}


def pooling_count(evidence: Evidence) -> Explanation:
    """The mean counts the padding on one side alone; on an image of one pixel that looks like a factor."""
    if evidence.kind != "pool" or evidence.settings["mode"] != "average":
        return None
    expected = bool(evidence.settings.get("count_padding", False))
    if not evidence.reference_is(evidence.predict()) or not evidence.agrees(
        evidence.predict(count_padding=not expected)
    ):
        return None
    message = f"the port's mean {COUNTS[not expected]}, the reference's {COUNTS[expected]}"
    return message, f"set count_include_pad={expected}"
