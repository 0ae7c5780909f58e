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


def planar(name: str, points: Array, ndim: int) -> np.ndarray:
    """Points (..., 2) with so many dimensions as a NumPy array, or an error that names the argument."""
    values = points.detach().cpu().numpy() if isinstance(points, Tensor) else np.asarray(points)
    if values.ndim != ndim or values.shape[-1] != 2:
        leading = ", ".join("BT"[-ndim + 1 :]) if ndim > 2 else "N"
        raise ValueError(f"{name}: expected shape ({leading}, 2), got {values.shape}")
    return values


def vector(name: str, values: Array, length: int) -> np.ndarray:
    """Labels (N,) as a NumPy array, one for each point."""
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    if array.shape != (length,):
        raise ValueError(f"{name}: expected shape ({length},), got {array.shape}")
    return array
