"""Calling a decoder that belongs to somebody else: on batches, unchanged, and never in training mode."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from latentgeo.metrics.arguments import describe
from latentgeo.metrics.directional import inside_transform
from latentgeo.metrics.elementary import ElementaryNorms

# Modules whose rows influence each other, whose output is random, or that change themselves, while training.
# Scripted modules keep only the name of their class, so names are compared.
_UNFIT_IN_TRAINING = ("BatchNorm", "Dropout", "RReLU")
_LAYERS_WITH_DROPOUT = (nn.RNNBase, nn.MultiheadAttention)
_SCRIPT = (torch.jit.ScriptModule, torch.jit.ScriptFunction)
_DEPTH = 3  # of functions in functions and objects in objects through which modules are looked for


class Decoder:
    """A decoder as the metrics see it: z (N, d) -> what the user's callable returns, in z's dtype and device.

    The callable is refused while it, or a module it is a method of or closes over, holds a layer that is only
    meaningful in eval mode (BatchNorm, Dropout) and is training. The user's module is never touched: z is
    brought to its dtype and device, and :meth:`flat` brings the output back.

    Attributes:
        elementary: whether normalisation layers are written out, for the sake of second derivatives.
        is_scripted: whether TorchScript runs it, whose forward mode under vmap is not to be trusted.
        output_dtype: the dtype in which the decoder computes, known from its first call on.
    """

    def __init__(self, decoder: Callable[[Tensor], Any], name: str = "decoder") -> None:
        if not callable(decoder):
            raise TypeError(f"{name} must be a callable on batches (N, d), got {describe(decoder)}")
        self.function = _uncompiled(decoder)
        self.name = name
        self.elementary = False
        self.output_dtype: torch.dtype | None = None
        modules = list(dict.fromkeys(_modules(self.function, _DEPTH)))
        self._module = modules[0] if modules else None
        self._compiled = any(hasattr(layer, "_orig_mod") for module in modules for layer in module.modules())
        self.is_scripted = isinstance(self.function, _SCRIPT) or any(
            isinstance(layer, _SCRIPT) for module in modules for layer in module.modules()
        )
        self._unfit = [layer for module in modules for layer in _unfit_layers(module)]
        self.refuse_training()

    def refuse_training(self) -> None:
        """Raises if a layer that is only meaningful in eval mode is training."""
        for layer in self._unfit:
            if layer.training:
                raise ValueError(
                    f"{self.name} holds a {_class_name(layer)} layer in training mode, so its output is random or "
                    "depends on the batch; call .eval() on the module first (latentgeo never switches modes itself)"
                )

    def __call__(self, z: Tensor) -> Any:
        """The decoder's own answer to the batch z (N, d), of which it gets a copy that it may write into."""
        self.refuse_training()
        parameter = _first_floating(self._module) if self._module is not None else None
        own = z if parameter is None else z.to(parameter)
        if own is z and not self._compiled:  # which wants a leaf
            own = z.clone()
        if self.elementary:
            with ElementaryNorms():
                return self.function(own)
        if self.is_scripted and inside_transform():
            raise NotImplementedError(
                f"{self.name} is a TorchScript module, of which PyTorch's transforms (torch.func) take wrong "
                "derivatives without a word; make the metric from the module before torch.jit.script or trace"
            )
        return self.function(own)

    def flat(self, value: object, z: Tensor) -> Tensor:
        """A tensor (N, *event) as (N, D), in the dtype and on the device of z, or an error that says what came."""
        if not isinstance(value, Tensor):
            raise TypeError(f"{self.name} must return a tensor (N, *event), got {describe(value)}")
        if value.ndim == 0 or value.shape[0] != z.shape[0]:
            raise ValueError(
                f"{self.name} must map a batch {tuple(z.shape)} to ({z.shape[0]}, *event), one row for each point, "
                f"got {describe(value)}"
            )
        if not value.is_floating_point():
            raise TypeError(f"{self.name} must return floating-point values, got {describe(value)}")
        self.output_dtype = value.dtype
        return (value.flatten(1) if value.ndim > 1 else value[:, None]).to(z)


def _uncompiled(decoder: Callable) -> Callable:
    """The function behind torch.compile, whose graphs know neither forward mode nor double backward."""
    original = getattr(decoder, "_orig_mod", None) or getattr(decoder, "_torchdynamo_orig_callable", None)
    return original if callable(original) else decoder


def _modules(value: object, depth: int) -> Iterator[nn.Module]:
    """The modules that a callable is, is a method of, closes over, or holds in an attribute or a list."""
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


def _unfit_layers(module: nn.Module) -> Iterator[nn.Module]:
    for layer in module.modules():
        if any(word in _class_name(layer) for word in _UNFIT_IN_TRAINING) or (
            isinstance(layer, _LAYERS_WITH_DROPOUT) and layer.dropout > 0
        ):
            yield layer


def _class_name(layer: nn.Module) -> str:
    return getattr(layer, "original_name", type(layer).__name__)


def _first_floating(module: nn.Module) -> Tensor | None:
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_floating_point():
            return tensor
    return None
