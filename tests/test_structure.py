"""The rules of the implementation: who may import whom, twins that stay twins, requirements that are pinned."""

from __future__ import annotations

import ast
import configparser
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
FRAMEWORKS = {"tensorflow", "keras", "torch"}
IMPLEMENTATIONS = ("tf_impl", "torch_impl")
IMPORTERS = {"importlib.import_module", "import_module", "__import__"}
PROMISE = "Plain NumPy."  # in a module's docstring: kept like the walls below
WITHOUT = FRAMEWORKS | {*IMPLEMENTATIONS, "tests"}
PLAIN = ("padding", "weights", "compare", "referee", "verdict", "report")

# configs <- common <- {tf_impl, torch_impl} <- parity <- tests: for each pattern, what stands to its right or beside it
WALLS = {
    "common/**/*.py": FRAMEWORKS | {"tf_impl", "torch_impl", "parity", "tests"},
    "tf_impl/**/*.py": {"torch", "torch_impl", "parity", "tests"},
    "torch_impl/**/*.py": {"tensorflow", "keras", "tf_impl", "parity", "tests"},
    "parity/**/*.py": {"tests"},
    **{f"parity/{name}.py": WITHOUT for name in PLAIN},
    **{f"parity/{name}/**/*.py": WITHOUT for name in PLAIN},
}


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and top-level name of everything that a module imports, at its top or inside a function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module.split(".")[0]
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func) in IMPORTERS
            and isinstance(node.args[0], ast.Constant)
        ):
            yield node.lineno, str(node.args[0].value).split(".")[0]


def breaches(root: Path) -> list[str]:
    """Every import in the tree below ``root`` that a wall forbids, as ``file:line imports name``."""
    found = {f"{path.relative_to(root)}: configs holds no code" for path in root.glob("configs/**/*.py")}
    for pattern, forbidden in WALLS.items():
        for path in root.glob(pattern):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            promised = WITHOUT if PROMISE in (ast.get_docstring(tree) or "") else set()
            for line, name in imported(tree):
                if name in forbidden | promised:
                    found.add(f"{path.relative_to(root)}:{line} imports {name}")
    return sorted(found)


def test_every_wall_stands():
    assert breaches(ROOT) == []


@pytest.mark.parametrize(
    ("path", "source", "breach"),
    [
        ("tf_impl/specgan.py", "import torch.nn as nn", "tf_impl/specgan.py:1 imports torch"),
        ("tf_impl/sub/deep.py", "x = 1\nfrom torch import nn", "tf_impl/sub/deep.py:2 imports torch"),
        ("torch_impl/dcgan.py", "def f():\n    import keras", "torch_impl/dcgan.py:2 imports keras"),
        ("torch_impl/dcgan.py", "from tf_impl.dcgan import x", "torch_impl/dcgan.py:1 imports tf_impl"),
        (
            "shared_impl/config/presets.py",
            "import importlib\nimportlib.import_module('parity.numerics.weight_axes')",
            "shared_impl/config/presets.py:2 imports parity",
        ),
        ("parity/padding.py", "__import__('tensorflow')", "parity/padding.py:1 imports tensorflow"),
        ("parity/report/html.py", "import torch", "parity/report/html.py:1 imports torch"),
        (
            "parity/capture/drawn_inputs.py",
            "'Probes. Plain NumPy.'\nimport keras",
            "parity/capture/drawn_inputs.py:2 imports keras",
        ),
        ("parity/checks/ladder.py", "from tests import test_implementation", "parity/checks/ladder.py:1 imports tests"),
        ("configs/specgan.py", "", "configs/specgan.py: configs holds no code"),
    ],
)
def test_a_breach_is_seen(tmp_path, path, source, breach):
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(source)
    assert breaches(tmp_path) == [breach]


def test_a_tree_within_its_walls_is_clean(tmp_path):
    for path, source in {
        "tf_impl/a.py": "import keras\nimport tensorflow as tf\nfrom common import config",
        "torch_impl/a.py": "from . import layers\nimport torch",
        "parity/checks/ladder.py": "import keras, torch, tf_impl",
    }.items():
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_text(source)
    assert breaches(tmp_path) == []


