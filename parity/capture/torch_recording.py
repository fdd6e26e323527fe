"""Recording a torch module's run: its modules by hooks, the functions called in ``forward`` by a function mode."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch._ops import OpOverload
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map_only

from parity.capture.recorder import COMPUTES, Recorder
from parity.capture.steps import MOVEMENT, OWN_WEIGHTS, PLAIN, Step, unknown
from parity.capture.torch_aten import as_function
from parity.capture.torch_constants import Constants
from parity.capture.torch_double_precision import EXACT_SUBSTITUTES, double_precision
from parity.capture.torch_functional_layers import functional_step
from parity.capture.torch_functions import DROPOUTS, EFFECTS, RANDOM, Call, classify_call
from parity.capture.torch_layer_kinds import PARAMETERS, classify, parameters, plain_settings
from parity.capture.torch_separate_affine import SeparateAffine
from parity.capture.torch_spectral_norm import spectral_settings
from parity.capture.torch_stock import (
    calls_stock_whole,
    computes_stock,
    drops_of,
    function_of,
    may_differ,
    stock_forwards,
)

PRODUCTS = ("linear", *(f"conv{word}{rank}d" for word in ("", "_transpose") for rank in (1, 2, 3)))
"""The functions that compute what a convolution or dense layer returns, and nearly all the time of a network."""
FUNCTION = "function"
"""In place of a kind: a module that is known to compute an elementwise function, whatever its class."""


@contextmanager
def recording(
    model: nn.Module,
    recorder: Recorder,
    exact: bool = True,
    path: list[str] | None = None,
    decided: dict[str, Any] | None = None,
    skip: bool = False,
    constants: Constants | None = None,
) -> Iterator[None]:
    """Within this context everything that runs in ``model`` is recorded, and dropout is disabled.

    With ``exact``, :data:`EXACT_SUBSTITUTES` replace kernels with rounded constants. ``path`` receives the names of the
    modules that are running: after an error, its last item is the module that raised it. ``decided`` keeps, from run to
    run, which calls of modules that derive from stock layers compute what those compute. ``constants`` replaces those
    of the module. With ``skip``, convolutions and dense layers whose output is replaced do not run.
    """
    observer = _ModuleObserver(model, recorder, [] if path is None else path, {} if decided is None else decided)
    handles = []
    for weight in model.parameters():
        recorder.weights.set(weight, ("weight",))
    for module in model.modules():
        # The caller's own hooks stay outside: pre-hooks run before `enter`, hooks after `leave`.
        handles.append(module.register_forward_pre_hook(observer.enter, with_kwargs=True))
        handles.append(module.register_forward_hook(observer.leave, with_kwargs=True, prepend=True))
    derived = [module for module in model.modules() if kind_of(module) is not None and may_differ(module)]
    try:
        with stock_forwards(derived, observer.stock), _FunctionObserver(observer, exact, constants, skip):
            yield
    finally:
        for handle in handles:
            handle.remove()


class _ModuleObserver:
    """Hooks that keep the path of running modules and record them as steps."""

    def __init__(
        self,
        model: nn.Module,
        recorder: Recorder,
        path: list[str],
        decided: dict[str, Any],
    ):
        self.model, self.recorder, self.path, self.decided = model, recorder, path, decided
        self.inside_leaf = 0
        self.deciding = False
        self.names = {module: name for name, module in model.named_modules()}
        self.held = {id(x): name for held in (model.named_parameters, model.named_buffers) for name, x in held()}
        self._entered: list[tuple[int, str | None, int]] = []
        self._opened: list[tuple[nn.Module, int, str]] = []
        self._calls: dict[str, int] = {}

    def enter(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        self.path.append(self.names[module])
        kind = kind_of(module)
        if kind is not None and not self.inside_leaf and not self._computes_stock(module, args, kwargs):
            kind = FUNCTION if self.decided.get(f"{self.path[-1]}: function") else None
            if kind is None:
                call = f"{self.path[-1]}#{self._calls[self.path[-1]]}"
                self._opened.append((module, self.recorder.unaccounted, call))
        self._entered.append((len(self.recorder.trace.steps), kind, self.recorder.unrecorded))
        self.inside_leaf += kind is not None

    def leave(self, module: nn.Module, args: Any, kwargs: Any, got: Any) -> Any:
        path = self.path.pop()
        mark, kind, unrecorded = self._entered.pop()
        self.inside_leaf -= kind is not None
        if self.inside_leaf:
            return None
        given = tensors((args, kwargs))
        name = path or type(module).__name__.lower()
        if kind == FUNCTION:
            return self._record_function(self._computed(module, path, given, got), name, path, given, got)
        if kind is not None:
            return self.recorder.record(module_step(module, kind, self.recorder.unique(name), path), given, got)
        drops = self._drops(module, path, given)
        if drops is not None:
            self.recorder.drop_since(mark)
            return self.recorder.record(
                Step(self.recorder.unique(name), "dropout", drops, owner=path), given, given[0].clone()
            )
        inner = self.recorder.since(mark)
        opened = bool(self._opened) and self._opened[-1][0] is module
        if opened and not self._accounted(inner, path):
            kind = kind_of(module)
            assert kind is not None
            self.recorder.drop_since(mark)
            return self.recorder.record(module_step(module, kind, self.recorder.unique(name), path), given, got)
        claimed = {name for step in inner for name in (step.handle or {}).values()}
        own = {key: p for key, p in _own_parameters(module).items() if _joined(path, key) not in claimed}
        weighted = [step.kind for step in inner if step.parametrised]
        part = bool(own) and set(weighted) == {"affine"}  # of what a module computes with weights of its own
        if weighted and not part and not hasattr(module, "parametrizations"):
            if not own or not isinstance(got, torch.Tensor):
                return None
            step = _block_step(own, self.recorder.unique(name), path)
            step.inside = self.recorder.drop_after_last_weights(mark)
            return self.recorder.record(step, given, got)
        explained = self._transparent(module, mark, given, got) or opened and bool(inner)
        if module is not self.model and not (explained and self.recorder.unrecorded == unrecorded):
            known = self._computed(module, path, given, got)
            if known is not None:
                self.recorder.drop_since(mark)
                return self._record_function(known, name, path, given, got)
        if explained:
            return None
        self.recorder.drop_since(mark)
        if not tensors(got) and not _own_parameters(module):
            return None
        step = _unknown_step(module, self.recorder.unique(name), path)
        if isinstance(got, torch.Tensor):
            return self.recorder.record(step, given, got)
        self.recorder.record_closed(step, given, tensors(got))
        return None

    def _record_function(
        self, known: tuple[str, dict[str, Any]] | None, name: str, path: str, given: list[torch.Tensor], got: Any
    ) -> Any:
        """Record a module that computes an elementwise function as one step."""
        assert known is not None
        return self.recorder.record(Step(self.recorder.unique(name), *known, owner=path), given, got)

    def stock(self, module: nn.Module, forward: Callable, args: Any, kwargs: Any) -> Any:
        """The stock ``forward``, called by a module that does more: recorded as a layer of the stock kind."""
        kind = kind_of(module)
        if self.inside_leaf or kind is None or self.opened is not module or not calls_stock_whole(module):
            return forward(module, *args, **kwargs)
        self.inside_leaf += 1
        try:
            got = forward(module, *args, **kwargs)
        finally:
            self.inside_leaf -= 1
        path = self.names[module]
        step = module_step(module, kind, self.recorder.unique(path or type(module).__name__.lower()), path)
        return self.recorder.record(step, tensors((args, kwargs)), got)

    @property
    def opened(self) -> nn.Module | None:
        """The module that runs now, if it derives from a stock layer and computes something else."""
        innermost = self._opened[-1][0] if self._opened else None
        return innermost if innermost is not None and self.names[innermost] == self.path[-1] else None

    def _accounted(self, inner: list[Step], path: str) -> bool:
        """Whether steps, constant arithmetic and data movement are all that a module does that was looked into.

        Weights must be read by a layer of their kind: a module that computes with them itself is one layer.
        """
        module, before, call = self._opened.pop()
        computes = self.recorder.unaccounted == before and any(step.matchable for step in inner)
        known = kind_of(module) not in PARAMETERS or any(step.parametrised and step.owner == path for step in inner)
        if not (computes and known):
            self.decided[call] = True  # from now on one layer: what replaces its output must not replace it inside
        return computes and known

    def _computes_stock(self, module: nn.Module, args: Any, kwargs: Any) -> bool:
        if not may_differ(module):
            return True
        path = self.path[-1]
        count = self._calls[path] = self._calls.get(path, 0) + 1
        call = f"{path}#{count}"
        if call not in self.decided:
            with self._decided_apart():
                self.decided[call] = computes_stock(module, args, kwargs, self._is_ours)
        return self.decided[call]

    def _computed(self, module: nn.Module, path: str, given: list[torch.Tensor], got: Any) -> Any:
        """``(kind, attributes)`` of a module that is an elementwise function in both modes; None if it is none."""
        if any(True for _ in module.parameters()) or len(given) != 1 or not isinstance(got, torch.Tensor):
            return None
        if got.shape != given[0].shape or not got.is_floating_point() or got is given[0]:
            return None
        key = f"{path}: function"
        if key not in self.decided:
            with self._decided_apart():
                self.decided[key] = function_of(module, self._is_ours)
        settings = self.decided[key]
        if settings is None:
            return None
        return ("identity", {}) if settings == {"function": "identity"} else ("activation", dict(settings))

    def _drops(self, module: nn.Module, path: str, given: list[torch.Tensor]) -> dict[str, Any] | None:
        """The settings of dropout that a module without weights or modules inside does itself; else None."""
        single = len(given) == 1 and given[0].is_floating_point() and module is not self.model
        if not single or any(True for _ in module.parameters()) or any(True for _ in module.children()):
            return None
        key = f"{path}: drops"
        if key not in self.decided:
            with self._decided_apart():
                self.decided[key] = drops_of(module, given[0].ndim, plain_settings(module), self._is_ours)
        return self.decided[key]

    @contextmanager
    def _decided_apart(self) -> Iterator[None]:
        """Within this context what runs is not recorded: it is run to decide what a module is."""
        self.inside_leaf += 1
        self.deciding = True
        try:
            yield
        finally:
            self.deciding = False
            self.inside_leaf -= 1

    def _is_ours(self, hook: Any) -> bool:
        return hook in (self.enter, self.leave)

    def _transparent(self, module: nn.Module, mark: int, given: list[torch.Tensor], got: Any) -> bool:
        """Whether a module without known layers is described by the steps that ran inside it."""
        if any(True for _ in module.parameters()):
            return False
        if module is self.model or any(True for _ in module.children()):
            return module is self.model or bool(self.recorder.since(mark))
        return self.recorder.explained_by_functions(mark, given, got, plain_settings(module))


class _FunctionObserver(TorchFunctionMode):
    """Observes every torch function: propagates the origins of tensors and records functions of known kinds."""

    def __init__(self, modules: _ModuleObserver, exact: bool, constants: Constants | None, skip: bool):
        super().__init__()
        self.modules, self.exact, self.constants, self.skip = modules, exact, constants, skip
        # What these compute with a convolution or dense layer is not what is replaced.
        self.derived = {name for module, name in modules.names.items() if kind_of(module) is None or may_differ(module)}
        self.affine = SeparateAffine({id(p): name for name, p in modules.model.named_parameters()})

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.constants is None:
            return self._observe(func, args, kwargs)
        got = self._observe(func, *self.constants.exchanged(func, (args, kwargs)))
        self.constants.mark((args, kwargs), got)
        return got

    def _observe(self, func: Any, args: Any, kwargs: Any) -> Any:
        if self.modules.deciding:
            return func(*args, **kwargs)
        operation = isinstance(func, OpOverload)
        if getattr(func, "__name__", "").partition(".")[0].strip("_") in RANDOM:
            self.modules.recorder.random.append(self._name(func.__name__))
        word = getattr(func, "__name__", "").partition(".")[0].strip("_")
        given = tensors((args, kwargs))
        if self.skip and word in PRODUCTS and self.modules.inside_leaf == 1:
            name = self.modules.path[-1]
            if name not in self.derived and self.modules.recorder.first_replaced(name) is not None:
                zeros = self.modules.recorder.not_computed(name, given[0])
                if zeros.shape == _shape_of_result(func, args, kwargs):
                    return zeros
        word, read, named = as_function(word, args, kwargs) if operation else (word, args, kwargs)
        call = Call(read, named, given)
        kind, attributes = self._classified(word, call)
        if torch.get_default_dtype() == torch.float64:
            func, args, kwargs = double_precision(func, args, kwargs)
        if word in DROPOUTS:
            func, args, kwargs = torch.clone, given[:1], {}
        elif self.exact and word in EXACT_SUBSTITUTES and given[0].dtype == torch.float64:
            func = EXACT_SUBSTITUTES[word]
        recorder = self.modules.recorder
        layer = None if self.modules.inside_leaf else functional_step(word, call, self.modules.held)
        if layer is not None:
            owner = self._owner(layer.kind)
            if operation:
                owner = next(iter(layer.handle.values())).rpartition(".")[0]
            layer.owner = owner or word
            layer.name = recorder.unique(owner or self._name(word))
            return recorder.record(layer, [call.argument(0, "input")], func(*args, **kwargs))
        completed = None if self.modules.inside_leaf else self.affine.completes(*recorder.latest, word, given)
        if completed is not None:
            got = func(*map(recorder.own_value, args), **kwargs)
            self.affine.attach(completed)
            return recorder.complete(completed.step, got)
        applied = None if self.modules.inside_leaf else self._applied(word, given)
        if applied is not None:
            return recorder.record(*applied, func(*args, **kwargs))
        if kind is None or kind in MOVEMENT and not recorder.origins.of(given[0]):
            got = func(*args, **kwargs)
            self.affine.follow(word, given, got)
            if self.modules.inside_leaf:
                recorder.origins.propagate(given, tensors(got))
            else:
                recorder.pass_on(given, tensors(got), EFFECTS.get(word, COMPUTES), self._name(word))
            return got
        name = recorder.unique(self._owner(kind) or self._name(word))
        got = func(*args, **kwargs)
        if not isinstance(got, torch.Tensor):
            return got
        if kind == "crop" and got.ndim != given[0].ndim:
            kind = "reshape"
        fed = [x for x in given if recorder.origins.of(x)] if kind == "merge" else given[:1]
        return recorder.record(Step(name, kind, attributes, owner=word), fed, got)

    def _applied(self, word: str, given: list[torch.Tensor]) -> tuple[Step, list[torch.Tensor]] | None:
        """A step that multiplies by a parameter of the running module, or adds it, and what it is fed."""
        found = self.affine.applied(word, given)
        if found is None or self.modules.opened is not None or not self.modules.recorder.origins.of(found[2]):
            return None
        slot, name, x = found
        owner = name.rpartition(".")[0]
        leaf = not any(True for _ in self.modules.model.get_submodule(owner).children())
        weight = self.modules.model.get_parameter(name)
        if weight.numel() == 1 and not leaf:
            return None
        step = Step(self.modules.recorder.unique(owner if leaf and owner else name), "affine", {}, owner=owner or word)
        step.shapes, step.handle, step.layout = {slot: (weight.numel(),)}, {slot: name}, "affine"
        return step, [x]

    def _owner(self, kind: str) -> str:
        """The module that runs now, if it derives from a stock layer of this kind: the function is that layer."""
        opened = self.modules.opened
        return self.modules.path[-1] if opened is not None and kind_of(opened) == kind else ""

    def _name(self, word: str) -> str:
        return ".".join([*self.modules.path[-1:], word]).lstrip(".")

    def _classified(self, word: str, call: Call) -> tuple[str | None, Any]:
        if self.modules.inside_leaf or not call.tensors:
            return None, {}
        kind, attributes = classify_call(word, call)
        if kind == "merge" and not self.modules.recorder.origins.joins(call.tensors):
            return None, {}
        return kind, attributes


def kind_of(module: nn.Module) -> str | None:
    """The module's kind; None if it is unknown or its weights are computed from others (weight norm)."""
    kind, _ = classify(module)
    return None if kind is None or parameters(module, kind) is None else kind


