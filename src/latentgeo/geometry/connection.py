"""The Levi-Civita connection of a metric."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.metrics import Metric
from latentgeo.metrics.arguments import check_points, check_precision, check_tangent
from latentgeo.metrics.forward_mode import jvp
from latentgeo.metrics.immersion import Immersion
from latentgeo.metrics.metric import check_metric

# Relative ridge, in units of machine epsilon, without which a singular metric has no inverse.
_RIDGE = 16.0


def geodesic_acceleration(
    metric: Metric, z: Float[Tensor, "*#batch d"], v: Float[Tensor, "*#batch d"]
) -> Float[Tensor, "... d"]:
    """The acceleration of the geodesic through z with velocity v: γ'' = -Γ(γ', γ').

    For a pull-back metric of F with Jacobian J it is the least-squares solution of J γ'' = -d²F(v, v),
    γ'' = -(JᵀJ)⁻¹ Jᵀ d²F(v, v), with one second directional derivative and no derivative of G; otherwise

        γ'' = -G⁻¹ [ (∂_v G) v - 1/2 ∇_z (vᵀ G v) ].

    Where G is singular, G + ρ diag(G) takes its place, with ρ of the order of rounding.

    Args:
        metric: the metric G.
        z: (..., d) points.
        v: (..., d) velocities.

    Returns:
        (..., d) accelerations, in latent units; differentiable.

    Raises:
        TypeError: z or v is not a tensor of float32 or float64, or the metric not a Metric.
        ValueError: v does not have the coordinates of z.

    References:
        M. P. do Carmo, "Riemannian Geometry", 1992, chapter 3. Arvanitidis, Hansen, Hauberg 2018,
        arXiv:1710.11379, equation 9.

    Example:
        On the half-plane, straight up is a geodesic y = exp(t):

        >>> import torch
        >>> from latentgeo import geodesic_acceleration, metric_from_function
        >>> half_plane = metric_from_function(lambda z: torch.eye(2) / z[:, 1, None, None] ** 2)
        >>> geodesic_acceleration(half_plane, torch.tensor([0.0, 1.0]), torch.tensor([0.0, 1.0]))
        tensor([0., 1.])
    """
    check_metric(metric)
    check_precision("z", z)
    check_tangent(z, "v", v)
    shape = torch.broadcast_shapes(z.shape, v.shape)
    d = shape[-1]
    flat, velocity = z.expand(shape).reshape(-1, d), v.expand(shape).reshape(-1, d)
    metric = metric.resolved(flat)
    if metric.immersion is not None:
        fall = functools.partial(_immersed_acceleration, metric.immersion)
        return metric.immersion.piecewise(fall, flat, velocity).reshape(shape)
    velocity = velocity.contiguous()  # torch.func.jvp refuses expanded inputs
    change = jvp(lambda x: _apply(metric(x), velocity), flat.contiguous(), velocity)
    slope = torch.func.grad(lambda x: (velocity * _apply(metric(x), velocity)).sum() / 2)(flat)
    return solve(metric(flat), (slope - change)[:, :, None]).reshape(shape)


def _immersed_acceleration(immersion: Immersion, z: Tensor, v: Tensor) -> Tensor:
    jacobian = immersion.jacobian(z)
    bend = immersion.second_pushforward(z, v)
    return -solve(jacobian.mT @ jacobian, jacobian.mT @ bend[:, :, None])[:, :, 0]


def christoffel_symbols(metric: Metric, z: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d d d"]:
    """The Christoffel symbols of the second kind Γ[..., k, i, j], upper index first.

    ∇_i ∂_j = Γᵏ_ij ∂_k. For a pull-back metric of F with Jacobian J they are the tangential part of the second
    derivatives, Γ_ij = (JᵀJ)⁻¹ Jᵀ d²F(e_i, e_j), without a derivative of G; otherwise

        Γᵏ_ij = 1/2 Gᵏˡ (∂_i G_jl + ∂_j G_il - ∂_l G_ij).

    Where G is singular, G + ρ diag(G) takes its place, with ρ of the order of rounding.

    Args:
        metric: the metric G.
        z: (..., d) points.

    Returns:
        (..., d, d, d), symmetric in the last two indices, per latent unit; differentiable.

    Raises:
        TypeError: z is not a tensor of float32 or float64, or the metric not a Metric.

    References:
        M. P. do Carmo, "Riemannian Geometry", 1992, chapter 2.

    Example:
        >>> import torch
        >>> from latentgeo import christoffel_symbols, metric_from_function
        >>> half_plane = metric_from_function(lambda z: torch.eye(2) / z[:, 1, None, None] ** 2)
        >>> christoffel_symbols(half_plane, torch.tensor([0.0, 2.0]))
        tensor([[[ 0.0000, -0.5000],
                 [-0.5000,  0.0000]],
        <BLANKLINE>
                [[ 0.5000,  0.0000],
                 [ 0.0000, -0.5000]]])
    """
    check_metric(metric)
    check_points("z", z)
    check_precision("z", z)
    d = z.shape[-1]
    return connection(metric, z.reshape(-1, d)).reshape(*z.shape, d, d)


def connection(metric: Metric, z: Float[Tensor, "n d"]) -> Float[Tensor, "n d d d"]:
    """Γ[n, k, i, j] at points (n, d), as a function that can be differentiated."""
    metric = metric.resolved(z)
    if metric.immersion is not None:
        return metric.immersion.piecewise(functools.partial(_immersed_connection, metric.immersion), z)
    slope = matrix_slope(metric, z)
    lowered = (slope.permute(0, 2, 3, 1) + slope.permute(0, 2, 1, 3) - slope) / 2
    return solve(metric(z), lowered.flatten(2)).reshape(lowered.shape)


def _immersed_connection(immersion: Immersion, z: Tensor) -> Tensor:
    jacobian = immersion.jacobian(z)
    lowered = torch.einsum("nml,nmij->nlij", jacobian, immersion.hessian(z))
    return solve(jacobian.mT @ jacobian, lowered.flatten(2)).reshape(lowered.shape)


def matrix_slope(function: Callable[[Tensor], Tensor], z: Float[Tensor, "n d"]) -> Float[Tensor, "n d ..."]:
    """The derivatives ∂_c A(z) of a field of tensors A, as [n, c, ...]."""
    z = z.contiguous()
    basis = torch.eye(z.shape[1], dtype=z.dtype, device=z.device)

    def along(direction: Tensor) -> Tensor:
        return jvp(function, z, direction.expand_as(z).contiguous())

    return torch.func.vmap(along, out_dims=1)(basis)


def solve(
    matrix: Float[Tensor, "*batch d d"], right: Float[Tensor, "*batch d k"]
) -> Float[Tensor, "*batch d k"]:
    """G⁻¹ right, with the relative ridge; NaN where G is not finite, or not positive semi-definite.

    It is the solution x of (G + ρ D) x = right, D the diagonal of G, refined once, which leaves ρ² of what the ridge
    does to a regular G. Nothing here depends on the units of the latents.
    """
    # any constant will do for what is divided out again, so that it needs no derivative
    diagonal = matrix.detach().diagonal(dim1=-2, dim2=-1)
    unit = torch.where(diagonal > 0, diagonal, 1).rsqrt()[..., None]
    scaled, right = unit * matrix * unit.mT, unit * right
    ridge = _RIDGE * torch.finfo(matrix.dtype).eps
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    factor, failed = torch.linalg.cholesky_ex(scaled + ridge * identity)
    solution = torch.cholesky_solve(right, factor)
    solution = solution + torch.cholesky_solve(right - scaled @ solution, factor)
    return torch.where((failed == 0)[..., None, None], unit * solution, torch.nan)


def _apply(matrix: Tensor, vector: Tensor) -> Tensor:
    return (matrix @ vector[..., None])[..., 0]
