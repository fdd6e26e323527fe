"""The names of the ladder's rungs, in climbing order, for whoever must not import what they do."""

from __future__ import annotations

from collections.abc import Iterable

from parity.verdict import UnusableInput

NAMES = ("structure", "weights", "shapes", "padding", "forward", "gradients", "penalty", "state")


def chosen(rungs: Iterable[str] | str | None) -> list[str]:
    """The rungs asked for (names, or one comma-separated string), in climbing order; all of them for None.

    Raises:
        UnusableInput: a name is no rung; the valid ones are listed.
    """
    if rungs is None:
        return list(NAMES)
    words = rungs.split(",") if isinstance(rungs, str) else rungs
    wanted = [word.strip() for word in words if word.strip()]
    unknown = [word for word in wanted if word not in NAMES]
    if unknown or not wanted:
        raise UnusableInput(
            f"unknown rung {', '.join(map(repr, unknown)) or '(none given)'}; valid: {', '.join(NAMES)}"
        )
    return [name for name in NAMES if name in wanted]
