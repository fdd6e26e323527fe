"""The torch side of a comparison: trace, gradients and weights of any ``nn.Module``, in float32 or float64.

The caller's module is deep-copied; :class:`TorchSide` works on the copies (``lend=True`` works on the module itself,
for writing weights into it).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from parity.tracing.steps import Recorder, Step, Trace
from parity.tracing.torch_kinds import DROPOUTS, FUNCTIONS, PARAMETERS, classify, plain_settings
from parity.verdict import UnusableInput, first_line

DTYPES = {"float64": torch.float64, "float32": torch.float32}
Gradients = tuple[dict[tuple[str, str], np.ndarray], list[np.ndarray | None]]


class TorchSide:
    """Adapter with the same verbs as :class:`parity.tracing.keras_side.KerasSide`."""

    framework = "torch"
    channels_first = True

    def __init__(self, model: nn.Module, lend: bool = False):
        self.lend = lend
        self.model = self.original = model
        self.slopes: dict[str, float] = {}
        self._copies: dict[str, nn.Module] = {}
        self._saved_state: dict[str, torch.Tensor] = {}

    @contextmanager
    def working(self, dtype: str = "float64") -> Iterator[TorchSide]:
        """Within this context the adapter works on a copy in ``dtype``, with dropout inert."""
        if not self.lend:
            self.model = self._copies.get(dtype) or self._copy(dtype)
            self._copies[dtype] = self.model
        self.keep_state()
        try:
            yield self
        finally:
            self.model, self._saved_state = self.original, {}

    def run(
        self,
        inputs: list[np.ndarray],
        training: bool = False,
        replace: dict[str, np.ndarray] | None = None,
        values: bool = True,
        keep_state: bool = False,
    ) -> Trace:
        """Run once and record every step; running statistics are put back unless ``keep_state``."""
        recorder = self._recorder(replace, values)
        self._observed_run(recorder, inputs, training)
        if training and not keep_state:
            self.restore_state()
        return recorder.trace

    def attempt(self, inputs: list[np.ndarray]) -> tuple[Trace, str]:
        """An evaluation-mode run that may fail: what ran up to there, and the error in one line ("" if none)."""
        recorder = self._recorder(None, True)
        try:
            self._observed_run(recorder, inputs, training=False)
        except Exception as error:
            return recorder.trace, first_line(error)
        return recorder.trace, ""

    def gradients(
        self,
        inputs: list[np.ndarray],
        cotangents: list[np.ndarray],
        steps: list[Step],
        training: bool = False,
        penalty: bool = False,
    ) -> Gradients:
        """The twin of :meth:`KerasSide.gradients`: same scalar, same keys, torch's layouts."""
        slots = [(step.name, slot) for step in steps for slot in step.handle if not slot.startswith("moving_")]
        parameters = [self.model.get_parameter(step.handle[slot]) for step in steps for slot in step.handle
                      if (step.name, slot) in slots]  # fmt: skip
        tensors = [self._tensor(x) for x in inputs]
        floats = [x.requires_grad_() for x in tensors if x.is_floating_point()]
        frozen = [p for p in parameters if not p.requires_grad]
        for parameter in frozen:
            parameter.requires_grad_(True)
        with self._mode(training), _recording(self.model, None, self.slopes):
            outputs = tree_leaves(self.model(*tensors))
            scalar = sum(
                (y * torch.as_tensor(c, dtype=y.dtype)).sum() for y, c in zip(outputs, cotangents, strict=True)
            )
            if penalty:
                slopes = torch.autograd.grad(scalar, floats, create_graph=True)
                scalar = sum((g * g).sum() for g in slopes) / len(inputs[0])
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
            [next(by_input) if x.is_floating_point() else None for x in tensors],
        )

    def read(self, step: Step, slot: str) -> np.ndarray:
        """A parameter's or buffer's current value in torch's layout."""
        return self._tensors()[step.handle[slot]].detach().cpu().numpy().copy()

    def write(self, step: Step, slot: str, value: np.ndarray) -> None:
        """Set a parameter or buffer in place; shapes were checked by the caller."""
        with torch.no_grad():
            target = self._tensors()[step.handle[slot]]
            target.copy_(torch.from_numpy(np.array(value)))

    def named_arrays(self) -> dict[str, np.ndarray]:
        """Every floating parameter and buffer of the module by name."""
        return {name: x.detach().cpu().float().numpy() for name, x in self._tensors().items() if x.is_floating_point()}

    def set_slope(self, step: Step, slope: float) -> None:
        """Evaluate that step's leaky ReLU at this slope (on the copies only)."""
        self.slopes[step.name] = slope

    def unclaimed(self, steps: list[Step]) -> list[str]:
        """Parameters that no recorded step owns."""
        claimed = {name for step in steps for name in (step.handle or {}).values()}
        claimed |= {name for step in steps for name in step.shapes}
        return [name for name, _ in self.model.named_parameters() if name not in claimed]

    def keep_state(self) -> None:
        """Remember the running statistics as they are now; training-mode runs return to them."""
        self._saved_state = {name: buffer.clone() for name, buffer in self.model.named_buffers()}

    def restore_state(self) -> None:
        """Back to the running statistics last kept."""
        with torch.no_grad():
            for name, buffer in self.model.named_buffers():
                buffer.copy_(self._saved_state[name])

    def _copy(self, dtype: str) -> nn.Module:
        try:
            twin = copy.deepcopy(self.original).to(device="cpu", dtype=DTYPES[dtype])
        except (TypeError, RuntimeError, NotImplementedError) as error:
            raise UnusableInput(
                f"the torch module {type(self.original).__name__} cannot be deep-copied ({error}); "
                "verify measures on a copy so that yours stays untouched: make copy.deepcopy(module) work"
            ) from error
        for module in twin.modules():
            kind, _ = classify(module)
            if kind == "dropout":
                module.p = 0.0
        return twin

    def _recorder(self, replace: dict[str, np.ndarray] | None, values: bool) -> Recorder:
        return Recorder(
            lambda x: x.detach().cpu().numpy().copy(),
            lambda x, like: torch.tensor(x, dtype=like.dtype, device=like.device),
            replace,
            values,
        )

    def _observed_run(self, recorder: Recorder, inputs: list[np.ndarray], training: bool) -> None:
        with torch.no_grad(), self._mode(training), _recording(self.model, recorder, self.slopes):
            result = self.model(*[self._tensor(x) for x in inputs])
        recorder.trace.result = [x.detach().cpu().numpy() for x in tree_leaves(result)]

    @contextmanager
    def _mode(self, training: bool) -> Iterator[None]:
        before = {module: module.training for module in self.model.modules()}
        self.model.train(training)
        try:
            yield
        finally:
            for module, flag in before.items():
                module.training = flag

    def _tensors(self) -> dict[str, torch.Tensor]:
        return {**dict(self.model.named_parameters()), **dict(self.model.named_buffers())}

    def _tensor(self, x: np.ndarray) -> torch.Tensor:
        x = np.ascontiguousarray(x)
        if x.dtype.kind != "f":
            return torch.from_numpy(x).long()
        first = next((p for p in self.model.parameters() if p.is_floating_point()), None)
        return torch.tensor(x, dtype=first.dtype if first is not None else torch.float64,
                            device=first.device if first is not None else "cpu")  # fmt: skip


