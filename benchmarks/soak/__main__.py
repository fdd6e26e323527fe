"""``python -m benchmarks.soak``: so many trials, or as many as fit in so many minutes; exit status 1 if one died."""

from __future__ import annotations

import argparse
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.soak.trials import Died, Trial, survive, uninterrupted
from parity.systems import worker_processes

References = dict[tuple[str, ...], dict[str, Any]]
IMPLEMENTATIONS = ("tf_impl", "torch_impl")


def main(arguments: list[str] | None = None) -> int:
    """Run the trials, both frameworks in turn; print each that died with what reproduces it, and the sum."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="trials of each framework (200)")
    parser.add_argument("--minutes", type=float, help="stop after so long, however many were tried")
    parser.add_argument("--seed", type=int, default=0, help="number of the first trial (0)")
    parser.add_argument("--only", type=int, help="this trial alone")
    parser.add_argument("--jobs", type=int, default=2, help="trials at a time (2)")
    parser.add_argument("--framework", choices=IMPLEMENTATIONS, help="this one alone")
    options = parser.parse_args(arguments)
    seeds = [options.only] if options.only is not None else list(range(options.seed, options.seed + options.runs))
    chosen = [options.framework] if options.framework else list(IMPLEMENTATIONS)
    until = None if options.minutes is None else time.monotonic() + 60 * options.minutes
    worker_processes.await_imports(worker_processes.context())
    references: References = {}

    def tried(trial: Trial) -> bool | None:
        late = until is not None and time.monotonic() > until
        return None if late else attempt(trial, references)

    trials = [Trial(seed, name) for seed in seeds for name in chosen]
    with ThreadPoolExecutor(options.jobs) as pool:
        results = dict(zip(trials, pool.map(tried, trials), strict=True))
    for name in chosen:
        ends = [end for trial, end in results.items() if trial.implementation == name and end is not None]
        print(f"{name}: survived {sum(ends)} of {len(ends)}", flush=True)
    return 1 if False in results.values() else 0


def attempt(trial: Trial, references: References) -> bool:
    """Whether a trial survives, with a line about it; ``references`` keeps the runs that were let alone."""
    begun = time.monotonic()
    words, processes, _ = trial.words()
    key = (trial.implementation, str(processes), *words)
    with tempfile.TemporaryDirectory(prefix="parity-soak-") as place:
        try:
            if key not in references:
                (Path(place) / "whole").mkdir()
                references[key] = uninterrupted(trial, Path(place) / "whole")
            (Path(place) / "harmed").mkdir()
            survive(trial, Path(place) / "harmed", references[key])
        except Died as error:
            print(f"DIED  {trial.title()}\n      {error}", flush=True)
            return False
    print(f"ok    {trial.title()} ({time.monotonic() - begun:.1f} s)", flush=True)
    return True


if __name__ == "__main__":
    raise SystemExit(main())
