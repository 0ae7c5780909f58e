"""Cubic splines through the points of a curve, for a batch of curves."""

from __future__ import annotations

import functools

import numpy as np
import torch
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from torch import Tensor


def resample(points: Float[Tensor, "b k d"], num_segments: int) -> Float[Tensor, "b t d"]:
    """The points at equal steps of the parameter of the not-a-knot cubic spline through points at equal steps.

    A spline is linear in its points, so that this is one product with a matrix made by SciPy; differentiable.
    """
    if points.shape[1] - 1 == num_segments:
        return points.clone()
    weights = _matrix(points.shape[1] - 1, num_segments, 0).to(points)
    return _exact_ends(torch.einsum("tk,bkd->btd", weights, points), points)


def velocities(points: Float[Tensor, "b k d"]) -> Float[Tensor, "b k d"]:
    """The derivatives by the parameter in [0, 1], at the points themselves."""
    segments = points.shape[1] - 1
    return torch.einsum("tk,bkd->btd", _matrix(segments, segments, 1).to(points), points)


def _exact_ends(curve: Tensor, points: Tensor) -> Tensor:
    return torch.cat([points[:, :1], curve[:, 1:-1], points[:, -1:]], dim=1)


@functools.lru_cache(maxsize=64)
def _matrix(segments: int, onto: int, derivative: int) -> Tensor:
    """(onto + 1, segments + 1) values, or derivatives, of the splines through each unit vector."""
    knots = np.linspace(0.0, 1.0, segments + 1)
    spline = CubicSpline(knots, np.eye(segments + 1), axis=0)
    return torch.from_numpy(spline(np.linspace(0.0, 1.0, onto + 1), derivative))