class _Functions(TorchFunctionMode):
    def __init__(self, recorder: Recorder | None, slopes: dict[str, float], path: list[str], inside: list[int]):
        super().__init__()
        self.recorder, self.slopes, self.path, self.inside = recorder, slopes, path, inside
        self.calls: dict[str, int] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        word = getattr(func, "__name__", "").removeprefix("_")
        if word in DROPOUTS:
            return args[0] if args else kwargs["input"]
        known = None if self.inside[0] else FUNCTIONS.get(word)
        if known is None or (known[0] == "merge" and not _joins(args)):
            return func(*args, **kwargs)
        name = ".".join([*self.path[-1:], word]).lstrip(".")
        count = self.calls[name] = self.calls.get(name, 0) + 1
        name = name if count == 1 else f"{name}#{count}"
        kind, read = known
        attributes = read(args, kwargs)
        if name in self.slopes:
            args, kwargs = (args[0] if args else kwargs["input"], self.slopes[name]), {}
        got = func(*args, **kwargs)
        if self.recorder is None or not isinstance(got, torch.Tensor):
            return got
        given = next((x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)), None)
        return self.recorder.record(Step(name, kind, attributes, owner=word), given, got)


def _joins(args: Any) -> bool:
    tensors = [x for x in tree_leaves(args) if isinstance(x, torch.Tensor) and x.is_floating_point() and x.ndim]
    return len(tensors) > 1


