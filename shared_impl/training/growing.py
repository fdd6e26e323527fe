"""Progressive growing (Karras et al. 2018, arXiv:1710.10196): which stage a step belongs to, and its weights.

A run has a stage for each of ``model.growing``'s sizes and a last one at the full size; each but the last takes
``training.stage_steps`` steps. A stage other than the first fades its size in over the first half of its steps (section
2, figure 2). As in the authors' code, images keep their full size throughout: those of a smaller stage are enlarged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from shared_impl.config.schema import Config

Array = np.ndarray


def stage(config: Config, step: int) -> int:
    """The number of the stage, from 0, to which ``step`` belongs (steps count from 0)."""
    return min(step // config.training.stage_steps, _later(config))


def begins_stage(config: Config, step: int) -> bool:
    """Whether a stage other than the first begins with ``step``: optimisers are reset then, as in Karras's code.

    Otherwise new layers would start with moments of zero in an Adam whose bias correction has ended: their first steps
    were sixteen times too long (measured).
    """
    return step > 0 and stage(config, step) > stage(config, step - 1)


def weights(config: Config, step: int) -> tuple[float, ...]:
    """The weights of the stages after the first, up to the current one: ones, and last the share of its fade-in."""
    number = stage(config, step)
    if number == 0:
        return ()
    fading = config.training.stage_steps // 2
    into = step - number * config.training.stage_steps
    return (*[1.0] * (number - 1), min((into + 1) / (fading + 1), 1.0))


def weights_after(config: Config, steps: int, count: int) -> Array:
    """The weights ``[count, stages]`` after ``steps`` steps of all stages but the first; zero for those to come."""
    found = weights(config, max(steps - 1, 0))
    missing = _later(config) - len(found)
    return np.tile([*found, *[0.0] * missing], (count, 1))


def is_grown(config: Config, steps: int) -> bool:
    """Whether after ``steps`` steps the whole networks are trained, and nothing else."""
    return bool(np.all(weights_after(config, steps, 1) == 1))


def side(config: Config, step: int) -> int:
    """The resolution of the stage of ``step``: the side in pixels of its images before they are enlarged."""
    stages = config.model.stages
    return stages[stage(config, step)] if stages else config.model.side


def enlarged(images: Array, side: int) -> Array:
    """Images ``[B, h, w, C]`` to ``[B, side, side, C]``, each pixel repeated."""
    ratio = side // images.shape[1]
    return images if ratio == 1 else images.repeat(ratio, 1).repeat(ratio, 2)


def portions(config: Config, step: int) -> int:
    """How many batches of the stream are joined into one batch of ``step``."""
    sizes, number = config.training.stage_batches, stage(config, step)
    return sizes[number] // config.training.batch_size if number < len(sizes) else 1


def batches_before(config: Config, step: int) -> int:
    """How many batches of the stream all steps before ``step`` take."""
    training = config.training
    lengths = [training.stage_steps] * len(training.stage_batches)
    taken = 0
    for number, length in enumerate(lengths):
        first = number * training.stage_steps
        taken += max(min(step - first, length), 0) * portions(config, first)
    return (taken + max(step - sum(lengths), 0)) * training.d_updates


def joined(batches: Iterator[dict[str, Array]], count: int) -> dict[str, Array]:
    """The next ``count`` batches as one."""
    parts = [next(batches) for _ in range(count)]
    return parts[0] if count == 1 else {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def is_head(name: str) -> bool:
    """Whether an array of a network's state belongs to a smaller stage's image layer, which the grown network lacks."""
    return re.search(r"(^|[/.])(to|from)_\d+[/.]", name) is not None


def sections(names: Sequence[str], word: str) -> list[list[str]]:
    """A chain's layers in groups, the ``i``-th with ``word_i`` and what belongs to it.

    What stands before ``word_0`` belongs to the first group, what follows the last convolution to the last one.
    """
    groups: list[list[str]] = [[]]
    for name in names:
        numbered = re.match(rf"{word}_(\d+)", name)
        if numbered and int(numbered[1]) == len(groups):
            groups.append([])
        groups[-1].append(name)
    return groups


def _later(config: Config) -> int:
    """How many stages follow the first."""
    return max(len(config.model.stages) - 1, 0)
