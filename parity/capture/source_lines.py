"""The source line that creates a layer, as ``file:line``, from the source of the classes that hold it."""

from __future__ import annotations

import ast
import inspect
import os
import re
import sys
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from parity.capture.steps import Step


@dataclass
class SourceLines:
    """Finds layers in the source of both models' classes; an empty string if a layer is not found."""

    reference_model: Any
    port_model: Any
    _classes: dict[int, list[type]] = field(default_factory=dict)

    def reference(self, step: Step) -> str:
        """The line that names a Keras layer."""
        return self._find(self.reference_model, re.split(r"[/:#]", step.name)[-1 if ":" not in step.name else -2])

    def port(self, step: Step) -> str:
        """The line that names a torch module."""
        return self._find(self.port_model, step.name.split("#")[0].split(".")[-1])

    def _find(self, model: Any, name: str) -> str:
        for cls in self._holders(model):
            line = _line_of(cls, name)
            if line:
                return line
        return ""

    def _holders(self, model: Any) -> list[type]:
        if id(model) not in self._classes:
            parts = model.modules() if hasattr(model, "modules") else model._flatten_layers()
            self._classes[id(model)] = list(dict.fromkeys(type(part) for part in parts))
        return self._classes[id(model)]


def _line_of(cls: type, name: str) -> str:
    exact, prefix = [], []
    for label, line in _named_in(cls):
        if label == name:
            exact.append(line)
        elif len(label) > 2 and name.startswith(f"{label}_"):
            prefix.append((len(label), line))
    if not exact and not prefix:
        return ""
    return f"{_shown(sys.modules[cls.__module__].__file__ or '')}:{min(exact) if exact else max(prefix)[1]}"


@lru_cache(maxsize=1024)
def _named_in(cls: type) -> list[tuple[str, int]]:
    """The names in a class's source, with their lines; empty for classes of the frameworks."""
    path = getattr(sys.modules.get(cls.__module__), "__file__", None)
    if path is None or "site-packages" in path or cls.__module__.split(".")[0] in ("keras", "torch"):
        return []
    try:
        lines, first = inspect.getsourcelines(cls)
        tree = ast.parse(inspect.cleandoc("\n" + "".join(lines)) if lines[0][0].isspace() else "".join(lines))
    except (OSError, TypeError, SyntaxError, IndexError):
        return []
    return [(label, first + line - 1) for node in ast.walk(tree) for label, line in _labels(node)]


def _labels(node: ast.AST) -> list[tuple[str, int]]:
    """The names in one syntax node, with their lines: strings, keyword arguments, assigned attributes."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [(node.value, node.lineno)]
    if isinstance(node, ast.keyword) and node.arg:
        return [(node.arg, node.lineno)]
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        return [(node.attr, node.lineno)]
    return []


def _shown(path: str) -> str:
    """Relative to the working directory or the project if possible, so that reports contain no paths of a machine."""
    for base in (Path.cwd(), Path(__file__).resolve().parents[2]):
        if Path(path).resolve().is_relative_to(base):
            return Path(path).resolve().relative_to(base).as_posix()
    return os.path.basename(path)
