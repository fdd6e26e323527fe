"""YAML as a person means it: no key twice, ``1e3`` is a number, and no few lines that stand for billions."""

from __future__ import annotations

import re
from typing import Any

import yaml

LARGEST = 10_000  # values in a file, each alias counted as what it stands for
DEEPEST = 50  # levels of a file
NUMBER = re.compile(r"[-+]?\d[\d_]*(\.\d*)?[eE][-+]?\d+$")  # YAML 1.1 takes these for text without a dot and a sign


class YamlError(ValueError):
    """Text that is no YAML, or none that can be meant; one line."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with numbers such as 1e3, whole ones where they are whole."""


def _number(loader: _Loader, node: yaml.ScalarNode) -> float:
    value = float(node.value)
    return int(value) if "." not in node.value and value.is_integer() else value


_Loader.add_implicit_resolver("!exponent", NUMBER, list("-+0123456789"))
_Loader.add_constructor("!exponent", _number)


def parse(text: str) -> Any:
    """The content of a YAML text. Raises YamlError."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _measure(node, {}, ())
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise YamlError(" ".join(str(error).split())) from error
    except RecursionError as error:
        raise YamlError("sections within sections without end") from error
    except (ValueError, OverflowError) as error:  # of a number or date that Python does not have
        raise error if isinstance(error, YamlError) else YamlError(" ".join(str(error).split())) from error


def _measure(node: yaml.Node, known: dict[int, int], above: tuple[int, ...]) -> int:
    """How many values a node stands for."""
    if id(node) in known:
        return known[id(node)]
    if id(node) in above or len(above) >= DEEPEST:
        raise YamlError(f"{_place(node)}: sections within sections, more than {DEEPEST}, or within themselves")
    children: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        _validate_keys(node)
        children = [child for pair in node.value for child in pair]
    elif isinstance(node, yaml.SequenceNode):
        children = node.value
    known[id(node)] = size = 1 + sum(_measure(child, known, (*above, id(node))) for child in children)
    if size > LARGEST:
        raise YamlError(f"{_place(node)}: stands for more than {LARGEST:,} values")
    return size


def _validate_keys(node: yaml.MappingNode) -> None:
    seen: dict[str, yaml.Node] = {}
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise YamlError(f"{_place(key)}: {key.value} is given twice, first in line {_line(seen[key.value])}")
            seen[key.value] = key


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1


def _place(node: yaml.Node) -> str:
    return f"line {_line(node)}"
