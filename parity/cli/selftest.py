"""``parity selftest``: every known fault put into a faithful port or trainer, one at a time and in pairs."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated

import typer

from parity.cli.options import Jobs, JsonFile
from parity.verdict import UnusableInput


def selftest(
    words: Annotated[
        list[str] | None,
        typer.Argument(help="only what has one of these words in its group or name", metavar="[WORD …]"),
    ] = None,
    jobs: Jobs = None,
    as_json: JsonFile = None,
) -> int:
    """Break faithful ports in many ways, one at a time and two at once: each must be found where it is, and named.

    Faithful ports that are written in another way must pass. Exit status 1 if a goal is missed.
    """
    from parity.cli import terminal
    from parity.cli.json_file import validate_target, write_json
    from parity.cli.progress import progress
    from parity.systems import frameworks
    from parity.systems.selftest_tasks import run_all, score, tasks

    validate_target(as_json)
    frameworks.import_both()
    chosen = tasks(words or [])
    if not chosen:
        raise UnusableInput(f"nothing is called {' or '.join(words or [])}; parity selftest without words tries all")
    start = time.perf_counter()
    with progress(len(chosen)) as begin:
        results = run_all(chosen, begin, jobs)
    found = score(results)
    if as_json:
        write_json({"schema": "parity-selftest/1", **asdict(found), "goals_missed": found.missed,
                    "results": [{**asdict(result), "right": result.right} for result in results]}, as_json)  # fmt: skip
    terminal.show_selftest(results, time.perf_counter() - start)
    return 0 if found.reached else 1
