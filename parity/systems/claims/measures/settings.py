"""What presets resolve to: fields, steps, learning rates, and what the data pipeline makes of them."""

from __future__ import annotations

import math
from functools import reduce
from typing import Any

import numpy as np

from parity.systems.chains import Twins, relative_error
from parity.systems.claims.measures.registry import Figures, measure
from shared_impl.config.presets import load
from shared_impl.config.schema import Config
from shared_impl.config.training import total_steps
from shared_impl.data.classes import Balanced
from shared_impl.storage.experiments import COLUMNS
from shared_impl.training.schedules import REMAINING, learning_rates


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


@measure("left == 0 and steps == expected")
def run_length(twins: Twins, preset: str, images: int, devices: int, expected: int) -> Figures:
    """Steps of a run over so many images, here and by a loader with a ``last`` partial batch; a device's share."""
    cfg = configuration(preset).training
    size, epochs = cfg.batch_size, cfg.epochs or 1
    return {
        "steps": total_steps(cfg, images),
        "loader_steps": epochs * math.ceil(images / size),
        "last": images % size,
        "epochs": epochs,
        "share": size // devices,
        "left": size % devices,
    }


@measure("rates[0] == first and abs(rates[-1] - final) < 1e-15")
def learning_rate_schedule(twins: Twins, preset: str, steps: int, first: float, final: float) -> Figures:
    """Generator's rates at the first, middle and last step, beyond the end, and how far torch's scheduler is apart."""
    import torch

    cfg = configuration(preset).optimizer
    both = [learning_rates(cfg, step, steps) for step in range(steps * 11 // 10 + 1)]
    rates = [rate for _, rate in both]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=cfg.lr)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, eta_min=cfg.final_lr)
    stock = []
    for _ in rates:
        stock.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return {
        "schedule": cfg.schedule,
        "rates": [rates[0], rates[steps // 2], rates[steps]],
        "distinct": sorted({rate for pair in both for rate in pair}),
        "apart": float(np.abs(np.subtract(rates, stock)[: steps + 1]).max()),
        "stock_after": stock[-1],
        "after": rates[-1],
    }


@measure("not lacking")
def experiment_columns(twins: Twins, columns: list[str]) -> Figures:
    """Which of a document's columns our own log of runs has."""
    lacking = [column for column in columns if column not in COLUMNS]
    return {"lacking": lacking, "number": len(columns), "present": len(columns) - len(lacking)}


@measure("images == [-1.0, 1.0]", "0 and 255 become [{images:.1f}]", "0 与 255 变为 [{images:.1f}]")
def prepared_pixels(twins: Twins, preset: str) -> Figures:
    """What the trainer makes of black and white pixels; how far (value − 0.5) / 0.5 is from it."""
    from torch_impl.trainer import Trainer

    trainer = Trainer(configuration(preset), steps=1)
    pixels = np.zeros((1, 64, 64, trainer.config.model.nc), np.uint8)
    pixels[:, 32:] = 255
    return {"images": sorted(set(trainer.prepare(pixels).flatten().tolist()))}


@measure("balance and counts == [10, 10, 10]")
def balanced_classes(twins: Twins, preset: str) -> Figures:
    """How often classes of 10, 3 and 7 examples are shown in one epoch, and whether the preset balances them."""
    classes = np.repeat(np.arange(3), (10, 3, 7))
    shown = Balanced(classes, twins.seed)
    counts = np.bincount([classes[shown(0, place)] for place in range(len(shown))]).tolist()
    return {"balance": configuration(preset).data.balance, "counts": counts}


@measure("changed > AGREE >= apart")
def augmented_images(twins: Twins, preset: str) -> Figures:
    """How far augmentation moves images, and how far both implementations are apart on the same numbers."""
    import tensorflow as tf

    from shared_impl.data.augmentation import AUGMENTATION
    from tf_impl.augmentation import augment as keras_augment
    from torch_impl.augmentation import augment

    cfg = configuration(preset).data
    images, numbers = twins.batch(4, 3, 16, 16).tanh(), (twins.batch(4, AUGMENTATION).tanh() + 1) / 2
    last = np.moveaxis(images.numpy(), 1, -1)
    got = np.moveaxis(augment(cfg, images, numbers).numpy(), 1, -1)
    other = np.asarray(keras_augment(cfg, tf.constant(last), tf.constant(numbers.numpy())))
    changed, apart = relative_error(got, last), relative_error(other, got)
    return {"flip": cfg.flip, "rotate": cfg.rotate, "jitter": cfg.jitter, "changed": changed, "apart": apart}
