"""``parity golden``: both implementations against records of the original code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def golden(
    folder: Annotated[Path | None, typer.Argument(help="records to check; default: the project's own")] = None,
) -> int:
    """Check both implementations against records of the original code."""
    from parity.systems import frameworks
    from parity.systems.golden import check, render

    frameworks.load()
    results = check(folder)
    print(render(results))
    return 0 if all(result.passed for result in results) else 1
