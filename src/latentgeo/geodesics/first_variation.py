"""Logarithms from curves that have been found."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.geodesics.energy import curve_energy
from latentgeo.geodesics.result import GeodesicResult, as_solved
from latentgeo.geometry.connection import solve
from latentgeo.metrics import Metric

_CHANNELS = 4  # numbers held for each of an image, for its derivative


def logarithms_of(metric: Metric, result: GeodesicResult) -> Float[Tensor, "b d"]:
    """The :func:`logarithms` of the curves of a result, from all the segments on which a solver found them."""
    tangents = torch.empty_like(result.points[:, 0])
    for rows, curves in as_solved(result):
        tangents[rows] = logarithms(metric, curves, result.length[rows])
    return tangents


@torch.no_grad()
def logarithms(
    metric: Metric, curves: Float[Tensor, "b t d"], length: Float[Tensor, " b"]
) -> Float[Tensor, "b d"]:
    """The velocities at the starts of geodesics, by the first variation: Log_z(w) = -G(z)⁻¹ ∂/∂z ½ d(z, w)².

    The half squared distance is the energy of the geodesic, and its derivative by the first point is that of the
    discrete energy with the other points fixed, as these make it stationary. It has the order of the energy, four; a
    spline through the points loses one or two at its end, where the curve bends.

    Args:
        metric: the metric.
        curves: points at equal steps of the parameter, as many as made the discrete energy stationary.
        length: of the geodesics; each tangent is made as long.

    Returns:
        The tangents; zero where the curve is a point, NaN where the metric is not finite along it.

    References:
        M. P. do Carmo, "Riemannian Geometry", 1992, chapter 9, proposition 2.4. J. E. Marsden, M. West, "Discrete
        mechanics and variational integrators", Acta Numerica 10, 2001, for the discrete momentum.
    """
    start = curves[:, 0]
    tangent = -solve(metric(start), _slope(metric, curves)[..., None])[..., 0]
    norm = metric.norm(start, tangent)
    scale = torch.where(norm > 0, length / torch.where(norm > 0, norm, 1), 0)
    scale = torch.where(norm.isfinite() & length.isfinite(), scale, torch.nan)
    return scale[:, None] * tangent


def _slope(metric: Metric, curves: Float[Tensor, "b t d"]) -> Float[Tensor, "b d"]:
    """The derivative of the discrete energy by the first point of each curve."""
    objective = curve_energy(metric, curves[:, 0], curves[:, -1])
    slopes = []
    for some in curves.split(objective.curves_at_once(curves.shape[1], _CHANNELS)):
        with torch.enable_grad():
            foot = some[:, 0].detach().clone().requires_grad_()
            energy = objective.energy(torch.cat([foot[:, None], some[:, 1:]], dim=1))
            slopes += torch.autograd.grad(energy.sum(), foot)
    return torch.cat(slopes)
