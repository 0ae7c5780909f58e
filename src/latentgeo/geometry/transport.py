"""Parallel transport along curves."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.geometry.connection import geodesic_acceleration
from latentgeo.metrics import Metric
from latentgeo.metrics.arguments import check_points, check_tangent, describe
from latentgeo.metrics.metric import check_metric


def parallel_transport(
    metric: Metric, curve: Float[Tensor, "*#batch t d"], v: Float[Tensor, "*#batch d"]
) -> Float[Tensor, "... t d"]:
    """The tangent v at the first point of a curve, carried to every point of it without turning.

    Solves v' = -Γ(c', v) along the cubic spline of Catmull and Rom through the points, by one step of the classical
    method of Runge and Kutta a segment, so that errors fall with the fourth power of the number of segments.
    Γ is polarised from geodesic accelerations, 4 Γ(a, b) = Γ(a + b, a + b) - Γ(a - b, a - b), eight a segment.

    Args:
        metric: the metric G, twice differentiable; that of a ReLU decoder is flat almost everywhere, so that its
            connection vanishes here.
        curve: (..., T+1, d) points at equal steps of the parameter of a smooth curve, as ``geodesic(...).points``.
        v: (..., d) tangents at the first points.

    Returns:
        (..., T+1, d) tangents at all points, the first of them v; lengths and angles are kept. Differentiable.

    Raises:
        TypeError: curve or v is not a floating-point tensor, or the metric not a Metric.
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
        tensor([2.0000, 2.0000])
    """
    check_metric(metric)
    check_points("curve", curve)
    if curve.ndim < 2 or curve.shape[-2] < 2:
        raise ValueError(f"curve must have shape (..., T+1, d) with T >= 1, got {describe(curve)}")
    check_tangent(curve[..., 0, :], "v", v)
    batch = torch.broadcast_shapes(curve.shape[:-2], v.shape[:-1])
    points, d = curve.shape[-2:]
    flat, tangent = curve.expand(*batch, points, d).reshape(-1, points, d), v.expand(*batch, d).reshape(-1, d)

    (slope,) = torch.gradient(flat, dim=1, edge_order=1 if points == 2 else 2)
    start, end, slope0, slope1 = flat[:, :-1], flat[:, 1:], slope[:, :-1], slope[:, 1:]
    middle = (start + end) / 2 + (slope0 - slope1) / 8
    slope_half = 1.5 * (end - start) - (slope0 + slope1) / 4

    tangents = [tangent]
    for i in range(points - 1):
        half = middle[:, i], slope_half[:, i]
        k1 = _rate(metric, start[:, i], slope0[:, i], tangent)
        k2 = _rate(metric, *half, tangent + k1 / 2)
        k3 = _rate(metric, *half, tangent + k2 / 2)
        k4 = _rate(metric, end[:, i], slope1[:, i], tangent + k3)
        tangent = tangent + (k1 + 2 * (k2 + k3) + k4) / 6
        tangents.append(tangent)
    return torch.stack(tangents, dim=1).reshape(*batch, points, d)


def _rate(metric: Metric, x: Tensor, direction: Tensor, v: Tensor) -> Tensor:
    """-Γ(direction, v) at x."""
    # at equal size the two accelerations cancel least
    sizes = [a.detach().norm(dim=-1, keepdim=True) for a in (direction, v)]
    scale = torch.where((sizes[0] > 0) & (sizes[1] > 0), sizes[0] / sizes[1], 1)
    pair = torch.cat([direction + scale * v, direction - scale * v])
    plus, minus = geodesic_acceleration(metric, torch.cat([x, x]), pair).chunk(2)
    return (plus - minus) / (4 * scale)
