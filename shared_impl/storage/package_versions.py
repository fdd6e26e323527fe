"""The installed versions of the packages that a run depends on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = {"tensorflow": ("tensorflow", "keras"), "torch": ("torch",)}


def package_versions(framework: str) -> dict[str, str]:
    """Versions by package name, Python's included; packages that are not installed are left out."""
    found = {"python": platform.python_version()}
    for package in ("numpy", "grain", *PACKAGES.get(framework, ())):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
