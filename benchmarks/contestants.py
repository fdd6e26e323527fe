"""Processes that take the training steps that are timed.

``python -m benchmarks.contestants FRAMEWORK WHO SYSTEM BATCH [section.key=value …]``

Each runs in a process of its own, which answers a line of JSON to each line that it is given: ``steps N`` takes steps,
``d_updates N`` (ours alone) updates of D, ``first NUMBER FILE`` writes losses and gradients of a first step, ``rates``
measures the best rates of the machine, ``memory`` gives the peak.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from benchmarks import flops
from benchmarks.flops import Product
from shared_impl.config.presets import load
from shared_impl.config.schema import Config
from shared_impl.draws import Draws

Array = np.ndarray
WHO = ("ours", "tutorial", "exact")  # exact: ours in float64
FRAMEWORKS = ("torch", "tensorflow")
TRIALS = 4  # the first is also a warm-up


class Contestant(Protocol):
    """One framework's trainer or tutorial, ready to train."""

    def step(self, number: int) -> dict[str, float]:
        """Take a whole step and return its losses, nothing being left under way."""

    def first(self, number: int) -> dict[str, Array]:
        """Losses and gradients on the batch of that number, moving no weight: ``d_loss``, ``g_loss``, ``gradients/i``.

        Only before ``step``.
        """

    def rates(self) -> dict[str, float]:
        """Operations a second of the framework's own convolution and matrix product, each at its best layer."""

    def accelerator(self) -> tuple[str, float | None]:
        """The accelerator's name and the peak of its memory in GB; empty and None without one."""


def configuration(system: str, batch: int, overrides: Sequence[str] = ()) -> Config:
    """A system at full size, with one update of D a step."""
    chosen = {"batch_size": batch, "d_updates": 1, "steps": 1_000_000}
    return load(system, [*(f"training.{name}={value}" for name, value in chosen.items()), *overrides])


def drawn(config: Config, number: int = 0) -> tuple[Array, Array, Array]:
    """A batch of the stream's form, latents and mixing weights, the same for every contestant."""
    draws, batch, side = Draws(number), config.training.batch_size, config.model.side
    x = (draws.uniform("bench", (batch, side, side, config.model.nc)) * 256).astype(np.uint8)
    z = draws.latents(config.training.latents, "bench", (batch, config.model.nz))
    return x, z, draws.uniform("bench alpha", (batch,))


def best_rate(tasks: Iterable[tuple[Callable[[], Any], float]]) -> float:
    """Operations a second of the fastest task; each is a call that ends when its work does, and its operations."""
    return max(operations / min(_seconds(call) for _ in range(TRIALS)) for call, operations in tasks)


def convolutions(config: Config) -> list[Product]:
    """The discriminator's strided convolutions."""
    return flops.layers(config.model)[1][:-1]


def _seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def contestant(framework: str, who: str, system: str, batch: int, overrides: Sequence[str] = ()) -> Contestant:
    """The contestant of that name; imports its framework."""
    module = import_module(f"benchmarks.contestants_{framework}")
    if who == "exact":
        return module.Ours(configuration(system, batch, ["training.precision=float64"]))
    return getattr(module, who.capitalize())(configuration(system, batch, overrides))


def serve(contestant: Any, lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """An answer to each command."""
    number = 0
    for line in lines:
        command, _, argument = line.strip().partition(" ")
        if command in ("steps", "d_updates"):
            take = contestant.step if command == "steps" else contestant.d_update
            start, busy = time.perf_counter(), time.process_time()
            for _ in range(int(argument)):
                losses = take(number)
                number += 1
            yield {
                "seconds": time.perf_counter() - start,
                "processor_seconds": time.process_time() - busy,
                "losses": losses,
            }
        elif command == "first":
            which, _, file = argument.partition(" ")
            np.savez(Path(file), **contestant.first(int(which)))
            yield {"written": file}
        elif command == "rates":
            yield contestant.rates()
        elif command == "memory":
            unit = 2**30 if sys.platform == "darwin" else 2**20
            device, peak = contestant.accelerator()
            main = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
            yield {"gigabytes": main, "device": device, "device_gigabytes": peak}
        else:
            raise ValueError(f"unknown command {line!r}; valid: steps N, d_updates N, first NUMBER FILE, rates, memory")


if __name__ == "__main__":
    framework, who, system, batch, *overrides = sys.argv[1:]
    for answer in serve(contestant(framework, who, system, int(batch), overrides), sys.stdin):
        print(json.dumps(answer), flush=True)
