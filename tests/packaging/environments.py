"""Fresh environments that hold the project's wheel and nothing but what one of its extras asks for.

What an extra asks for is read from the wheel's metadata and linked from the environment that runs the tests, so that
nothing is downloaded and an environment takes a second.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "parity-bridge"
SOURCES = ("LICENSE", "README.md", "pyproject.toml", "setup.cfg", "setup.py")
PACKAGES = ("configs", "parity", "shared_impl", "tf_impl", "torch_impl", "benchmarks", "tests", "docs")


@dataclass(frozen=True)
class Environment:
    """A virtual environment and the distributions that were linked into it."""

    folder: Path
    linked: frozenset[str]

    @property
    def scripts(self) -> Path:
        """The folder of ``python`` and ``parity``."""
        return self.folder / "bin"

    def run(self, *command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run a command of this environment, ``python`` or ``parity``, in a user's folder."""
        variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))}
        variables["PATH"] = f"{self.scripts}{os.pathsep}{variables['PATH']}"
        program = str(self.scripts / command[0])
        return subprocess.run(
            [program, *command[1:]], cwd=cwd, env=variables, capture_output=True, text=True, check=False, timeout=300
        )


def build_wheel(folder: Path) -> Path:
    """The project's wheel, built in ``folder`` from a copy of the tree, which stays as it is."""
    copy = folder / "copy"
    for name in PACKAGES:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in SOURCES:
        shutil.copy(ROOT / name, copy)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet"]
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([*pip, *options, str(copy)], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def make(folder: Path, wheel: Path, *wanted: str) -> Environment:
    """A virtual environment with the wheel and all that ``wanted`` requirements need, those of the wheel included."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(folder / "bin" / "python")]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (project,) = (found for found in distributions(path=[str(packages)]) if found.name == PROJECT)
    installed = reversed(list(distributions()))  # of two of one name, the first on the path is the one that is imported
    available = {canonicalize_name(found.name): found for found in installed} | {PROJECT: project}
    needed = closure(wanted, available) - {PROJECT}
    _link(packages, needed, available)
    return Environment(folder, frozenset(needed))


def closure(wanted: Iterable[str], available: dict[str, Distribution]) -> set[str]:
    """Names of the distributions that ``wanted`` requirements and, in turn, theirs ask for on this machine.

    Raises:
        KeyError: one of them is not installed here.
    """
    waiting, visited = [Requirement(text) for text in wanted], set[tuple[str, str]]()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        for extra in ("", *requirement.extras):
            if (name, extra) in visited:
                continue
            visited.add((name, extra))
            for text in available[name].requires or ():
                inner = Requirement(text)
                if inner.marker is None or inner.marker.evaluate({"extra": extra}):
                    waiting.append(inner)
    return {name for name, _ in visited}


def _link(packages: Path, needed: set[str], available: dict[str, Distribution]) -> None:
    """Link the files of ``needed``: a folder as a whole where no other distribution has a part of it."""
    owners: dict[str, set[str]] = {}
    for name, distribution in available.items():
        for file in distribution.files or ():
            owners.setdefault(file.parts[0], set()).add(name)
    for name in needed:
        for file in available[name].files or ():
            top = file.parts[0]
            if top in ("..", "__pycache__"):  # scripts, and the bytecode of single modules
                continue
            part = Path(top) if owners[top] <= needed else Path(file)
            target = packages / part
            if not target.is_symlink():
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(Path(str(available[name].locate_file(""))) / part)
