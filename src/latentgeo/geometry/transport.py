"""Parallel transport along curves."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.geometry.connection import geodesic_acceleration
from latentgeo.metrics import Metric
from latentgeo.metrics.arguments import check_points, check_precision, check_tangent, describe
from latentgeo.metrics.metric import check_metric

# Up to so many latents the connection is computed as matrices, so many points of the decoder at a time.
_DENSE = 32
_POINTS = 2**13


def parallel_transport(
    metric: Metric, curve: Float[Tensor, "*#batch t d"], v: Float[Tensor, "*#batch d"]
) -> Float[Tensor, "... t d"]:
    """The tangent v at the first point of a curve, carried to every point of it without turning.

    Solves v' = -Γ(c', v) along the cubic spline of Catmull and Rom through the points, by one step of the classical
    method of Runge and Kutta a segment, so that errors fall with the fourth power of the number of segments.
    Γ is polarised from geodesic accelerations, 4 Γ(a, b) = Γ(a + b, a + b) - Γ(a - b, a - b): 4 d of them a segment,
    at once for all segments, or 8, one after the other, for d > 32.

    Args:
        metric: the metric G, twice differentiable; that of a ReLU decoder is flat almost everywhere, so that its
            connection vanishes here.
        curve: (..., T+1, d) points at equal steps of the parameter of a smooth curve, as ``geodesic(...).points``.
        v: (..., d) tangents at the first points.

    Returns:
        (..., T+1, d) tangents at all points, the first of them v; lengths and angles are kept. Differentiable.

    Raises:
        TypeError: curve or v is not a tensor of float32 or float64, or the metric not a Metric.
        ValueError: the curve has fewer than two points, or v does not fit it.

    References:
        M. P. do Carmo, "Riemannian Geometry", 1992, chapter 2. E. Catmull, R. Rom, "A class of local interpolating
        splines", 1974.

    Example:
        On the half-plane, a vertical line is a geodesic, and tangents along it grow with the height:

        >>> import torch
        >>> from latentgeo import metric_from_function, parallel_transport
        >>> half_plane = metric_from_function(lambda z: torch.eye(2) / z[:, 1, None, None] ** 2)
        >>> upwards = torch.stack([torch.zeros(9), torch.linspace(1, 2, 9)], 1)
        >>> parallel_transport(half_plane, upwards, torch.tensor([1.0, 1.0]))[-1]
        tensor([2., 2.])
    """
    check_metric(metric)
    check_points("curve", curve)
    check_precision("curve", curve)
    if curve.ndim < 2 or curve.shape[-2] < 2:
        raise ValueError(f"curve must have shape (..., T+1, d) with T >= 1, got {describe(curve)}")
    check_tangent(curve[..., 0, :], "v", v)
    batch = torch.broadcast_shapes(curve.shape[:-2], v.shape[:-1])
    points, d = curve.shape[-2:]
    flat, tangent = curve.expand(*batch, points, d).reshape(-1, points, d), v.expand(*batch, d).reshape(-1, d)

    places, velocities = _with_midpoints(flat)
    rate = _rates(metric, places, velocities)
    tangents = [tangent]
    for i in range(0, 2 * (points - 1), 2):
        k1 = rate(i, tangent)
        k2 = rate(i + 1, tangent + k1 / 2)
        k3 = rate(i + 1, tangent + k2 / 2)
        k4 = rate(i + 2, tangent + k3)
        tangent = tangent + (k1 + 2 * (k2 + k3) + k4) / 6
        tangents.append(tangent)
    return torch.stack(tangents, dim=1).reshape(*batch, points, d)


def _with_midpoints(curve: Tensor) -> tuple[Tensor, Tensor]:
    """Points of the spline, and its velocities a segment, at the points of a curve and half-way between them."""
    (slope,) = torch.gradient(curve, dim=1, edge_order=min(2, curve.shape[1] - 1))
    between = (curve[:, :-1] + curve[:, 1:]) / 2 + (slope[:, :-1] - slope[:, 1:]) / 8
    slope_between = 1.5 * curve.diff(dim=1) - (slope[:, :-1] + slope[:, 1:]) / 4
    places, velocities = (
        torch.cat([torch.stack([a[:, :-1], b], dim=2).flatten(1, 2), a[:, -1:]], dim=1)
        for a, b in ((curve, between), (slope, slope_between))
    )
    return places, velocities


def _rates(metric: Metric, places: Tensor, velocities: Tensor) -> Callable[[int, Tensor], Tensor]:
    """The map (i, v) -> -Γ(velocity, v) at the i-th place."""
    d = places.shape[-1]
    if d > _DENSE:
        return lambda i, v: _bend(metric, places[:, i], velocities[:, i], v)
    # the equation is linear: its matrices at all places at once are many points for the decoder, in few calls
    rows = zip(
        *(a.flatten(0, 1).split(max(1, _POINTS // (2 * d))) for a in (places, velocities)), strict=True
    )
    matrices = torch.cat([_matrices(metric, *part) for part in rows]).unflatten(0, places.shape[:2])
    return lambda i, v: (matrices[:, i] @ v[..., None])[..., 0]


def _matrices(metric: Metric, x: Tensor, velocity: Tensor) -> Tensor:
    n, d = x.shape
    basis = torch.eye(d, dtype=x.dtype, device=x.device).repeat(n, 1)
    columns = _bend(metric, x.repeat_interleave(d, 0), velocity.repeat_interleave(d, 0), basis)
    return columns.unflatten(0, (n, d)).mT


def _bend(metric: Metric, x: Tensor, velocity: Tensor, v: Tensor) -> Tensor:
    """-Γ(velocity, v) at x, by polarisation."""
    # at equal size the two accelerations cancel least
    sizes = [a.detach().norm(dim=-1, keepdim=True) for a in (velocity, v)]
    scale = torch.where((sizes[0] > 0) & (sizes[1] > 0), sizes[0] / sizes[1], 1)
    pair = torch.cat([velocity + scale * v, velocity - scale * v])
    plus, minus = geodesic_acceleration(metric, torch.cat([x, x]), pair).chunk(2)
    return (plus - minus) / (4 * scale)
