"""Checks of normals at the public boundary."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from latentgeo.metrics.arguments import describe
from latentgeo.metrics.directional import inside_transform


def check_values(name: str, mean: Tensor, std: Tensor) -> None:
    """Refuses means that are not finite, and deviations that are not finite or not positive.

    Under a transform of torch.func no value can be looked at, and none is.
    """
    if inside_transform() or not std.numel() or not mean.numel():
        return
    for what, x, floor in (("std", std, 0.0), ("mean", mean, -math.inf)):
        # without temporary tensors; NaN, if one is
        low, high = (float(extreme) for extreme in x.detach().aminmax())
        if not (low > floor and high < math.inf):
            kind = "positive and finite" if what == "std" else "finite"
            raise ValueError(f"the {what} of {name} must be {kind}, got {high if low > floor else low:.6g}")


def as_times(t: Tensor | float, like: Tensor) -> Tensor:
    """Times as a tensor; a number in the dtype and on the device of the points."""
    if not isinstance(t, Tensor | int | float) or isinstance(t, bool):
        raise TypeError(f"t must be a number or a tensor of times (M,), got {describe(t)}")
    return t if isinstance(t, Tensor) else like.new_tensor(t)


def check_alike(name: str, x: Tensor, other_name: str, other: Tensor) -> None:
    """Refuses tensors of different dtype or device."""
    if x.dtype != other.dtype or x.device != other.device:
        raise ValueError(
            f"{other_name} must have the dtype and device of {name}, {x.dtype} on {x.device}, "
            f"got {other.dtype} on {other.device}"
        )


def check_broadcast(name: str, shape: torch.Size, other_name: str, other: torch.Size) -> None:
    """Refuses batch shapes that do not broadcast."""
    if any(a != b and 1 not in (a, b) for a, b in zip(shape[::-1], other[::-1], strict=False)):
        raise ValueError(
            f"{other_name} must broadcast against {name} of batch shape {tuple(shape)}, got {tuple(other)}"
        )
