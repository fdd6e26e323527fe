"""Running scripted and traced modules operation by operation, in Python.

TorchScript runs outside Python: no hook and no function mode sees what happens. Its graph is public, so it is executed
here node by node, each operation as ``torch.ops.aten``, which is observed like any other function.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from parity.verdict import UnusableInput

# Operations of the language, which no kernel computes.
PYTHON: dict[str, Callable] = {
    "aten::__getitem__": operator.getitem,
    "aten::__is__": operator.is_,
    "aten::__isnot__": operator.is_not,
    "aten::__not__": operator.not_,
    "aten::__contains__": operator.contains,
    "aten::len": len,
    "aten::Int": int,
    "aten::Float": float,
    "aten::Bool": bool,
    "aten::ScalarImplicit": lambda x: x.item(),
    "aten::IntImplicit": int,
    "aten::append": lambda values, x: (values.append(x), values)[1],
    "aten::list": list,
    "aten::format": lambda text, *values: text.format(*values),
    "aten::warn": lambda *words: None,
    "aten::dict": dict,
    "aten::keys": lambda table: list(table.keys()),
    "aten::values": lambda table: list(table.values()),
    "prim::ListConstruct": lambda *values: list(values),
    "prim::TupleConstruct": lambda *values: values,
    "prim::DictConstruct": lambda *values: dict(zip(values[::2], values[1::2], strict=True)),
    "prim::TupleIndex": operator.getitem,
    "prim::unchecked_cast": lambda x: x,
    "prim::unchecked_unwrap_optional": lambda x: x,
    "prim::Uninitialized": lambda: None,
    "prim::NumToTensor": lambda x: x,
    "prim::dtype": lambda x: x.dtype,
    "prim::device": lambda x: x.device,
    "prim::layout": lambda x: x.layout,
    "prim::is_cuda": lambda x: x.is_cuda,
    "prim::requires_grad": lambda x: x.requires_grad,
    "prim::data": lambda x: x.detach(),
    "prim::min": min,
    "prim::max": max,
}
UNPACKING = ("prim::ListUnpack", "prim::TupleUnpack")
# torch.dtype by the number that TorchScript stores (c10/core/ScalarType.h).
DTYPES = dict(
    enumerate(
        (
            *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.float32),
            *(torch.float64, torch.complex32, torch.complex64, torch.complex128, torch.bool),
        )
    )
)


class Scripted(nn.Module):
    """A scripted or traced module's parameters, buffers and submodules, and its graph as ``forward``."""

    def __init__(self, script: Any, root: bool = True):
        super().__init__()
        if root and not hasattr(script, "training"):
            raise UnusableInput(
                "the torch module is a frozen ScriptModule (torch.jit.freeze): its weights are constants, nothing can "
                "be copied into it; hand over the module before it was frozen"
            )
        self._program = _Program(script, root)
        self.original_name = script.original_name
        for name, parameter in script.named_parameters(recurse=False):
            own = parameter if isinstance(parameter, nn.Parameter) else nn.Parameter(parameter.detach())
            self.register_parameter(name, own)
        for name, buffer in script.named_buffers(recurse=False):
            self.register_buffer(name, buffer)
        for name, child in script.named_children():
            self.add_module(name, Scripted(child, root=False))
        self.training = bool(getattr(script, "training", True))

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Run the graph."""
        graph = self._program.graph
        names = self._program.names
        given = [*inputs, *(named[name] for name in names[len(inputs) :] if name in named)]
        given += [self._program.defaults[name] for name in names[len(given) :] if name in self._program.defaults]
        if len(given) != len(names):
            raise TypeError(f"forward() takes {', '.join(names)}, got {len(given)} inputs")
        known = dict(zip((value.unique() for value in graph.inputs()), [self, *given], strict=True))
        (*results,) = _run_block(graph, known)
        return results[0] if len(results) == 1 else tuple(results)

    @property
    def input_names(self) -> list[str]:
        """Names of the parameters of the scripted ``forward``."""
        return self._program.names

    def scripted_attribute(self, name: str) -> Any:
        """What the scripted module holds beside tensors and submodules."""
        return getattr(self._program.script, name)


class _Program:
    """A scripted module and its graph, which copies of a :class:`Scripted` share."""

    def __init__(self, script: Any, root: bool):
        self.script = script
        if root:
            self.graph = script.inlined_graph
            forward: Any = script.forward
            arguments = forward.schema.arguments[1:]
            self.names = [argument.name for argument in arguments]
            self.defaults = {a.name: a.default_value for a in arguments if a.has_default_value()}

    def __deepcopy__(self, memo: dict) -> _Program:
        return self


def _run_block(block: Any, known: dict[int, Any]) -> list[Any]:
    for node in block.nodes():
        results = _run(node, known)
        for value, result in zip(node.outputs(), results, strict=True):
            known[value.unique()] = result
    return [known[value.unique()] for value in block.outputs()]


def _run(node: Any, known: dict[int, Any]) -> Any:
    kind = node.kind()
    given = [known[value.unique()] for value in node.inputs()]
    if kind == "prim::Constant":
        return [node.output().toIValue()]
    if kind == "prim::GetAttr":
        return [_attribute(given[0], node.s("name"))]
    if kind == "prim::SetAttr":
        setattr(given[0], node.s("name"), given[1])
        return []
    if kind == "prim::If":
        return _run_block(list(node.blocks())[0 if given[0] else 1], known)
    if kind == "prim::Loop":
        return _loop(node, given, known)
    if kind == "prim::RaiseException":
        raise RuntimeError(str(given[0]))
    if kind in UNPACKING:
        return list(given[0])
    if kind in PYTHON:
        result = PYTHON[kind](*given)
        return [result] if node.outputsSize() else []
    if not kind.startswith("aten::"):
        raise NotImplementedError(f"TorchScript's {kind}")
    result = _operation(node, given)
    return list(result) if node.outputsSize() > 1 else [result] * node.outputsSize()


def _attribute(module: Any, name: str) -> Any:
    held = name in module._parameters or name in module._buffers or name in module._modules or name == "training"
    return getattr(module, name) if held else module.scripted_attribute(name)


def _loop(node: Any, given: list[Any], known: dict[int, Any]) -> list[Any]:
    (block,) = node.blocks()
    (limit, proceed), carried = given[:2], given[2:]
    place, *names = [value.unique() for value in block.inputs()]
    for count in range(limit):
        if not proceed:
            break
        known |= dict(zip([place, *names], [count, *carried], strict=True))
        proceed, *carried = _run_block(block, known)
    return carried


def _operation(node: Any, given: list[Any]) -> Any:
    schema = torch._C.parse_schema(node.schema())
    packet = getattr(torch.ops.aten, schema.name.removeprefix("aten::"))
    positional, named = [], {}
    for argument, value in zip(schema.arguments, given, strict=False):
        if argument.name == "dtype" and isinstance(value, int):
            value = DTYPES[value]
        if argument.kwarg_only:
            named[argument.name] = value
        else:
            positional.append(value)
    overload = schema.overload_name or "default"
    call = getattr(packet, overload) if overload in packet.overloads() else packet
    return call(*positional, **named)
