"""Hypotheses about resizing. Plain NumPy."""

from __future__ import annotations

from parity.diagnosis.evidence import Evidence, Explanation
from parity.numerics.resize_modes import RESIZE_MODES, describe_mode


def resize_mode(evidence: Evidence) -> Explanation:
    """Another interpolation."""
    if evidence.kind != "upsample":
        return None
    own = evidence.settings["mode"]
    for mode in RESIZE_MODES:
        if mode != own and evidence.agrees(evidence.predict(mode=mode)):
            code = RESIZE_MODES[own].code if own in RESIZE_MODES else str(own)
            return (
                f"the port resizes by {describe_mode(mode)}, the reference by {describe_mode(own)}",
                f"resize by {code}",
            )
    return None
