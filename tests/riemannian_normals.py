"""Riemannian normals by quadrature over the tangent space at their mean: closed forms, nothing of the library."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

import spaces

_ANGLES, _RADII = 64, 400


@dataclass(frozen=True)
class TangentQuadrature:
    """Tangents v (m, 2) in latent coordinates at μ, and weights that make ∫ f(Log_μ z) dM = Σ w f(v)."""

    tangents: Tensor
    weights: Tensor


def quadrature(space: spaces.Space, mean: Tensor, covariance: Tensor) -> TangentQuadrature:
    """Polar coordinates, with the closed form of the Jacobian of the exponential map: sin r / r or sinh r / r.

    Of the sphere as far as the cut locus, else as far as eight standard deviations.
    """
    curvature = float(space.curvature(mean[None])[0])
    root = torch.linalg.cholesky(space.matrix(mean[None])[0])
    ambient = root.T @ covariance @ root
    farthest = 8 * float(torch.linalg.eigvalsh(ambient).max().sqrt())
    if curvature > 0:
        farthest = min(math.pi, farthest)
    angle = 2 * math.pi * torch.arange(_ANGLES, dtype=torch.float64) / _ANGLES
    radius = farthest * (torch.arange(_RADII, dtype=torch.float64) + 0.5) / _RADII
    area = torch.sin(radius) if curvature > 0 else torch.sinh(radius)
    frame = radius[:, None, None] * torch.stack([angle.cos(), angle.sin()], -1)
    weights = (area * farthest / _RADII * 2 * math.pi / _ANGLES)[:, None].expand(-1, _ANGLES)
    return TangentQuadrature(torch.linalg.solve(root.T, frame.flatten(0, 1).T).T, weights.flatten())


def log_constant(space: spaces.Space, mean: Tensor, covariance: Tensor) -> float:
    """Log of ∫ exp(-½ Logᵀ Σ⁻¹ Log) dM."""
    rule = quadrature(space, mean, covariance)
    return float((rule.weights @ (-squares(rule.tangents, covariance) / 2).exp()).log())


def log_likelihood(space: spaces.Space, mean: Tensor, covariance: Tensor, points: Tensor) -> float:
    """The mean log-density of points with respect to dM."""
    logs = space.formulas.log(mean.expand_as(points), points)
    return float((-squares(logs, covariance) / 2).mean()) - log_constant(space, mean, covariance)


def squares(tangents: Tensor, covariance: Tensor) -> Tensor:
    return torch.einsum("ni,ij,nj->n", tangents, torch.linalg.inv(covariance), tangents)
