"""Normalisation layers written out in elementary operations, whose higher derivatives PyTorch gets right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


class ElementaryNorms(TorchFunctionMode):
    """While active, layer norm and instance norm are computed by mean, variance and square root.

    PyTorch's fused kernels keep mean and deviation from the forward pass and treat them as constants when a
    derivative is differentiated again, so that d²F, and with it every Christoffel symbol, comes out wrong.

    Attributes:
        replaced: whether there was one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.replaced = False

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Replaces the two functions, and leaves every other alone."""
        kwargs = kwargs or {}
        if func in (torch.nn.functional.layer_norm, torch.layer_norm):
            self.replaced = True
            return _layer_norm(*args, **kwargs)
        if func is torch.nn.functional.instance_norm:
            self.replaced = True
            return _instance_norm(*args, **kwargs)
        return func(*args, **kwargs)


def _layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Tensor:
    output = _standardize(input, tuple(range(-len(normalized_shape), 0)), eps)
    output = output if weight is None else output * weight
    return (output if bias is None else output + bias).to(input.dtype)


def _instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    shape = (1, -1, *(1,) * (input.ndim - 2))
    if use_input_stats or running_mean is None or running_var is None:
        output = _standardize(input, tuple(range(2, input.ndim)), eps)
    else:
        output = (input - running_mean.view(shape)) * (running_var.view(shape) + eps).rsqrt()
    output = output if weight is None else output * weight.view(shape)
    return (output if bias is None else output + bias.view(shape)).to(input.dtype)


def _standardize(x: Tensor, dims: tuple[int, ...], eps: float) -> Tensor:
    # as the kernels do, since squares overflow in half precision
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    centred = x - x.mean(dims, keepdim=True)
    return centred * (centred.square().mean(dims, keepdim=True) + eps).rsqrt()