@pytest.mark.parametrize(
    ("modules", "forbidden"),
    [
        (
            "parity parity.padding parity.numerics.weight_axes parity.numerics.difference parity.numerics.reference_ops parity.verdict parity.report",
            FRAMEWORKS,
        ),
        ("parity.__main__ parity.pytest_plugin", FRAMEWORKS),
        ("shared_impl.config.presets", FRAMEWORKS),
        ("tf_impl tf_impl.specgan tf_impl.dcgan", {"torch", "torch_impl", "parity"}),
        ("torch_impl torch_impl.specgan torch_impl.dcgan", {"tensorflow", "keras", "tf_impl", "parity"}),
    ],
)
def test_importing_loads_no_more_than_it_may(modules, forbidden):
    code = f"import json, sys\nfor name in {modules.split()}: __import__(name)\nprint(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert forbidden & set(json.loads(run.stdout.splitlines()[-1])) == set()


# Arguments that only one implementation has, each with its reason.
ONE_SIDED: dict[str, dict[str, str]] = {
    "specgan.py:SpecGANGenerator": {"padding": "Keras has SAME alone"},
    "specgan.py:SpecGANDiscriminator": {"padding": "Keras has SAME alone"},
}


def public(path: Path) -> dict[str, list[str]]:
    """Public top-level names of a module, in order, with the argument names of functions and constructors."""
    names: dict[str, list[str]] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            names[node.name] = [argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)]
        elif isinstance(node, ast.ClassDef):
            makers = [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"]
            names[node.name] = [
                argument.arg for maker in makers for argument in (*maker.args.args, *maker.args.kwonlyargs)
            ]
        elif isinstance(node, ast.Assign):
            names |= {target.id: [] for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names[node.target.id] = []
    return {name: arguments for name, arguments in names.items() if not name.startswith("_")}


def untwinned(root: Path) -> list[str]:
    """Where the two implementations differ in file names, in public names, or in the order of either, or of arguments."""
    files = [
        {path.relative_to(root / implementation).as_posix() for path in (root / implementation).rglob("*.py")}
        for implementation in IMPLEMENTATIONS
    ]
    found = [f"{name}: in one implementation only" for name in sorted(files[0] ^ files[1])]
    for file in sorted(files[0] & files[1] - {"layers.py"}):
        reference, port = (public(root / implementation / file) for implementation in IMPLEMENTATIONS)
        if list(reference) != list(port):
            found.append(f"{file}: {list(reference)} in tf_impl, {list(port)} in torch_impl")
        for name in reference.keys() & port.keys():
            extra = ONE_SIDED.get(f"{file}:{name}", {})
            left, right = ([argument for argument in side[name] if argument not in extra] for side in (reference, port))
            if left != right:
                found.append(f"{file}: {name}({', '.join(left)}) in tf_impl, {name}({', '.join(right)}) in torch_impl")
    return found


def test_the_houses_are_twins():
    assert untwinned(ROOT) == []


@pytest.mark.parametrize(
    ("tf_file", "torch_file", "difference"),
    [
        ("def f(a, b): ...", "def f(b, a): ...", "specgan.py: f(a, b) in tf_impl, f(b, a) in torch_impl"),
        (
            "class A: ...\nclass B: ...",
            "class B: ...\nclass A: ...",
            "specgan.py: ['A', 'B'] in tf_impl, ['B', 'A'] in torch_impl",
        ),
        ("class A: ...", "class _A: ...", "specgan.py: ['A'] in tf_impl, [] in torch_impl"),
        ("def f(*, a): ...", "def f(*, b): ...", "specgan.py: f(a) in tf_impl, f(b) in torch_impl"),
    ],
)
def test_a_lost_twin_is_seen(tmp_path, tf_file, torch_file, difference):
    for implementation, source in zip(IMPLEMENTATIONS, (tf_file, torch_file), strict=True):
        (tmp_path / implementation).mkdir()
        (tmp_path / implementation / "specgan.py").write_text(source)
    (tmp_path / "tf_impl" / "only.py").write_text("")
    assert untwinned(tmp_path) == ["only.py: in one implementation only", difference]


def required() -> Iterator[Requirement]:
    """Every requirement of setup.cfg, its extras' included, that is not the project itself."""
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg")
    for text in (setup["options"]["install_requires"], *setup["options.extras_require"].values()):
        yield from (r for r in map(Requirement, text.split("\n")[1:]) if r.name != setup["metadata"]["name"])


def test_every_requirement_is_pinned_within_its_range():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pins = {canonicalize_name(name): pin for name, pin in (line.split("==") for line in lines)}
    wanted = list(required())
    assert len(wanted) > 10
    assert [str(r) for r in wanted if pins.get(canonicalize_name(r.name), "") not in r.specifier] == []
