"""Golden records: numbers that published code produced, checked against both implementations. Imports no framework.

``check(folder)`` judges every record in a folder of the format that README.md describes; ``render`` turns what it
finds into text.
"""

from __future__ import annotations

from pathlib import Path

from parity.systems.golden.results import GoldenResult, render

__all__ = ["GoldenResult", "check", "render"]


def check(folder: Path | str | None = None) -> list[GoldenResult]:
    """Judge the records in ``folder`` (None: the project's own) in Keras and in torch.

    Everything is computed in float64 from the weights and inputs that README.md lets one draw again.
    Raises :class:`parity.verdict.UnusableInput` where a file is missing, damaged, or holds something else than the
    format says; a number that merely deviates is a failed result.
    """
    from parity.systems.golden.checking import check_folder
    from parity.systems.golden.records import OWN

    return check_folder(OWN if folder is None else Path(folder))
