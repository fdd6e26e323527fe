"""``parity selftest``: every known fault put into a faithful port or trainer, one at a time."""

from __future__ import annotations


def selftest() -> int:
    """Break a faithful port in many ways, one at a time, and see every fault caught where it is, and named."""
    from parity.cli import terminal
    from parity.cli.progress import progress
    from parity.systems import frameworks

    frameworks.load()
    from parity.systems.mutants import MUTANTS
    from parity.systems.selftest import AnyMutant, run_mutants
    from parity.systems.training import mutants as in_training

    every: list[AnyMutant] = [*MUTANTS, *in_training.MUTANTS]
    with progress(len(every)) as begin:
        results = list(run_mutants(every, begin))
    terminal.show_mutants(results)
    return 0 if all(result.caught for result in results) else 1