def module_step(module: nn.Module, kind: str, name: str, path: str) -> Step:
    """The step that a module of known kind makes."""
    attributes = classify(module)[1] | (spectral_settings(module) if kind in PARAMETERS else {})
    held = dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers(remove_duplicate=False))
    handle = {slot: name for slot, name in (parameters(module, kind) or {}).items() if name in held}
    shapes = {slot: tuple(held[name].shape) for slot, name in handle.items()}
    handle = {slot: _joined(path, name) for slot, name in handle.items()}
    return Step(name, kind, attributes, shapes, kind, handle=handle, owner=path)


def tensors(tree: Any) -> list[torch.Tensor]:
    """Every tensor in nested arguments or results."""
    if isinstance(tree, torch.Tensor):
        return [tree]
    kind = type(tree)
    if kind in (tuple, list, dict):
        return [x for part in (tree.values() if kind is dict else tree) for x in tensors(part)]
    return [] if kind in PLAIN else [x for x in tree_leaves(tree) if isinstance(x, torch.Tensor)]


def _shape_of_result(func: Any, args: Any, kwargs: Any) -> torch.Size:
    """The shape that a function returns, without computing its values."""
    args, kwargs = tree_map_only(torch.Tensor, lambda x: torch.empty_like(x, device="meta"), (args, kwargs))
    return func(*args, **kwargs).shape


def _own_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters that a module holds itself, in lists and dictionaries of parameters too."""
    own = dict(module.named_parameters(recurse=False))
    for name, child in module.named_children():
        if isinstance(child, (nn.ParameterList, nn.ParameterDict)):
            own |= {f"{name}.{key}": parameter for key, parameter in child.named_parameters()}
    return own


def _block_step(parameters: dict[str, nn.Parameter], name: str, path: str) -> Step:
    shapes = {key: tuple(parameter.shape) for key, parameter in parameters.items()}
    return Step(name, OWN_WEIGHTS, {}, shapes, handle={key: _joined(path, key) for key in shapes}, owner=path)


def _unknown_step(module: nn.Module, name: str, path: str) -> Step:
    shapes = {_joined(path, key): tuple(tensor.shape) for key, tensor in module.named_parameters()}
    computed = " with computed weights" if classify(module)[0] is not None else ""
    kind = unknown(f"{type(module).__name__}{computed}")
    return Step(name, kind, plain_settings(module), shapes, handle={}, owner=path)


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
