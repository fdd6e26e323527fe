"""All pairs."""

from __future__ import annotations

from benchmarks.libraries import hub_pairs, small_pairs, timm_pairs, torchvision_pairs, transformers_pairs
from benchmarks.libraries.pair import LibraryPair


def pairs() -> list[LibraryPair]:
    """All pairs of library models, in the order of the table."""
    modules = (small_pairs, torchvision_pairs, timm_pairs, hub_pairs, transformers_pairs)
    return [pair for module in modules for pair in module.pairs()]
