"""The machine that the figures were taken on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("tensorflow", "keras", "torch", "numpy", "librosa")


def host(cores: int) -> dict[str, Any]:
    """Processor, cores used, memory, system and versions."""
    info = Path("/proc/cpuinfo")
    models = (
        [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        if info.exists()
        else []
    )
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "absent"
    return {
        "processor": models[0] if models else platform.processor() or platform.machine(),
        "cores": cores,
        "gigabytes": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "versions": versions,
    }


def to_markdown(host: dict[str, Any], runs: int) -> str:
    """The machine in a line, and how the figures were taken in another."""
    versions = ", ".join(f"{name} {number}" for name, number in host["versions"].items())
    cores = host["cores"]
    return (
        f"{host['processor']}, {cores} cores used, {host['gigabytes']} GB; {host['system']}; {versions}.\n"
        f"Medians of {runs} runs (fastest … slowest); every process on {cores} cores, with as many threads."
    )
