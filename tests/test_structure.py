"""The rules of the tree: who may import whom, no cycles, twins that stay twins, requirements that are pinned."""

from __future__ import annotations

import ast
import configparser
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.import_graph import Edge, cycles, folder, folders, import_graph, imported, without

ROOT = Path(__file__).resolve().parents[1]
FRAMEWORKS = ("tensorflow", "keras", "torch")
IMPLEMENTATIONS = ("tf_impl", "torch_impl")
ABOVE_ALL = ("tests", "benchmarks")
SYSTEMS = ("shared_impl", *IMPLEMENTATIONS, "parity.systems", "parity.cli")

# configs <- shared_impl <- {tf_impl, torch_impl} <- parity/systems <- parity/cli; the rest of parity imports none of
# these. For each pattern, what may not be imported there.
ENGINE = ("numerics", "padding", "capture", "match", "transfer", "diagnosis", "checks", "report")
PLAIN = ("numerics", "padding", "match", "transfer", "diagnosis", "checks", "report")
FORBIDDEN: list[tuple[str, tuple[str, ...]]] = [
    ("shared_impl/**/*.py", (*FRAMEWORKS, *IMPLEMENTATIONS, "parity", *ABOVE_ALL)),
    ("tf_impl/**/*.py", ("torch", "torch_impl", "parity", *ABOVE_ALL)),
    ("torch_impl/**/*.py", ("tensorflow", "keras", "tf_impl", "parity", *ABOVE_ALL)),
    ("parity/**/*.py", ABOVE_ALL),
    ("parity/systems/**/*.py", ("parity.cli",)),
    *((f"parity/{name}/**/*.py", SYSTEMS) for name in ENGINE),
    *((f"parity/{name}/**/*.py", FRAMEWORKS) for name in PLAIN),
    *((f"parity/{name}.py", SYSTEMS) for name in ("__init__", "verdict", "verification")),
]
PROMISE = "Plain NumPy."  # in a module's docstring: kept like the rules above
OPENS_MODELS = {"parity/transfer/copying.py": "copy_to_torch and copy_to_keras take the frameworks' own models"}

# The stages of the engine: each imports from those before it alone.
STAGES = (
    "verdict",
    "numerics",
    "padding",
    "capture",
    "match",
    "transfer",
    "diagnosis",
    "checks",
    "report",
    "verification",
)
# Imports that close a circle, or go against the order of the stages, each with its reason.
BACKWARDS: dict[Edge, str] = {
    (
        "parity.verdict",
        "parity.report.markdown",
    ): "Verdict.to_markdown is public; the report is imported as it is called",
}


def breaches(root: Path) -> list[str]:
    """Every import in the tree below ``root`` that is forbidden, as ``file:line imports name``."""
    found = {f"{path.relative_to(root)}: configs holds no code" for path in root.glob("configs/**/*.py")}
    for pattern, forbidden in FORBIDDEN:
        for path in root.glob(pattern):
            name = path.relative_to(root).as_posix()
            tree = ast.parse(path.read_text(encoding="utf-8"))
            promised = PROMISE in (ast.get_docstring(tree) or "")
            rejected = {*forbidden, *(FRAMEWORKS if promised else ())}
            if name in OPENS_MODELS:
                rejected -= {*FRAMEWORKS}
            found |= {f"{name}:{line} imports {other}" for line, other in _within(imported(tree), rejected)}
    return sorted(found)


def _within(names: Iterable[tuple[int, str]], packages: Iterable[str]) -> Iterator[tuple[int, str]]:
    """The packages among these that are imported, with their lines."""
    for line, name in names:
        yield from ((line, package) for package in packages if f"{name}.".startswith(f"{package}."))


def backwards(root: Path) -> list[str]:
    """Every import of the engine that goes to a later stage."""
    graph = without(import_graph(root, "parity"), BACKWARDS)
    place = {f"parity.{name}": number for number, name in enumerate(STAGES)}
    pairs = sorted((module, other) for module, others in graph.items() for other in others)
    return [
        f"{module} imports {other}"
        for module, other in pairs
        if folder(module) in place and folder(other) in place and place[folder(module)] < place[folder(other)]
    ]


def test_nothing_is_imported_that_is_forbidden():
    assert breaches(ROOT) == []


def test_each_stage_imports_from_earlier_ones_alone():
    assert backwards(ROOT) == []


def test_the_engine_is_all_there():
    """A folder of parity that no rule names would be free to import anything."""
    here = {path.name for path in (ROOT / "parity").iterdir() if path.is_dir() and (path / "__init__.py").is_file()}
    assert here == {*ENGINE, "systems", "cli"}
    assert {*STAGES} == {*ENGINE, "verdict", "verification"}


