"""The shape of the house, read from the source: imports point one way, nothing asserts, prints or unpickles."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import latentgeo

ROOT = Path(latentgeo.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

# What each part of the library may import from the rest of it; parts that do not exist yet are planned.
_NUMERICAL = {"metrics", "geometry", "geodesics", "gaussians", "statistics"}
_MODELLING = {"models", "training", "diagnostics", "data"}
ALLOWED: dict[str, set[str]] = {
    "eval_mode": set(),
    "metrics": {"eval_mode"},
    "geometry": {"metrics"},
    "geodesics": {"metrics", "geometry"},
    "gaussians": {"metrics", "geometry", "geodesics"},
    "statistics": {"metrics", "geometry", "geodesics", "gaussians"},
    **dict.fromkeys(_MODELLING, _MODELLING | {"eval_mode"}),
    "plots": _NUMERICAL | _MODELLING,
    "experiments": _NUMERICAL | _MODELLING | {"plots", ""},
    "explorer": _NUMERICAL | _MODELLING | {"plots", "experiments"},
    "__main__": {"cli"},
    "cli": _NUMERICAL | _MODELLING | {"plots", "experiments", "explorer", ""},
}
DRAWS = {"plots", "experiments"}
UNPICKLERS = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc"}


def part_of(path: Path) -> str:
    """The package of latentgeo a file belongs to; empty for the package itself."""
    first = path.relative_to(ROOT).parts[0]
    return "" if first == "__init__.py" else first.removesuffix(".py")


def imports(tree: ast.AST) -> Iterator[str]:
    """The dotted names a module imports, wherever in it they are."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def wrong_directions(part: str, tree: ast.AST) -> list[str]:
    """Imports of latentgeo that its plan does not allow from this part."""
    wrong = []
    for name in imports(tree):
        root, _, rest = name.partition(".")
        target = rest.split(".")[0]
        if root == "" or (
            root == "latentgeo" and target != part and target not in ALLOWED.get(part, {target})
        ):
            wrong.append(name)
    return wrong


def drawing(part: str, tree: ast.AST) -> list[str]:
    return [n for n in imports(tree) if n.split(".")[0] == "matplotlib" and part not in DRAWS]


def assertions(part: str, tree: ast.AST) -> list[str]:
    return [f"line {node.lineno}" for node in ast.walk(tree) if isinstance(node, ast.Assert)]


def unpickling(part: str, tree: ast.AST) -> list[str]:
    """Modules that unpickle, torch.load that may, numpy.load told to."""
    found = [name for name in imports(tree) if name.split(".")[0] in UNPICKLERS]
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        owner = ast.unparse(node.func.value)
        options = {k.arg: ast.unparse(k.value) for k in node.keywords}
        if node.func.attr == "load" and owner == "torch" and options.get("weights_only") != "True":
            found.append(f"line {node.lineno}: torch.load without weights_only=True")
        if node.func.attr == "read_pickle" or options.get("allow_pickle", "False") != "False":
            found.append(f"line {node.lineno}: {ast.unparse(node.func)}")
    return found


RULES: dict[str, Callable[[str, ast.AST], list[str]]] = {
    "imports point one way": wrong_directions,
    "matplotlib lives in plots and experiments": drawing,
    "no assert for a user's mistake": assertions,
    "nothing unpickles": unpickling,
}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_rule_holds(rule: Callable[[str, ast.AST], list[str]], path: Path) -> None:
    assert rule(part_of(path), ast.parse(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_module_has_a_plain_name_and_size(path: Path) -> None:
    assert not VAGUE & {part.removesuffix(".py").strip("_") for part in path.relative_to(ROOT).parts}
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 500


def test_every_part_is_in_the_plan() -> None:
    assert {part_of(path) for path in MODULES} <= {*ALLOWED, ""}


def test_package_itself_holds_names_only() -> None:
    """__init__ has a docstring, imports and __all__, sorted and complete, nothing else."""
    body = ast.parse((ROOT / "__init__.py").read_text(encoding="utf-8")).body
    kinds = {type(node) for node in body[1:]}
    assert kinds <= {ast.ImportFrom, ast.Assign}
    imported = {
        alias.asname or alias.name
        for node in body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert imported == set(latentgeo.__all__)


@pytest.mark.parametrize(
    ("rule", "part", "source"),
    [
        (wrong_directions, "metrics", "from latentgeo.geodesics import geodesic"),
        (wrong_directions, "metrics", "def f():\n    import latentgeo.cli"),
        (wrong_directions, "geodesics", "from latentgeo import Metric"),
        (wrong_directions, "models", "from latentgeo.metrics import Metric"),
        (wrong_directions, "geometry", "from latentgeo.models import VAE"),
        (wrong_directions, "geodesics", "from latentgeo.gaussians import DiagonalNormal"),
        (wrong_directions, "metrics", "from .metric import Metric"),
        (drawing, "statistics", "import matplotlib.pyplot as plt"),
        (assertions, "metrics", "def f(x):\n    assert x > 0"),
        (unpickling, "training", "import pickle"),
        (unpickling, "training", "import torch\ntorch.load('x')"),
        (unpickling, "data", "import numpy as np\nnp.load('x', allow_pickle=True)"),
    ],
)
def test_rules_see_what_they_forbid(rule: Callable, part: str, source: str) -> None:
    assert rule(part, ast.parse(source))


@pytest.mark.parametrize(
    ("rule", "part", "source"),
    [
        (wrong_directions, "geodesics", "from latentgeo.metrics.metric import Metric\nimport torch"),
        (wrong_directions, "cli", "import latentgeo"),
        (drawing, "plots", "import matplotlib"),
        (unpickling, "training", "import torch\ntorch.load('x', weights_only=True)"),
        (unpickling, "data", "import numpy as np\nnp.load('x', allow_pickle=False)"),
    ],
)
def test_rules_allow_what_is_fine(rule: Callable, part: str, source: str) -> None:
    assert rule(part, ast.parse(source)) == []
