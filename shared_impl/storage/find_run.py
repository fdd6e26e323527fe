"""Find a run, or a checkpoint of it, by what a user types: a preset, a number, a folder."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from shared_impl.config.presets import ConfigError
from shared_impl.storage import checkpoints
from shared_impl.storage.run_folder import ABOUT, CHECKPOINTS, NAME, RunError

LISTED = 10  # runs that a message names


def runs(folder: Path) -> dict[int, Path]:
    """The run folders in ``folder`` by their numbers, ascending."""
    found = {
        int(match[1]): path.parent for path in folder.glob(f"*/{ABOUT}") if (match := NAME.fullmatch(path.parent.name))
    }
    return dict(sorted(found.items()))


def find_run(name: str | Path, folder: Path) -> Path:
    """The run or checkpoint folder that ``name`` means: its path, the number of a run in ``folder``, or a preset.

    Of several runs of a preset, the latest. Raises ConfigError that lists the runs there are.
    """
    path, found = Path(name), runs(folder)
    if (path / ABOUT).is_file() or (path / checkpoints.MANIFEST).is_file():
        return path
    name = str(name)
    if name.isdecimal() and int(name) in found:
        return found[int(name)]
    by_name = {key: path for path in found.values() for key in (path.name, path.name.partition("-")[2])}
    if name in by_name:
        return by_name[name]
    close = get_close_matches(name, by_name, n=1)
    meant = f", did you mean {close[0]}?" if close else ""
    names = [path.name for path in found.values()]
    earlier = f" and {len(names) - LISTED} earlier ones" if len(names) > LISTED else ""
    there = f"there are {', '.join(names[-LISTED:])}{earlier}" if names else "there is none: train one first"
    raise ConfigError(
        f"no run {name!r} in {folder}{meant}; {there}. "
        "Give a preset's name, a number, a run folder or a checkpoint folder"
    )


def checkpoint_in(path: Path) -> Path:
    """A checkpoint folder itself, or the latest checkpoint of a run folder; RunError if it has none yet."""
    if (path / checkpoints.MANIFEST).is_file():
        return path
    if latest := checkpoints.latest(path / CHECKPOINTS):
        return latest
    raise RunError(f"{path}: no checkpoint yet: train at least runs.checkpoint_every steps")


def find_checkpoint(path: Path, which: str) -> Path:
    """A checkpoint folder itself, or that of a run folder: ``latest``, ``best`` or a step.

    Raises ConfigError that lists the steps there are.
    """
    if (path / checkpoints.MANIFEST).is_file():
        return path
    folder = path / CHECKPOINTS
    stored = checkpoints.stored(folder)
    named = {"latest": checkpoints.latest(folder), "best": checkpoints.best(folder)}
    found = named.get(which) or stored.get(int(which) if which.isdecimal() else -1)
    if found is None:
        steps = ", ".join(map(str, stored)) or "none yet"
        raise ConfigError(f"{path}: no checkpoint {which!r}: expected latest, best or a step; there are {steps}")
    return found
