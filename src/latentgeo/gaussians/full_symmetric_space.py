"""The symmetric space above the normals N(μ, Σ), in which their geodesics are matrix exponentials.

A normal lifts to the symmetric positive definite matrices of size 2k + 1

    S = M diag(Σ⁻¹, 1, Σ) Mᵀ,   M = [[I, 0, 0], [μᵀ, 1, 0], [Z - ½ μμᵀ, -μ, I]],   Zᵀ = -Z.

They are those with J S J = S⁻¹, where J exchanges the first and the last k coordinates, and form the symmetric space
SO(k+1, k) / SO(k+1) x SO(k), of curvature <= 0. Under its metric ¼ tr (S⁻¹dS)² the projection S -> (μ, Σ) is a
Riemannian submersion onto the Fisher-Rao metric dμᵀ Σ⁻¹ dμ + ½ tr (Σ⁻¹dΣ)²; lifts of one normal differ by their
*height* Z. Geodesics of normals are the horizontal geodesics exp(tA), from S = I those with

    A = [[-B, x, 0], [xᵀ, 0, -xᵀ], [0, -x, B]],   x = μ'(0), B = Σ'(0);

in place of the zero corner a vertical direction has an antisymmetric C. In the eigenspaces + and - of J

    A = [[0, Y], [Yᵀ, 0]],   Y = [[-B - C], [√2 xᵀ]] of shape (k + 1, k),   ½|Y|² = |x|² + ½|B|² + ½|C|².

References:
    P. S. Eriksen, "Geodesics connected with the Fisher metric on the multivariate normal manifold", 1987.
    M. Calvo, J. M. Oller, "An explicit solution of information geodesic equations for the multivariate normal model",
    Statistics & Decisions 9, 1991. S. Kobayashi, "Geodesics of multivariate normal distributions and a Toda lattice
    type Lax pair", 2023, arXiv:2304.12575.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch._C._functorch import get_unwrapped, is_functorch_wrapped_tensor
from torch.linalg import solve_triangular


class Relative(NamedTuple):
    """A normal as seen from another, which an affine map took to N(0, I)."""

    mean: Float[Tensor, "*batch k"]
    root: Float[Tensor, "*batch k k"]  # the Cholesky factor L of Σ
    excess: Float[Tensor, "*batch k k"]  # Σ - I


class Lift(NamedTuple):
    """A matrix g with gᵀg = S, in blocks of the eigenspaces + and - of J.

    Its polar decomposition is g = K exp(A/2) with K = diag(K₊, K₋).
    """

    plus: Float[Tensor, "*batch n n"]
    plus_minus: Float[Tensor, "*batch n k"]
    minus_plus: Float[Tensor, "*batch k n"]
    minus: Float[Tensor, "*batch k k"]


def relative(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> Relative:
    """The second normal after x -> L₁⁻¹(x - μ₁), an isometry; without cancellation between normals that are near."""
    root1, root2 = torch.linalg.cholesky(cov1), torch.linalg.cholesky(cov2)
    half = solve_triangular(root1, cov2 - cov1, upper=False)
    excess = solve_triangular(root1, half.mT, upper=False)
    mean = solve_triangular(root1, (mean2 - mean1)[..., None], upper=False)[..., 0]
    return Relative(mean, solve_triangular(root1, root2, upper=False), (excess + excess.mT) / 2)


def lift(normal: Relative, height: Float[Tensor, "*batch k k"]) -> Lift:
    """The matrix g = [[L⁻¹, L⁻¹μ, L⁻¹Wᵀ], [0, 1, -μᵀ], [0, 0, Lᵀ]] with W = Z - ½ μμᵀ.

    Near N(0, I) its blocks off the diagonal are small, and keep their digits because L⁻¹ - Lᵀ = -L⁻¹(Σ - I).
    """
    mean, root, excess = normal
    column, row = mean[..., :, None], mean[..., None, :]
    identity = torch.eye(mean.shape[-1], dtype=mean.dtype, device=mean.device).expand_as(root)
    whitened = solve_triangular(
        root, torch.cat([identity, -excess, -height - column * row / 2, column], -1), upper=False
    )
    inverse, difference, corner, beside = whitened.split([root.shape[-1]] * 3 + [1], -1)
    beside, below, one = beside / math.sqrt(2), row / math.sqrt(2), torch.ones_like(row[..., :1])
    above = torch.cat([(inverse + root.mT + corner) / 2, beside], -1)
    return Lift(
        plus=torch.cat([above, torch.cat([-below, one], -1)], -2),
        plus_minus=torch.cat([(difference - corner) / 2, below], -2),
        minus_plus=torch.cat([(difference + corner) / 2, beside], -1),
        minus=(inverse + root.mT - corner) / 2,
    )


def logarithm(g: Lift) -> Float[Tensor, "*batch n k"]:
    """Y, where gᵀg = exp [[0, Y], [Yᵀ, 0]].

    With Y = U D Vᵀ the blocks are g₋₋ = K₋ V cosh(D/2) Vᵀ and g₋₊ = K₋ V sinh(D/2) Uᵀ: the singular vectors of the
    first turn the second into U sinh(D/2), and its columns give D by asinh, near I and far from it.
    """
    left, _, right = torch.linalg.svd(g.minus)
    columns = g.minus_plus.mT @ left
    sinh = columns.norm(dim=-2, keepdim=True)
    return columns * torch.where(sinh > 0, 2 * sinh.asinh() / torch.where(sinh > 0, sinh, 1), 2) @ right


def squared_length(g: Lift) -> Float[Tensor, "*batch"]:
    """½|Y|², the squared distance of gᵀg from I: at least that of their normals, whatever the height."""
    return 2 * torch.linalg.svdvals(g.minus_plus).asinh().square().sum(-1)


def turn(g: Lift) -> tuple[Float[Tensor, "*batch n n"], Float[Tensor, "*batch k k"]]:
    """(K₊, K₋): in the frame of its end the velocity Y of a geodesic is K₊ Y K₋ᵀ."""
    (left, _, right), (left_minus, _, right_minus) = torch.linalg.svd(g.plus), torch.linalg.svd(g.minus)
    return left @ right, left_minus @ right_minus


def tangent(y: Float[Tensor, "*batch n k"]) -> tuple[Tensor, Tensor, Tensor]:
    """(x, B, C): the velocities of mean and covariance at N(0, I), and the vertical one."""
    top = -y[..., :-1, :]
    return y[..., -1, :] / math.sqrt(2), (top + top.mT) / 2, (top - top.mT) / 2


def horizontal(x: Float[Tensor, "*batch k"], b: Float[Tensor, "*batch k k"]) -> Float[Tensor, "*batch n k"]:
    """Y = [[-B], [√2 xᵀ]]."""
    return torch.cat([-b, math.sqrt(2) * x[..., None, :]], -2)


def exponential(
    x: Float[Tensor, "*batch k"], b: Float[Tensor, "*batch k k"]
) -> tuple[Float[Tensor, "*batch k"], Float[Tensor, "*batch k k"]]:
    """(μ, F), where N(μ, FFᵀ) is the end of the geodesic from N(0, I) with velocity (x, B); differentiable.

    The first rows of exp(A) are Σ⁻¹ and Σ⁻¹μ, but their inversion amplifies rounding by a condition that is
    exponential in the length. So the way is cut into strides of length at most one, each of which begins at N(0, I)
    in the frame in which the last one ended. Its velocity there follows from the integrals of the geodesic equation,
    Σ⁻¹μ' = x and Σ⁻¹Σ' = B - xμᵀ: it is Fᵀx and Fᵀ(B - xμᵀ)F⁻ᵀ.
    """
    k = x.shape[-1]
    identity = torch.eye(k, dtype=x.dtype, device=x.device).expand_as(b)
    longest = unwrapped(horizontal(x, b).detach().flatten(-2).norm(dim=-1))
    strides = max(1, math.ceil(float(longest.amax()))) if longest.numel() else 1
    mean, frame = torch.zeros_like(x), identity
    for _ in range(strides):
        column = x[..., :, None]
        zero, one = torch.zeros_like(b), torch.zeros_like(column[..., :1, :])
        rows = [[-b, column, zero], [column.mT, one, -column.mT], [zero, -column, b]]
        end = torch.linalg.matrix_exp(torch.cat([torch.cat(row, -1) for row in rows], -2) / strides)
        precision, shift = end[..., :k, :k], end[..., :k, k : k + 1]
        root = torch.linalg.cholesky((precision + precision.mT) / 2)  # Fᵀ = root⁻¹
        turned = solve_triangular(root, torch.cat([identity, shift, column], -1), upper=False)
        inverse, shift, column = turned.split([k, 1, 1], -1)
        step = inverse.mT @ shift
        mean, frame = mean + (frame @ step)[..., 0], frame @ inverse.mT
        b = inverse @ (b - x[..., :, None] * step.mT) @ root
        x, b = column[..., 0], (b + b.mT) / 2
    return mean, frame


def unwrapped(x: Tensor) -> Tensor:
    """The values of a tensor that transforms of torch.func hide, with the dimensions that vmap took away."""
    while is_functorch_wrapped_tensor(x):
        x = get_unwrapped(x)
    return x


def squared_upper_bound(normal: Relative) -> Float[Tensor, "..."]:
    """The squared length of the shorter of two curves to a normal from N(0, I) whose lengths are formulas.

    :func:`latentgeo.gaussians.fisher_rao_upper_bound` names them.
    """
    without_height = squared_length(lift(normal, torch.zeros_like(normal.root)))
    # in the eigenbasis of the covariance, with σ - 1 from that of Σ - I: the sum of univariate distances
    squares, axes = torch.linalg.eigh(normal.excess)
    std = (normal.root.mT @ axes).norm(dim=-2)
    mean = (axes.mT @ normal.mean[..., None])[..., 0]
    chord = torch.hypot(mean / math.sqrt(2), squares / (1 + std)) / std.sqrt()
    return torch.minimum(without_height, 8 * (chord / 2).asinh().square().sum(-1))
