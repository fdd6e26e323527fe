"""What a checkpoint of a run holds for generating: the generator's weights, moments and names of classes."""

from __future__ import annotations

import numpy as np

from shared_impl.config.schema import Config
from shared_impl.data.classes import listed
from shared_impl.storage.checkpoints import Checkpoint, CheckpointError, load, stored

Array = np.ndarray
MEAN, STD = "moments/mean", "moments/std"  # arrays, of audio systems
CLASSES = "classes"  # manifest field: the names of the classes, of conditional systems
BEST = "best"  # manifest field: the best value of what the run watches, and its step; in metrics.jsonl the value


def generator_weights(checkpoint: Checkpoint) -> dict[str, Array]:
    """The generator's arrays without their scope; those of its moving average (EMA) if there is one."""
    for scope in ("ema/", "generator/"):
        found = {n.removeprefix(scope): array for n, array in checkpoint.arrays.items() if n.startswith(scope)}
        if found:
            return found
    raise CheckpointError(f"{checkpoint.path}: holds no generator")


def spectrogram_moments(checkpoint: Checkpoint) -> tuple[Array, Array]:
    """Mean and standard deviation per bin of the spectrograms that the run was trained on; empty for images."""
    return checkpoint.arrays.get(MEAN, np.empty(0)), checkpoint.arrays.get(STD, np.empty(0))


def damage(checkpoint: Checkpoint) -> str:
    """A warning if the generator holds NaN or infinity; empty if it does not. It names a checkpoint that holds none."""
    found = {name: array.size - int(np.isfinite(array).sum()) for name, array in _floats(checkpoint).items()}
    bad = {name: count for name, count in found.items() if count}
    if not bad:
        return ""
    earlier = (path for step, path in reversed(stored(checkpoint.path.parent).items()) if step < checkpoint.step)
    sound = next((path for path in earlier if all(np.isfinite(a).all() for a in _floats(load(path)).values())), None)
    advice = f"; {sound} holds none" if sound else ""
    return (
        f"{checkpoint.path}: {sum(bad.values()):,} of the generator's weights are NaN or infinite, in {len(bad)} of "
        f"{len(found)} arrays ({listed(list(bad))}): what it makes means nothing{advice}"
    )


def _floats(checkpoint: Checkpoint) -> dict[str, Array]:
    return {name: array for name, array in generator_weights(checkpoint).items() if array.dtype.kind == "f"}


def class_names(checkpoint: Checkpoint, config: Config) -> list[str]:
    """The classes of a conditional generator, as its data named them, else their numbers; [] of any other."""
    names = checkpoint.manifest.get(CLASSES) or []
    return names if len(names) == config.model.labels else list(map(str, range(config.model.labels)))
