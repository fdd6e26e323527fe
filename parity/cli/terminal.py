"""How verdicts look in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from parity.checks.registry import NETWORK
from parity.systems.training.registry import TRAINING
from parity.verdict import VALUES, WHOSE_WEIGHTS

if TYPE_CHECKING:
    from parity.systems.selftest import MutantResult
    from parity.verdict import Verdict

MARKS = {"pass": "[green]✓[/]", "fail": "[bold red]✗[/]", "known-difference": "[yellow]≈[/]", "abstain": "[dim]–[/]"}
LEGEND = "✓ pass   ✗ fail   ≈ known difference   – nothing to judge"


def show(verdicts: Sequence[Verdict], left_out: str = "") -> None:
    """A table of pairs by rungs, then what went wrong and how to mend it, the line ``left_out``, and the sum."""
    console = Console(soft_wrap=True, highlight=False)
    for ladder in (NETWORK, TRAINING):
        some = [verdict for verdict in verdicts if set(verdict.rungs) & set(ladder)]
        if some:
            _matrix(some, [rung for rung in ladder if any(rung in verdict.rungs for verdict in some)], console.width)
    console.print(LEGEND, style="dim")
    for verdict in verdicts:
        if len(verdicts) == 1 or not verdict.passed or verdict.findings or verdict.notes or verdict.coverage.abstained:
            console.print()
            console.print(verdict.to_text(), markup=False)
    failed = [verdict.name for verdict in verdicts if not verdict.passed]
    whose = ", ".join(dict.fromkeys(WHOSE_WEIGHTS[verdict.weights] for verdict in verdicts if verdict.weights))
    whose = f" ({whose})" if whose else ""
    console.print()
    if left_out:
        console.print(left_out, markup=False)
    if failed:
        console.print(f"[bold red]not faithful[/]: {len(failed)} of {len(verdicts)}{whose}: {', '.join(failed)}")
    else:
        console.print(f"[bold green]{_praise(verdicts)}[/]: {len(verdicts)} of {len(verdicts)}{whose}")


def _praise(verdicts: Sequence[Verdict]) -> str:
    """What may be said of pairs that all passed: no more than was asked."""
    networks = [verdict for verdict in verdicts if set(verdict.rungs) <= set(NETWORK)]
    if any(VALUES in verdict.not_asked for verdict in networks):
        return "no difference found in what was asked, which leaves open whether it is faithful"
    return "faithful for inference" if any(verdict.scope == "inference" for verdict in networks) else "faithful"


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


def show_mutants(results: Sequence[MutantResult]) -> None:
    """A table of mutants: caught or not, on which rung, at which layer, under which name."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("", "fault", "put into", "rung", "named", "what went wrong"):
        table.add_column(heading, no_wrap=heading != "what went wrong")
    for result in results:
        mutant, mark = result.mutant, MARKS["pass" if result.caught else "fail"]
        where = f"{mutant.pair} {mutant.layer}"
        table.add_row(mark, mutant.name, where, mutant.rung, mutant.kind, "; ".join(result.complaints))
    Console(width=132, highlight=False).print(table)
    caught = sum(result.caught for result in results)
    print(f"\n{caught} of {len(results)} faults caught where they are, by name")


def show_preset_comparison(comparison: dict[str, Any]) -> None:
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
