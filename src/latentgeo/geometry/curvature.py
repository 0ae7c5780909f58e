"""Curvature: Riemann, Ricci, scalar and sectional."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.geometry.connection import connection, matrix_slope, solve
from latentgeo.metrics import Metric
from latentgeo.metrics.arguments import check_points, check_precision, check_tangent
from latentgeo.metrics.immersion import Immersion
from latentgeo.metrics.metric import check_metric, root

# Roundings below which two vectors are parallel.
_PARALLEL = 64.0


def riemann_tensor(metric: Metric, z: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d d d d"]:
    """The Riemann tensor R[..., l, i, j, k], upper index first: R(∂_j, ∂_k) ∂_i = Rˡ_ijk ∂_l.

    With R(X, Y) Z = ∇_X ∇_Y Z - ∇_Y ∇_X Z - ∇_[X,Y] Z,

        Rˡ_ijk = ∂_j Γˡ_ki - ∂_k Γˡ_ji + Γˡ_jm Γᵐ_ki - Γˡ_km Γᵐ_ji.

    For a pull-back metric of F no third derivative is needed. By the equation of Gauss, with II the part of d²F
    normal to the image,

        R_lijk = <II(∂_k, ∂_i), II(∂_j, ∂_l)> - <II(∂_j, ∂_i), II(∂_k, ∂_l)>.

    Args:
        metric: the metric G.
        z: (..., d) points.

    Returns:
        (..., d, d, d, d), per latent unit squared; differentiable.

    Raises:
        TypeError: z is not a tensor of float32 or float64, or the metric not a Metric.

    References:
        M. P. do Carmo, "Riemannian Geometry", 1992, chapters 4 and 6.

    Example:
        The unit sphere has R(∂_x, ∂_y) ∂_y = |∂_y|² ∂_x at orthogonal ∂_x, ∂_y:

        >>> import torch
        >>> from latentgeo import metric_from_function, riemann_tensor
        >>> sphere = metric_from_function(lambda z: 4 * torch.eye(2) / (1 + z.square().sum(1))[:, None, None] ** 2)
        >>> riemann_tensor(sphere, torch.tensor([0.0, 0.0]))[0, 1, 0, 1].round(decimals=3)
        tensor(4.)
    """
    flat = _flat(metric, z)
    d = z.shape[-1]
    return _riemann(metric.resolved(flat), flat).reshape(*z.shape, d, d, d)


def ricci_tensor(metric: Metric, z: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d d"]:
    """The Ricci tensor Ric_ik = Rʲ_ijk, the trace of X -> R(X, ∂_k) ∂_i; on the unit n-sphere (n - 1) G.

    Args:
        metric: the metric G.
        z: (..., d) points.

    Returns:
        (..., d, d), symmetric, without unit; differentiable.

    Raises:
        TypeError: z is not a tensor of float32 or float64, or the metric not a Metric.

    References:
        M. P. do Carmo, "Riemannian Geometry", 1992, chapter 4.

    Example:
        >>> import torch
        >>> from latentgeo import metric_from_function, ricci_tensor
        >>> half_plane = metric_from_function(lambda z: torch.eye(2) / z[:, 1, None, None] ** 2)
        >>> ricci_tensor(half_plane, torch.tensor([0.0, 2.0]))  # -G
        tensor([[-0.2500,  0.0000],
                [ 0.0000, -0.2500]])
    """
    return torch.einsum("...jijk->...ik", riemann_tensor(metric, z))


def scalar_curvature(metric: Metric, z: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch"]:
    """The scalar curvature Gⁱᵏ Ric_ik, for d = 2 twice the Gaussian curvature; on the unit n-sphere n (n - 1).

    Args:
        metric: the metric G.
        z: (..., d) points.

    Returns:
        (...), per ambient unit squared; differentiable.

    Raises:
        TypeError: z is not a tensor of float32 or float64, or the metric not a Metric.

    References:
        M. P. do Carmo, "Riemannian Geometry", 1992, chapter 4.

    Example:
        >>> import torch
        >>> from latentgeo import metric_from_function, scalar_curvature
        >>> half_plane = metric_from_function(lambda z: torch.eye(2) / z[:, 1, None, None] ** 2)
        >>> scalar_curvature(half_plane, torch.tensor([[0.0, 2.0], [5.0, 1.0]])).round(decimals=3)
        tensor([-2., -2.])
    """
    flat = _flat(metric, z)
    metric = metric.resolved(flat)
    ricci = torch.einsum("njijk->nik", _riemann(metric, flat))
    mixed = solve(metric(flat), ricci)
    return mixed.diagonal(dim1=1, dim2=2).sum(-1).reshape(z.shape[:-1])


def sectional_curvature(
    metric: Metric,
    z: Float[Tensor, "*#batch d"],
    u: Float[Tensor, "*#batch d"],
    v: Float[Tensor, "*#batch d"],
) -> Float[Tensor, "..."]:
    """The curvature of the plane of two tangent vectors, K = <R(u, v) v, u> / (|u|² |v|² - <u, v>²).

    For a pull-back metric by three second directional derivatives, whatever d is:
    K = (<II(u, u), II(v, v)> - |II(u, v)|²) / (|u|² |v|² - <u, v>²), II the normal part of d²F.

    Args:
        metric: the metric G.
        z: (..., d) points.
        u: (..., d) tangent vectors.
        v: (..., d) tangent vectors, not parallel to u.

    Returns:
        (...), per ambient unit squared, the same for every pair that spans the plane; NaN where u and v are
        parallel; differentiable.

    Raises:
        TypeError: an argument is not a tensor of float32 or float64, or the metric not a Metric.
        ValueError: d is 1, u or v do not have the coordinates of z, or shapes do not broadcast.

    References:
        M. P. do Carmo, "Riemannian Geometry", 1992, chapters 4 and 6.

    Example:
        >>> import torch
        >>> from latentgeo import pullback_metric, sectional_curvature
        >>> paraboloid = pullback_metric(lambda z: torch.cat([z, z.square().sum(1, keepdim=True) / 2], 1))
        >>> e1, e2 = torch.eye(2)
        >>> sectional_curvature(paraboloid, torch.zeros(2), e1, e2).round(decimals=3)
        tensor(1.)
    """
    check_metric(metric)
    check_precision("z", z)
    check_tangent(z, "u", u)
    check_tangent(z, "v", v)
    check_tangent(u, "v", v, foot="u")
    d = z.shape[-1]
    if d < 2:
        raise ValueError("z must have at least two coordinates for a plane of tangent vectors, got one")
    shape = torch.broadcast_shapes(z.shape, u.shape, v.shape)
    z, u, v = (x.expand(shape).reshape(-1, d).contiguous() for x in (z, u, v))
    metric = metric.resolved(z)
    evaluate = functools.partial(_sectional, metric)
    curvature = (
        evaluate(z, u, v) if metric.immersion is None else metric.immersion.piecewise(evaluate, z, u, v)
    )
    return curvature.reshape(shape[:-1])


def _sectional(metric: Metric, z: Tensor, u: Tensor, v: Tensor) -> Tensor:
    immersion, d = metric.immersion, z.shape[1]
    # G = leftᵀ right, by the map where there is one, so that squares do not cancel
    right = metric(z) if immersion is None else immersion.jacobian(z)
    left = torch.eye(d, dtype=z.dtype, device=z.device) if immersion is None else right
    inner = functools.partial(_inner, left, right)
    sides = (left * right).detach().sum(1).sqrt()
    # the curvature does not depend on the basis of the plane: an orthonormal one keeps its digits
    u, v, spans = _orthonormal(inner, sides, u, v)
    if immersion is None:
        turned = torch.einsum("nlijk,nj,nk,ni->nl", _riemann(metric, z), u, v, v)
        curvature = inner(turned, u)
    else:
        along_u, along_v = immersion.second_pushforward(z, u), immersion.second_pushforward(z, v)
        half = immersion.second_pushforward(z, (u + v) / 2**0.5)
        bends = torch.stack([along_u, along_v, half - (along_u + along_v) / 2], 2)
        uu, vv, uv = _normal_part(right, bends).unbind(2)
        curvature = (uu * vv).sum(1) - uv.square().sum(1)
    return torch.where(spans, curvature, torch.nan)


def _flat(metric: Metric, z: Tensor) -> Tensor:
    check_metric(metric)
    check_points("z", z)
    check_precision("z", z)
    return z.reshape(-1, z.shape[-1])


def _riemann(metric: Metric, z: Tensor) -> Tensor:
    if metric.immersion is not None:
        return metric.immersion.piecewise(functools.partial(_by_gauss, metric.immersion), z)
    symbols = connection(metric, z)
    slope = matrix_slope(lambda x: connection(metric, x), z)  # [n, c, l, a, b] = ∂_c Γˡ_ab
    half = torch.einsum("njlki->nlijk", slope) + torch.einsum("nljm,nmki->nlijk", symbols, symbols)
    return half - half.mT


def _by_gauss(immersion: Immersion, z: Tensor) -> Tensor:
    d = z.shape[1]
    jacobian = immersion.jacobian(z)
    form = _normal_part(jacobian, immersion.hessian(z).flatten(2)).unflatten(2, (d, d))
    half = torch.einsum("nmki,nmjl->nlijk", form, form)
    return solve(jacobian.mT @ jacobian, (half - half.mT).flatten(2)).unflatten(2, (d, d, d))


def _normal_part(jacobian: Tensor, vectors: Tensor) -> Tensor:
    """Ambient vectors (n, m, k) less their tangential part; twice, since once leaves roundings of what was large."""
    gram = jacobian.mT @ jacobian
    for _ in range(2):
        vectors = vectors - jacobian @ solve(gram, jacobian.mT @ vectors)
    return vectors


def _inner(left: Tensor, right: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return ((left @ a[..., None]) * (right @ b[..., None])).sum((1, 2))


def _orthonormal(
    inner: Callable[[Tensor, Tensor], Tensor], sides: Tensor, u: Tensor, v: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """An orthonormal basis of the plane of u and v, and where there is one; ``sides`` are the lengths of all ∂_i."""
    length, size = root(inner(u, u)), root(inner(v, v))
    u = u / torch.where(length > 0, length, 1)[:, None]
    v = v / torch.where(size > 0, size, 1)[:, None]
    for _ in range(2):  # once leaves roundings of what was large
        v = v - inner(u, v)[:, None] * u
    rest = root(inner(v, v))
    # as long as the rest of parallel vectors can be, whose coordinates are rounded
    rounding = torch.finfo(u.dtype).eps * (u.detach().abs() * sides).sum(1)
    spans = (length > 0) & (size > 0) & (rest > _PARALLEL * rounding)
    return u, v / torch.where(rest > 0, rest, 1)[:, None], spans
