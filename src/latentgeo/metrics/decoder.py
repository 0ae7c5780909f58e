"""Calling a decoder that belongs to somebody else: on batches, unchanged, and never in training mode."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from latentgeo.metrics.metric import describe

# Modules whose rows influence each other, whose output is random, or that change themselves, while training.
# Scripted modules keep only the name of their class, so names are compared.
_UNFIT_IN_TRAINING = ("BatchNorm", "Dropout", "RReLU")
_LAYERS_WITH_DROPOUT = (nn.RNNBase, nn.MultiheadAttention)


class Decoder:
    """A decoder as the metrics see it: z (N, d) -> what the user's callable returns, in z's dtype and device.

    The callable is refused while it, or a module it is a method of or closes over, holds a layer that is only
    meaningful in eval mode (BatchNorm, Dropout) and is training. The user's module is never touched: z is
    brought to its dtype and device, and :meth:`follow` brings the output back.
    """

    def __init__(self, decoder: Callable[[Tensor], Any], name: str = "decoder") -> None:
        if not callable(decoder):
            raise TypeError(f"{name} must be a callable on batches (N, d), got {describe(decoder)}")
        self.function = _uncompiled(decoder)
        self.name = name
        self.output_dtype: torch.dtype | None = None  # known from the first call on
        owner = _owner(self.function)
        self._owner = owner if isinstance(owner, nn.Module) else None
        self._unfit = [layer for module in _modules(self.function) for layer in _unfit_layers(module)]
        self.refuse_training()

    @property
    def is_scripted(self) -> bool:
        """Whether TorchScript runs the decoder, whose forward mode under vmap is not to be trusted."""
        return isinstance(self._owner, torch.jit.ScriptModule) or isinstance(
            self.function, torch.jit.ScriptFunction
        )

    def refuse_training(self) -> None:
        """Raises if a layer that is only meaningful in eval mode is training."""
        for layer in self._unfit:
            if layer.training:
                raise ValueError(
                    f"{self.name} holds a {_class_name(layer)} layer in training mode, so its output is random or "
                    "depends on the batch; call .eval() on the module first (latentgeo never switches modes itself)"
                )

    def __call__(self, z: Tensor) -> Any:
        """The decoder's own answer to the batch z (N, d)."""
        self.refuse_training()
        parameter = _first_floating(self._owner) if self._owner is not None else None
        return self.function(z if parameter is None else z.to(parameter))

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


def _owner(function: Callable) -> object:
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__self__", function)


def _modules(function: Callable) -> Iterator[nn.Module]:
    """The modules a callable is, is a method of, or refers to by name."""
    owner = _owner(function)
    if isinstance(owner, nn.Module):
        yield owner
        return
    if inspect.isfunction(owner):
        names = inspect.getclosurevars(owner)
        values = [*names.globals.values(), *names.nonlocals.values()]
    else:
        values = list(getattr(owner, "__dict__", {}).values())
    for value in values:
        if isinstance(value, nn.Module):
            yield value
        elif isinstance(getattr(value, "__self__", None), nn.Module):
            yield value.__self__


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
