"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Rungs = Annotated[str | None, typer.Option("--rungs", help="comma-separated; default: all", metavar="R,…")]
Seed = Annotated[int, typer.Option(help="of everything drawn, weights of the factories too", min=0, max=2**32 - 1)]
Mirrored = Annotated[bool, typer.Option("--mirrored", help="compare in a mirror (images and kernels flipped)")]
Jobs = Annotated[int | None, typer.Option(help="pairs verified at a time; default: by cores, four at most", min=1)]
JsonFile = Annotated[Path | None, typer.Option("--json", help="also write the verdicts here", metavar="FILE")]
Scope = Annotated[str, typer.Option(help="training (default), or inference: leave out what only training sees")]
OwnWeights = Annotated[bool, typer.Option("--own-weights", help="copy nothing: judge the weights that the port holds")]
Device = Annotated[str, typer.Option(help="cpu (default, also on a machine with a GPU), or cuda")]
Timeout = Annotated[
    float | None,
    typer.Option(help="give up after so long: for a model that hangs", metavar="SECONDS"),
]
