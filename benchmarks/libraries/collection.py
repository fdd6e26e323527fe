"""All pairs."""

from __future__ import annotations

from benchmarks.libraries import hub_pairs, timm_pairs, torchvision_pairs, transformers_pairs
from benchmarks.libraries.pair import LibraryPair


def pairs() -> list[LibraryPair]:
    """All pairs of library models, in the order of the table."""
    return [*torchvision_pairs.pairs(), *timm_pairs.pairs(), *hub_pairs.pairs(), *transformers_pairs.pairs()]
