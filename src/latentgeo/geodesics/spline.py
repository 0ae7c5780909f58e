"""Splines through the points of a curve, for a batch of curves."""

from __future__ import annotations

import functools

import numpy as np
import torch
from jaxtyping import Float
from scipy.interpolate import make_interp_spline
from torch import Tensor


def resample(points: Float[Tensor, "b k d"], num_segments: int) -> Float[Tensor, "b t d"]:
    """The points at equal steps of the parameter of the not-a-knot cubic spline through points at equal steps.

    A spline is linear in its points, so that this is one product with a matrix made by SciPy; differentiable.
    """
    if points.shape[1] - 1 == num_segments:
        return points.clone()
    weights = _matrix(points.shape[1] - 1, num_segments, 3, 0).to(points)
    first = points[:, :1]  # the weights sum to one; what has no extent keeps none in spite of rounding
    inner = first + torch.einsum("tk,bkd->btd", weights[1:-1], points - first)
    return torch.cat([first, inner, points[:, -1:]], dim=1)


def velocities(points: Float[Tensor, "b k d"], num_segments: int) -> Float[Tensor, "b t d"]:
    """Derivatives by the parameter in [0, 1], at equal steps, of the quintic spline: of fifth order."""
    return torch.einsum("tk,bkd->btd", _matrix(points.shape[1] - 1, num_segments, 5, 1).to(points), points)


@functools.lru_cache(maxsize=64)
def _matrix(segments: int, onto: int, degree: int, derivative: int) -> Tensor:
    """(onto + 1, segments + 1) values, or derivatives, of the splines through each unit vector."""
    knots = np.linspace(0.0, 1.0, segments + 1)
    odd = min(degree, segments - (segments + 1) % 2)  # a spline of even degree would be lopsided
    spline = make_interp_spline(knots, np.eye(segments + 1), k=odd if segments > 2 else segments)
    spline = spline.derivative() if derivative else spline
    return torch.from_numpy(spline(np.linspace(0.0, 1.0, onto + 1)))
