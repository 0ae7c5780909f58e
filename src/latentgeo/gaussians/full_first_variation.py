"""The distance of full normals, whose derivative is the logarithm: the first variation of length."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from latentgeo.gaussians.full_fibre import horizontal_height
from latentgeo.gaussians.full_logarithm import Logarithm, batch_in_front
from latentgeo.gaussians.full_symmetric_space import (
    lift,
    logarithm,
    relative,
    squared_upper_bound,
    tangent,
    turn,
)


def velocity(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(dμ, dΣ) at the first normal of the geodesic to the second, and whether it was found; differentiable once."""
    mean, root, excess = relative(mean1, cov1, mean2, cov2)
    x, b, _, found = Logarithm.apply(mean, excess, root.detach())
    return *_moved(torch.linalg.cholesky(cov1), x, b), found


class Distance(Function):
    """(μ₁, Σ₁, μ₂, Σ₂) -> distance, the velocities at both ends, each towards the other, and whether found.

    The derivative of the distance is -<log, ·> / distance at either end, in the Fisher metric; where the distance is
    zero, so is the derivative given here. Differentiated again, that of the logarithm is used.
    """

    @staticmethod
    def forward(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> tuple[Tensor, ...]:
        """Solves the boundary value problem."""
        normal = relative(mean1, cov1, mean2, cov2)
        height, found = horizontal_height(normal)
        g = lift(normal, height)
        y = logarithm(g)
        plus, minus = turn(g)
        start = _moved(torch.linalg.cholesky(cov1), *tangent(y)[:2])
        end = _moved(torch.linalg.cholesky(cov2), *tangent(-plus @ y @ minus.mT)[:2])
        length = y.flatten(-2).norm(dim=-1) / math.sqrt(2)
        if not bool(found.all()):  # a search that ended in rounding may be worse than what it began with
            bound = squared_upper_bound(normal).sqrt()
            length = torch.where(found, length, length.fmin(bound))
        return length, *start, *end, found

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple) -> None:
        """Keeps the ends and what is known there."""
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*inputs, *output[:5])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        """First variation."""
        mean1, cov1, mean2, cov2, distance, dmean1, dcov1, dmean2, dcov2 = ctx.saved_tensors
        if torch.is_grad_enabled():  # to be differentiated again
            distance, *_ = Distance.apply(mean1, cov1, mean2, cov2)
            dmean1, dcov1, _ = velocity(mean1, cov1, mean2, cov2)
            dmean2, dcov2, _ = velocity(mean2, cov2, mean1, cov1)
        apart = distance > 0
        factor = -torch.where(apart, gradients[0] / torch.where(apart, distance, 1), 0)
        return *_covector(cov1, dmean1, dcov1, factor), *_covector(cov2, dmean2, dcov2, factor)

    @staticmethod
    def vmap(info: Any, in_dims: tuple, *args: Tensor) -> tuple[tuple, tuple]:
        """Everything here is batched already."""
        return Distance.apply(*batch_in_front(info, in_dims, args)), (0,) * 6


def _moved(root: Tensor, x: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """A tangent at N(0, I) in the frame of a normal: Lx, LBLᵀ."""
    return (root @ x[..., None])[..., 0], root @ b @ root.mT


def _covector(cov: Tensor, dmean: Tensor, dcov: Tensor, factor: Tensor) -> tuple[Tensor, Tensor]:
    """Σ⁻¹dμ and ½ Σ⁻¹dΣΣ⁻¹, times a factor."""
    root = torch.linalg.cholesky(cov)
    at_mean = torch.cholesky_solve(dmean[..., None], root)[..., 0]
    at_cov = torch.cholesky_solve(torch.cholesky_solve(dcov, root).mT, root) / 2
    return factor[..., None] * at_mean, factor[..., None, None] * at_cov
