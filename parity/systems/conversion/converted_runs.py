"""A training state converted to a checkpoint or a run that the other framework's implementation resumes."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parity.systems.conversion.check_conversion import SAME, Proof, prove
from parity.systems.conversion.states import Arrays, advice, to_keras, to_torch
from parity.verdict import NotFaithful
from shared_impl.config.presets import checked
from shared_impl.config.schema import Config
from shared_impl.files import replacing
from shared_impl.storage import checkpoints
from shared_impl.storage.checkpoints import Checkpoint, CheckpointError
from shared_impl.storage.metrics_log import METRICS
from shared_impl.storage.run_folder import ABOUT, Run
from shared_impl.training.session import MOMENTS

CONVERSIONS = {"tensorflow": ("torch", to_torch, to_keras), "torch": ("tensorflow", to_keras, to_torch)}
OWN = ("schema", "versions", "tensors", "config", "framework", "step", "value")  # of a manifest: written anew


@dataclass(frozen=True)
class ConvertedState:
    """A checkpoint's state in the layout of another ``framework``, and the proof that it is the same state."""

    origin: Checkpoint
    config: Config
    framework: str
    arrays: Arrays
    proof: Proof

    @property
    def manifest(self) -> dict[str, Any]:
        """What the checkpoint says of itself, its stream's position above all, and where it comes from."""
        kept = {name: value for name, value in self.origin.manifest.items() if name not in OWN}
        return {**kept, "converted": {"from": self.origin.manifest["framework"], "step": self.origin.step}}


def convert(checkpoint: Checkpoint) -> ConvertedState:
    """The state converted, compared bit for bit there and back, and proven by a step in either framework.

    Raises NotFaithful if it is not the same state there, ConfigError for an unknown system,
    CheckpointError for arrays that are not the configuration's and for a state that holds NaN.
    """
    here = checkpoint.manifest["framework"]
    there, forth, back = CONVERSIONS[here]
    config = checked(Config, checkpoint.manifest["config"], where=str(checkpoint.path))
    try:
        arrays = forth(checkpoint.arrays, config)
        changed = _changed(back(arrays, config), checkpoint.arrays)
        proof = prove({here: checkpoint.arrays, there: arrays}, config, checkpoint.step)
    except CheckpointError as error:
        raise CheckpointError(f"{checkpoint.path}: {error}") from error
    if changed:
        raise NotFaithful(f"{checkpoint.path}: there and back changes {', '.join(changed)}")
    if not proof.passed:
        raise NotFaithful(
            f"{checkpoint.path}: the state is another in {there}: after one step from it {proof.where} is "
            f"{proof.apart:.2g} apart, expected at most {SAME:g}{advice(config)}; nothing was written"
        )
    return ConvertedState(checkpoint, config, there, arrays, proof)


def as_checkpoint(converted: ConvertedState, folder: Path) -> Path:
    """Written as ``folder/step-…``; CheckpointError if that cannot be."""
    manifest = {**converted.manifest, "config": converted.config, "framework": converted.framework}
    value = converted.origin.manifest.get("value")
    return checkpoints.save(folder, converted.origin.step, converted.arrays, manifest, value)


def as_run(converted: ConvertedState, folder: Path) -> Path:
    """Written as a new run in ``folder``, with the metrics log and the moments of the run that the state comes from.

    Raises ConfigError, RunError or CheckpointError if that cannot be; then no run is left behind.
    """
    config = converted.config.model_copy(
        update={"runs": converted.config.runs.model_copy(update={"folder": str(folder)})}
    )
    origin = converted.origin.path.absolute().parents[1]
    known = (origin / ABOUT).is_file()
    preset = Run.open(origin).about["preset"] if known else config.model.system
    step = converted.origin.step
    with ExitStack() as undo:
        run = Run.create(config, preset, converted.framework)
        undo.callback(shutil.rmtree, run.path, ignore_errors=True)
        run.finish("interrupted")
        for name in (METRICS, MOMENTS) if known else ():
            if (origin / name).is_file():
                with replacing(run.path / name) as draft:
                    shutil.copyfile(origin / name, draft)
        run = Run.open(run.path).resume(step)
        undo.callback(run.finish, "failed")
        run.checkpoint(step, converted.arrays, converted.manifest, converted.origin.manifest.get("value"))
        undo.pop_all()
        run.finish("interrupted", f"carried over from {converted.origin.path}")
    return run.path


def _changed(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    return [name for name, array in other.items() if one[name].tobytes() != array.tobytes()]
