"""The tensors that a network returns in lists, dictionaries, named tuples and dataclasses, with their names."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Named = list[tuple[str, Any]]


def named_outputs(result: Any, is_tensor: Callable[[Any], bool]) -> Named:
    """``(name, tensor)`` of every tensor in a result, in the order in which it holds them; what is no tensor is left.

    The name is the key or field, of nested ones joined by dots; empty for what only has a place.
    """
    return list(_walk(result, "", is_tensor))


def in_order_of(found: Named, names: Sequence[str]) -> Named:
    """``found`` in the order of ``names`` if it has exactly these names, else as it is."""
    own = [name for name, _ in found]
    if not all(names) or len(set(names)) < len(names) or sorted(own) != sorted(names):
        return found
    by_name = dict(found)
    return [(name, by_name[name]) for name in names]


def _walk(value: Any, name: str, is_tensor: Callable[[Any], bool]) -> Iterator[tuple[str, Any]]:
    if is_tensor(value):
        yield name, value
        return
    for key, part in _parts(value):
        yield from _walk(part, f"{name}.{key}" if name and key else name or key, is_tensor)


def _parts(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [(str(key), part) for key, part in value.items()]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return list(zip(value._fields, value, strict=True))
    if isinstance(value, (tuple, list)):
        return [("", part) for part in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    return []
