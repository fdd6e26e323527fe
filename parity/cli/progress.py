"""Progress on stderr while pairs are verified: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

ShowStage = Callable[[str], None]


@contextmanager
def progress(total: int) -> Iterator[Callable[[str], ShowStage]]:
    """Within: ``begin(name)`` starts the next of ``total`` items and returns a function that shows its stage."""
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

        def begin(name: str) -> ShowStage:
            bar.update(task, completed=started[0])
            started[0] += 1
            return lambda stage: bar.update(task, description=f"{name} [dim]{stage}[/]")

        yield begin


def _plain_lines(total: int) -> Callable[[str], ShowStage]:
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    started = [0]

    def begin(name: str) -> ShowStage:
        started[0] += 1
        console.print(f"[{started[0]}/{total}] {name}", markup=False)
        return lambda stage: None

    return begin
