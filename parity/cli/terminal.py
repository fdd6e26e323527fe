"""How verdicts look in a terminal, and progress while they are made."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from parity.checks.registry import NETWORK
from parity.systems.training.registry import TRAINING
from parity.verdict import UnusableInput

if TYPE_CHECKING:
    from parity.systems.registry import AnyPair
    from parity.systems.selftest import Trial
    from parity.verdict import Verdict

MARKS = {"pass": "[green]✓[/]", "fail": "[bold red]✗[/]", "known-difference": "[yellow]≈[/]", "abstain": "[dim]–[/]"}
LEGEND = "✓ pass   ✗ fail   ≈ known difference   – nothing to judge"
Tell = Callable[[str], None]


def verify_all(
    pairs: Sequence[AnyPair], rungs: Sequence[str] | None, seed: int, jobs: int | None = None
) -> list[Verdict]:
    """Verify every pair on those of ``rungs`` (None: all) that it has, ``jobs`` at a time.

    Progress goes to stderr: a bar on a terminal, plain lines elsewhere.
    """
    from parity.cli import frameworks
    from parity.systems import worker_pool

    jobs = jobs or worker_pool.workers(len(pairs))
    if jobs == 1:
        frameworks.load()
    with progress(len(pairs)) as begin:
        return worker_pool.verify_all(pairs, rungs, seed, begin, jobs)


@contextmanager
def progress(total: int) -> Iterator[Callable[[str], Tell]]:
    """Within: ``begin(name)`` starts an item and returns what its stages are told to."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _plain_lines(total)
        return
    columns = (
        SpinnerColumn(),
        BarColumn(24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total)
        started = [0]

        def begin(name: str) -> Tell:
            bar.update(task, completed=started[0])
            started[0] += 1
            return lambda stage: bar.update(task, description=f"{name} [dim]{stage}[/]")

        yield begin


def _plain_lines(total: int) -> Callable[[str], Tell]:
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    started = [0]

    def begin(name: str) -> Tell:
        started[0] += 1
        console.print(f"[{started[0]}/{total}] {name}", markup=False)
        return lambda stage: None

    return begin


def show(verdicts: Sequence[Verdict]) -> None:
    """A table of pairs by rungs, then what went wrong and how to mend it, then the sum."""
    console = Console(soft_wrap=True, highlight=False)
    for ladder in (NETWORK, TRAINING):
        some = [verdict for verdict in verdicts if set(verdict.rungs) & set(ladder)]
        if some:
            _matrix(some, [rung for rung in ladder if any(rung in verdict.rungs for verdict in some)], console.width)
    console.print(LEGEND, style="dim")
    for verdict in verdicts:
        if not verdict.passed or verdict.findings or verdict.coverage.abstained:
            console.print()
            console.print(verdict.to_text(), markup=False)
    failed = [verdict.name for verdict in verdicts if not verdict.passed]
    console.print()
    if failed:
        console.print(f"[bold red]not faithful[/]: {len(failed)} of {len(verdicts)}: {', '.join(failed)}")
    else:
        console.print(f"[bold green]faithful[/]: {len(verdicts)} of {len(verdicts)}")


def _matrix(verdicts: Sequence[Verdict], rungs: Sequence[str], width: int) -> None:
    """Pairs by rungs, and how much of each was judged."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("pair")
    for rung in rungs:
        table.add_column(rung, justify="center", no_wrap=True)
    table.add_column("judged", justify="right", no_wrap=True)
    for verdict in verdicts:
        marks = [MARKS[verdict.rungs[rung].judgement] if rung in verdict.rungs else "" for rung in rungs]
        table.add_row(verdict.name, *marks, f"{verdict.coverage.judged}/{verdict.coverage.total}")
    longest = max(len(verdict.name) for verdict in verdicts)
    Console(width=max(width, longest + 12 + 12 * len(rungs)), highlight=False).print(table)


def show_trials(trials: Sequence[Trial]) -> None:
    """A table of mutants: caught or not, on which rung, at which layer, under which name."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("", "fault", "put into", "rung", "named", "what went wrong"):
        table.add_column(heading, no_wrap=heading != "what went wrong")
    for trial in trials:
        mutant, mark = trial.mutant, MARKS["pass" if trial.caught else "fail"]
        where = f"{mutant.pair} {mutant.layer}"
        table.add_row(mark, mutant.name, where, mutant.rung, mutant.kind, "; ".join(trial.faults))
    Console(width=132, highlight=False).print(table)
    caught = sum(trial.caught for trial in trials)
    print(f"\n{caught} of {len(trials)} faults caught where they are, by name")


def show_against(comparison: dict[str, Any]) -> None:
    """Two presets side by side: a table for each network and for training, what differs marked."""
    for part in comparison["parts"]:
        table = Table(box=None, pad_edge=False, header_style="bold", title=part["id"], title_justify="left")
        for heading in ("component", comparison["a"], comparison["b"], ""):
            table.add_column(heading, overflow="fold")
        for row in part["rows"]:
            mark = "[dim]same[/]" if row["same"] else "[yellow]differs[/]"
            table.add_row(*(escape(row[key]["en"]) for key in ("component", "a", "b")), mark)
        Console(width=max(Console().width, 132), highlight=False).print(table)
        print()


def status(verdicts: Sequence[Verdict]) -> int:
    """Exit status: 0 if all are faithful, else 1."""
    return 0 if all(verdict.passed for verdict in verdicts) else 1


def write_json(content: Any, path: Path) -> None:
    """Write JSON whole or not at all.

    Raises:
        UnusableInput: the file cannot be written there.
    """
    try:
        handle, draft = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}.")
    except OSError as error:
        raise UnusableInput(f"{path} cannot be written: {error.strerror}") from error
    try:
        with open(handle, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1, ensure_ascii=False)
        os.replace(draft, path)
    except BaseException as error:
        Path(draft).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise UnusableInput(f"{path} cannot be written: {error.strerror}") from error
        raise


def refuse_unwritable(path: Path | None) -> None:
    """Find out before the long work that a file cannot be written after it."""
    if path is None:
        return
    if path.is_dir() or not path.absolute().parent.is_dir() or not os.access(path.absolute().parent, os.W_OK):
        raise UnusableInput(f"{path} cannot be written: name a file in an existing folder that you may write to")
