"""Pairs of library models that nobody here wrote, held against parity: ``python -m benchmarks.library_pairs``.

A line a variant: what is true of it, how parity's verdict stands to that, seconds, and the process's peak of
resident memory meanwhile. The truth is measured by hand-copied weights in float64 (``--truth`` stops there). Every pair
is tried as its libraries have it and with its differences repaired; ``--single`` tries each difference by itself, too.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import torch

import parity
from benchmarks.libraries import collection, hand_copy, truth
from benchmarks.libraries.judging import Row, judge
from benchmarks.libraries.pair import LibraryPair, Variant, variants


def measured(variant: Variant) -> truth.Truth:
    """The truth about a variant, in float64, without parity."""
    pair = variant.pair
    with truth.float64():
        reference, layers = hand_copy.build_in_order(pair.reference)
        port = variant.port()
        try:
            if pair.convert:
                truth.randomise_torch(port)
                written = pair.convert(reference, port)
            else:
                truth.randomise(reference)
                units = hand_copy.reference_units(layers)
                written = hand_copy.copy(units, hand_copy.port_units(port, pair.first))
        except hand_copy.CannotCopy as error:
            return truth.Truth(np.inf, np.inf, np.inf, ((), ()), f"weights do not fit: {error}")
        means = {path.rpartition(".")[0]: v for path, v in written.items() if path.endswith(".running_mean")}
        return truth.measure(reference, port, means, pair.largest)


def tried(variant: Variant) -> Row:
    """Parity's verdict about a variant, judged."""
    reference, port = variant.pair.reference(), variant.port()
    _reset_peak()
    start = time.perf_counter()
    inputs = None if variant.pair.largest == 1.0 else truth.inputs_of(reference, variant.pair.largest)
    try:
        row = judge(variant, parity.verify(reference, port, inputs))
    except parity.UnusableInput as error:
        row = Row(variant.name, variant.faithful_for, "refused", str(error).splitlines()[0])
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a row of the table
        row = Row(variant.name, variant.faithful_for, "crash", f"{type(error).__name__}: {str(error)[:200]}")
        row.text = traceback.format_exc()
    row.seconds, row.peak = time.perf_counter() - start, _peak()
    return row


def _reset_peak() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> float:
    """Peak of resident memory in MB since it was last reset; 0 where the system does not tell."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def report_truths(pairs: Sequence[LibraryPair], single: bool) -> int:
    """Print the truths; exit status 1 if one is not what its pair says."""
    wrong = 0
    for pair in pairs:
        for variant in variants(pair, single):
            start = time.perf_counter()
            found = measured(variant)
            got = found.faithful(truth.SINGLE if pair.single else truth.ROUNDING)
            mark = "" if got == variant.faithful_for else f" !! expected {variant.faithful_for!r}, measured {got!r}"
            wrong += bool(mark)
            seconds = time.perf_counter() - start
            print(f"{variant.name} | {got or 'not faithful'} | {found} | {seconds:.1f} s{mark}", flush=True)
    return int(wrong > 0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; exit status 1 if any verdict is not right."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.library_pairs", description=__doc__)
    parser.add_argument("names", nargs="*", help="only pairs whose name contains one of these")
    parser.add_argument("--truth", action="store_true", help="measure the truths and stop")
    parser.add_argument("--single", action="store_true", help="try each difference by itself, too")
    parser.add_argument("--text", action="store_true", help="print parity's own words below each line")
    parser.add_argument("--here", action="store_true", help="all in this process instead of one a pair")
    parser.add_argument("--json", type=Path, help="append every line to this file")
    parser.add_argument("--timeout", type=float, default=900.0, help="seconds for one pair (900)")
    options = parser.parse_args(arguments)
    chosen = [p for p in collection.pairs() if not options.names or any(n in p.name for n in options.names)]
    torch.set_num_threads(1)
    if absent := collection.missing():
        need = "pip install --no-deps -r benchmarks/libraries/requirements.txt"
        print(f"pairs of {', '.join(absent)} are not tried: not installed ({need})", file=sys.stderr)
    if options.truth:
        return report_truths(chosen, options.single)
    labels: Counter[str] = Counter()
    for pair in chosen:
        rows = _rows_here(pair, options.single) if options.here else _rows_of_process(pair, options)
        for row in rows:
            labels[row.label] += 1
            print(row.line(), flush=True)
            if options.text:
                print("    " + row.text.replace("\n", "\n    "), flush=True)
            if options.json:
                with options.json.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row.as_dict()) + "\n")
    print(
        f"{labels.total()} variants of {len(chosen)} pairs: " + ", ".join(f"{n} {label}" for label, n in labels.items())
    )
    return int(any(label != "right" for label in labels))


def _rows_here(pair: LibraryPair, single: bool) -> list[Row]:
    return [tried(variant) for variant in variants(pair, single)]


def _rows_of_process(pair: LibraryPair, options: argparse.Namespace) -> list[Row]:
    """Rows of one pair, tried in a process of its own."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.libraries.worker",
        pair.name,
        *(["--single"] if options.single else []),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=options.timeout, check=False)
    except subprocess.TimeoutExpired:
        return [Row(pair.name, "", "timeout")]
    rows = [Row(**json.loads(line[5:])) for line in done.stdout.splitlines() if line.startswith("row: ")]
    return rows or [Row(pair.name, "", "crash", done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "")]


if __name__ == "__main__":
    sys.exit(main())