@pytest.mark.parametrize("package", ["parity", "shared_impl", *IMPLEMENTATIONS])
def test_no_file_imports_itself_in_a_circle(package):
    assert cycles(without(import_graph(ROOT, package), BACKWARDS)) == []


def test_no_folder_of_parity_imports_itself_in_a_circle():
    assert cycles(folders(without(import_graph(ROOT, "parity"), BACKWARDS))) == []


def test_every_exception_is_needed():
    graph = import_graph(ROOT, "parity")
    assert [edge for edge in BACKWARDS if edge[1] not in graph[edge[0]]] == []
    assert [name for name in OPENS_MODELS if not (ROOT / name).is_file()] == []


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
        ("parity/padding/axis.py", "__import__('tensorflow')", "parity/padding/axis.py:1 imports tensorflow"),
        ("parity/report/page.py", "import torch", "parity/report/page.py:1 imports torch"),
        ("parity/report/page.py", "from parity import systems", "parity/report/page.py:1 imports parity.systems"),
        (
            "parity/checks/state.py",
            "def f():\n    from parity.systems.registry import registry",
            "parity/checks/state.py:2 imports parity.systems",
        ),
        ("parity/verification.py", "import shared_impl.draws", "parity/verification.py:1 imports shared_impl"),
        (
            "parity/systems/registry.py",
            "from parity.cli import verify",
            "parity/systems/registry.py:1 imports parity.cli",
        ),
        (
            "parity/capture/drawn_inputs.py",
            "'Test inputs. Plain NumPy.'\nimport keras",
            "parity/capture/drawn_inputs.py:2 imports keras",
        ),
        ("parity/cli/verify.py", "from tests import import_graph", "parity/cli/verify.py:1 imports tests"),
        ("configs/specgan.py", "", "configs/specgan.py: configs holds no code"),
    ],
)
def test_a_forbidden_import_is_reported(tmp_path, path, source, breach):
    write(tmp_path, {path: source})
    assert breaches(tmp_path) == [breach]


def test_a_tree_that_keeps_the_rules_is_clean(tmp_path):
    write(
        tmp_path,
        {
            "tf_impl/a.py": "import keras\nimport tensorflow as tf\nfrom shared_impl.config import schema",
            "torch_impl/a.py": "from . import layers\nimport torch",
            "parity/capture/a.py": "import keras, torch\nimport torchvision_of_theirs",
            "parity/systems/a.py": "import keras, torch, tf_impl",
            "parity/checks/a.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import keras",
        },
    )
    assert breaches(tmp_path) == backwards(tmp_path) == []


CIRCLES = {
    "two files": ({"checks/a.py": "from parity.checks import b", "checks/b.py": "import parity.checks.a"}, 1, 0),
    "a later import": (
        {"checks/a.py": "from parity.checks.b import x", "checks/b.py": "def f():\n    from parity.checks.a import y"},
        1,
        0,
    ),
    "for type checkers": (
        {
            "checks/a.py": "from parity.checks import b",
            "checks/b.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from parity.checks import a",
        },
        0,
        0,
    ),
    "two folders through four files": (
        {
            "match/a.py": "from parity.transfer.a import x",
            "match/b.py": "",
            "transfer/a.py": "",
            "transfer/b.py": "import parity.match.b",
        },
        0,
        1,
    ),
}


@pytest.mark.parametrize(("sources", "of_files", "of_folders"), CIRCLES.values(), ids=CIRCLES)
def test_a_circle_of_imports_is_reported(tmp_path, sources, of_files, of_folders):
    write(tmp_path, {f"parity/{path}": source for path, source in sources.items()})
    graph = import_graph(tmp_path, "parity")
    assert (len(cycles(graph)), len(cycles(folders(graph)))) == (of_files, of_folders)


def test_an_import_of_a_later_stage_is_reported(tmp_path):
    write(tmp_path, {"parity/capture/a.py": "from parity.transfer import b", "parity/transfer/b.py": ""})
    assert backwards(tmp_path) == ["parity.capture.a imports parity.transfer.b"]


def write(root: Path, sources: dict[str, str]) -> None:
    """Write files into a tree of one's own."""
    for path, source in sources.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(source)


@pytest.mark.parametrize(
    ("modules", "forbidden"),
    [
        (
            "parity parity.padding parity.numerics.difference parity.verdict parity.report parity.checks.state",
            FRAMEWORKS,
        ),
        ("parity.checks.registry parity.systems.training.registry parity.systems.registry", FRAMEWORKS),
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
    assert {*forbidden} & set(json.loads(run.stdout.splitlines()[-1])) == set()


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
    """Where the implementations differ in file names, in public names, or in the order of either, or of arguments."""
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


def test_the_implementations_are_twins():
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
def test_a_difference_between_twins_is_reported(tmp_path, tf_file, torch_file, difference):
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
