"""The Fisher-Rao geometry of normals with independent coordinates: a product of univariate ones.

A point is a tensor (..., 2, d), the means above the standard deviations; a tangent likewise. Geodesics are geodesics
in every coordinate, which share their time, and squares of distances add.

Normals with a diagonal covariance are not totally geodesic among all normals: where means differ in two coordinates
or more, the distance of the two as :class:`torch.distributions.MultivariateNormal` is smaller.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.gaussians import univariate
from latentgeo.gaussians.arguments import (
    as_times,
    check_alike,
    check_broadcast,
    check_values,
)
from latentgeo.metrics.arguments import check_precision, describe
from latentgeo.metrics.metric import root

Point = Float[Tensor, "*#batch 2 d"]
# Elements of one pass over many pairs: what the formulas need at a time stays in the cache.
_PASS = 2**17


def inner(x: Point, u: Point, v: Point) -> Float[Tensor, "..."]:
    """The inner product of two tangents at x, the sum of those of the coordinates.

    Example:
        >>> import torch
        >>> x = torch.tensor([[0.0, 0.0], [1.0, 2.0]])
        >>> inner(x, torch.ones(2, 2), torch.ones(2, 2))
        tensor(3.7500)
    """
    return component_inner(x, u, v).sum(-1)


def component_inner(x: Point, u: Point, v: Point) -> Float[Tensor, "... d"]:
    """The inner products in the single coordinates."""
    (_, std), (a, b), (e, f) = split("x", x), tangent("u", u, x), tangent("v", v, x)
    return univariate.inner(std, a, b, e, f)


def gradient(x: Point, derivative: Point) -> Float[Tensor, "... 2 d"]:
    """The gradient of a function with the given partial derivatives: (σ² ∂μ, σ² ∂σ / 2).

    Example:
        >>> import torch
        >>> gradient(torch.tensor([[0.0], [2.0]]), torch.ones(2, 1))
        tensor([[4.],
                [2.]])
    """
    (_, std), (dmean, dstd) = split("x", x), tangent("derivative", derivative, x)
    return _stack(std * (std * dmean), std * (std * dstd) / 2)


def distance(x: Point, y: Point) -> Float[Tensor, "..."]:
    """The Fisher-Rao distance; its gradient is zero where two points coincide.

    Example:
        >>> import torch
        >>> x, y = torch.tensor([[0.0, 0.0], [1.0, 1.0]]), torch.tensor([[0.0, 0.0], [2.0, 0.5]])
        >>> distance(x, y)  # √2 √2 log 2
        tensor(1.3863)
    """
    return root(squared_distance(x, y))


def squared_distance(x: Point, y: Point) -> Float[Tensor, "..."]:
    """The square of the distance, smooth everywhere.

    Example:
        >>> import torch
        >>> x = torch.tensor([[0.0], [1.0]])
        >>> squared_distance(x, x)
        tensor(0.)
    """
    (mean1, std1), (mean2, std2) = _pair(x, y)
    return sum_of_squares(mean1, std1, mean2, std2, 1)


def sum_of_squares(mean1: Tensor, std1: Tensor, mean2: Tensor, std2: Tensor, dims: int) -> Tensor:
    """Squared distances of univariate normals, summed over the last ``dims`` dimensions, in passes of some size."""
    four = torch.broadcast_tensors(mean1, std1, mean2, std2)
    shape = four[0].shape
    batch = shape[: len(shape) - dims]
    over = tuple(range(-dims, 0))

    def total(*part: Tensor) -> Tensor:
        square = univariate.squared_distance(*part)
        return square.sum(over) if dims else square

    if shape.numel() <= _PASS or not batch:
        return total(*four)
    longest = max(range(len(batch)), key=batch.__getitem__)
    rows = max(1, _PASS * shape[longest] // shape.numel())
    return torch.cat([total(*p) for p in zip(*(a.split(rows, longest) for a in four), strict=True)], longest)


def geodesic(x: Point, y: Point, t: Float[Tensor, "*times"] | float) -> Float[Tensor, "... 2 d"]:
    """The geodesic from x, at t = 0, to y, at t = 1.

    Args:
        x: (..., 2, d) points.
        y: (..., 2, d) points.
        t: one time, a number or a tensor; (M,) times, which become the leading dimension; or (..., 1, 1) times,
            which broadcast.

    Example:
        >>> import torch
        >>> x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0], [4.0]])
        >>> geodesic(x, y, torch.tensor([0.0, 0.5, 1.0]))[:, 1, 0]
        tensor([1., 2., 4.])
    """
    (mean1, std1), (mean2, std2) = _pair(x, y)
    t = as_times(t, mean1)
    check_alike("x", x, "t", t)
    if t.ndim == 1:
        t = t.reshape(-1, *(1,) * max(mean1.ndim, mean2.ndim))
    elif t.ndim:
        if t.shape[-2:] != (1, 1):
            raise ValueError(
                f"t must be one time, times (M,), or times (..., 1, 1) for (..., 2, d) points, got {describe(t)}"
            )
        t = t[..., 0]
    return _stack(*univariate.geodesic(mean1, std1, mean2, std2, t))


def expmap(x: Point, u: Point) -> Float[Tensor, "... 2 d"]:
    """The exponential map.

    Raises:
        ValueError: among others, where u is so long that deviations at its end are beyond floating-point numbers.

    Example:
        >>> import torch
        >>> x = torch.tensor([[0.0], [1.0]])
        >>> expmap(x, torch.tensor([[0.0], [1.0]]))[1]
        tensor([2.7183])
    """
    mean, std = univariate.expmap(*split("x", x), *tangent("u", u, x))
    check_values("the normal that u leads to", mean, std)
    return _stack(mean, std)


def logmap(x: Point, y: Point) -> Float[Tensor, "... 2 d"]:
    """The logarithm of y at x.

    Example:
        >>> import torch
        >>> x = torch.tensor([[0.0], [1.0]])
        >>> logmap(x, 4 * x)[1] / torch.tensor(4.0).log()
        tensor([1.])
    """
    (mean1, std1), (mean2, std2) = _pair(x, y)
    return _stack(*univariate.logmap(mean1, std1, mean2, std2))


def transport(x: Point, y: Point, v: Point) -> Float[Tensor, "... 2 d"]:
    """Parallel transport of a tangent at x along the geodesic to y.

    Example:
        >>> import torch
        >>> x = torch.tensor([[0.0], [1.0]])
        >>> transport(x, 4 * x, torch.tensor([[0.0], [1.0]])).flatten()
        tensor([0., 4.])
    """
    (mean1, std1), (mean2, std2) = _pair(x, y)
    return _stack(*univariate.transport(mean1, std1, mean2, std2, *tangent("v", v, x)))


def sectional_curvature(x: Point, u: Point, v: Point) -> Float[Tensor, "..."]:
    """The curvature of the plane of two tangents, between -1/2 and 0.

    K = -1/2 Σ (|uᵢ|² |vᵢ|² - ⟨uᵢ, vᵢ⟩²) / (|u|² |v|² - ⟨u, v⟩²), a sum over the coordinates, each of curvature -1/2.

    Returns:
        (...) curvatures; NaN where u and v are linearly dependent.

    Example:
        >>> import torch
        >>> x = torch.tensor([[0.0, 0.0], [1.0, 2.0]])
        >>> up, right = torch.tensor([[0.0, 0.0], [1.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 0.0]])
        >>> sectional_curvature(x, up, right), sectional_curvature(x, up, right.flip(-1))
        (tensor(-0.5000), tensor(-0.))
    """
    uu, vv, uv = component_inner(x, u, u), component_inner(x, v, v), component_inner(x, u, v)
    inside = (uu * vv - uv.square()).sum(-1)
    return univariate.CURVATURE * inside / (uu.sum(-1) * vv.sum(-1) - uv.sum(-1).square())


def split(name: str, x: Point) -> tuple[Tensor, Tensor]:
    """Means and deviations of a point that is one."""
    _check_shape(name, x)
    mean, std = x.unbind(-2)
    check_values(name, mean, std)
    return mean, std


def tangent(name: str, u: Point, x: Point) -> tuple[Tensor, Tensor]:
    """The two rows of a tangent at x."""
    _check_shape(name, u)
    _check_fits("x", x, name, u)
    dmean, dstd = u.unbind(-2)
    return dmean, dstd


def _pair(x: Tensor, y: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    pair = split("x", x), split("y", y)
    _check_fits("x", x, "y", y)
    return pair


def _check_shape(name: str, x: Tensor) -> None:
    check_precision(name, x)
    if x.ndim < 2 or x.shape[-2] != 2 or x.shape[-1] == 0:
        raise ValueError(f"{name} must have shape (..., 2, d), means above deviations, got {describe(x)}")


def _check_fits(name: str, x: Tensor, other_name: str, other: Tensor) -> None:
    check_alike(name, x, other_name, other)
    if x.shape[-1] != other.shape[-1]:
        raise ValueError(
            f"{other_name} must have the {x.shape[-1]} coordinates of {name}, got {describe(other)}"
        )
    check_broadcast(name, x.shape[:-2], other_name, other.shape[:-2])


def _stack(mean: Tensor, std: Tensor) -> Tensor:
    return torch.stack(torch.broadcast_tensors(mean, std), -2)
