"""Runs, gradients and weights of any ``nn.Module``, in float32 or float64.

The caller's module is deep-copied and everything runs on the copies; outside :meth:`TorchAdapter.precision`, weights
are read from and written to the module itself.
"""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.export import ExportedProgram

from parity.capture.adapter import Attempt, Gradients
from parity.capture.devices import CPU, tensor_float_32
from parity.capture.nested_outputs import in_order_of, named_outputs
from parity.capture.recorder import Consumer, Recorder
from parity.capture.steps import STATISTICS, Step, Trace
from parity.capture.torch_constants import Constants
from parity.capture.torch_containers import is_module, plain_module
from parity.capture.torch_copies import DTYPES, deep_copy, validate_weights
from parity.capture.torch_layer_kinds import PARAMETERS
from parity.capture.torch_recording import kind_of, module_step, recording
from parity.capture.torch_results import FunctionResults
from parity.capture.torch_script import Scripted
from parity.capture.torch_views import Views
from parity.numerics.constants import KnownConstants
from parity.numerics.copies import copy_into
from parity.verdict import UnusableInput

# How integers and booleans are passed: as the reference declares them, or as the port may want them instead.
INTEGERS = ("declared", "long", "float")
PASSING = ("separate", "dict", "list")
SIGNED = {"uint16": "int32", "uint32": "int64", "uint64": "int64"}  # torch computes little in these


