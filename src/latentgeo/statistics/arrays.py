"""Data of estimators: NumPy or torch in, the same out."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.metrics.arguments import describe

Array = np.ndarray | Tensor


def points_of(X: Array, event_ndim: int, name: str = "X") -> Tensor:
    """The points (N, *event) of an estimator's data, finite, or an error that says what came."""
    if not isinstance(X, np.ndarray | Tensor):
        raise TypeError(f"{name} must be a NumPy array or a torch tensor (N, d), got {describe(X)}")
    points = torch.as_tensor(X).detach()
    if points.ndim != 1 + event_ndim or 0 in points.shape[1:]:
        shape = "(N, d)" if event_ndim == 1 else f"(N, ...) of {1 + event_ndim} dimensions"
        raise ValueError(f"{name} must have shape {shape}, got {describe(points)}")
    if not points.is_floating_point():
        points = points.to(torch.get_default_dtype())
    if not bool(points.isfinite().all()):
        raise ValueError(f"{name} must be finite, but holds NaN or infinity")
    return points


def like(values: Tensor, X: Array) -> Array:
    """NumPy for NumPy."""
    return values if isinstance(X, Tensor) else values.cpu().numpy()


def weights_of(weights: Array | None, points: Tensor, name: str) -> Float[Tensor, " n"]:
    """Weights (N,) of points, ones if None; non-negative and not all zero, or an error that says what came."""
    if weights is None:
        return points.new_ones(len(points))
    if not isinstance(weights, np.ndarray | Tensor):
        raise TypeError(f"{name} must be a NumPy array or a torch tensor (N,), got {describe(weights)}")
    found = torch.as_tensor(weights).detach().to(points)
    if found.shape != points.shape[:1]:
        raise ValueError(
            f"{name} must have shape ({len(points)},), one for each point, got {describe(found)}"
        )
    if not bool((found.isfinite() & (found >= 0)).all()) or not bool((found > 0).any()):
        raise ValueError(f"{name} must be finite and non-negative, and not all zero")
    return found
