"""What the engine asks of a model, whatever framework it is written in. Plain NumPy.

:class:`ModelAdapter` is what both sides offer. The reference also says what inputs it takes, the port can be tried on
inputs that it may refuse; :class:`parity.capture.keras_adapter.KerasSide` and
:class:`parity.capture.torch_adapter.TorchSide` implement them.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np

from parity.capture.steps import Step, Trace

Array = np.ndarray
Gradients = tuple[dict[tuple[str, str], Array], list[Array | None]]
"""Gradients by ``(step name, parameter)``, and by each input (None for integers), in the framework's own layout."""


class ModelAdapter(Protocol):
    """One model that can be run, differentiated, read and written, without any effect on the caller's own model.

    Everything but :meth:`unclaimed`, :meth:`holder` and :meth:`sick` is meant for use inside :meth:`working`.
    """

    @property
    def framework(self) -> str:
        """The framework's name in messages."""

    @property
    def channels_first(self) -> bool:
        """Whether images are ``[N, C, H, W]``."""

    def working(self, dtype: str = "float64") -> AbstractContextManager[Any]:
        """Within this context the model computes in ``dtype`` on a copy of its variables, with dropout inert."""

    def run(
        self,
        inputs: list[Array],
        training: bool = False,
        replace: dict[str, Array] | None = None,
        values: bool = True,
        keep_state: bool = False,
    ) -> Trace:
        """Run once and record every step.

        ``replace`` exchanges the outputs of the steps it names. Running statistics are put back unless ``keep_state``.
        """

    def gradients(
        self,
        inputs: list[Array],
        cotangents: list[Array],
        steps: list[Step],
        training: bool = False,
        penalty: bool = False,
    ) -> Gradients:
        """Gradients of ``sum(output * cotangent)``, or with ``penalty`` of its squared input gradient's mean."""

    def read(self, step: Step, slot: str) -> Array:
        """A parameter's or statistic's value, in the framework's layout."""

    def write(self, step: Step, slot: str, value: Array) -> None:
        """Set a parameter or statistic."""

    def holder(self, step: Step, slot: str) -> int:
        """Which variable holds a parameter: equal for layers that share it."""

    def sick(self) -> list[str]:
        """Names of the parameters and statistics that hold NaN or infinity."""

    def unclaimed(self, steps: list[Step]) -> list[str]:
        """Names of the parameters that no recorded step owns."""

    def keep_state(self) -> None:
        """Remember the running statistics as they are now; training-mode runs return to them."""

    def restore_state(self) -> None:
        """Put the running statistics back to where they were last kept."""


class ReferenceAdapter(ModelAdapter, Protocol):
    """A model that says what inputs it takes."""

    def input_specs(self) -> list[tuple[tuple[int | None, ...], str]] | None:
        """``(shape, dtype)`` of each input, batch first; None if the model does not tell."""

    def input_names(self) -> list[str]:
        """Names of the inputs in their order; empty if the model does not tell."""

    def embeds(self) -> bool:
        """Whether the model has an embedding, which limits what integers it takes."""

    def gradients(
        self,
        inputs: list[Array],
        cotangents: list[Array],
        steps: list[Step],
        training: bool = False,
        penalty: bool = False,
        exact_moments: bool = False,
    ) -> Gradients:
        """As :meth:`ModelAdapter.gradients`; ``exact_moments`` differentiates the mean inside a batch's variance."""


class PortAdapter(ModelAdapter, Protocol):
    """A model that may not run at all on the reference's inputs."""

    stopped: str

    def take_names(self, names: list[str]) -> None:
        """Pass inputs by these names from now on, if the model knows them."""

    def attempt(self, inputs: list[Array]) -> tuple[Trace, str]:
        """A run that may fail: what ran up to there, and the error in one line ("" if none).

        :attr:`stopped` names the module that failed.
        """

    def set_slope(self, step: Step, slope: float) -> None:
        """Evaluate that step's leaky ReLU at this slope."""

    def adopt(self, dtype: str) -> None:
        """Take over the weights that the copy in ``dtype`` holds, and its statistics as they were last kept."""
