"""What the engine asks of a model, whatever framework it is written in. Plain NumPy.

:class:`ModelAdapter` is implemented by :class:`parity.capture.keras_adapter.KerasAdapter` and
:class:`parity.capture.torch_adapter.TorchAdapter`. Everything above this package works with the protocol alone, so
either framework may stand on either side.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np

from parity.capture.recorder import Consumer
from parity.capture.steps import Step, Trace
from parity.numerics.constants import KnownConstants
from parity.verdict import first_line

Array = np.ndarray
Gradients = tuple[dict[tuple[str, str], Array], list[Array | None]]
"""Gradients by ``(step name, parameter)``, and by each input (None for integers), in the framework's own layout."""


@dataclass(frozen=True)
class Attempt:
    """A run that may have failed: what ran before the error, the error, and the module in which it was raised.

    After an error the trace continues with the layers that did not run, in the order in which the model holds them,
    without output shapes.
    """

    trace: Trace
    error: Exception | None = None
    failed_module: str = ""

    @property
    def message(self) -> str:
        """The error in one line; empty if the run succeeded."""
        return "" if self.error is None else first_line(self.error)


class ModelAdapter(Protocol):
    """One model that can be run, differentiated, read and written without any effect on the caller's own model.

    Runs, gradients and writes are meant for use inside :meth:`precision`.
    """

    @property
    def framework(self) -> str:
        """The framework's name in messages."""

    @property
    def channels_first(self) -> bool:
        """Whether images are ``[N, C, *S]``."""

    def precision(self, dtype: str = "float64") -> AbstractContextManager[Any]:
        """Within this context the model computes in ``dtype`` on a copy of its variables, with dropout disabled.

        The copy is made once per ``dtype`` and keeps what is written to it. On entry running statistics are restored
        to the values last kept.
        """

    # Inputs

    def input_specs(self) -> list[tuple[tuple[int | None, ...], str]] | None:
        """``(shape, dtype)`` of each input, batch first; None if the model does not declare them."""

    def channels_last(self, inputs: list[Array]) -> list[Array]:
        """Inputs in the model's own layout, with their channels last, as everything here expects a reference's."""

    def input_names(self) -> list[str]:
        """Names of the inputs in positional order; empty if the model does not declare them."""

    def pass_inputs_by_name(self, names: list[str]) -> None:
        """From now on inputs are passed in the order of ``names``, if the model knows exactly these names."""

    def expected_values(self) -> int:
        """How many values all layers compute for one sample, as far as the model declares it; 0 if it does not."""

    def tensor_float_32(self) -> list[str]:
        """The settings that round float32 products to TensorFloat-32 where the model is measured."""

    @property
    def inputs_by_name(self) -> list[str]:
        """The names by which inputs are passed; empty where they are passed by their place."""

    def return_outputs_by_name(self, names: Sequence[str]) -> None:
        """From now on outputs are returned in the order of ``names``, if the model returns exactly these."""

    def has_embedding(self) -> bool:
        """Whether the model has an embedding, which limits the integers it accepts."""

    # Running

    def run(
        self,
        inputs: list[Array],
        training: bool = False,
        replace: Mapping[str, Array] | None = None,
        values: bool = True,
        keep_state: bool = False,
        consume: Consumer | None = None,
        skip: bool = False,
    ) -> Trace:
        """Run once and record every step.

        Args:
            inputs: arrays in the framework's own layout.
            training: run in training mode.
            replace: outputs to substitute, by step name.
            values: record inputs and outputs of steps, not only their shapes.
            keep_state: leave running statistics as the run made them instead of restoring them.
            consume: called with each step's output as it is computed, which need not be kept then.
            skip: do not compute convolutions and dense layers whose output is replaced.
        """

    def attempt(self, inputs: list[Array]) -> Attempt:
        """An evaluation-mode run without values that may fail; its error is returned, not raised."""

    def gradients(
        self,
        inputs: list[Array],
        cotangents: list[Array | None],
        steps: list[Step],
        training: bool = False,
        penalty: bool = False,
        exact_moments: bool = False,
    ) -> Gradients:
        """Gradients of ``sum(output * cotangent)`` by every trainable parameter of ``steps`` and by every input.

        Outputs whose cotangent is None (integers) are left out. What the sum does not depend on has gradient zero.

        Args:
            penalty: differentiate the mean over samples of the squared norm of that sum's input gradient instead,
                which needs a double backward (the WGAN-GP term without its root, whose gradient is NaN at zero).
            exact_moments: differentiate through the mean inside a batch's variance, where TensorFlow stops the
                gradient; torch always does.
        """

    # Weights and running statistics

    def read(self, step: Step, slot: str) -> Array:
        """A parameter's or running statistic's value, in the framework's layout."""

    def write(self, step: Step, slot: str, value: Array, part: Any = ...) -> None:
        """Set a parameter or running statistic, or a part of it; the caller has checked the shape."""

    def variable_id(self, step: Step, slot: str) -> int:
        """Identity of the variable that holds a parameter: equal for layers that share it."""

    def trainable(self, step: Step, slot: str) -> bool:
        """Whether training moves a parameter; running statistics and buffers are not trainable."""

    def nonfinite_variables(self) -> list[str]:
        """Names of the parameters and running statistics that hold NaN or infinity."""

    def unrecorded_parameters(self, steps: list[Step]) -> list[str]:
        """Names of the parameters that belong to none of ``steps``."""

    def unread_parameters(self, names: list[str], inputs: list[Array]) -> set[str]:
        """Those parameters that are frozen, or on which no output depends in either mode.

        None if an output has no gradient.
        """

    def on_new_copies(self) -> Self:
        """An adapter of the same model, with copies of its own that hold what the caller's model holds."""

    def release(self, dtype: str) -> None:
        """Free the copy in ``dtype``, with everything written to it; the next use makes a new one."""

    def copy_weights_from(self, dtype: str) -> None:
        """Take over the weights of the copy in another ``dtype``, and its running statistics as last kept."""

    def keep_state(self) -> None:
        """Remember the running statistics as they are now; training-mode runs restore them."""

    def restore_state(self) -> None:
        """Restore the running statistics last kept."""


@runtime_checkable
class HoldsConstants(Protocol):
    """A model that tells its constants: what enters its computation beside inputs and variables."""

    def constants(self, inputs: list[Array], training: bool) -> list[Array]:
        """Run once in float64 and return every floating constant that an operation was given."""


@runtime_checkable
class TellsResults(Protocol):
    """A model that tells what its functions give, also those that are no step."""

    def function_results(
        self, inputs: list[np.ndarray], training: bool, replace: Mapping[str, np.ndarray], sizes: Container[int]
    ) -> list[tuple[str, np.ndarray]]:
        """Names and floating results, in execution order, of functions whose result has one of ``sizes`` elements.

        ``replace`` as of :meth:`ModelAdapter.run`.
        """
        ...


@runtime_checkable
class TakesConstants(Protocol):
    """A model whose constants can be replaced while it runs."""

    def taking_constants(self, known: KnownConstants) -> AbstractContextManager[None]:
        """Within this context every constant that is ``known`` in float32 is replaced, in runs and gradients."""
