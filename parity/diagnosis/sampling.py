"""What can be wrong with resizing and pooling. Plain NumPy."""

from __future__ import annotations

from itertools import product

from parity.diagnosis.evidence import Answer, Evidence
from parity.numerics.resize_modes import RESIZE_MODES


def resize_mode(evidence: Evidence) -> Answer:
    """Another interpolation."""
    if evidence.kind != "upsample":
        return None
    for mode in RESIZE_MODES:
        if mode != evidence.settings["mode"] and evidence.agrees(evidence.predict(mode=mode)):
            return f"the port resizes by {mode}", f"resize by {evidence.settings['mode']}"
    return None


def pooling(evidence: Evidence) -> Answer:
    """A mean over the padding too, or not; or windows that begin elsewhere."""
    if evidence.kind != "pool" or not evidence.agrees_on_shape:
        return None
    due = evidence.settings.get("count_padding", False)
    if evidence.settings["mode"] == "average" and evidence.agrees(evidence.predict(count_padding=not due)):
        how = ("counts", "does not") if not due else ("does not count", "does")
        return f"the port {how[0]} the padding in the mean, the reference {how[1]}", f"set count_include_pad={due}"
    return None


def pooling_edges(evidence: Evidence) -> Answer:
    """Windows that begin elsewhere."""
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
