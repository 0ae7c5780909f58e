"""The examples in the docstrings run, and give what they say.

Docstrings are read from the source: run-time type checks wrap the functions, and doctest's own search passes over
wrapped functions.
"""

from __future__ import annotations

import ast
import doctest
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import latentgeo

ROOT = Path(latentgeo.__file__).parent
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def examples(path: Path) -> Iterator[tuple[str, str, int]]:
    """(qualified name, docstring, line) of everything in a file whose docstring has an example."""

    def visit(node: ast.AST, name: str) -> Iterator[tuple[str, str, int]]:
        if isinstance(node, _DOCUMENTED):
            name = ".".join(filter(None, [name, getattr(node, "name", "")]))
            text = ast.get_docstring(node)
            if text and ">>>" in text:
                yield name, text, getattr(node, "lineno", 1)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, name)

    yield from visit(ast.parse(path.read_text(encoding="utf-8")), "")


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


CASES = [
    pytest.param(path, text, line, id=f"{module_name(path)}:{name}")
    for path in sorted(ROOT.rglob("*.py"))
    for name, text, line in examples(path)
]


@pytest.mark.parametrize(("path", "text", "line"), CASES)
def test_example_runs(path: Path, text: str, line: int) -> None:
    module = importlib.import_module(module_name(path))
    test = doctest.DocTestParser().get_doctest(text, dict(vars(module)), module.__name__, str(path), line)
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(test, out=report.append)
    assert not runner.failures, "".join(report)


def test_public_functions_and_classes_have_examples() -> None:
    """Every public callable that a user starts from shows how; results, statuses and warnings come from those."""
    documented = {name.split(".")[-1] for path in ROOT.rglob("*.py") for name, _, _ in examples(path)}
    exempt = {
        "Metric",
        "GeodesicResult",
        "Status",
        "ConvergenceWarning",
        "FrechetMeanResult",
        "SampledErrors",
    }
    assert {n for n in latentgeo.__all__ if callable(getattr(latentgeo, n))} - documented - exempt == set()
