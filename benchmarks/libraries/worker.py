"""Tries one pair in this process: ``python -m benchmarks.libraries.worker NAME [--single]``; a JSON line a variant."""

from __future__ import annotations

import json
import sys

import torch

from benchmarks.libraries import collection
from benchmarks.libraries.pair import variants
from benchmarks.library_pairs import tried


def main() -> None:
    """Print a row a variant."""
    torch.set_num_threads(1)
    (pair,) = (pair for pair in collection.pairs() if pair.name == sys.argv[1])
    for variant in variants(pair, "--single" in sys.argv):
        print("row: " + json.dumps(tried(variant).as_dict()), flush=True)


if __name__ == "__main__":
    main()
