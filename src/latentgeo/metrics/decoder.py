"""Calling a decoder that belongs to somebody else: on batches, unchanged, and never in training mode."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from latentgeo.eval_mode import layer_name, modules_of, unfit_layers
from latentgeo.metrics.arguments import describe
from latentgeo.metrics.directional import inside_transform
from latentgeo.metrics.elementary import ElementaryNorms

_SCRIPT = (torch.jit.ScriptModule, torch.jit.ScriptFunction)


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
        modules = modules_of(self.function)
        self._module = modules[0] if modules else None
        self._compiled = any(hasattr(layer, "_orig_mod") for module in modules for layer in module.modules())
        self.is_scripted = isinstance(self.function, _SCRIPT) or any(
            isinstance(layer, _SCRIPT) for module in modules for layer in module.modules()
        )
        self._unfit = unfit_layers(modules)
        self.refuse_training()

    def refuse_training(self) -> None:
        """Raises if a layer that is only meaningful in eval mode is training."""
        for layer in self._unfit:
            if layer.training:
                raise ValueError(
                    f"{self.name} holds a {layer_name(layer)} layer in training mode, so its output is random or "
                    "depends on the batch; call .eval() on the module first (latentgeo never switches modes itself)"
                )

    def __call__(self, z: Tensor) -> Any:
        """The decoder's own answer to the batch z (N, d), of which it gets a copy that it may write into."""
        self.refuse_training()
        parameter = _first_floating(self._module) if self._module is not None else None
        own = z if parameter is None else z.to(parameter)
        if own is z and not self._compiled:  # which wants a leaf
            own = z.clone()
        if self.is_scripted and inside_transform():
            raise NotImplementedError(
                f"{self.name} is a TorchScript module, of which PyTorch's transforms (torch.func) take wrong "
                "derivatives without a word; make the metric from the module before torch.jit.script or trace"
            )
        try:
            with ElementaryNorms() if self.elementary else contextlib.nullcontext():
                return self.function(own)
        except RuntimeError as error:
            if "call numpy() on Tensor that requires grad" in str(error):
                # whose advice, .detach(), leads to no derivative
                raise hidden_gradient(self.name) from error
            raise

    def flat(self, value: object, z: Tensor) -> Tensor:
        """A tensor (N, *event) as (N, D), in the dtype and on the device of z, or an error that says what came."""
        if not isinstance(value, Tensor):
            way = _way_to_tensor(value)
            advice = f": hand over lambda z: decoder(z){way}" if way else ""
            raise TypeError(f"{self.name} must return a tensor (N, *event), got {describe(value)}{advice}")
        if value.ndim == 0 or value.shape[0] != z.shape[0]:
            raise ValueError(
                f"{self.name} must map a batch {tuple(z.shape)} to ({z.shape[0]}, *event), one row for each point, "
                f"got {describe(value)}"
            )
        if not value.is_floating_point():
            raise TypeError(f"{self.name} must return floating-point values, got {describe(value)}")
        self.output_dtype = value.dtype
        return (value.flatten(1) if value.ndim > 1 else value[:, None]).to(z)


def hidden_gradient(name: str) -> ValueError:
    """The error of a decoder that varies although autograd does not see it."""
    return ValueError(
        f"{name} must be differentiable by torch, but its output is detached from its input: "
        "look for torch.no_grad, torch.inference_mode, .detach() or NumPy inside it"
    )


def _way_to_tensor(answer: object) -> str:
    """What to write behind an answer to have the first floating-point tensor in it; nothing if there is none."""
    if isinstance(answer, Mapping):
        held = [(f"[{key!r}]", value) for key, value in answer.items()]
    elif isinstance(answer, list | tuple):
        held = [(f"[{place}]", value) for place, value in enumerate(answer)]
    else:
        held = [(f".{name}", value) for name, value in getattr(answer, "__dict__", {}).items()]
    return next((way for way, value in held if isinstance(value, Tensor) and value.is_floating_point()), "")


def _uncompiled(decoder: Callable) -> Callable:
    """The function behind torch.compile, whose graphs know neither forward mode nor double backward."""
    original = getattr(decoder, "_orig_mod", None) or getattr(decoder, "_torchdynamo_orig_callable", None)
    return original if callable(original) else decoder


def _first_floating(module: nn.Module) -> Tensor | None:
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_floating_point():
            return tensor
    return None
