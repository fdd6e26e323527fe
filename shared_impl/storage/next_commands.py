"""Commands that a message tells the user to type, ready to be pasted."""

from __future__ import annotations

import shlex
from pathlib import Path

IMPLEMENTATIONS = {"tensorflow": "tf_impl", "torch": "torch_impl"}  # framework -> the package that trains in it
FRAMEWORKS = {package: framework for framework, package in IMPLEMENTATIONS.items()}


def command(framework: str, *words: str | Path) -> str:
    """``python -m tf_impl|torch_impl`` with these words, quoted where a shell needs it."""
    return shlex.join(["python", "-m", IMPLEMENTATIONS.get(framework, framework), *map(str, words)])


def resume_command(framework: str, run: Path, step: int | None = None, *overrides: str) -> str:
    """Go on with a run, from its latest checkpoint or from that of ``step``."""
    start = [] if step is None else ["--from", str(step)]
    return command(framework, "train", run, "--resume", *start, *overrides)


def next_commands(framework: str, run: Path, steps: int, tensorboard: Path | None) -> list[str]:
    """What to do with a run of so many steps that has ended, a line each: what it is for, and the command."""
    found = {
        "generate": command(framework, "generate", run),
        "evaluate": command(framework, "evaluate", run),
        "train on": resume_command(framework, run, None, f"training.steps={2 * steps}"),
    }
    if tensorboard is not None:
        found["watch"] = shlex.join(["tensorboard", "--logdir", str(tensorboard)])
    return [f"{purpose + ':':<10} {words}" for purpose, words in found.items()]
