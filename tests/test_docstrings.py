"""Every public name is documented: an example, its arguments or fields, and what it refuses.

That the examples run is the matter of test_doctests.py; here are the parts that a docstring must have.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Callable

import pytest

import latentgeo

PARTS = [m.name for m in pkgutil.iter_modules(latentgeo.__path__, "latentgeo.") if m.ispkg]
# Every function and class of an __all__ once; the package itself only lends those of its parts.
PUBLIC: dict[str, Callable] = {
    f"{part.removeprefix('latentgeo.')}.{name}": thing
    for part, package in zip(PARTS, map(importlib.import_module, PARTS), strict=True)
    for name, thing in ((name, getattr(package, name)) for name in package.__all__)
    if inspect.isfunction(thing) or inspect.isclass(thing)
}
CLASSES = {name: thing for name, thing in PUBLIC.items() if inspect.isclass(thing)}
CONSTRUCTORS = ("__init__", "__post_init__")


def text_of(thing: object) -> str:
    """The docstring that a thing has itself, not one that it inherits."""
    return inspect.cleandoc(getattr(thing, "__doc__", None) or "")


def section(thing: object, titles: str) -> str:
    """What stands indented below a title, or one of "A|B"."""
    return "\n".join(re.findall(rf"^(?:{titles}):\n((?:(?: {{4}}.*)?\n)*)", text_of(thing) + "\n", re.M))


def explained(thing: object, titles: str) -> set[str]:
    """The names that sections of a docstring explain; one entry may have several."""
    heads = re.findall(r"^ {4}([\w*]+(?:, [\w*]+)*):", section(thing, titles), re.M)
    return set(re.findall(r"\w+", " ".join(heads)))


def arguments(function: Callable) -> set[str]:
    return set(inspect.signature(function).parameters) - {"self"}


def written(cls: type) -> dict[str, Callable]:
    """The constructors, public methods and properties in the source of a class, and not what dataclasses add."""
    found = {}
    for name, member in vars(cls).items():
        function = inspect.unwrap(getattr(member, "fget", None) or getattr(member, "__func__", member))
        public = name in CONSTRUCTORS or not name.startswith("_")
        ours = inspect.isfunction(function) and function.__module__ == cls.__module__
        if public and ours and not function.__code__.co_filename.startswith("<"):
            found[name] = function
    return found


def refusals(function: Callable) -> set[str]:
    """The exceptions that a function raises by name, and "Raises" for others and for the checks that it calls."""
    found = set()
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))):
        if isinstance(node, ast.Raise):
            found.add(re.sub(r"raise ?([A-Z]\w*)?.*", r"\1", ast.unparse(node), flags=re.S) or "Raises")
        elif isinstance(node, ast.Call) and re.search(r"\b_?check_\w+$", ast.unparse(node.func)):
            found.add("Raises")
    return found


def test_the_package_lends_what_its_parts_have() -> None:
    assert {id(getattr(latentgeo, name)) for name in latentgeo.__all__} <= set(map(id, PUBLIC.values()))


@pytest.mark.parametrize("name", PUBLIC)
def test_there_is_an_example(name: str) -> None:
    """Of a class, of it or of one of its methods."""
    things = [PUBLIC[name], *(written(CLASSES[name]).values() if name in CLASSES else ())]
    assert any(">>>" in text_of(thing) for thing in things)


@pytest.mark.parametrize("name", [name for name in PUBLIC if name not in CLASSES])
def test_arguments_are_explained(name: str) -> None:
    assert explained(PUBLIC[name], "Args") == arguments(PUBLIC[name])


@pytest.mark.parametrize("name", CLASSES)
def test_arguments_and_fields_of_classes_are_explained(name: str) -> None:
    """All fields of a dataclass or named tuple, or arguments of a constructor; and nothing that is not there."""
    cls = CLASSES[name]
    fields = getattr(cls, "__dataclass_fields__", None) or getattr(cls, "_fields", ())
    made = {field for field in fields if not field.startswith("_")}
    if not fields and getattr(cls.__init__, "__module__", "").startswith("latentgeo."):
        made = arguments(cls.__init__)
    assert made <= explained(cls, "Args|Attributes")
    assert explained(cls, "Args") <= made
    sources = [inspect.getsource(c) for c in cls.__mro__ if c.__module__.startswith("latentgeo.")]
    assert explained(cls, "Attributes") <= {*fields, *re.findall(r"(?:self\.|def )(\w+)", "\n".join(sources))}
    stale = {m: explained(f, "Args") - arguments(f) for m, f in written(cls).items()}
    assert not any(stale.values()), stale


@pytest.mark.parametrize("name", PUBLIC)
def test_refusals_are_told(name: str) -> None:
    """Of a function in its docstring, of a constructor in that of the class, of a method in either."""
    of_class = " ".join(section(PUBLIC[name], "Raises").split())
    for called, function in (written(CLASSES[name]) if name in CLASSES else {name: PUBLIC[name]}).items():
        told = " ".join(section(function, "Raises").split())
        if called in CONSTRUCTORS or (not told and "of the methods" in of_class):
            told = of_class
        if "Raises and warns like" not in text_of(function):  # another method, which is asked itself
            assert {r for r in refusals(function) if not told or r not in f"Raises: {told}"} == set(), called
