"""``parity report``: verify the project's own pairs and write all that was measured, with the claims about SpecGAN."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from parity.cli.options import Jobs, Seed


def report(
    pairs: Annotated[
        list[str] | None,
        typer.Argument(help="what to verify, as for parity verify; default: every pair", metavar="[PAIR …]"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="the folder to write (default: report); an earlier report is replaced")
    ] = None,
    against: Annotated[
        tuple[str, str] | None,
        typer.Option(help="two presets to compare; without PAIR and --out the comparison is only printed"),
    ] = None,
    seed: Seed = 0,
    jobs: Jobs = None,
) -> int:
    """Verify every pair and write the report: a page, Markdown in two languages, JSON and JUnit XML."""
    from parity.report import validate_folder, write
    from parity.report.collect import collect
    from parity.systems.registry import registry
    from parity.systems.selection import select

    if against:
        from parity.systems.preset_comparison import configurations

        configurations(*against)
        if not pairs and out is None:
            return _print_comparison(*against)
    out = out or Path("report")
    validate_folder(out)
    selected = select(pairs) if pairs else registry()
    from parity.cli import terminal
    from parity.cli.verify import verify_all
    from parity.systems import frameworks
    from parity.systems.exhibits import exhibits

    verdicts = verify_all(selected, None, seed, jobs)
    frameworks.load()
    words = [*(pairs or []), *(["--against", *against] if against else []), *([f"--seed={seed}"] if seed else [])]
    body = collect(verdicts, shlex.join(["parity", "report", *words]), seed) | exhibits(verdicts, seed)
    if against:
        from parity.systems.preset_comparison import compare

        body["against"] = compare(*against)
    paths = write(body, out)
    terminal.show(verdicts)
    print(f"report: {paths[0]}")
    return terminal.status(verdicts)


def _print_comparison(a: str, b: str) -> int:
    """Print what two presets have in common and what differs."""
    from parity.cli import terminal
    from parity.systems import frameworks
    from parity.systems.preset_comparison import compare

    frameworks.load()
    terminal.show_preset_comparison(compare(a, b))
    return 0
