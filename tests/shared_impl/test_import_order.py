"""Sub-packages of shared_impl import only those before them, and no file imports itself by way of others."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import shared_impl

PACKAGE = Path(shared_impl.__file__).parent
ORDER = ("config", "data", "features", "sampling", "storage", "training", "cli")


def imports(package: Path) -> dict[str, set[str]]:
    """By module of ``package``, the modules of it that it imports, at its top or inside a function."""
    names = {path.relative_to(package).with_suffix("").as_posix().replace("/", "."): path for path in modules(package)}
    return {name: set(imported(path, names.keys(), package.name)) for name, path in names.items()}


def modules(package: Path) -> list[Path]:
    return [path for path in package.rglob("*.py") if path.name != "__init__.py"]


def imported(path: Path, names, package: str):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == package:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}".removeprefix(f"{package}.")
                yield whole if whole in names else node.module.removeprefix(f"{package}.")


def out_of_order(graph: dict[str, set[str]]) -> list[str]:
    """Imports of a later sub-package, and of any sub-package by a module at the root."""

    def rank(name: str) -> int:
        return ORDER.index(name.split(".")[0]) if "." in name else -1

    return sorted(f"{name} imports {other}" for name in graph for other in graph[name] if rank(other) > rank(name))


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """A cycle of modules, first and last the same; empty if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_the_order_is_that_of_the_package_s_docstring():
    documented = [line.split()[0] for line in shared_impl.__doc__.partition("of them:\n\n")[2].splitlines()]
    assert tuple(documented) == ORDER
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == set(ORDER)


def test_sub_packages_import_only_those_before_them():
    assert out_of_order(imports(PACKAGE)) == []


def test_no_file_imports_itself_by_way_of_others():
    assert cycle(imports(PACKAGE)) == []


@pytest.mark.parametrize(
    ("files", "order", "cyclic"),
    [
        ({"config/a.py": "", "data/b.py": "from p.config.a import x"}, [], False),
        ({"config/a.py": "def f():\n    from p.data import b", "data/b.py": ""}, ["config.a imports data.b"], False),
        ({"draws.py": "from p.config.a import x", "config/a.py": ""}, ["draws imports config.a"], False),
        ({"data/a.py": "from p.data.b import x", "data/b.py": "def f():\n    from p.data import a"}, [], True),
    ],
)
def test_a_breach_is_noticed(files, order, cyclic, tmp_path):
    for name, text in files.items():
        path = tmp_path / "p" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    graph = imports(tmp_path / "p")
    assert out_of_order(graph) == order
    assert bool(cycle(graph)) == cyclic
