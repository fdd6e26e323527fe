"""What ``parity convert`` does: a checkpoint into the other framework, or a network or VGG19's weights into a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from parity.cli.json_file import validate_target
from parity.numerics.tolerance import ROUNDING_LIMIT
from parity.systems.conversion.check_conversion import SAME, SAME_BECAUSE
from parity.systems.conversion.converted_runs import CONVERSIONS, ConvertedState, as_checkpoint, as_run
from parity.systems.conversion.converted_runs import convert as convert_state
from parity.systems.conversion.exports import INPUTS, Export, export
from parity.systems.conversion.features import COUNT, SIDE, convert_features
from parity.systems.conversion.formats import FORMATS
from parity.systems.conversion.networks import WORDS
from parity.verdict import UnusableInput
from shared_impl.features.vgg_files import SUFFIXES
from shared_impl.storage import checkpoints, run_folder
from shared_impl.storage.checkpoints import STEP, Checkpoint, CheckpointError
from shared_impl.storage.find_run import checkpoint_in, find_run, runs
from shared_impl.storage.next_commands import command, resume_command
from shared_impl.storage.run_folder import ABOUT

_IMAGES = {"caffe": "Keras's weights want it", "torch": "torchvision's weights want it"}


def conversion(source: str, target: str, network: str | None, folder: Path) -> Iterator[str]:
    """Convert ``source`` into ``target`` and describe what was done, line by line; ``folder`` holds the runs.

    Raises:
        UnusableInput: ``target`` cannot be written, or fits neither a state nor a network.
        ConfigError, RunError, CheckpointError: ``source`` cannot be read.
        NotFaithful: what was written is not what was read; it is removed again.
    """
    if Path(source).suffix in SUFFIXES:
        yield from _convert_features(Path(source), Path(target), network)
        return
    checkpoint = checkpoints.load(checkpoint_in(find_run(source, folder)))
    if (framework := checkpoint.manifest.get("framework")) not in CONVERSIONS:
        raise CheckpointError(f"{checkpoint.path}: made in {framework!r}, expected one of {', '.join(CONVERSIONS)}")
    path = Path(target)
    if path.suffix in FORMATS:
        _validate_free(path)
        validate_target(path)
        yield from _describe_export(checkpoint, export(checkpoint, path, network or "generator"))
        return
    if network is not None:
        raise UnusableInput(f"--network {network}: a training state is carried whole; it concerns files alone")
    if path.suffix:
        raise UnusableInput(
            f"{target}: unknown suffix {path.suffix!r}; valid: {', '.join(FORMATS)} for a network, "
            f"{' or '.join(CONVERSIONS)} or a folder without suffix for a whole training state"
        )
    yield from _describe_carried(*_carried(checkpoint, target, folder))


def _convert_features(origin: Path, path: Path, network: str | None) -> Iterator[str]:
    if network is not None:
        raise UnusableInput(f"--network {network}: {origin} is taken for VGG19's weights; it concerns runs alone")
    _validate_free(path)
    validate_target(path)
    done = convert_features(origin, path)
    yield f"{origin} -> {path}"
    yield f"VGG19: {len(done.source.arrays)} arrays bit for bit, for images normalised as {_IMAGES[done.source.images]}"
    yield (
        f"features of {COUNT} images of {SIDE}x{SIDE}, of the file in torch and of the source in Keras, in float64: at "
        f"most {done.apart:.1e} of the largest apart; limit {done.limit:.1e}: rounding, measured in Keras"
    )
    yield f"use it with: loss.features={path}"


def _carried(checkpoint: Checkpoint, target: str, folder: Path) -> tuple[ConvertedState, Path]:
    """The state and where it was written."""
    framework, path = checkpoint.manifest["framework"], Path(target)
    if target in CONVERSIONS:
        if target == framework:
            raise UnusableInput(
                f"{checkpoint.path}: is {framework}'s already: go on with it by "
                f"`{resume_command(framework, checkpoint.path.parents[1])}`, or copy the folder"
            )
        return _into_run(checkpoint, _beside(checkpoint.path) or folder)
    if STEP.fullmatch(path.name):
        if path.name != checkpoint.path.name:
            raise UnusableInput(f"{target}: a checkpoint is named after its step: expected {checkpoint.path.name}")
        _validate_free(path)
        carried = convert_state(checkpoint)
        return carried, as_checkpoint(carried, path.parent)
    if run_folder.NAME.fullmatch(path.name):
        raise UnusableInput(f"{target}: a run gets its number by itself: name the folder for it, {path.parent}")
    if not runs(path):
        _validate_free(path)
    return _into_run(checkpoint, path)


def _beside(checkpoint: Path) -> Path | None:
    """The folder of runs that holds a checkpoint's run, if it belongs to one."""
    run = checkpoint.absolute().parents[1]
    if not (run / ABOUT).is_file():
        return None
    return run.parent if checkpoint.is_absolute() else Path(os.path.relpath(run.parent))


def _into_run(checkpoint: Checkpoint, folder: Path) -> tuple[ConvertedState, Path]:
    existing = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise UnusableInput(f"{folder}: cannot be written: name a folder where you may write")
    carried = convert_state(checkpoint)
    return carried, as_run(carried, folder)


def _validate_free(path: Path) -> None:
    if path.is_file() or path.is_dir() and any(path.iterdir()):
        raise UnusableInput(f"{path}: exists{' and is not empty' * path.is_dir()}: remove it or choose another name")


def _describe_carried(carried: ConvertedState, path: Path) -> Iterator[str]:
    origin = carried.origin
    yield f"{origin.path} ({origin.manifest['framework']}) -> {path} ({carried.framework})"
    yield f"step {origin.step}, stream position and {len(carried.arrays)} arrays; there and back again bit for bit"
    yield (
        f"one more step from it in either framework, in float64: at most {carried.proof.apart:.1e} apart, relative; "
        f"limit {SAME:g}: {SAME_BECAUSE}"
    )
    verb, *more = ("train", "--resume") if (path / ABOUT).is_file() else ("generate",)
    yield f"go on with: {command(carried.framework, verb, path, *more)}"


def _describe_export(checkpoint: Checkpoint, done: Export) -> Iterator[str]:
    form = done.format
    yield f"{checkpoint.path} ({done.source.framework}) -> {done.path} ({form.what})"
    yield f"{WORDS[done.source.scope]} after step {checkpoint.step}: {done.values:,} values in {done.dtype}"
    if done.arrays:
        yield f"loaded again in {form.version}: {done.exact} of {done.arrays} arrays bit for bit"
    origin = (
        f"{ROUNDING_LIMIT:g} times the rounding that the run's own network shows in float32"
        if done.dtype == "float32"
        else "float64 rounding, measured on the run's own network"
    )
    yield (
        f"its outputs on {INPUTS} inputs in {form.version} are at most {done.apart:.1e} of the largest from the run's "
        f"network in float64; limit {done.limit:.1e}: {origin}"
    )
    yield f"load it with: {form.loading.format(path=str(done.path))}"
