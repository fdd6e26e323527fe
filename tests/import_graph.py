"""Which module of a tree imports which, read from the sources: at their top and inside functions."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

IMPORTERS = {"importlib.import_module", "import_module", "__import__"}
Graph = Mapping[str, set[str]]
Edge = tuple[str, str]


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything that a module imports; of ``from a import b`` the name ``a.b``.

    Imports for type checkers alone are left out, names handed to ``import_module`` are not.
    """
    for node in _running(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func) in IMPORTERS
            and isinstance(node.args[0], ast.Constant)
        ):
            yield node.lineno, str(node.args[0].value)


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node that is not under ``if TYPE_CHECKING``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for other in node.orelse:
                yield other
                yield from _running(other)
        else:
            yield node
            yield from _running(node)


def modules(root: Path, *packages: str) -> dict[str, Path]:
    """The dotted names of a tree's modules; a package's ``__init__`` by the package's name."""
    paths = (path for package in packages for path in (root / package).rglob("*.py"))
    return {".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


def import_graph(root: Path, *packages: str) -> dict[str, set[str]]:
    """The modules of ``packages`` that each of them names in an import."""
    found = modules(root, *packages)

    def nearest(name: str) -> str:
        while name and name not in found:
            name = name.rpartition(".")[0]
        return name

    return {
        module: {nearest(name) for _, name in imported(ast.parse(path.read_text("utf-8")))} - {"", module}
        for module, path in found.items()
    }


def folders(graph: Graph) -> dict[str, set[str]]:
    """The same graph between a package's folders; a file beside them counts by itself."""
    found: dict[str, set[str]] = {}
    for module, others in graph.items():
        found.setdefault(folder(module), set()).update(folder(other) for other in others)
    return {name: others - {name} for name, others in found.items()}


def folder(module: str) -> str:
    """``parity.checks`` of ``parity.checks.state``."""
    return ".".join(module.split(".")[:2])


def without(graph: Graph, edges: Mapping[Edge, str]) -> dict[str, set[str]]:
    """The graph without these edges."""
    return {name: {other for other in others if (name, other) not in edges} for name, others in graph.items()}


def cycles(graph: Graph) -> list[list[str]]:
    """The groups of nodes that reach each other, each sorted."""
    reach = {name: _reachable(graph, name) for name in graph}
    groups = {tuple(sorted({other for other in reach[name] if name in reach.get(other, ())})) for name in graph}
    return [list(group) for group in sorted(groups) if group]


def _reachable(graph: Graph, start: str) -> set[str]:
    found: set[str] = set()
    stack = list(graph[start])
    while stack:
        name = stack.pop()
        if name not in found:
            found.add(name)
            stack += graph.get(name, ())
    return found