@contextmanager
def _recording(model: nn.Module, recorder: Recorder | None, slopes: dict[str, float]) -> Iterator[None]:
    path: list[str] = []
    inside_leaf = [0]
    marks: list[tuple[int, Any]] = []
    names = {module: name for name, module in model.named_modules()}
    handles = []

    def enter(module: nn.Module, args: Any, kwargs: Any) -> None:
        path.append(names[module])
        kind = _kind(module)
        if isinstance(module, nn.LeakyReLU) and names[module] in slopes:
            module.negative_slope = slopes[names[module]]
        marks.append((len(recorder.trace.steps) if recorder else 0, kind))
        inside_leaf[0] += kind is not None

    def leave(module: nn.Module, args: Any, kwargs: Any, got: Any) -> Any:
        name = path.pop()
        mark, kind = marks.pop()
        inside_leaf[0] -= kind is not None
        if recorder is None or inside_leaf[0]:
            return None
        given = next((x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)), None)
        if kind is not None:
            return recorder.record(_step(module, kind, recorder.unique(name or _class(module)), name), given, got)
        inner = recorder.since(mark)
        if inner and (module is model or _transparent(module, inner)):
            return None
        recorder.drop_since(mark)
        return recorder.record(_opaque(module, recorder.unique(name or _class(module)), name), given, got)

    for module in model.modules():
        handles.append(module.register_forward_pre_hook(enter, with_kwargs=True))
        handles.append(module.register_forward_hook(leave, with_kwargs=True))
    try:
        with _Functions(recorder, slopes, path, inside_leaf):
            yield
    finally:
        for handle in handles:
            handle.remove()


def _kind(module: nn.Module) -> str | None:
    return None if hasattr(module, "parametrizations") else classify(module)[0]


def _transparent(module: nn.Module, inner: list[Step]) -> bool:
    """Whether a module of unknown class is told by what happened inside it, or is one closed layer."""
    if any(True for _ in module.children()):
        return True
    if _own(module):
        return False
    computed = [step.kind for step in inner if step.matchable]
    if computed:
        return len(computed) == 1 and computed[0] != "merge"
    return not plain_settings(module)


def _own(module: nn.Module) -> bool:
    return any(True for _ in module.parameters(recurse=False))


def _class(module: nn.Module) -> str:
    return type(module).__name__.lower()


def _step(module: nn.Module, kind: str, name: str, path: str) -> Step:
    _, attributes = classify(module)
    tensors = {slot: getattr(module, attribute, None) for slot, attribute in PARAMETERS.get(kind, {}).items()}
    shapes = {slot: tuple(tensor.shape) for slot, tensor in tensors.items() if tensor is not None}
    prefix = f"{path}." if path else ""
    handle = {slot: prefix + PARAMETERS[kind][slot] for slot in shapes}
    return Step(name, kind, attributes, shapes, kind, handle=handle, owner=path)


def _opaque(module: nn.Module, name: str, path: str) -> Step:
    prefix = f"{path}." if path else ""
    shapes = {prefix + key: tuple(tensor.shape) for key, tensor in module.named_parameters()}
    return Step(name, f"opaque:{type(module).__name__}", plain_settings(module), shapes, handle={}, owner=path)
