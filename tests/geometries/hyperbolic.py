"""The hyperbolic plane, through the hyperboloid -x0² + x1² + x2² = -1."""

from __future__ import annotations

import torch
from torch import Tensor

from geometries.space import closed, matrix_only, scalar_matrix, through_model, uniform


def hyperboloid(z: Tensor) -> Tensor:
    x, y = z.unbind(-1)
    square = x.square() + y.square()
    return torch.stack([(square + 1) / (2 * y), x / y, (square - 1) / (2 * y)], -1)


def upper_half_plane(x: Tensor) -> Tensor:
    y = 1 / (x[..., 0] - x[..., 2])
    return torch.stack([x[..., 1] * y, y], -1)


def _minkowski(u: Tensor, v: Tensor) -> Tensor:
    return (u[..., 1:] * v[..., 1:]).sum(-1) - u[..., 0] * v[..., 0]


def hyperbolic_distance(x: Tensor, y: Tensor) -> Tensor:
    return 2 * torch.asinh(_minkowski(x - y, x - y).clamp_min(0).sqrt() / 2)


def hyperbolic_exp(x: Tensor, v: Tensor) -> Tensor:
    size = _minkowski(v, v).clamp_min(0).sqrt()[..., None]
    return size.cosh() * x + torch.where(size > 0, size.sinh() / size, torch.ones_like(size)) * v


def hyperbolic_log(x: Tensor, y: Tensor) -> Tensor:
    size = hyperbolic_distance(x, y)[..., None]
    tangent = y + _minkowski(x, y)[..., None] * x
    return torch.where(size > 0, size / size.sinh(), torch.ones_like(size)) * tangent


def half_plane_factor(z: Tensor) -> Tensor:
    """The conformal factor 1 / y² of the upper half-plane."""
    return z[:, 1] ** -2


_HYPERBOLIC = through_model(
    hyperboloid, upper_half_plane, hyperbolic_exp, hyperbolic_log, hyperbolic_distance
)
HALF_PLANE = closed(
    "hyperbolic half-plane", 2, uniform([-1.0, 0.7], [1.0, 2.5]), matrix_only(scalar_matrix(half_plane_factor, 2)),
    scalar_matrix(half_plane_factor, 2), _HYPERBOLIC, curvature=-1.0, immersed=False,
)  # fmt: skip
