"""What presets resolve to: fields, and what the trainer makes of pixels."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from parity.systems.chains import Twins
from parity.systems.claims.measures.registry import Figures, measure
from shared_impl.config.presets import load
from shared_impl.config.schema import Config
from shared_impl.training.schedules import REMAINING


def configuration(name: str) -> Config:
    """A preset by name, with overrides behind it: ``dcgan training.epochs=5``."""
    own, *overrides = name.split()
    return load(own, overrides)


@measure("found == expected", "preset {preset}: {fields}", "预设 {preset}：{fields}")
def preset_values(twins: Twins, preset: str, expected: dict[str, Any]) -> Figures:
    """Fields of a preset: ``found`` {section.field: value}; an ``expected`` of None takes any value."""
    cfg = configuration(preset)
    found = {path: reduce(getattr, path.split("."), cfg) for path in expected}
    wanted = {path: found[path] if value is None else value for path, value in expected.items()}
    fields = [f"{path}={value}" for path, value in found.items()]
    values = {path.rpartition(".")[2]: value for path, value in found.items()}
    return {**values, "found": found, "expected": wanted, "fields": fields, "schedules": list(REMAINING)}


@measure("images == [-1.0, 1.0]", "0 and 255 become [{images:.1f}]", "0 与 255 变为 [{images:.1f}]")
def prepared_pixels(twins: Twins, preset: str) -> Figures:
    """What the trainer makes of black and white pixels."""
    from torch_impl.trainer import Trainer

    trainer = Trainer(configuration(preset), steps=1)
    pixels = np.zeros((1, 64, 64, trainer.config.model.nc), np.uint8)
    pixels[:, 32:] = 255
    return {"images": sorted(set(trainer.prepare(pixels).flatten().tolist()))}
