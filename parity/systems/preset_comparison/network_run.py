"""One run of a built Keras network: its steps along the main path from input to output."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from parity.capture.steps import Step

LAYERS = ("dense", "conv", "conv-transpose")  # the kinds of step that count as a layer of the architecture


@dataclass(frozen=True)
class NetworkRun:
    """The steps of a network in order, the number of its trainable parameters, and the names of the steps whose kernel
    is spectrally normalised.
    """

    steps: tuple[Step, ...]
    parameters: int
    spectral: frozenset[str] = frozenset()

    @cached_property
    def main(self) -> list[Step]:
        """The steps that depend on the first input, a block as one step: no label branch, no inner steps."""
        reached, inside = {"input 0"}, {name for step in self.steps for name in step.inside}
        found = []
        for step in self.steps:
            if any(source in reached for group in step.sources for source in group):
                reached.add(step.name)
                found += [] if step.name in inside else [step]
        return found

    @cached_property
    def layers(self) -> list[Step]:
        """The convolutions and dense layers of the main path."""
        return [step for step in self.main if step.kind in LAYERS]

    @cached_property
    def ancestors(self) -> dict[str, frozenset[str]]:
        """For each step by name, all steps from which its input was computed."""
        found: dict[str, frozenset[str]] = {}
        for step in self.steps:
            direct = {source for group in step.sources for source in group}
            found[step.name] = frozenset(direct.union(*(found.get(name, ()) for name in direct)))
        return found

    def following(self, layer: Step) -> list[Step]:
        """The steps after a layer, up to the next one."""
        rest = self.main[self.main.index(layer) + 1 :]
        ends = [index for index, step in enumerate(rest) if step.kind in LAYERS]
        return rest[: ends[0]] if ends else rest

    def of(self, kind: str) -> list[Step]:
        """The steps of a kind on the main path."""
        return [step for step in self.main if step.kind == kind]


def run_network(model: Any, network: str) -> NetworkRun:
    """Build a model section's network at its own width and run it once, on zeros."""
    import tf_impl
    from parity.capture.keras_adapter import KerasAdapter

    built = tf_impl.build(model, network)
    adapter = KerasAdapter(built)
    with adapter.precision("float32"):
        sizes = [([size or 1 for size in shape], dtype) for shape, dtype in adapter.input_specs() or []]
        trace = adapter.run([np.zeros(shape, dtype) for shape, dtype in sizes], values=False)
    kernels = {id(layer.kernel) for layer in built._flatten_layers() if hasattr(layer, "power_iterations")}
    return NetworkRun(
        tuple(trace.steps),
        sum(prod(variable.shape) for variable in built.trainable_variables),
        frozenset(step.name for step in trace.steps if id((step.handle or {}).get("kernel")) in kernels),
    )
