"""Hypotheses about resizing and pooling. Plain NumPy."""

from __future__ import annotations

from itertools import product

from parity.diagnosis.evidence import Evidence, Explanation
from parity.numerics.resize_modes import RESIZE_MODES


def resize_mode(evidence: Evidence) -> Explanation:
    """Another interpolation."""
    if evidence.kind != "upsample":
        return None
    for mode in RESIZE_MODES:
        if mode != evidence.settings["mode"] and evidence.agrees(evidence.predict(mode=mode)):
            return f"the port resizes by {mode}", f"resize by {evidence.settings['mode']}"
    return None


def padding_count(evidence: Evidence) -> Explanation:
    """Average pooling that counts the padding where the reference does not, or the reverse."""
    if evidence.kind != "pool" or not evidence.agrees_on_shape:
        return None
    expected = evidence.settings.get("count_padding", False)
    if evidence.settings["mode"] == "average" and evidence.agrees(evidence.predict(count_padding=not expected)):
        used, wanted = ("does not count", "does") if expected else ("counts", "does not")
        return f"the port {used} the padding in the mean, the reference {wanted}", f"set count_include_pad={expected}"
    return None


def pooling_padding(evidence: Evidence) -> Explanation:
    """Pooling with other padding, so that its windows begin elsewhere."""
    if evidence.kind != "pool" or not evidence.agrees_on_shape:
        return None
    largest = max(evidence.settings["pool_size"])
    for before, after, count in product(range(largest), range(largest), (False, True)):
        amounts = [(before, after)] * len(evidence.settings["pool_size"])
        if evidence.agrees(evidence.predict(amounts=amounts, count_padding=count)):
            counted = " and counts the padding" if count and before + after else ""
            return f"the port's windows are reproduced by padding ({before}, {after}){counted}", (
                "pad as the reference does (F.pad before a pooling without padding): TensorFlow's SAME puts the larger "
                "half at the bottom right and never counts it"
            )
    return None
