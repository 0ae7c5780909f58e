"""Points of the plane as arrays, and the rectangle around them."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

Array = np.ndarray | Tensor


def bounds_of(*points: Float[Tensor, "... 2"], margin: float = 0.1) -> Float[Tensor, "2 2"]:
    """The rectangle around points of the plane, widened on every side by a share of its longer side.

    Args:
        points: tensors (..., 2).
        margin: the share.

    Returns:
        (2, 2) lower left corner and upper right corner, on the points' device.

    Raises:
        ValueError: no points, or points that are not of the plane.

    Example:
        >>> import torch
        >>> bounds_of(torch.tensor([[0.0, 0.0], [2.0, 1.0]]), margin=0.5)
        tensor([[-1., -1.],
                [ 3.,  2.]])
    """
    if not points or any(p.shape[-1:] != (2,) for p in points) or not sum(p.numel() for p in points):
        raise ValueError(
            f"points: expected tensors (..., 2) with a point, got {[tuple(p.shape) for p in points]}"
        )
    every = torch.cat([p.detach().reshape(-1, 2) for p in points])
    low, high = every.amin(0), every.amax(0)
    width = margin * (high - low).amax()
    return torch.stack([low - width, high + width])


def cells(bounds: Float[Tensor, "2 2"], resolution: int) -> Float[Tensor, "rows columns 2"]:
    """The centres of nearly square cells that fill a rectangle, row by row from the bottom up.

    Args:
        bounds: (2, 2) lower left and upper right corner.
        resolution: cells along the longer side.

    Returns:
        (rows, columns, 2), in the dtype and on the device of the bounds.

    Raises:
        ValueError: ``bounds`` is no rectangle, or ``resolution`` is below 2.

    Example:
        >>> import torch
        >>> cells(torch.tensor([[0.0, 0.0], [4.0, 2.0]]), 4)[0]
        tensor([[0.5000, 0.5000],
                [1.5000, 0.5000],
                [2.5000, 0.5000],
                [3.5000, 0.5000]])
    """
    if bounds.shape != (2, 2) or not bool((bounds[1] > bounds[0]).all()):
        raise ValueError(f"bounds: expected a lower left and an upper right corner, got {bounds.tolist()}")
    if resolution < 2:
        raise ValueError(f"resolution: expected at least 2, got {resolution!r}")
    sides = bounds[1] - bounds[0]
    columns, rows = (resolution * sides / sides.amax()).round().clamp_min(2).long().tolist()
    x, y = (
        low + side * (torch.arange(n, device=bounds.device, dtype=bounds.dtype) + 0.5) / n
        for low, side, n in zip(bounds[0], sides, (columns, rows), strict=True)
    )
    return torch.cartesian_prod(y, x).flip(1).reshape(rows, columns, 2)


def array_of(values: Array) -> np.ndarray:
    """Values as a NumPy array, in single precision where they are in bfloat16, which NumPy does not know."""
    if not isinstance(values, Tensor):
        return np.asarray(values)
    held = values.detach().cpu()
    return (held.float() if held.dtype == torch.bfloat16 else held).numpy()


def planar(name: str, points: Array, ndim: int) -> np.ndarray:
    """Points (..., 2) with so many dimensions as a NumPy array, or an error that names the argument."""
    values = array_of(points)
    if values.ndim != ndim or values.shape[-1] != 2:
        leading = ", ".join("BT"[-ndim + 1 :]) if ndim > 2 else "N"
        raise ValueError(f"{name}: expected shape ({leading}, 2), got {values.shape}")
    return values


def vector(name: str, values: Array, length: int) -> np.ndarray:
    """Labels (N,) as a NumPy array, one for each point."""
    array = array_of(values)
    if array.shape != (length,):
        raise ValueError(f"{name}: expected shape ({length},), got {array.shape}")
    return array
