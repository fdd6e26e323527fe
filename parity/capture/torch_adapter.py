"""The torch side of a comparison: trace, gradients and weights of any ``nn.Module``, in float32 or float64.

The caller's module is deep-copied and everything runs on the copies; outside :meth:`TorchSide.working`, weights are
read from and written to the module itself.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from parity.capture.steps import STATISTICS, Recorder, Step, Trace
from parity.capture.torch_copies import DTYPES, copied, refuse_unready
from parity.capture.torch_layer_kinds import PARAMETERS
from parity.capture.torch_recording import kind_of, module_step, recording, tensors
from parity.capture.torch_views import Views
from parity.verdict import UnusableInput, first_line

Gradients = tuple[dict[tuple[str, str], np.ndarray], list[np.ndarray | None]]


class TorchSide:
    """Adapter with the same verbs as :class:`parity.capture.keras_adapter.KerasSide`."""

    framework = "torch"
    channels_first = True

    def __init__(self, model: nn.Module):
        if not isinstance(model, nn.Module):
            raise UnusableInput(f"got a {type(model).__name__} where a torch.nn.Module is expected")
        refuse_unready(model)
        self.model = self.original = model
        self.slopes: dict[str, float] = {}
        self.stopped = ""
        self.names: list[str] = []
        self._copies: dict[str, nn.Module] = {}
        self._states: dict[str, dict[str, torch.Tensor]] = {}
        self._views = Views()
        self._dtype = ""

    def take_names(self, names: list[str]) -> None:
        """Pass inputs by these names from now on, if that is what ``forward`` calls them."""
        taken = inspect.signature(self.original.forward).parameters
        self.names = names if len(names) > 1 and set(names) <= set(taken) else []

    @contextmanager
    def working(self, dtype: str = "float64") -> Iterator[TorchSide]:
        """Within this context the adapter works on a copy in ``dtype``, with dropout inert.

        The copy is made once for each ``dtype`` and keeps what is written to it; running statistics are again as they
        were last kept.
        """
        if dtype not in self._copies:
            self._copies[dtype] = copied(self.original, dtype)
        default = torch.get_default_dtype()
        self.model, self._dtype = self._copies[dtype], dtype
        self._begin()
        try:
            torch.set_default_dtype(DTYPES[dtype])
            yield self
        finally:
            torch.set_default_dtype(default)
            self.model, self._dtype = self.original, ""

    def run(
        self,
        inputs: list[np.ndarray],
        training: bool = False,
        replace: dict[str, np.ndarray] | None = None,
        values: bool = True,
        keep_state: bool = False,
    ) -> Trace:
        """Run once and record every step; running statistics are put back unless ``keep_state``."""
        before = self._buffers() if training else {}
        recorder = self._recorder(replace, values)
        self._observed_run(recorder, inputs, training)
        if self._views.spoiled(self.model):
            self._put(before)
            return self.run(inputs, training, replace, values, keep_state)
        if training and not keep_state:
            self.restore_state()
        return recorder.trace

    def attempt(self, inputs: list[np.ndarray]) -> tuple[Trace, str]:
        """An evaluation-mode run that may fail: what ran up to there, without values, and the error in one line ("" if
        none).

        After an error the trace goes on with the layers that did not run, in the order in which the module holds
        them, without shapes of their outputs; :attr:`stopped` names the module that failed.
        """
        recorder, crash = self._recorder(None, values=False), ""
        try:
            self._observed_run(recorder, inputs, training=False)
        except Exception as error:
            crash = first_line(error)
        ran = {step.owner for step in recorder.trace.steps}
        for name, module in self.model.named_modules() if crash else ():
            kind = kind_of(module)
            if kind in PARAMETERS and name not in ran:
                recorder.trace.steps.append(module_step(module, kind, name, name))
        return recorder.trace, crash

    def gradients(
        self,
        inputs: list[np.ndarray],
        cotangents: list[np.ndarray],
        steps: list[Step],
        training: bool = False,
        penalty: bool = False,
    ) -> Gradients:
        """The twin of :meth:`KerasSide.gradients`: same scalar, same keys, torch's layouts."""
        slots = [(step.name, slot) for step in steps for slot in step.handle if slot not in STATISTICS]
        parameters = [self.model.get_parameter(step.handle[slot]) for step in steps for slot in step.handle
                      if (step.name, slot) in slots]  # fmt: skip
        given = [self._tensor(x) for x in inputs]
        floats = [x.requires_grad_() for x in given if x.is_floating_point()]
        frozen = [p for p in parameters if not p.requires_grad]
        for parameter in frozen:
            parameter.requires_grad_(True)
        recorder = self._recorder(None, values=False)
        recorder.begin(given)
        with self._mode(training), recording(self.model, recorder, self.slopes, exact=not penalty):
            outputs = _outputs(self._call(given))
            projected = [
                (y * torch.as_tensor(c, dtype=y.dtype)).sum() for y, c in zip(outputs, cotangents, strict=True)
            ]
            scalar = torch.stack(projected).sum()
            if penalty:
                slopes = torch.autograd.grad(scalar, floats, create_graph=True, allow_unused=True)
                scalar = torch.stack([(g * g).sum() for g in slopes if g is not None]).sum() / len(inputs[0])
            found = torch.autograd.grad(scalar, parameters + floats, allow_unused=True)
        for parameter in frozen:
            parameter.requires_grad_(False)
        dense = [
            np.zeros(tuple(x.shape)) if g is None else g.detach().cpu().numpy()
            for g, x in zip(found, parameters + floats, strict=True)
        ]
        if training:
            self.restore_state()
        by_input = iter(dense[len(parameters) :])
        return (
            dict(zip(slots, dense[: len(parameters)], strict=True)),
            [next(by_input) if x.is_floating_point() else None for x in given],
        )

    def read(self, step: Step, slot: str) -> np.ndarray:
        """A parameter's or buffer's current value in torch's layout."""
        return self._held(step, slot).detach().cpu().numpy().copy()

    def write(self, step: Step, slot: str, value: np.ndarray) -> None:
        """Set a parameter or buffer in place; shapes were checked by the caller."""
        with torch.no_grad():
            self._held(step, slot).copy_(torch.from_numpy(np.require(value, requirements=["C", "W"])))

    def holder(self, step: Step, slot: str) -> int:
        """What holds a parameter: equal for layers that share it."""
        return id(self._held(step, slot))

    def sick(self) -> list[str]:
        """Parameters and running statistics that hold NaN or infinity."""
        held: dict[str, torch.Tensor] = dict(self.model.named_parameters())
        held |= {name: x for name, x in self.model.named_buffers() if "running_" in name or name.endswith(("_u", "_v"))}
        return [name for name, x in held.items() if x.is_floating_point() and not torch.isfinite(x).all()]

    def set_slope(self, step: Step, slope: float) -> None:
        """Evaluate that step's leaky ReLU at this slope (on the copies only)."""
        self.slopes[step.name] = slope

    def unclaimed(self, steps: list[Step]) -> list[str]:
        """Parameters that no recorded step owns."""
        claimed = {name for step in steps for name in (step.handle or {}).values()}
        claimed |= {name for step in steps for name in step.shapes}
        held = dict(self.model.named_parameters(remove_duplicate=False))
        known = {id(parameter) for name, parameter in held.items() if name in claimed}
        return [name for name, parameter in self.model.named_parameters() if id(parameter) not in known]

    def keep_state(self) -> None:
        """Remember the running statistics as they are now; training-mode runs return to them."""
        self._states[self._dtype] = self._buffers()

    def restore_state(self) -> None:
        """Back to the running statistics last kept."""
        self._put(self._states[self._dtype])

    def adopt(self, dtype: str) -> None:
        """Take over what the copy in ``dtype`` holds, its buffers as they were last kept; not those that it has made as
        it ran.
        """
        there = dict(self._copies[dtype].named_parameters()) | self._states[dtype]
        here = {name for held in (self.model.named_parameters(), self.model.named_buffers()) for name, _ in held}
        self._put({name: value for name, value in there.items() if name in here})

    def _buffers(self) -> dict[str, torch.Tensor]:
        return {name: buffer.clone() for name, buffer in self.model.named_buffers()}

    def _put(self, values: dict[str, torch.Tensor]) -> None:
        held: dict[str, torch.Tensor] = dict(self.model.named_parameters()) | dict(self.model.named_buffers())
        with torch.no_grad():
            for name, value in values.items():
                held[name].copy_(value)

    def _begin(self) -> None:
        if self._dtype in self._states:
            self.restore_state()
        else:
            self.keep_state()

    def _recorder(self, replace: dict[str, np.ndarray] | None, values: bool) -> Recorder:
        self._views.begin()
        return Recorder(
            self._views,
            lambda x, like: torch.tensor(x, dtype=like.dtype, device=like.device),
            1,
            replace=replace,
            values=values,
        )

    def _observed_run(self, recorder: Recorder, inputs: list[np.ndarray], training: bool) -> None:
        given = [self._tensor(x) for x in inputs]
        recorder.begin(given)
        with torch.no_grad(), self._mode(training), recording(self.model, recorder, self.slopes) as path:
            try:
                result = self._call(given)
            except Exception:
                self.stopped = path[-1] if path else ""
                raise
        recorder.end(_outputs(result))

    def _call(self, given: list[torch.Tensor]) -> Any:
        return self.model(**dict(zip(self.names, given, strict=True))) if self.names else self.model(*given)

    @contextmanager
    def _mode(self, training: bool) -> Iterator[None]:
        before = {module: module.training for module in self.model.modules()}
        self.model.train(training)
        try:
            yield
        finally:
            for module, flag in before.items():
                module.training = flag

    def _held(self, step: Step, slot: str) -> torch.Tensor:
        """The parameter or buffer as the module holds it now."""
        found: Any = self.model
        for part in step.handle[slot].split("."):
            found = getattr(found, part)
        return found

    def _tensor(self, x: np.ndarray) -> torch.Tensor:
        x = np.ascontiguousarray(x)
        if x.dtype.kind != "f":
            return torch.from_numpy(x).long()
        first = next((p for p in self.model.parameters() if p.is_floating_point()), None)
        return torch.tensor(x, dtype=first.dtype if first is not None else torch.float64,
                            device=first.device if first is not None else "cpu")  # fmt: skip


def _outputs(result: Any) -> list[torch.Tensor]:
    """Every tensor that a module returned; those of a dictionary by sorted key, as Keras orders them."""
    if isinstance(result, dict):
        return [x for key in sorted(result) for x in _outputs(result[key])]
    if isinstance(result, (tuple, list)):
        return [x for part in result for x in _outputs(part)]
    return tensors(result)
