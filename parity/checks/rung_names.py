"""The names of the ladder's rungs, in climbing order, for whoever must not import what they do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from parity.verdict import UnusableInput

NETWORK = ("structure", "weights", "shapes", "padding", "forward", "gradients", "penalty", "state")
ONE_DEVICE = ("step", "training", "checkpoint", "data")
TRAINING = (*ONE_DEVICE, "distribution")
NAMES = (*NETWORK, *TRAINING)


def chosen(rungs: Iterable[str] | str | None, valid: Sequence[str] = NAMES) -> list[str]:
    """The rungs asked for (names, or one comma-separated string), in climbing order; all ``valid`` ones for None.

    Raises:
        UnusableInput: a name is no valid rung; the valid ones are listed.
    """
    if rungs is None:
        return list(valid)
    words = rungs.split(",") if isinstance(rungs, str) else rungs
    wanted = [word.strip() for word in words if word.strip()]
    unknown = [word for word in wanted if word not in valid]
    if unknown or not wanted:
        known = [word for word in unknown if word in NAMES]
        what = "there is no" if known else "unknown"
        where = " here: it needs a system and its configuration" if known else ""
        raise UnusableInput(
            f"{what} rung {', '.join(map(repr, unknown)) or '(none given)'}{where}; valid: {', '.join(valid)}"
        )
    return [name for name in valid if name in wanted]
