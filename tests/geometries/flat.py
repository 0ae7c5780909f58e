"""Flat spaces in coordinates in which their geodesics are straight."""

from __future__ import annotations

import torch
from torch import Tensor

import latentgeo as lg
from geometries.space import developable, immersion, uniform

_LINEAR = torch.tensor(
    [[1.0, 0.5, -0.3], [0.0, 2.0, 0.7], [-1.2, 0.1, 0.4], [0.3, -0.8, 1.5]], dtype=torch.float64
)
_TURNS = [-1.3, -1.3], [1.3, 1.3]  # angles; two of them differ by less than half a turn


def affine(z: Tensor) -> Tensor:
    """An affine decoder R^3 -> R^4."""
    return z @ _LINEAR.T.to(z) + 2.0


def clifford(z: Tensor) -> Tensor:
    """The flat torus of radii 1 and 2 in R^4."""
    u, v = z.unbind(-1)
    return torch.stack([u.cos(), u.sin(), 2 * v.cos(), 2 * v.sin()], -1)


def cylinder(z: Tensor) -> Tensor:
    """The cylinder of radius 1 in R^3."""
    return torch.stack([z[..., 0].cos(), z[..., 0].sin(), z[..., 1]], -1)


def _diagonal(*entries: float) -> Tensor:
    return torch.diag(torch.tensor(entries, dtype=torch.float64))


PLANE = developable(
    "Euclidean space",
    _diagonal(1, 1, 1),
    uniform([-2.0] * 3, [2.0] * 3),
    lambda dtype, device: lg.EuclideanMetric(3),
)
AFFINE = developable("affine decoder", _LINEAR.T @ _LINEAR, uniform([-2.0] * 3, [2.0] * 3), immersion(affine))
CLIFFORD_TORUS = developable("flat torus in R^4", _diagonal(1, 4), uniform(*_TURNS), immersion(clifford))
CYLINDER = developable("cylinder", _diagonal(1, 1), uniform(*_TURNS), immersion(cylinder))
