"""Layers that are only meaningful in eval mode, wherever in a callable they are."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Iterator

from torch import Tensor, nn

# Modules whose rows influence each other, whose output is random, or that change themselves, while training.
# Scripted modules keep only the name of their class, so names are compared.
_UNFIT_IN_TRAINING = ("BatchNorm", "Dropout", "RReLU")
_LAYERS_WITH_DROPOUT = (nn.RNNBase, nn.MultiheadAttention)
_DEPTH = 3  # of functions in functions and objects in objects through which modules are looked for


def modules_of(function: object) -> list[nn.Module]:
    """The modules that a callable is, is a method of, closes over, or holds in an attribute or a list."""
    return list(dict.fromkeys(_modules(function, _DEPTH)))


def unfit_layers(modules: Iterable[nn.Module]) -> list[nn.Module]:
    """The layers of modules that are only meaningful in eval mode, whether they are in it or not."""
    return [
        layer
        for module in modules
        for layer in module.modules()
        if any(word in layer_name(layer) for word in _UNFIT_IN_TRAINING)
        or (isinstance(layer, _LAYERS_WITH_DROPOUT) and layer.dropout > 0)
    ]


def layer_name(layer: nn.Module) -> str:
    """The name of its class, before torch.jit.script too."""
    return getattr(layer, "original_name", type(layer).__name__)


def _modules(value: object, depth: int) -> Iterator[nn.Module]:
    if isinstance(value, nn.Module):
        yield value
        return
    if depth < 0 or inspect.ismodule(value) or inspect.isclass(value):
        return
    within: list[object] = []
    if isinstance(value, functools.partial):
        within = [value.func, *value.args, *value.keywords.values()]
    elif inspect.ismethod(value):
        within = [value.__self__]
    elif inspect.isfunction(value):
        names = inspect.getclosurevars(value)
        within = [*names.nonlocals.values(), *names.globals.values()]
    elif isinstance(value, list | tuple):
        within = list(value)
    elif isinstance(value, dict):
        within = list(value.values())
    elif callable(value) or depth == _DEPTH - 1:
        within = [*getattr(value, "__dict__", {}).values(), *vars(type(value)).values()]
    for inner in within:
        if not isinstance(inner, Tensor):
            yield from _modules(inner, depth - 1)
