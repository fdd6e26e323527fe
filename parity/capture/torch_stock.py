"""Whether a module computes what the stock layer that it derives from computes, decided by running both.

``isinstance`` proves no kind: a subclass may activate, pad or permute in its ``forward``. Such a module is a container
of what runs in it, and its call of the stock ``forward`` is a layer of the stock kind.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import nn

from parity.capture.drop_path import drop_settings
from parity.capture.elementwise import identify

STOCK = "torch.nn.modules."
DRAWN = 10**6  # elements of a parameter that is drawn


def stock_class(module: nn.Module) -> type[nn.Module]:
    """The class of ``torch.nn`` that the module is, or derives from."""
    return next(cls for cls in type(module).__mro__ if cls.__module__.startswith(STOCK))


def may_differ(module: nn.Module) -> bool:
    """Whether a class below the stock one, or the instance, defines a method that the stock class has too."""
    return "forward" in vars(module) or bool(_overridden(module))


def calls_stock_whole(module: nn.Module) -> bool:
    """Whether the stock ``forward`` that the module may call is the stock layer, no part of it being replaced."""
    return _overridden(module) <= {"forward"} and ("forward" in vars(module) or bool(_overridden(module)))


def _overridden(module: nn.Module) -> set[str]:
    """The methods of the stock class that a class below it defines."""
    stock = stock_class(module)
    bases = [base for base in stock.__mro__ if base.__module__.startswith(STOCK) and base is not nn.Module]
    methods = {name for base in bases for name, value in vars(base).items() if callable(value)}
    methods -= {"__init__", "extra_repr", "reset_parameters"}
    below = type(module).__mro__[: type(module).__mro__.index(stock)]
    return {name for cls in below for name in vars(cls)} & methods


def computes_stock(module: nn.Module, args: Any, kwargs: Any, ours: Callable[[Any], bool]) -> bool:
    """Whether the module and its stock class return the same on these arguments, in evaluation and in training.

    Both run on shallow copies with buffers of their own and without the hooks that ``ours`` recognises, from the same
    random state; with the module's own parameters and with drawn ones, since a scale of zero hides whatever comes
    after it. The same is bit by bit: whoever computes a layer in another way is looked into, which loses nothing.
    """
    kept = {name: buffer.clone() for name, buffer in module.named_buffers()}
    random = torch.get_rng_state()
    try:
        with torch.no_grad():
            for training, drawn in product((False, True), repeat=2):
                results = []
                for stock in (False, True):
                    torch.set_rng_state(random)
                    twin = _twin(module, ours).train(training)
                    if drawn:
                        vars(twin)["_parameters"] = _drawn(twin)
                    if stock:
                        vars(twin).pop("forward", None)
                        twin.__class__ = stock_class(module)
                    results.append(_outcome(twin.forward, *_copied((args, kwargs))))
                if not _same(*results):
                    return False
        return True
    finally:
        torch.set_rng_state(random)
        with torch.no_grad():
            for name, buffer in module.named_buffers():
                buffer.copy_(kept[name])


def _drawn(module: nn.Module) -> dict[str, torch.Tensor | None]:
    """Values from 0.5 to 1.5 for each parameter of the module itself that is not too large to be drawn in no time."""
    generator = torch.Generator().manual_seed(0)
    return {
        name: x
        if x is None or x.numel() > DRAWN or not x.is_floating_point()
        else torch.rand(x.shape, generator=generator, dtype=x.dtype) + 0.5
        for name, x in vars(module)["_parameters"].items()
    }


def function_of(module: nn.Module, ours: Callable[[Any], bool]) -> dict[str, Any] | None:
    """The settings of the elementwise function that the module computes in both modes; None if it is no known one."""
    random = torch.get_rng_state()
    try:
        with torch.no_grad():
            found = [_function(_twin(module, ours).train(training)) for training in (False, True)]
        return found[0] if found[0] == found[1] else None
    finally:
        torch.set_rng_state(random)


def drops_of(module: nn.Module, rank: int, settings: Mapping[str, Any], ours: Callable[[Any], bool]) -> Any:
    """The settings of dropout that the module does itself, fed ``rank`` axes; None if it does something else."""
    random = torch.get_rng_state()

    def call(x: np.ndarray, training: bool) -> np.ndarray:
        return _twin(module, ours).train(training)(torch.tensor(x, dtype=torch.get_default_dtype())).numpy()

    try:
        with torch.no_grad():
            return drop_settings(call, rank, channels_first=True, settings=settings)
    finally:
        torch.set_rng_state(random)


@contextmanager
def stock_forwards(modules: list[nn.Module], observed: Callable[..., Any]) -> Iterator[None]:
    """Within this context ``super().forward(...)`` of these modules is ``observed(module, forward, args, kwargs)``."""
    classes = {next(base for base in stock_class(module).__mro__ if "forward" in vars(base)) for module in modules} - {
        nn.Module
    }
    stock = {cls: vars(cls)["forward"] for cls in classes}
    try:
        for cls, forward in stock.items():
            cls.forward = _observed(forward, observed)  # type: ignore[attr-defined]
        yield
    finally:
        for cls, forward in stock.items():
            cls.forward = forward  # type: ignore[attr-defined]


def _observed(forward: Callable, observed: Callable[..., Any]) -> Callable:
    def call(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        return observed(module, forward, args, kwargs)

    return call


def _twin(module: nn.Module, ours: Callable[[Any], bool]) -> nn.Module:
    """The module with the same parameters, and with buffers, children and attributes that may change apart."""
    twin = copy.copy(module)
    held = vars(twin)
    for table in ("_forward_hooks", "_forward_pre_hooks"):
        held[table] = OrderedDict((key, hook) for key, hook in held[table].items() if not ours(hook))
    held["_buffers"] = {name: None if x is None else x.clone() for name, x in held["_buffers"].items()}
    held["_modules"] = {name: None if m is None else _twin(m, ours) for name, m in held["_modules"].items()}
    held["_parameters"] = dict(held["_parameters"])
    forward: Any = held.get("forward")
    if getattr(forward, "__self__", None) is module:
        held["forward"] = forward.__func__.__get__(twin)
    return twin


def _function(module: nn.Module) -> dict[str, Any] | None:
    return identify(lambda x: module(torch.tensor(x, dtype=torch.get_default_dtype())).numpy())


def _copied(tree: Any) -> Any:
    return torch.utils._pytree.tree_map(lambda x: x.detach().clone() if isinstance(x, torch.Tensor) else x, tree)


def _outcome(call: Callable, args: Any, kwargs: Any) -> Any:
    """What a call returns; None if it fails."""
    try:
        return call(*args, **kwargs)
    except Exception:
        return None


def _same(a: Any, b: Any) -> bool:
    if not isinstance(a, torch.Tensor) or not isinstance(b, torch.Tensor):
        return False
    return a.shape == b.shape and a.dtype == b.dtype and torch.equal(a.nan_to_num(), b.nan_to_num())
