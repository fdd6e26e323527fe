"""Find a run, or a checkpoint of it, by what a user types: a preset, a number, a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from os.path import isfile  # false for what can be no path at all
from pathlib import Path
from typing import Any, NamedTuple

from shared_impl.config.presets import ConfigError
from shared_impl.storage import checkpoints
from shared_impl.storage.run_folder import ABOUT, CHECKPOINTS, PRESET, RunError, number_of, read_about, run_folders

LISTED = 10  # runs that a message names


class KnownRun(NamedTuple):
    """A run's folder, and what its ``run.json`` says."""

    path: Path
    number: int
    preset: str
    framework: str


def runs(folder: Path) -> list[KnownRun]:
    """The runs in ``folder`` by number, whatever their folders are called."""
    return sorted(map(_known, run_folders(folder)), key=lambda run: (run.number, run.path.name))


def find_run(
    name: str | Path, folder: Path, framework: str = "", tell: Callable[[str], Any] = lambda sentence: None
) -> Path:
    """The run or checkpoint folder that ``name`` means: its path, the number of a run in ``folder``, or a preset.

    Of several runs of a preset, the latest, and of those of ``framework`` if there are any: ``tell`` is then given a
    sentence about a later one of another framework. Raises ConfigError that lists the runs there are.
    """
    path, found = Path(name), runs(folder)
    if isfile(path / ABOUT) or isfile(path / checkpoints.MANIFEST):
        return path
    name = str(name)
    numbered = [run for run in found if name.isdecimal() and str(run.number) == name.lstrip("0")]
    if len(numbered) > 1:
        raise ConfigError(f"{name} is the number of {_names(numbered)}, copies of one run: give the folder of one")
    named = [run for run in found if run.path.name == name]
    if chosen := numbered or named or [run for run in found if run.preset == name]:
        own = [run for run in chosen if run.framework == framework] or chosen
        if own[-1] != chosen[-1]:
            tell(f"{own[-1].path} is the latest of {framework}; {chosen[-1].path} is of {chosen[-1].framework}")
        return own[-1].path
    close = get_close_matches(name, [word for run in found for word in (run.path.name, run.preset)], n=1)
    meant = f", did you mean {close[0]}?" if close else ""
    earlier = f" and {len(found) - LISTED} earlier ones" if len(found) > LISTED else ""
    there = f"there are {_names(found[-LISTED:])}{earlier}" if found else "there is none: train one first"
    raise ConfigError(
        f"no run {name!r} in {folder}{meant}; {there}. "
        "Give a preset's name, a number, a run folder or a checkpoint folder"
    )


def checkpoint_in(path: Path) -> Path:
    """A checkpoint folder itself, or the latest checkpoint of a run folder; RunError if it has none yet."""
    if isfile(path / checkpoints.MANIFEST):
        return path
    if latest := checkpoints.latest(path / CHECKPOINTS):
        return latest
    raise RunError(f"{path}: no checkpoint yet: train at least runs.checkpoint_every steps")


def find_checkpoint(path: Path, which: str) -> Path:
    """A checkpoint folder itself, or that of a run folder: ``latest``, ``best`` or a step.

    Raises ConfigError that lists the steps there are.
    """
    if isfile(path / checkpoints.MANIFEST):
        return path
    folder = path / CHECKPOINTS
    stored = checkpoints.stored(folder)
    named = {"latest": checkpoints.latest(folder), "best": checkpoints.best(folder)}
    found = named.get(which) or {str(step): path for step, path in stored.items()}.get(which.lstrip("0") or "0")
    if found is None:
        steps = ", ".join(map(str, stored)) or "none yet"
        raise ConfigError(f"{path}: no checkpoint {which!r}: expected latest, best or a step; there are {steps}")
    return found


def _known(path: Path) -> KnownRun:
    try:
        about = read_about(path)
    except RunError:
        about = {}
    preset = about.get(PRESET, path.name.partition("-")[2])
    return KnownRun(path, number_of(path, about) or 0, str(preset), str(about.get("framework", "")))


def _names(found: Iterable[KnownRun]) -> str:
    return ", ".join(run.path.name for run in found)
