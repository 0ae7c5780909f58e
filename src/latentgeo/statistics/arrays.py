"""Data of estimators: NumPy or torch in, the same out."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from sklearn.utils import check_array
from torch import Tensor

from latentgeo.metrics.arguments import check_precision, describe

Array = np.ndarray | Tensor


def tensor_of(values: Array) -> Tensor:
    """The tensor itself, without its graph, or one over an array; a copy, if torch cannot hold it as it is."""
    if isinstance(values, Tensor):
        return values.clone() if values.is_inference() else values.detach()
    return torch.from_numpy(np.require(values, values.dtype.newbyteorder("="), ["C", "W"]))


def points_of(X: Array, event_ndim: int, name: str = "X") -> Tensor:
    """The points (N, *event) of an estimator's data, finite, or an error that says what came.

    What is no tensor scikit-learn makes an array of: lists and data frames are welcome, text and sparse matrices not.
    Integers become torch's default dtype; other precisions than single and double are refused.
    """
    if not isinstance(X, Tensor):
        X = check_array(
            X, dtype="numeric", ensure_2d=event_ndim == 1, allow_nd=event_ndim > 1, input_name=name
        )
        if X.dtype.itemsize > 8:  # torch has none of long double
            raise TypeError(f"{name} must be in float32 or float64, got {X.dtype}")
    points = tensor_of(X)
    if points.ndim != 1 + event_ndim or 0 in points.shape[1:]:
        shape = "(N, d)" if event_ndim == 1 else f"(N, ...) of {1 + event_ndim} dimensions"
        raise ValueError(f"{name} must have shape {shape}, got {describe(points)}")
    if not points.is_floating_point() and not points.is_complex():
        points = points.to(torch.get_default_dtype())
    check_precision(name, points)
    if not bool(points.isfinite().all()):
        raise ValueError(f"{name} must be finite, but holds NaN or infinity")
    return points


def check_event(points: Tensor, event: torch.Size, estimator: object) -> None:
    """Refuses points that do not look like those of fit, in scikit-learn's words."""
    if points.shape[1:] != event:
        raise ValueError(
            f"X has {points.shape[1:].numel()} features, but {type(estimator).__name__} is expecting "
            f"{event.numel()} features as input: points of shape {tuple(event)}, got {describe(points)}"
        )


def like(values: Tensor, X: Array) -> Array:
    """NumPy for NumPy."""
    return values if isinstance(X, Tensor) else values.cpu().numpy()


def weights_of(weights: Array | None, points: Tensor, name: str) -> Float[Tensor, " n"]:
    """Weights (N,) of points, ones if None; non-negative and not all zero, or an error that says what came."""
    if weights is None:
        return points.new_ones(len(points))
    found = tensor_of(weights if isinstance(weights, Tensor) else np.asarray(weights, dtype=float)).to(points)
    if found.shape != points.shape[:1]:
        raise ValueError(
            f"{name} must have shape ({len(points)},), one for each point, got {describe(found)}"
        )
    if not bool((found.isfinite() & (found >= 0)).all()) or not bool((found > 0).any()):
        raise ValueError(f"{name} must be finite and non-negative, and not all zero")
    return found
