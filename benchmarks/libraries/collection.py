"""All pairs whose packages are installed."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from benchmarks.libraries.pair import LibraryPair

MODULES = {  # in the order of the table, with the packages that each imports
    "small_pairs": ("torchvision", "timm"),
    "torchvision_pairs": ("torchvision",),
    "timm_pairs": ("torchvision", "timm"),
    "hub_pairs": ("torchvision", "timm", "keras_hub"),
    "transformers_pairs": ("torchvision", "transformers"),
}


def missing() -> list[str]:
    """Packages without which some pairs cannot be built."""
    wanted = dict.fromkeys(package for packages in MODULES.values() for package in packages)
    return [package for package in wanted if find_spec(package) is None]


def pairs() -> list[LibraryPair]:
    """All pairs of library models whose packages are installed."""
    absent = set(missing())
    modules = [name for name, packages in MODULES.items() if not absent & set(packages)]
    return [pair for name in modules for pair in import_module(f"benchmarks.libraries.{name}").pairs()]
