"""How fast and how large: ``python -m benchmarks`` measures what the project promises, and prints it as Markdown."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from benchmarks import host
from benchmarks.processes import BenchmarkFailed

SCHEMA = "parity-bench/2"
# Modules that measure their JOBS (``measure(jobs, runs, cores)``) and show the figures (``to_markdown(figures)``). The
# first is measured before the others are imported: a process never takes less memory than the one that starts it.
SUBJECTS = ("commands", "verify_memory", "training", "options", "scaling", "feeding", "clips")


def main(arguments: list[str] | None = None) -> int:
    """Measure, print Markdown, and write JSON where asked. Exit status 2 if a measured process fails."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="runs of every job (3)")
    parser.add_argument("--cores", type=int, default=2, help="cores to use (2)")
    parser.add_argument(
        "--only", default="", help="only the subject of this name, or jobs whose name contains this text"
    )
    parser.add_argument("--json", type=Path, help="also write every single figure to this file")
    options = parser.parse_args(arguments)
    if options.runs < 1 or options.cores < 1:
        parser.error("--runs and --cores must be positive")
    machine, found, known = host.host(options.cores), {}, []
    try:
        for name in SUBJECTS:
            subject = import_module(f"benchmarks.{name}")
            jobs = [job for job in subject.JOBS if options.only == name or options.only in job.name]
            known += [name, *(job.name for job in subject.JOBS)]
            if jobs:
                found[name] = subject.measure(jobs, options.runs, options.cores)
    except (BenchmarkFailed, KeyboardInterrupt) as failure:
        print(f"\n{str(failure) or 'interrupted'}", file=sys.stderr)
        return 2
    if not found:
        parser.error(f"--only must be one of, or part of one of: {', '.join(known)}")
    shown = [host.to_markdown(machine, options.runs)]
    for name, figures in found.items():
        shown.append(sys.modules[f"benchmarks.{name}"].to_markdown(figures))
    print("\n\n".join(shown))
    if options.json:
        body = {name: [asdict(one) for one in figures] for name, figures in found.items()}
        options.json.write_text(json.dumps({"schema": SCHEMA, "machine": machine, **body}, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