class TorchAdapter:
    """A :class:`parity.capture.adapter.ModelAdapter` of an ``nn.Module`` that works channels first."""

    framework = "torch"
    channels_first = True

    def __init__(self, model: nn.Module | ExportedProgram, device: str = CPU):
        if not is_module(model):
            raise UnusableInput(f"got a {type(model).__name__} where a torch.nn.Module is expected")
        model = plain_module(model)
        validate_weights(model)
        self.model = self.original = model
        self.device = device
        self._input_names: list[str] = []
        self._names: list[str] = []
        self._output_names: Sequence[str] = ()
        self._returned: tuple[str, ...] = ()
        self._passing = PASSING[0]
        self._random: list[str] = []
        self._copies: dict[str, nn.Module] = {}
        self._states: dict[str, dict[str, torch.Tensor]] = {}
        self._views = Views()
        self._decided: dict[str, Any] = {}
        self._integers = INTEGERS[0]
        self._constants: KnownConstants | None = None
        self._dtype = ""

    def input_specs(self) -> None:
        """None: a torch module does not declare the shapes of its inputs."""

    def channels_last(self, inputs: list[np.ndarray]) -> list[np.ndarray]:
        """The inputs as they are: a module as the reference is given them channels last."""
        return inputs

    def input_names(self) -> list[str]:
        """Names of the parameters of ``forward``."""
        if isinstance(self.original, Scripted):
            return list(self.original.input_names)
        return list(inspect.signature(self.original.forward).parameters)

    def pass_inputs_by_name(self, names: list[str]) -> None:
        """From now on inputs are passed as keyword arguments ``names``, if ``forward`` has these parameters."""
        self._names = names
        self._input_names = names if len(names) > 1 and set(names) <= set(self.input_names()) else []

    def expected_values(self) -> int:
        """0: a torch module does not declare the shapes of its values."""
        return 0

    def tensor_float_32(self) -> list[str]:
        """The settings that round float32 products to TensorFloat-32 where the model is measured."""
        return tensor_float_32(self.device)

    @property
    def inputs_by_name(self) -> list[str]:
        """The names by which inputs are passed; empty where they are passed by their place."""
        return self._input_names

    def return_outputs_by_name(self, names: Sequence[str]) -> None:
        """From now on outputs are returned in the order of ``names``, if these are their keys."""
        self._output_names = names

    def has_embedding(self) -> bool:
        """Whether the model has an embedding."""
        return any(isinstance(module, nn.Embedding) for module in self.original.modules())

    @contextmanager
    def precision(self, dtype: str = "float64") -> Iterator[TorchAdapter]:
        """Within this context the adapter uses a copy of the module in ``dtype``, with dropout disabled."""
        if dtype not in self._copies:
            self._copies[dtype] = deep_copy(self.original, dtype, self.device)
        default = torch.get_default_dtype()
        self.model, self._dtype = self._copies[dtype], dtype
        self._begin()
        try:
            torch.set_default_dtype(DTYPES[dtype])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield self
        finally:
            torch.set_default_dtype(default)
            self.model, self._dtype = self.original, ""

    def run(
        self,
        inputs: list[np.ndarray],
        training: bool = False,
        replace: Mapping[str, np.ndarray] | None = None,
        values: bool = True,
        keep_state: bool = False,
        consume: Consumer | None = None,
        skip: bool = False,
    ) -> Trace:
        """Run once and record every step; running statistics are restored unless ``keep_state``."""
        before = self._buffers() if training else {}
        recorder = self._recorder(replace, values, consume)
        recorder.skip = skip
        self._recorded_run(recorder, inputs, training, skip=skip)
        if self._views.overwritten(self.model):
            self._assign(before)
            return self.run(inputs, training, replace, values, keep_state, consume, skip)
        if training and not keep_state:
            self.restore_state()
        return recorder.trace

    @contextmanager
    def taking_constants(self, known: KnownConstants) -> Iterator[None]:
        """Replace constants in runs and gradients, as :class:`parity.capture.adapter.TakesConstants`."""
        self._constants = known
        try:
            yield
        finally:
            self._constants = None

    def function_results(
        self, inputs: list[np.ndarray], training: bool, replace: Mapping[str, np.ndarray], sizes: Container[int]
    ) -> list[tuple[str, np.ndarray]]:
        """Results of torch functions, as :class:`parity.capture.adapter.TellsResults`."""
        with FunctionResults(sizes) as results:
            self.run(inputs, training, replace, values=False)
        return results.found

    def attempt(self, inputs: list[np.ndarray]) -> Attempt:
        """An evaluation-mode run without values that may fail; its error is returned, not raised.

        Integers are passed as they are; a port that refuses them receives them as ``long``, else as floats, from now
        on. Several inputs are passed one by one, else as a dictionary or a list.
        """
        attempts = []
        integers = INTEGERS if any(x.dtype.kind != "f" for x in inputs) else INTEGERS[:1]
        for self._passing, self._integers in product(PASSING if len(inputs) > 1 else PASSING[:1], integers):
            if self._passing == "dict" and len(set(self._names)) != len(inputs):
                continue
            attempts.append(self._attempt(inputs))
            if attempts[-1].error is None:
                self._validate_repeatable(inputs)
                return attempts[-1]
        self._validate_call(inputs)
        self._passing, self._integers = PASSING[0], INTEGERS[0]
        return attempts[0]

    def _validate_repeatable(self, inputs: list[np.ndarray]) -> None:
        """Reject a module that draws random numbers in evaluation and returns others at each run."""
        if not self._random:
            return
        first, second = (self._results(inputs) for _ in range(2))
        if not all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(first, second, strict=True)):
            raise UnusableInput(
                f"the torch module {type(self.original).__name__} returns other values at each run in evaluation mode "
                f"({', '.join(self._random)}): draw random numbers only if self.training, or pass them as an input"
            )

    def _results(self, inputs: list[np.ndarray]) -> list[np.ndarray]:
        with torch.no_grad(), self._mode(training=False):
            return [x.cpu().numpy() for x in self._call([self._tensor(x) for x in inputs])]

    def _validate_call(self, inputs: list[np.ndarray]) -> None:
        """Reject a ``forward`` that needs more inputs than the reference has."""
        if isinstance(self.original, Scripted):
            return
        parameters = list(inspect.signature(self.original.forward).parameters.values())
        needed = [p.name for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD,
                  p.POSITIONAL_ONLY, p.KEYWORD_ONLY)]  # fmt: skip
        if len(needed) > len(inputs):
            raise UnusableInput(
                f"the port's forward needs {len(needed)} inputs ({', '.join(needed)}), the reference has "
                f"{len(inputs)}: give the others defaults, or hand over a module that calls this one with them"
            )

    def _attempt(self, inputs: list[np.ndarray]) -> Attempt:
        recorder = self._recorder(None, values=False)
        self._decided.clear()
        path: list[str] = []
        try:
            self._recorded_run(recorder, inputs, training=False, path=path)
            return Attempt(recorder.trace)
        except Exception as error:
            ran = {step.owner for step in recorder.trace.steps}
            for name, module in self.model.named_modules():
                kind = kind_of(module)
                if kind in PARAMETERS and name not in ran:
                    recorder.trace.steps.append(module_step(module, kind, name or self._root_name, name))
            failed = path[-1] if path else ""
            return Attempt(recorder.trace, error, failed or self._root_name * (kind_of(self.model) in PARAMETERS))

    @property
    def _root_name(self) -> str:
        """What the module is called as a step of its own, where it is a layer itself."""
        return type(self.model).__name__.lower()

    def gradients(
        self,
        inputs: list[np.ndarray],
        cotangents: list[np.ndarray | None],
        steps: list[Step],
        training: bool = False,
        penalty: bool = False,
        exact_moments: bool = False,
    ) -> Gradients:
        """Gradients as defined by :meth:`parity.capture.adapter.ModelAdapter.gradients`; moments are always exact."""
        slots = [(step.name, slot) for step in steps for slot in step.handle if slot not in STATISTICS]
        shapes = {(step.name, slot): shape for step in steps for slot, shape in step.shapes.items()}
        parameters = [self.model.get_parameter(step.handle[slot]) for step in steps for slot in step.handle
                      if (step.name, slot) in slots]  # fmt: skip
        given = [self._tensor(x) for x in inputs]
        floats = [x.requires_grad_() for x in given if x.is_floating_point()]
        frozen = [p for p in parameters if not p.requires_grad]
        for parameter in frozen:
            parameter.requires_grad_(True)
        recorder = self._recorder(None, values=False)
        recorder.begin(given)
        with self._mode(training), self._recording(recorder, given, exact=not penalty):
            outputs = self._call([x.clone() for x in given])  # a leaf refuses what works in place
            zero = torch.zeros((), dtype=torch.get_default_dtype(), device=self.device)
            scalar = sum(
                ((y * torch.as_tensor(c, dtype=y.dtype, device=y.device)).sum()
                 for y, c in zip(outputs, cotangents, strict=True) if c is not None),
                zero,
            )  # fmt: skip
            if penalty and floats and scalar.requires_grad:
                by_inputs = torch.autograd.grad(scalar, floats, create_graph=True, allow_unused=True)
                scalar = sum(((g * g).sum() / len(inputs[0]) for g in by_inputs if g is not None), zero)
            wanted = parameters + floats
            found: Sequence[torch.Tensor | None] = [None] * len(wanted)
            if wanted and scalar.requires_grad:  # what no parameter and no input reaches has no gradient, which is zero
                found = torch.autograd.grad(scalar, wanted, allow_unused=True)
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
            {key: g.reshape(shapes.get(key, g.shape)) for key, g in zip(slots, dense[: len(parameters)], strict=True)},
            [next(by_input) if x.is_floating_point() else None for x in given],
        )

    def read(self, step: Step, slot: str) -> np.ndarray:
        """A parameter's or running statistic's value in torch's layout, not a copy: it changes with the next write."""
        return self._held(step, slot).detach().cpu().numpy()

    def write(self, step: Step, slot: str, value: np.ndarray, part: Any = ...) -> None:
        """Set a parameter or running statistic, or a part of it, in place; the caller has checked the shape."""
        held = self._held(step, slot).detach()[part]
        if held.is_cpu:
            copy_into(held.numpy(), value)
        else:
            held.copy_(torch.from_numpy(np.require(value, requirements=["C", "W"])))

    def variable_id(self, step: Step, slot: str) -> int:
        """Identity of the tensor that holds a parameter: equal for layers that share it."""
        return id(self._found(step, slot))

    def trainable(self, step: Step, slot: str) -> bool:
        """Whether training moves a parameter; buffers are not trainable."""
        name = (step.handle or {}).get(slot, slot)
        held = dict(self.original.named_parameters(remove_duplicate=False))
        return name in held and held[name].requires_grad

    def nonfinite_variables(self) -> list[str]:
        """Names of the parameters and running statistics that hold NaN or infinity."""
        held: dict[str, torch.Tensor] = dict(self.model.named_parameters())
        held |= {name: x for name, x in self.model.named_buffers() if "running_" in name or name.endswith(("_u", "_v"))}
        return [name for name, x in held.items() if x.is_floating_point() and not torch.isfinite(x).all()]

    def unrecorded_parameters(self, steps: list[Step]) -> list[str]:
        """Names of the parameters that belong to none of ``steps``."""
        claimed = {name for step in steps for name in (step.handle or {}).values()}
        claimed |= {name for step in steps for name in step.shapes}
        held = dict(self.model.named_parameters(remove_duplicate=False))
        known = {id(parameter) for name, parameter in held.items() if name in claimed}
        return [name for name, parameter in self.model.named_parameters() if id(parameter) not in known]

    def unread_parameters(self, names: list[str], inputs: list[np.ndarray]) -> set[str]:
        """As :meth:`parity.capture.adapter.ModelAdapter.unread_parameters`."""
        unread = {name: self.model.get_parameter(name) for name in names}
        unread = {name: parameter for name, parameter in unread.items() if parameter.requires_grad}
        for training in (False, True):
            with self._mode(training):
                outputs = self._call([self._tensor(x) for x in inputs])
            self.restore_state()
            if not all(y.is_floating_point() for y in outputs):
                return set()
            reached = [y.sum() for y in outputs if y.requires_grad]
            if reached and unread:
                found = torch.autograd.grad(torch.stack(reached).sum(), list(unread.values()), allow_unused=True)
                unread = {name: p for (name, p), g in zip(unread.items(), found, strict=True) if g is None}
        return {name for name in names if name in unread or not self.model.get_parameter(name).requires_grad}

    def keep_state(self) -> None:
        """Remember the running statistics as they are now; training-mode runs restore them."""
        self._states[self._dtype] = self._buffers()

    def restore_state(self) -> None:
        """Restore the running statistics last kept."""
        self._assign(self._states[self._dtype])

    def on_new_copies(self) -> TorchAdapter:
        """An adapter of the same module, with copies of its own."""
        twin = copy.copy(self)
        twin._copies, twin._states, twin._views = {}, {}, Views()
        return twin

    def release(self, dtype: str) -> None:
        """Free the copy in ``dtype``."""
        for held in (self._copies, self._states):
            held.pop(dtype, None)

    def copy_weights_from(self, dtype: str) -> None:
        """Take over the weights of the copy in another ``dtype``, and its running statistics as last kept.

        Buffers that either copy registered while it ran are left alone.
        """
        there = dict(self._copies[dtype].named_parameters()) | self._states[dtype]
        here = {name for held in (self.model.named_parameters(), self.model.named_buffers()) for name, _ in held}
        self._assign({name: value for name, value in there.items() if name in here})

    def _buffers(self) -> dict[str, torch.Tensor]:
        return {name: buffer.clone() for name, buffer in self.model.named_buffers()}

    def _assign(self, values: dict[str, torch.Tensor]) -> None:
        held: dict[str, torch.Tensor] = dict(self.model.named_parameters()) | dict(self.model.named_buffers())
        with torch.no_grad():
            for name, value in values.items():
                held[name].copy_(value)

    def _begin(self) -> None:
        if self._dtype in self._states:
            self.restore_state()
        else:
            self.keep_state()

    def _recorder(
        self, replace: Mapping[str, np.ndarray] | None, values: bool, consume: Consumer | None = None
    ) -> Recorder:
        self._views.begin()
        return Recorder(
            self._views,
            lambda x, like: torch.tensor(x, dtype=like.dtype, device=like.device),
            1,
            replace=replace,
            values=values,
            consume=consume,
            peek=lambda x: x.detach().cpu().numpy(),
        )

    def _recorded_run(
        self,
        recorder: Recorder,
        inputs: list[np.ndarray],
        training: bool,
        path: list[str] | None = None,
        skip: bool = False,
    ) -> None:
        """Run under ``recorder``; after an error ``path`` holds the names of the modules that were running."""
        given = [self._tensor(x) for x in inputs]
        recorder.begin(given)
        with torch.no_grad(), self._mode(training), self._recording(recorder, given, path=path, skip=skip):
            result = self._call(given)
        if not result:
            raise TypeError("forward returned no tensor")
        recorder.end(result)
        self._random = recorder.random
        recorder.trace.names = self._returned

    def _recording(
        self, recorder: Recorder, given: list[torch.Tensor], **settings: Any
    ) -> AbstractContextManager[None]:
        constants = None if self._constants is None else Constants(self._constants, self.model, given)
        return recording(self.model, recorder, decided=self._decided, constants=constants, **settings)

    def _call(self, given: list[torch.Tensor]) -> list[torch.Tensor]:
        """The tensors that the module returns."""
        if self._passing == "dict":
            result = self.model(dict(zip(self._names, given, strict=True)))
        elif self._passing == "list":
            result = self.model(given)
        elif self._input_names:
            result = self.model(**dict(zip(self._input_names, given, strict=True)))
        else:
            result = self.model(*given)
        found = named_outputs(result, lambda x: isinstance(x, torch.Tensor))
        found = in_order_of(found, self._output_names)
        self._returned = tuple(name for name, _ in found)
        return [x for _, x in found]

    @contextmanager
    def _mode(self, training: bool) -> Iterator[None]:
        before = {module: module.training for module in self.model.modules()}
        with suppress(NotImplementedError):  # an exported program is fixed in the mode of its export
            self.model.train(training)
        try:
            with torch.compiler.set_stance("force_eager"):
                yield
        finally:
            for module, flag in before.items():
                module.training = flag

    def _held(self, step: Step, slot: str) -> torch.Tensor:
        """The parameter or buffer as the module holds it now, in the shape that the step gives it."""
        held, shape = self._found(step, slot), step.shapes.get(slot)
        return held if shape is None or held.shape == shape else held.view(shape)

    def _found(self, step: Step, slot: str) -> torch.Tensor:
        """The parameter or buffer as the module holds it now."""
        found: Any = self.model
        for part in step.handle[slot].split("."):
            found = getattr(found, part)
        return found

    def _tensor(self, x: np.ndarray) -> torch.Tensor:
        x = np.ascontiguousarray(x)
        first = next((p for p in self.model.parameters() if p.is_floating_point()), None)
        device = first.device if first is not None else torch.device(self.device)
        if x.dtype.kind == "f" or self._integers == "float":
            held = first.dtype if first is not None else torch.float64
            return torch.tensor(x, dtype=DTYPES.get(self._dtype, held), device=device)
        tensor = torch.from_numpy(x.astype(SIGNED.get(x.dtype.name, x.dtype))).to(device)
        return tensor.long() if self._integers == "long" else tensor
