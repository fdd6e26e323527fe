"""``parity verify``: the project's own pairs, with the verdicts in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from parity.cli.options import Jobs, JsonFile, Mirrored, Rungs, Seed, Timeout
from parity.verdict import UnusableInput

if TYPE_CHECKING:
    from parity.systems.registry import AnyPair
    from parity.verdict import Verdict


def verify(
    context: typer.Context,
    pairs: Annotated[
        list[str] | None,
        typer.Argument(
            help="systems, networks, presets, YAML files or pairs, with section.key=value overrides",
            metavar="[PAIR …]",
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="every pair of the registry")] = False,
    mirrored: Mirrored = False,
    rungs: Rungs = None,
    seed: Seed = 0,
    jobs: Jobs = None,
    timeout: Timeout = None,
    as_json: JsonFile = None,
    listed: Annotated[bool, typer.Option("--list", help="print the pairs' names and stop")] = False,
) -> int:
    """Verify the project's own pairs, for example: parity verify specgan.generator dcgan.training"""
    from parity.checks.registry import NETWORK, select_rungs
    from parity.cli import deadline
    from parity.systems.registry import registry
    from parity.systems.selection import in_a_mirror, select, with_rungs, without_mirror
    from parity.systems.training.registry import TRAINING

    if listed:
        print("\n".join(pair.name for pair in registry()))
        return 0
    if bool(pairs) == everything:
        raise UnusableInput("name the pairs to verify, or --all (parity verify --list shows them)")
    if timeout is not None and not deadline.watched():
        return deadline.run_within(timeout, context.obj)
    wanted = select_rungs(rungs, (*NETWORK, *TRAINING))
    selected = registry() if everything else select(pairs or [])
    left_out = without_mirror(selected) if mirrored else ""
    selected = with_rungs(in_a_mirror(selected) if mirrored else selected, wanted)
    from parity.cli import terminal
    from parity.cli.json_file import validate_target, write_json

    validate_target(as_json)
    verdicts = verify_all(selected, wanted, seed, jobs)
    if as_json:
        write_json([verdict.to_dict() for verdict in verdicts], as_json)
    terminal.show(verdicts, left_out)
    return terminal.status(verdicts)


def verify_all(
    pairs: Sequence[AnyPair], rungs: Sequence[str] | None, seed: int, jobs: int | None = None
) -> list[Verdict]:
    """Verify every pair on those of ``rungs`` (None: all) that it has, ``jobs`` at a time; progress goes to stderr."""
    from parity.cli.progress import progress
    from parity.systems import frameworks, worker_pool

    jobs = jobs or worker_pool.default_jobs(len(pairs))
    if jobs == 1:
        frameworks.load()
    with progress(len(pairs)) as begin:
        return worker_pool.verify_all(pairs, rungs, seed, begin, jobs)
